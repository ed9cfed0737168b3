package host

import (
	"golang.org/x/sys/unix"

	"github.com/tidaldb/tidalsim/core/assert"
)

// monotonic reads the clock that never steps and goes on while the machine sleeps, ns since
// the machine started. time.Now stands still in a sleep: a leader that wakes would take its
// confirmations of before for fresh ones.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		assert.Fail("clock_gettime(CLOCK_BOOTTIME): %v; Linux has it since 2.6.39", err)
	}
	return t.Nano()
}
