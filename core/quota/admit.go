package quota

import "github.com/tidaldb/tidalsim/core/env"

// Caps are the hard caps of a slot: its share of its tenant's caps, in absolute numbers. 0 allows
// no growth.
type Caps struct {
	Entities uint64 // live entities
	Bytes    uint64 // logical bytes
}

// Use is the usage of a slot once all appended records are durable, so that records in flight
// count.
type Use struct {
	Entities uint64
	Bytes    uint64
}

// Ask is how much an operation would grow the slot. Deleting, or creating an existing entity, asks
// for nothing.
type Ask struct {
	Entities uint64 // 0 or 1
	Bytes    uint64
}

// Admit decides whether an operation may be appended at instant now. It checks the rate, then
// entities, then bytes. If all checks pass, it takes one token, the only charge that the log does
// not count itself, and returns the bucket's new level for the record. Otherwise ok is false, it
// takes nothing, and over names the limit that refuses.
//
// A cap refuses only growth. If a limit is lowered below the use, operations that do not grow that
// resource continue, and nothing is deleted.
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

// exceeds reports whether growing from used by ask passes the limit. No sum in it overflows.
func exceeds(limit, used, ask uint64) bool {
	return ask > 0 && (used > limit || ask > limit-used)
}
