//go:build !unix

package shrink

import "time"

var start = time.Now()

// cpuTime is, where processes cannot ask for their CPU time, the time they run.
func cpuTime() time.Duration { return time.Since(start) }
