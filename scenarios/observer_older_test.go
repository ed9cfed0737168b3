package scenarios

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
)

// A lost disk takes along all that a life had on it, unless the copy in its place was made
// after that life had ended.
func TestACopyHasWhatLivesBeforeItHad(t *testing.T) {
	lives := []start{{control.Member{Node: 1, Incarnation: 10}, 1, 0}, {control.Member{Node: 1, Incarnation: 20}, 2, 0}, {control.Member{Node: 1, Incarnation: 30}, 3, 1}, {control.Member{Node: 1, Incarnation: 40}, 4, 2}}
	for name, c := range map[string]struct {
		copies     []olderCopy
		before, in int // of lives
		lost       bool
	}{
		"the disk was never lost":           {nil, 0, 1, false},
		"the disk is an empty one":          {nil, 0, 2, true},
		"of the life that was over":         {[]olderCopy{{1, 1, 2}}, 0, 2, false},
		"of the life that began with it":    {[]olderCopy{{1, 1, 2}}, 1, 2, true},
		"of another node":                   {[]olderCopy{{2, 1, 2}}, 0, 2, true},
		"twice":                             {[]olderCopy{{1, 1, 2}, {1, 2, 3}}, 0, 3, false},
		"and then the disk is an empty one": {[]olderCopy{{1, 1, 2}}, 0, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := &observer{boots: make([]boot, 3), shared: &sharedView{starts: lives, copies: c.copies}} // nobody runs
			if got := o.lostSince(lives[c.before].member, lives[c.in].member); got != c.lost {
				t.Errorf("lost: %v, want %v", got, c.lost)
			}
		})
	}
}
