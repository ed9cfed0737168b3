//go:build !linux

package host

import "time"

var began = time.Now()

// monotonic reads the clock that never steps, ns since the process started. Whether it goes on
// while the machine sleeps is the operating system's choice: on macOS it stands still, and a
// node must not sleep there.
func monotonic() int64 { return int64(time.Since(began)) }
