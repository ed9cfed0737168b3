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
	began, first := time.Now(), c.now()
	if first < 0 || first > maxOffset+env.Time(time.Second) {
		t.Errorf("the clock begins at %d, want below %d", first, int64(maxOffset))
	}
	last := first
	for time.Since(began) < 50*time.Millisecond {
		now := c.now()
		if now < last {
			t.Fatalf("the clock went back from %d to %d", last, now)
		}
		last = now
	}
	took := time.Since(began)
	if counted := time.Duration(last.Sub(first)); counted < took-20*time.Millisecond || counted > took+20*time.Millisecond {
		t.Errorf("the clock counted %v in %v", counted, took)
	}
	if other := newClock(8).now(); other.Sub(last) < env.Duration(time.Second) && last.Sub(other) < env.Duration(time.Second) {
		t.Errorf("two starts have clocks of one origin: %d and %d", last, other)
	}
}
