package peer

import (
	"encoding/binary"
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// Trouble is what a leader says of a shard that it may not be able to serve. Only shards in
// trouble are named; a shard that a heartbeat does not name is well.
type Trouble struct {
	Shard lineage.Shard
	Epoch lineage.ShardEpoch // in which the node leads, or is to lead
	// Unconfirmed is how long ago the last round began that all members confirmed.
	Unconfirmed env.Duration
	// Unsynced is for how long the leader's disk has not made durable what is to be.
	Unsynced env.Duration
}

// MaxTroubles bounds the shards that one heartbeat names; more follow in heartbeats of their
// own.
const MaxTroubles = 512

// The tail of a heartbeat has for each shard, little endian, part of the format: shard 8,
// epoch 8, unconfirmed 8 (ns), unsynced 8 (ns).
const troubleSize = 32

// AppendTroubles appends the bytes of troubles to dst.
func AppendTroubles(dst []byte, troubles []Trouble) []byte {
	le := binary.LittleEndian
	for i := range troubles {
		t := &troubles[i]
		for _, v := range [...]uint64{uint64(t.Shard), uint64(t.Epoch), uint64(t.Unconfirmed), uint64(t.Unsynced)} {
			dst = le.AppendUint64(dst, v)
		}
	}
	return dst
}

// DecodeTroubles appends to dst what b holds. It accepts only what AppendTroubles writes.
func DecodeTroubles(b []byte, dst []Trouble) ([]Trouble, error) {
	if len(b)%troubleSize != 0 || len(b) > MaxTroubles*troubleSize {
		return dst, fmt.Errorf("%w: %d bytes of shards in trouble", ErrMalformed, len(b))
	}
	for ; len(b) > 0; b = b[troubleSize:] {
		r := reader{b: b}
		t := Trouble{
			Shard: lineage.Shard(r.below(1 << 32)), Epoch: lineage.ShardEpoch(r.next()),
			Unconfirmed: env.Duration(r.below(1 << 63)), Unsynced: env.Duration(r.below(1 << 63)),
		}
		if r.bad {
			return dst, fmt.Errorf("%w: a shard in trouble has a field out of its range", ErrMalformed)
		}
		dst = append(dst, t)
	}
	return dst, nil
}
