package queue

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The model is a slice that is sorted stably by time.
func TestQueueIsAStableSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		var model []Item
		steps := rapid.IntRange(0, 300).Draw(t, "steps")
		for i := range steps {
			if len(model) > 0 && rapid.IntRange(0, 2).Draw(t, "pop") == 0 {
				slices.SortStableFunc(model, func(a, b Item) int { return cmp.Compare(a.At, b.At) })
				if q.NextAt() != model[0].At {
					t.Fatalf("next at %d, want %d", q.NextAt(), model[0].At)
				}
				if got := q.Pop(); got.Ref != model[0].Ref {
					t.Fatalf("popped %+v, want %+v", got, model[0])
				}
				model = model[1:]
				continue
			}
			it := Item{At: rapid.Int64Range(0, 9).Draw(t, "at"), Ref: uint32(i)}
			q.Push(it)
			model = append(model, it)
		}
		if q.Len() != len(model) {
			t.Fatalf("%d items, want %d", q.Len(), len(model))
		}
	})
}

func BenchmarkPushPopAt1000(b *testing.B) {
	var q Queue
	at := int64(1)
	for range 1000 {
		at = at * 6364136223846793005 % 1_000_003
		q.Push(Item{At: at})
	}
	b.ReportAllocs()
	for b.Loop() {
		it := q.Pop()
		it.At += at % 997
		q.Push(it)
	}
}
