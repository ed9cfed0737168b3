// Package brief tells the run of a small plan in a few lines: the nodes and clients, the faults,
// the leaders of the shards, the lines of the story that matter, and the finding.
//
// The one rule to remember: the story is told around the subject of the finding.
package brief

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/scenarios"
)

// Bounds of a short story, lines.
const (
	maxEntries = 7  // of a plan that are told in words
	maxLeads   = 2  // shards with a line on their leaders
	maxEpochs  = 4  // of each of them
	maxTold    = 11 // of the run
	maxOwn     = 6  // of them, about the finding, before any others
	maxFinding = 2
)

// Words describes the entries of a plan: the nodes and clients, then one fault a line.
func Words(p *scenarios.Plan) []string {
	c, w := &p.Cluster, &p.World
	calls := len(p.Calls())
	lines := []string{fmt.Sprintf("%s, %s, %s, %s", count(c.Nodes, "node"), count(c.Clients, "client"), count(len(c.Tenants), "tenant"), count(calls, "operation"))}
	lines = append(lines, shrink.Disruptions(w)...)
	if s := p.Workload.Storm; s != nil {
		lines = append(lines, fmt.Sprintf("storm: %s send tenant %s %d signals per second from %s for %s", count(s.Clients, "client"), c.Tenants[s.Tenant].Config.ID, s.Rate, history.Instant(s.From), history.Instant(s.For)))
	}
	if l := p.Workload.Loyal; l != nil {
		lines = append(lines, fmt.Sprintf("loyal: %s ask whoever a disruption hits, every %s, %d reads each", count(l.Clients, "client"), history.Instant(l.Every), l.Reads))
	}
	for i := range p.Workload.Operators {
		for j := range p.Workload.Operators[i].Commands {
			lines = append(lines, commandText(p, i, &p.Workload.Operators[i].Commands[j]))
		}
	}
	return append(lines, shrink.Circumstances(w)...)
}

