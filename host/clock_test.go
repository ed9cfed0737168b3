package host

import (
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
)

// No test can put its machine to sleep. This one holds the clock beside the one that Go reads,
// which counts the same while the machine is awake.
func TestTheClockGoesOnAndNeverBack(t *testing.T) {
	c := newClock(7)
	before := time.Now()
	first := c.now()
	after := time.Now()
	if first < 0 || first > maxOffset+env.Time(time.Second) {
		t.Errorf("the clock begins at %d, want below %d", first, int64(maxOffset))
	}
	last := first
	for time.Since(after) < 50*time.Millisecond {
		now := c.now()
		if now < last {
			t.Fatalf("the clock went back from %d to %d", last, now)
		}
		last = now
	}
	least := time.Since(after)
	last = c.now()
	most := time.Since(before)
	if counted := time.Duration(last.Sub(first)); counted < least-time.Millisecond || counted > most+time.Millisecond {
		t.Errorf("the clock counted %v, in %v to %v", counted, least, most)
	}
	if other := newClock(8).now(); other.Sub(last) < env.Duration(time.Second) && last.Sub(other) < env.Duration(time.Second) {
		t.Errorf("two starts have clocks of one origin: %d and %d", last, other)
	}
}
