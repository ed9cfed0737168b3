package group

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const places = 200
		var s set
		var want [places]bool
		for range rapid.IntRange(0, 50).Draw(t, "changes") {
			i := rapid.IntRange(0, places-1).Draw(t, "place")
			if want[i] = rapid.Bool().Draw(t, "added"); want[i] {
				s.add(i)
			} else {
				s.remove(i)
			}
		}
		next := -1
		for i := places - 1; i >= 0; i-- {
			if want[i] {
				next = i
			}
			if got := s.next(i); got != next {
				t.Fatalf("from %d on the next place is %d, want %d", i, got, next)
			}
		}
	})
}
