package shrink

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/tidaldb/tidalsim/scenarios"
)

// size says how large a plan is. Only a smaller plan replaces the one that is known to
// fail, so that shrinking ends whatever candidates there are: sizes are well-founded,
// the first part that differs decides, and every part is a number that cannot fall for
// ever.
//
// The parts are in order of weight. A cut of an entry may bring operations back, and a cut of
// an operation may make values odd again, but not the other way round.
type size struct {
	entries    int // see Entries
	parts      int // shards, their replicas, and slots
	calls      int // operations that clients begin
	operations int // the last one's number: what is left out behind it is cut off
	values     sum // how far all values are from the simplest
}

// sizeOf measures a plan.
func sizeOf(p *scenarios.Plan) size {
	s := size{entries: Entries(p), parts: parts(p), calls: calls(p), operations: p.Workload.Operations}
	for _, v := range valuesOf(p) {
		s.values = s.values.plus(v.rank(p))
	}
	for i := range p.Cluster.Tenants {
		if p.Cluster.Tenants[i].Created {
			s.values = s.values.plus(1)
		}
	}
	for i := range p.World.Disruptions {
		if p.World.Disruptions[i].Files != "" {
			s.values = s.values.plus(1)
		}
	}
	return s
}

// less reports whether s is smaller than o.
func (s size) less(o size) bool {
	return cmp.Or(
		cmp.Compare(s.entries, o.entries), cmp.Compare(s.parts, o.parts), cmp.Compare(s.calls, o.calls),
		cmp.Compare(s.operations, o.operations), s.values.compare(o.values)) < 0
}

// parts counts what shards and tenants consist of.
func parts(p *scenarios.Plan) (n int) {
	for i := range p.Cluster.Tenants {
		n += max(1, p.Cluster.Tenants[i].Slots)
	}
	if s := p.Cluster.Shared; s != nil {
		n += len(s.Meta)
		for i := range s.Shards {
			n += 1 + len(s.Shards[i].Replicas)
		}
	}
	return n
}

// calls counts the operations of ordinary clients that are not left out, and the reads of
// loyal ones.
func calls(p *scenarios.Plan) int {
	n := len(callsOf(p))
	if l := p.Workload.Loyal; l != nil {
		n += l.Clients * l.Reads
	}
	return n
}

// rank says how far a value is from the simplest one. The simplest has rank 0, another simple
// one its place in the list, and any other more the farther it is.
func (v *value) rank(p *scenarios.Plan) uint64 {
	now := v.get(p)
	if i := slices.Index(v.simple, now); i >= 0 {
		return uint64(i)
	}
	return uint64(len(v.simple)) + uint64(max(now, v.simple[0])) - uint64(min(now, v.simple[0]))
}

// sum adds up ranks without overflow.
type sum struct{ high, low uint64 }

func (s sum) plus(n uint64) sum {
	low, carry := bits.Add64(s.low, n, 0)
	return sum{s.high + carry, low}
}

func (s sum) compare(o sum) int {
	return cmp.Or(cmp.Compare(s.high, o.high), cmp.Compare(s.low, o.low))
}