// commandText tells a command of an operator.
func commandText(p *scenarios.Plan, operator int, k *scenarios.CommandPlan) string {
	if k.OfNode() {
		return fmt.Sprintf("operator %d: %s node %d", operator, k.Kind, k.Node)
	}
	return fmt.Sprintf("operator %d: %s tenant %s, %+d versions, limits %+v", operator, k.Kind, p.Cluster.Tenants[k.Tenant].Config.ID, k.Step, k.Limits)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Of tells a run in at most 24 lines: the entries of its plan, the leaders of the shards, the lines
// of the story that matter, the finding. The run was told (scenarios.Options.Story) and has a
// finding.
func Of(got *scenarios.Result) []string {
	return newTelling(got).lines()
}

// newTelling finds the subject of the first finding of a run.
func newTelling(got *scenarios.Result) *telling {
	root := got.Findings[0]
	t := &telling{plan: got.Plan, finding: root, story: got.Story, leads: got.Leads, focus: focusOf(&root, got.History.Ops, got.Plan)}
	for _, i := range root.Ops {
		if i < len(got.History.Ops) {
			id := got.History.Ops[i].Op
			t.operations = append(t.operations, operation{session: uint64(id.Session), request: uint64(id.Request)})
		}
	}
	return t
}

// telling is a run with a finding, on its way to words.
type telling struct {
	plan       *scenarios.Plan
	finding    checker.Finding // the first one
	story      []scenarios.Told
	leads      []scenarios.Leads
	operations []operation // of the finding
	focus      focus       // the subject of the finding
}

// operation is one operation at fault.
type operation struct{ session, request uint64 }

// lines tells the run in at most 24 lines: the entries, the leaders of the shards, the lines of the
// story that matter, the finding.
func (r *telling) lines() []string {
	var lines []string
	for i, entry := range Words(r.plan) {
		if i == maxEntries {
			lines = append(lines, fmt.Sprintf("  ... and %d more entries", len(Words(r.plan))-i))
			break
		}
		lines = append(lines, "  "+entry)
	}
	for _, leads := range r.leaders() {
		lines = append(lines, "  "+leads)
	}
	last := -1
	for _, i := range r.matters() {
		if last >= 0 && i > last+1 && r.story[last].At < r.story[i].At {
			lines[len(lines)-1] += " ..." // lines were left out
		}
		lines = append(lines, "  "+r.story[i].String())
		last = i
	}
	text := strings.Split(strings.TrimSpace(r.finding.Text), "\n")
	lines = append(lines, fmt.Sprintf("  %s: %s", r.finding.Fingerprint(), text[0]))
	if len(text) > 1 {
		text = text[1:min(len(text), maxFinding)]
		for _, line := range text {
			lines = append(lines, "    "+strings.TrimSpace(line))
		}
	}
	return lines
}

// matters chooses lines of the story, in order: some about the operations and the record of the
// finding; faults, starts and ends of nodes; the others about the finding; messages of its
// operations; other acts of its slot; lines just before and after a fault began; other calls; the
// rest. Where there are too many, those near the finding are told.
func (r *telling) matters() []int {
	fits := make([][]int, lastRank+1)
	for i := range r.story {
		if rank := r.rank(i); rank <= lastRank {
			fits[rank] = append(fits[rank], i)
		}
	}
	chosen := slices.Clone(r.nearest(fits[rankOwn], maxOwn))
	for _, lines := range fits {
		lines = slices.DeleteFunc(lines, func(i int) bool { return slices.Contains(chosen, i) })
		chosen = append(chosen, r.nearest(lines, maxTold-len(chosen))...)
	}
	slices.Sort(chosen)
	return chosen
}

// How much a line of the story matters; the first most.
const (
	rankFault   = iota // faults, and starts and ends of nodes
	rankOwn            // the subject of the finding: its operations, its record
	rankMessage        // messages of its operations, configurations of its shard
	rankSlot           // acts of its slot
	rankAmid           // lines near the beginning of a fault
	rankCall           // other calls
	lastRank           // everything else
	rankNowhere        // lines with a place of their own
)

// rank says how much line i of the story matters.
func (r *telling) rank(i int) int {
	t := &r.story[i]
	switch {
	case t.Kind == scenarios.Arrive: // the line of its sending says as much
		return rankNowhere
	case t.Kind == scenarios.Object: // the finding is told below the story
		return rankNowhere
	case t.Kind == scenarios.Configure: // the first leader is told above it
		if t.At > 0 && t.Shard == r.focus.shard {
			return rankMessage
		}
		return rankNowhere
	case t.About == scenarios.Fault:
		return rankFault
	case t.About == scenarios.Life:
		if strings.HasPrefix(t.Text, "client") || strings.HasSuffix(t.Text, "incarnation 1") {
			return lastRank
		}
		return rankFault
	case (t.About == scenarios.Called || t.About == scenarios.Ended) && slices.Contains(r.focus.calls, t.Op), r.focus.isOf(t):
		return rankOwn
	case t.About == scenarios.Detail && r.concerns(t.Text):
		return rankMessage
	case r.focus.isIn(t) && (t.About != scenarios.Detail || t.Kind != scenarios.Point):
		return rankSlot
	case i+1 < len(r.story) && r.story[i+1].About == scenarios.Fault:
		return rankAmid
	case t.About != scenarios.Detail:
		return rankCall
	}
	return lastRank
}

// identity tells the messages of a story apart.
var identity = regexp.MustCompile(`session (\d+) request (\d+)`)

// concerns reports whether a line is about a message of an operation at fault.
func (r *telling) concerns(text string) bool {
	match := identity.FindStringSubmatch(text)
	if match == nil {
		return false
	}
	session, err1 := strconv.ParseUint(match[1], 10, 64)
	request, err2 := strconv.ParseUint(match[2], 10, 64)
	return err1 == nil && err2 == nil && session != 0 &&
		slices.ContainsFunc(r.operations, func(o operation) bool { return o.session == session && o.request == request })
}
