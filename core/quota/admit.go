package quota

import "github.com/tidaldb/tidalsim/core/env"

// Caps are what a slot may hold: its share of its tenant's hard caps, in absolute
// numbers. 0 lets nothing grow.
type Caps struct {
	Entities uint64 // live entities
	Bytes    uint64 // logical bytes
}

// Use is what a slot holds once all that is appended is durable, so that what is
// in flight counts.
type Use struct {
	Entities uint64
	Bytes    uint64
}

// Ask is by how much an operation would grow the slot. A deletion, and the
// creation of what exists, ask for nothing.
type Ask struct {
	Entities uint64 // 0 or 1
	Bytes    uint64
}

// Admit decides whether an operation may be appended at instant now. It checks the
// rate, then entities, then bytes; only if all hold is the one charge taken that is
// not a count of the log itself, the token. level is the bucket's afterwards, for
// the record to carry. Otherwise ok is false and nothing is taken: over says which
// limit refuses.
//
// A cap refuses only growth: with a limit lowered below the use, what asks for
// nothing of that resource goes on, and nothing is deleted.
func Admit(b *Bucket, now env.Time, caps Caps, use Use, ask Ask) (level int64, over ExceededError, ok bool) {
	b.refill(now)
	if b.level < Token {
		return b.level, ExceededError{Resource: SignalsPerSecond, Limit: b.rate, Used: uint64(b.full / Token), RetryAfter: b.wait()}, false
	}
	// Live entities never exceed their cap.
	//safety:entity-cap by=caps on=quota-storm
	if exceeds(caps.Entities, use.Entities, ask.Entities) {
		return b.level, ExceededError{Resource: Entities, Limit: caps.Entities, Used: use.Entities}, false
	}
	// Logical bytes never exceed their cap.
	//safety:storage-cap by=caps on=quota-storm
	if exceeds(caps.Bytes, use.Bytes, ask.Bytes) {
		return b.level, ExceededError{Resource: StorageBytes, Limit: caps.Bytes, Used: use.Bytes}, false
	}
	b.level -= Token
	return b.level, ExceededError{}, true
}

// exceeds reports whether growing from used by ask passes the limit. It is written
// so that nothing wraps.
func exceeds(limit, used, ask uint64) bool {
	return ask > 0 && (used > limit || ask > limit-used)
}
