package brief

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/scenarios"
)

// unnamed stands for a tenant, slot or shard that a finding does not name.
const unnamed = -1

// focus is the subject of a finding: its time, tenant, slot, record and shard. The story is told
// around it.
type focus struct {
	at     int64     // true time, ns; 0 if it shows at the end only
	tenant tenant.ID // tenant.Reserved if it names none
	slot   int       // unnamed if it names none
	seq    uint64    // 0 if it names none
	shard  int       // unnamed if it names none, and no slot
	calls  []int     // operations at fault, and those that returned the record
}

// focusOf finds the subject of a finding: from its operations, else from its words.
func focusOf(f *checker.Finding, ops []history.Op, p *scenarios.Plan) focus {
	t := focus{at: f.At, tenant: tenant.Reserved, slot: unnamed, shard: unnamed, calls: slices.Clone(f.Ops)}
	if n := len(f.Ops); n > 0 && f.Ops[n-1] < len(ops) {
		op := &ops[f.Ops[n-1]]
		t.tenant, t.slot, t.seq = op.Tenant, int(op.Slot), uint64(op.Seq)
	} else if id, ok := numberIn(f.Text, tenantNamed); ok {
		t.tenant = tenant.ID(id)
	}
	if slot, ok := numberIn(f.Text, slotNamed); ok && t.slot == unnamed && slot < 1<<31 {
		t.slot = int(slot)
	}
	if seq, ok := numberIn(f.Text, seqNamed); ok && t.seq == 0 {
		t.seq = seq
	}
	if shard, ok := numberIn(f.Text, shardNamed); ok && shard < 1<<31 {
		t.shard = int(shard)
	} else {
		t.shard = shardOf(p, t.tenant, t.slot)
	}
	for i := range ops {
		if op := &ops[i]; t.seq != 0 && op.Tenant == t.tenant && int(op.Slot) == t.slot && uint64(op.Seq) == t.seq && op.Kind.Changes() {
			t.calls = append(t.calls, i)
		}
	}
	return t
}

// How checkers name things in their words.
var (
	tenantNamed = regexp.MustCompile(`\btenant (\d+)`)
	slotNamed   = regexp.MustCompile(`\bslot (\d+)`)
	seqNamed    = regexp.MustCompile(`\bseq (\d+)`)
	shardNamed  = regexp.MustCompile(`\bshard (\d+)`)
)

// numberIn returns the first number in a text that is named so.
func numberIn(text string, named *regexp.Regexp) (uint64, bool) {
	match := named.FindStringSubmatch(text)
	if match == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(match[1], 10, 64)
	return n, err == nil
}

// shardOf returns the shard of a slot.
func shardOf(p *scenarios.Plan, id tenant.ID, slot int) int {
	for i := range p.Cluster.Tenants {
		if t := &p.Cluster.Tenants[i]; t.Config.ID == id && slot >= 0 && slot < len(t.Shards) {
			return int(t.Shards[slot])
		}
	}
	return unnamed
}

// isIn reports whether a line is about the slot of the finding.
func (f *focus) isIn(t *scenarios.Told) bool {
	return f.tenant != tenant.Reserved && t.Tenant == f.tenant && (f.slot == unnamed || t.Slot == f.slot)
}

// isOf reports whether a line is about the record of the finding.
func (f *focus) isOf(t *scenarios.Told) bool {
	return f.seq != 0 && f.isIn(t) && t.Seq <= f.seq && f.seq <= t.To
}

// distance is how far a line is from the instant of the finding, ns.
func (f *focus) distance(t *scenarios.Told) int64 { return max(t.At, f.at) - min(t.At, f.at) }

// nearest returns the n lines nearest to the instant of the finding, in order; of lines at equal
// distances the last ones. Of a finding at the end they are the first and the last ones: how it
// began and how it ended.
func (r *telling) nearest(lines []int, n int) []int {
	if n <= 0 || len(lines) <= n {
		return lines[:min(len(lines), max(n, 0))]
	}
	if r.focus.at == 0 {
		first := n / 2
		return slices.Concat(lines[:first], lines[len(lines)-(n-first):])
	}
	near := slices.Clone(lines)
	slices.SortStableFunc(near, func(a, b int) int {
		if d := r.focus.distance(&r.story[a]) - r.focus.distance(&r.story[b]); d != 0 {
			return int(d)
		}
		return b - a
	})
	near = near[:n]
	slices.Sort(near)
	return near
}

// leaders lists the leaders of each shard by epoch, that of the finding first.
func (r *telling) leaders() (lines []string) {
	var shards []int
	for i := range r.leads {
		if shard := int(r.leads[i].Shard); !slices.Contains(shards, shard) {
			shards = append(shards, shard)
		}
	}
	slices.SortStableFunc(shards, func(a, b int) int {
		if a == r.focus.shard || b == r.focus.shard {
			return map[bool]int{true: -1, false: 1}[a == r.focus.shard && b != a]
		}
		return a - b
	})
	for i, shard := range shards {
		if i == maxLeads {
			lines[i-1] += fmt.Sprintf("; and %s more", count(len(shards)-i, "shard"))
			break
		}
		lines = append(lines, r.leadersOf(shard))
	}
	return lines
}

// leadersOf lists the leaders of a shard by epoch, each with the time of its beginning.
func (r *telling) leadersOf(shard int) string {
	var parts []string
	epoch := unnamed
	for i := range r.leads {
		l := &r.leads[i]
		if int(l.Shard) != shard || int(l.Epoch) == epoch {
			continue
		}
		epoch = int(l.Epoch)
		parts = append(parts, fmt.Sprintf("node %d in epoch %d", l.Leader, l.Epoch))
		if l.At > 0 {
			parts[len(parts)-1] += " from " + history.Instant(l.At)
		}
	}
	if n := len(parts) - maxEpochs; n > 0 {
		parts = append([]string{parts[0], fmt.Sprintf("... %s more ...", count(n, "epoch"))}, parts[len(parts)-maxEpochs+1:]...)
	}
	return fmt.Sprintf("shard %d is led by %s", shard, strings.Join(parts, ", "))
}
