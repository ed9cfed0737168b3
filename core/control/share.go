package control

import (
	"fmt"
	"slices"
)

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

// Clone returns a shard with the same configuration that shares nothing with s.
func (s *Shard) Clone() Shard {
	c := *s
	c.InSync, c.Replicas, c.Since, c.Excluded = slices.Clone(s.InSync), slices.Clone(s.Replicas), slices.Clone(s.Since), slices.Clone(s.Excluded)
	return c
}

// Clone returns a plane with the same state that shares nothing with p.
func (p *Plane) Clone() *Plane {
	c := &Plane{index: p.index, refused: p.refused, nodes: slices.Clone(p.nodes), shards: slices.Clone(p.shards), tenants: slices.Clone(p.tenants), dropped: slices.Clone(p.dropped)}
	for i := range c.shards {
		s := &c.shards[i]
		*s = s.Clone()
	}
	for i := range c.tenants {
		t := &c.tenants[i]
		t.Config, t.Shards = cloneConfig(&t.Config), slices.Clone(t.Shards)
	}
	return c
}
