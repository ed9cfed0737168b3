package shrink

import (
	"testing"

	"pgregory.net/rapid"
)

func drawSize(t *rapid.T, what string) size {
	n := rapid.SliceOfN(rapid.IntRange(0, 2), 4, 4).Draw(t, what)
	low := rapid.SampledFrom([]uint64{0, 1, 1<<64 - 1}).Draw(t, what)
	return size{n[0], n[1], n[2], n[3], sum{}.plus(low).plus(rapid.Uint64Range(0, 2).Draw(t, what))}
}

// Sizes are in a strict total order: nothing is smaller than itself, and of two that differ
// one is smaller. A shrinking cannot go round.
func TestSizesAreOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawSize(t, "a"), drawSize(t, "b"), drawSize(t, "c")
		if a.less(a) {
			t.Fatalf("%+v is smaller than itself", a)
		}
		if a != b && a.less(b) == b.less(a) {
			t.Fatalf("of %+v and %+v not just one is smaller", a, b)
		}
		if a.less(b) && b.less(c) && !a.less(c) {
			t.Fatalf("%+v < %+v < %+v, and the first is not smaller than the last", a, b, c)
		}
	})
}
