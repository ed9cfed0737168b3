package shrink

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/scenarios"
)

// Bounds of a short story, lines.
const (
	maxEntries = 7  // of a plan that are told in words
	maxLeads   = 2  // shards of which is said who leads
	maxEpochs  = 4  // of each of them
	maxTold    = 11 // of the run
	maxOwn     = 6  // of them that are about the finding before anything else is told
	maxFinding = 2
)

// Words tells the entries of a plan: who takes part, then one fault a line.
func Words(p *scenarios.Plan) []string {
	c, w := &p.Cluster, &p.World
	calls := len(callsOf(p))
	lines := []string{fmt.Sprintf("%s, %s, %s, %s", count(c.Nodes, "node"), count(c.Clients, "client"), count(len(c.Tenants), "tenant"), count(calls, "operation"))}
	for i := range w.Disruptions {
		lines = append(lines, fmt.Sprintf("fault %d: %s", i, w.Disruptions[i]))
	}
	if s := p.Workload.Storm; s != nil {
		lines = append(lines, fmt.Sprintf("storm: %s send tenant %s %d signals per second from %s for %s", count(s.Clients, "client"), c.Tenants[s.Tenant].Config.ID, s.Rate, history.Instant(s.From), history.Instant(s.For)))
	}
	if l := p.Workload.Loyal; l != nil {
		lines = append(lines, fmt.Sprintf("loyal: %s ask whoever a disruption hits, every %s, %d reads each", count(l.Clients, "client"), history.Instant(l.Every), l.Reads))
	}
	for _, at := range commandsOf(p) {
		k := p.Workload.Operators[at.operator].Commands[at.index]
		if k.OfNode() {
			lines = append(lines, fmt.Sprintf("operator %d: %s node %d", at.operator, k.Kind, k.Node))
			continue
		}
		lines = append(lines, fmt.Sprintf("operator %d: %s tenant %s, %+d versions, limits %+v", at.operator, k.Kind, c.Tenants[k.Tenant].Config.ID, k.Step, k.Limits))
	}
	for _, k := range w.Clocks {
		lines = append(lines, fmt.Sprintf("clock of process %d: %+d ppm, wall clock off by %s", k.Process, k.DriftPPM, history.Instant(k.Wall)))
	}
	for _, t := range w.Terms {
		lines = append(lines, fmt.Sprintf("fault point %s of process %d: %s", t.Point, t.Process, t.Term))
	}
	for i := range w.Deviations {
		d := &w.Deviations[i]
		if from, to, link := ends(d); link {
			lines = append(lines, fmt.Sprintf("%s from process %d to %d, message %d/%x/%x/%d", d.Site, from, to, d.Key.Kind, d.Key.A, d.Key.B, d.Key.Attempt))
		} else {
			lines = append(lines, fmt.Sprintf("%s on process %d, operation %d/%x/%x/%d", d.Site, to, d.Key.Kind, d.Key.A, d.Key.B, d.Key.Attempt))
		}
	}
	return lines
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Brief tells the result in at most 24 lines: the entries, who leads the shards, what of the
// run matters, the finding.
func (r *Result) Brief() []string {
	var lines []string
	for i, entry := range Words(r.Plan) {
		if i == maxEntries {
			lines = append(lines, fmt.Sprintf("  ... and %d more entries", len(Words(r.Plan))-i))
			break
		}
		lines = append(lines, "  "+entry)
	}
	for _, leads := range r.leaders() {
		lines = append(lines, "  "+leads)
	}
	last := -1
	for _, i := range r.matters() {
		if last >= 0 && i > last+1 && r.Story[last].At < r.Story[i].At {
			lines[len(lines)-1] += " ..." // something was left out
		}
		lines = append(lines, "  "+r.Story[i].String())
		last = i
	}
	text := strings.Split(strings.TrimSpace(r.Finding.Text), "\n")
	lines = append(lines, fmt.Sprintf("  %s: %s", r.Fingerprint, text[0]))
	if len(text) > 1 {
		text = text[1:min(len(text), maxFinding)]
		for _, line := range text {
			lines = append(lines, "    "+strings.TrimSpace(line))
		}
	}
	return lines
}

// matters chooses the lines of the story that are told, in order: some about the operations
// and the record of the finding; faults, starts and ends of nodes; the others about the
// finding; messages of its operations; what its slot did; what was going on when a fault
// began; other calls; the rest. Where there are too many, those near the finding are told.
func (r *Result) matters() []int {
	fits := make([][]int, lastRank+1)
	for i := range r.Story {
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
	rankOwn            // what the finding is about: its operations, its record
	rankMessage        // messages of its operations, configurations of its shard
	rankSlot           // what its slot did
	rankAmid           // what was going on when a fault began
	rankCall           // other calls
	lastRank           // everything else
	rankNowhere        // what is told elsewhere
)

// rank says how much line i of the story matters.
func (r *Result) rank(i int) int {
	t := &r.Story[i]
	switch {
	case t.Kind == scenarios.Arrive: // the line of its sending says as much
		return rankNowhere
	case t.Kind == scenarios.Object: // the finding is told below the story
		return rankNowhere
	case t.Kind == scenarios.Configure: // who leads first is told above it
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
	case i+1 < len(r.Story) && r.Story[i+1].About == scenarios.Fault:
		return rankAmid
	case t.About != scenarios.Detail:
		return rankCall
	}
	return lastRank
}

// identity is how a message is told from others in a story.
var identity = regexp.MustCompile(`session (\d+) request (\d+)`)

// concerns reports whether a line is about a message of an operation at fault.
func (r *Result) concerns(text string) bool {
	match := identity.FindStringSubmatch(text)
	if match == nil {
		return false
	}
	session, err1 := strconv.ParseUint(match[1], 10, 64)
	request, err2 := strconv.ParseUint(match[2], 10, 64)
	return err1 == nil && err2 == nil && session != 0 &&
		slices.ContainsFunc(r.History, func(o Operation) bool { return o.Session == session && o.Request == request })
}
