package diskops

import "github.com/tidaldb/tidalsim/core/env"

// Pause is how long a user waited last before it tried an operation again. The zero
// value is none since something went well. The first pause is short: another operation may just
// have been under way. The longest bounds how long the bytes stay after the disk has recovered.
type Pause env.Duration

const (
	firstPause   = Pause(100 * env.Millisecond)
	longestPause = Pause(5 * env.Second)
)

// Longer doubles the pause, from the first to the longest, and returns it.
func (p *Pause) Longer() env.Duration {
	*p = min(max(2**p, firstPause), longestPause)
	return env.Duration(*p)
}
