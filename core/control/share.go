package control

import "fmt"

// Nodes are told of shards one by one, in the form that they have in a snapshot.

// Append appends the bytes of s to dst.
func (s *Shard) Append(dst []byte) []byte { return s.append(dst) }

// DecodeShards reads shards that Append wrote, one behind the other. Errors wrap
// ErrSnapshot.
func DecodeShards(b []byte) (shards []Shard, err error) {
	d := decoder{rest: b}
	for len(d.rest) > 0 && d.err == nil {
		shards = append(shards, d.shard())
	}
	if d.err != nil {
		return nil, fmt.Errorf("%w: shard %d: %w", ErrSnapshot, len(shards)-1, d.err)
	}
	return shards, nil
}
