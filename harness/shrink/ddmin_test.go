package shrink

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// subset reports whether all of a are in b.
func subset(a, b []int) bool {
	return !slices.ContainsFunc(a, func(x int) bool { return !slices.Contains(b, x) })
}

// checkMinimal expects a part of items, in order, that fails, and of which no item
// can be left out.
func checkMinimal(t *rapid.T, items, got []int, fails func([]int) bool) {
	if !subset(got, items) || !slices.IsSorted(got) {
		t.Fatalf("%v is no part of %v", got, items)
	}
	if !fails(got) {
		t.Fatalf("%v does not fail", got)
	}
	for i := range got {
		if rest := slices.Concat(got[:i], got[i+1:]); fails(rest) {
			t.Fatalf("%v fails without its item %d too", got, i)
		}
	}
}

func TestMinimizeMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := numbers(rapid.IntRange(0, 40).Draw(t, "items"))
		causes := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 39), 0, 5), 1, 3).Draw(t, "causes")
		fails := func(part []int) bool {
			return slices.ContainsFunc(causes, func(cause []int) bool { return subset(cause, part) })
		}
		if fails(items) {
			checkMinimal(t, items, Minimize(items, fails), fails)
		}
	})
}

// What fails may hang on anything, so that a part can hold whose parts fail.
func TestMinimizeArbitrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := numbers(rapid.IntRange(1, 12).Draw(t, "items"))
		odds := rapid.Uint64Range(1, 5).Draw(t, "odds")
		salt := rapid.Uint64().Draw(t, "salt")
		fails := func(part []int) bool {
			h := salt
			for _, x := range part {
				h = (h ^ uint64(x+1)) * 0x9e3779b97f4a7c15
				h ^= h >> 29
			}
			return len(part) == len(items) || h%6 < odds
		}
		var last []int
		got := Minimize(items, func(part []int) bool {
			if fails(part) {
				last = slices.Clone(part)
				return true
			}
			return false
		})
		checkMinimal(t, items, got, fails)
		if len(got) < len(items) && !cmp.Equal(last, slices.Clone(got)) {
			t.Fatalf("the result is %v, the last part that failed %v", got, last)
		}
	})
}

func TestOneCauseIsFoundQuickly(t *testing.T) {
	asked := 0
	got := Minimize(numbers(1024), func(part []int) bool { asked++; return slices.Contains(part, 700) })
	if !cmp.Equal(got, []int{700}) || asked > 40 {
		t.Errorf("%v after %d questions", got, asked)
	}
}
