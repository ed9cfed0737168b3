package control

import "slices"

// Clone returns a shard with the same configuration that shares nothing with s.
func (s *Shard) Clone() Shard {
	c := *s
	c.InSync, c.Eligible, c.Replicas, c.Since, c.Excluded = slices.Clone(s.InSync), slices.Clone(s.Eligible), slices.Clone(s.Replicas), slices.Clone(s.Since), slices.Clone(s.Excluded)
	return c
}

// Clone returns a tenant with the same configuration that shares nothing with t.
func (t *Tenant) Clone() Tenant {
	c := *t
	c.Config, c.Shards, c.Slots = cloneConfig(&t.Config), slices.Clone(t.Shards), slices.Clone(t.Slots)
	return c
}

// Clone returns a plane with the same state that shares nothing with p.
func (p *Plane) Clone() *Plane {
	c := &Plane{index: p.index, slots: p.slots, refused: p.refused, nodes: slices.Clone(p.nodes), shards: slices.Clone(p.shards), tenants: slices.Clone(p.tenants), dropped: slices.Clone(p.dropped)}
	for i := range c.shards {
		s := &c.shards[i]
		*s = s.Clone()
	}
	for i := range c.tenants {
		t := &c.tenants[i]
		*t = t.Clone()
	}
	return c
}
