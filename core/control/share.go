package control

import "slices"

// Clone returns a copy of the shard that shares no memory with s.
func (s *Shard) Clone() Shard {
	c := *s
	c.InSync, c.Eligible, c.Replicas, c.Since, c.Excluded = slices.Clone(s.InSync), slices.Clone(s.Eligible), slices.Clone(s.Replicas), slices.Clone(s.Since), slices.Clone(s.Excluded)
	return c
}

// Clone returns a copy of the tenant that shares no memory with t.
func (t *Tenant) Clone() Tenant {
	c := *t
	c.Config, c.Shards, c.Slots = cloneConfig(&t.Config), slices.Clone(t.Shards), slices.Clone(t.Slots)
	return c
}

// Clone returns a copy of the plane that shares no memory with p.
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
