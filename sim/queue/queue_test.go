package queue

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The model is a slice that is sorted stably by time.
func TestQueueIsAStableSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		var model []Item
		far := rapid.SampledFrom([]int64{9, 1000}).Draw(t, "far")
		crowd := rapid.SampledFrom([]int{0, nearMax, 4 * nearMax}).Draw(t, "crowd") // for the list, and for the heap
		steps := rapid.IntRange(0, 300).Draw(t, "steps")
		pop := func() {
			slices.SortStableFunc(model, func(a, b Item) int { return cmp.Compare(a.At, b.At) })
			if q.Len() != len(model) || q.NextAt() != model[0].At {
				t.Fatalf("%d items, the next at %d, want %d and %d", q.Len(), q.NextAt(), len(model), model[0].At)
			}
			if got := q.Pop(); got.Ref != model[0].Ref {
				t.Fatalf("popped %+v, want %+v", got, model[0])
			}
			model = model[1:]
		}
		for i := range crowd + steps {
			if i >= crowd && len(model) > 0 && rapid.IntRange(0, 2).Draw(t, "pop") == 0 {
				pop()
				continue
			}
			it := Item{At: rapid.Int64Range(0, far).Draw(t, "at"), Ref: uint32(i)}
			q.Push(it)
			model = append(model, it)
		}
		for len(model) > 0 {
			pop()
		}
		if q.Len() != 0 {
			t.Fatalf("%d items, want none", q.Len())
		}
	})
}

func BenchmarkPushPop(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("of %d", n), func(b *testing.B) {
			var q Queue
			x := uint64(1)
			next := func() int64 {
				x = x*6364136223846793005 + 1442695040888963407
				return int64(x >> 44)
			}
			for range n {
				q.Push(Item{At: next()})
			}
			b.ReportAllocs()
			for b.Loop() {
				it := q.Pop()
				it.At += next()
				q.Push(it)
			}
		})
	}
}
