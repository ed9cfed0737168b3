package shrink

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/tidaldb/tidalsim/harness"
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
	parts      int // that they consist of
	calls      int // operations that clients begin
	operations int // the last one's number: what is left out behind it is cut off
	values     sum // how far all values are from the simplest
}

// measure measures a plan.
func (s *Shape) measure(p harness.Plan) size {
	o := s.size(p)
	m := size{entries: s.Entries(p), parts: o.Parts, calls: o.Calls, operations: o.Last}
	for _, v := range s.values(p) {
		m.values = m.values.plus(v.rank(p))
	}
	for _, d := range p.Parts().World.Disruptions {
		if d.Files != "" {
			m.values = m.values.plus(1)
		}
	}
	return m
}

// IsSmaller reports whether one plan is smaller than another: only then can it take its place.
func (s *Shape) IsSmaller(p, than harness.Plan) bool { return s.measure(p).less(s.measure(than)) }

// less reports whether s is smaller than o.
func (s size) less(o size) bool {
	return cmp.Or(
		cmp.Compare(s.entries, o.entries), cmp.Compare(s.parts, o.parts), cmp.Compare(s.calls, o.calls),
		cmp.Compare(s.operations, o.operations), s.values.compare(o.values)) < 0
}

// rank says how far a value is from the simplest one. The simplest has rank 0, another simple
// one its place in the list, and any other more the farther it is.
func (v *Value) rank(p harness.Plan) uint64 {
	now := v.Get(p)
	if i := slices.Index(v.Simple, now); i >= 0 {
		return uint64(i)
	}
	return uint64(len(v.Simple)) + uint64(max(now, v.Simple[0])) - uint64(min(now, v.Simple[0]))
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
