package control

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// A snapshot, little endian, part of the format; never change:
//
//	size
//	   4  magic "tctl"
//	   4  version (3)
//	   8  index
//	   4  number of refusals, and for each, from 0: count 8
//	   4  number of nodes, each:
//	        4  id
//	           region: length 1, name
//	        8  incarnation
//	        8  registered
//	       32  directory 16, nonce 16
//	        4  number of nonces before, each: 16
//	        4  supports
//	        8  lost
//	        1  1 if draining, else 0
//	        8  index
//	   4  number of shards, each:
//	        4  id
//	           region
//	        8  epoch
//	        8  version
//	       12  leader: node 4, incarnation 8
//	        1  min
//	        1  1 if reformed, else 0
//	        1  1 if the loss of what it has is accepted, 2 if an operator is to say whether, else 0
//	        8  index
//	        4  number of members in sync, each: 12
//	        4  number of eligible members, each: 12
//	        4  number of replicas, each: node 4, since 8
//	        4  number of exclusions, each: member 12, tenant 8, slot 4, life 8
//	   4  number of tenants, each:
//	           config and shards, as in a command
//	           for each slot: grant 32, granted 8, held 32, taken 8, and 1 if closed, else 0
//	        1  1 if being dropped, else 0
//	        8  index
//	   4  number of dropped tenants, each: tenant 8, index 8
//
// It has no checksum: the meta log's snapshot, which holds it, has one.
const (
	snapshotMagic   = "tctl"
	snapshotVersion = 3
)

// ErrSnapshot is wrapped by the errors about bytes that are not a snapshot of a control plane.
var ErrSnapshot = errors.New("not a snapshot of the control plane")

// Snapshot returns the whole state. Planes that applied the same commands have the same bytes.
func (p *Plane) Snapshot() []byte {
	le := binary.LittleEndian
	dst := append([]byte(nil), snapshotMagic...)
	dst = le.AppendUint32(dst, snapshotVersion)
	dst = le.AppendUint64(dst, p.index)
	dst = le.AppendUint32(dst, uint32(len(p.refused)))
	for _, n := range p.refused {
		dst = le.AppendUint64(dst, n)
	}
	dst = le.AppendUint32(dst, uint32(len(p.nodes)))
	for i := range p.nodes {
		dst = p.nodes[i].append(dst)
	}
	dst = le.AppendUint32(dst, uint32(len(p.shards)))
	for i := range p.shards {
		dst = p.shards[i].append(dst)
	}
	dst = le.AppendUint32(dst, uint32(len(p.tenants)))
	for i := range p.tenants {
		dst = p.tenants[i].append(dst)
	}
	dst = le.AppendUint32(dst, uint32(len(p.dropped)))
	for _, t := range p.dropped {
		dst = le.AppendUint64(le.AppendUint64(dst, uint64(t.Tenant)), t.Index)
	}
	return dst
}

func (n *Node) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = appendRegion(le.AppendUint32(dst, uint32(n.ID)), n.Region)
	dst = le.AppendUint64(le.AppendUint64(dst, uint64(n.Incarnation)), uint64(n.Registered))
	dst = appendNonce(appendNonce(dst, n.Directory), n.Nonce)
	dst = le.AppendUint32(dst, uint32(len(n.Past)))
	for _, past := range n.Past {
		dst = appendNonce(dst, past)
	}
	dst = le.AppendUint64(le.AppendUint32(dst, n.Supports), n.Lost)
	return le.AppendUint64(layout.AppendBool(dst, n.Draining), n.Index)
}

func (t *Tenant) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = appendShards(appendConfig(dst, &t.Config), t.Shards)
	for i := range t.Slots {
		s := &t.Slots[i]
		dst = le.AppendUint64(appendShare(dst, s.Grant), s.Granted)
		dst = le.AppendUint64(appendShare(dst, s.Held), s.Taken)
		dst = layout.AppendBool(dst, s.Closed)
	}
	return le.AppendUint64(layout.AppendBool(dst, t.Dropping), t.Index)
}

func (s *Shard) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = appendRegion(le.AppendUint32(dst, uint32(s.ID)), s.Region)
	dst = le.AppendUint64(le.AppendUint64(dst, uint64(s.Epoch)), s.Version)
	dst = append(layout.AppendBool(append(appendMember(dst, s.Leader), byte(s.Min)), s.Reformed), s.loss())
	dst = le.AppendUint64(dst, s.Index)
	dst = le.AppendUint32(dst, uint32(len(s.InSync)))
	for _, m := range s.InSync {
		dst = appendMember(dst, m)
	}
	dst = le.AppendUint32(dst, uint32(len(s.Eligible)))
	for _, m := range s.Eligible {
		dst = appendMember(dst, m)
	}
	dst = le.AppendUint32(dst, uint32(len(s.Replicas)))
	for i, id := range s.Replicas {
		dst = le.AppendUint64(le.AppendUint32(dst, uint32(id)), s.Since[i])
	}
	dst = le.AppendUint32(dst, uint32(len(s.Excluded)))
	for _, x := range s.Excluded {
		dst = le.AppendUint64(appendMember(dst, x.Member), uint64(x.Tenant))
		dst = le.AppendUint64(le.AppendUint32(dst, uint32(x.Slot)), x.Life)
	}
	return dst
}

// Restore replaces the state by one that Snapshot returned. For other bytes it returns an error
// that wraps ErrSnapshot and keeps the state.
func (p *Plane) Restore(state []byte) error {
	const head = len(snapshotMagic) + 4
	if len(state) < head || string(state[:len(snapshotMagic)]) != snapshotMagic {
		return fmt.Errorf("%w: %d bytes, no %q at the start", ErrSnapshot, len(state), snapshotMagic)
	}
	d, restored := decoder{layout.Of(state[len(snapshotMagic):])}, &Plane{}
	if v := d.Uint32(); v != snapshotVersion {
		return fmt.Errorf("%w: version %d, this binary reads version %d", ErrSnapshot, v, snapshotVersion)
	}
	d.plane(restored)
	if err := d.End(); err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if err := restored.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	*p = *restored
	return nil
}

// The least size in bytes of an element of each list.
const (
	nodeMin      = 78
	nonceSize    = 16
	shardMin     = 60
	memberSize   = 12
	replicaSize  = 12
	exclusionLen = 32
	tenantMin    = 65
	droppedSize  = 16
)

func (d *decoder) plane(p *Plane) {
	p.index = d.Uint64()
	if n := d.Count(8); n > len(p.refused) {
		d.Fail(fmt.Errorf("%d kinds of refusals, this binary knows %d", n, len(p.refused)))
	} else {
		for i := range n {
			p.refused[i] = d.Uint64()
		}
	}
	for range d.Count(nodeMin) {
		p.nodes = append(p.nodes, d.node())
	}
	for range d.Count(shardMin) {
		p.shards = append(p.shards, d.shard())
	}
	for range d.Count(tenantMin) {
		p.tenants = append(p.tenants, d.tenant())
		p.slots += len(p.tenants[len(p.tenants)-1].Slots)
	}
	for range d.Count(droppedSize) {
		p.dropped = append(p.dropped, Tombstone{tenant.ID(d.Uint64()), d.Uint64()})
	}
}

func (d *decoder) node() Node {
	n := Node{
		ID: env.ID(d.Uint32()), Region: d.region(), Incarnation: env.Incarnation(d.Uint64()), Registered: env.Incarnation(d.Uint64()),
		Directory: d.nonce(), Nonce: d.nonce(),
	}
	for range d.Count(nonceSize) {
		n.Past = append(n.Past, d.nonce())
	}
	n.Supports, n.Lost, n.Draining, n.Index = d.Uint32(), d.Uint64(), d.Bool(), d.Uint64()
	return n
}

func (d *decoder) tenant() Tenant {
	t := Tenant{Config: d.config(), Shards: d.shards()}
	for range t.Shards {
		t.Slots = append(t.Slots, Slot{Grant: d.share(), Granted: d.Uint64(), Held: d.share(), Taken: d.Uint64(), Closed: d.Bool()})
		if d.Err() != nil {
			break
		}
	}
	t.Dropping, t.Index = d.Bool(), d.Uint64()
	return t
}

// The states of a loss.
const (
	lossAccepted = 1
	lossOpen     = 2
)

func (s *Shard) loss() byte {
	switch {
	case s.LossAccepted:
		return lossAccepted
	case s.LossOpen:
		return lossOpen
	}
	return 0
}

func (d *decoder) loss() byte {
	b := d.Uint8()
	if b > lossOpen {
		d.Fail(fmt.Errorf("%d is no state of a loss", b))
	}
	return b
}

func (d *decoder) shard() Shard {
	s := Shard{
		ID: lineage.Shard(d.Uint32()), Region: d.region(), Epoch: lineage.ShardEpoch(d.Uint64()), Version: d.Uint64(),
		Leader: d.member(), Min: int(d.Uint8()), Reformed: d.Bool(),
	}
	loss := d.loss()
	s.LossOpen, s.LossAccepted, s.Index = loss == lossOpen, loss == lossAccepted, d.Uint64()
	for range d.Count(memberSize) {
		s.InSync = append(s.InSync, d.member())
	}
	for range d.Count(memberSize) {
		s.Eligible = append(s.Eligible, d.member())
	}
	for range d.Count(replicaSize) {
		s.Replicas, s.Since = append(s.Replicas, env.ID(d.Uint32())), append(s.Since, d.Uint64())
	}
	for range d.Count(exclusionLen) {
		s.Excluded = append(s.Excluded, Exclusion{d.member(), tenant.ID(d.Uint64()), lineage.Slot(d.Uint32()), d.Uint64()})
	}
	return s
}

// check reports the first contradiction in a decoded state.
func (p *Plane) check() error {
	if err := cmp.Or(
		ascending("nodes", p.nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) }),
		ascending("shards", p.shards, func(a, b Shard) int { return cmp.Compare(a.ID, b.ID) }),
		ascending("tenants", p.tenants, func(a, b Tenant) int { return cmp.Compare(a.Config.ID, b.Config.ID) }),
		ascending("dropped tenants", p.dropped, func(a, b Tombstone) int { return cmp.Compare(a.Tenant, b.Tenant) }),
		p.checkDrains(),
	); err != nil {
		return err
	}
	for i := range p.shards {
		if err := p.checkShard(&p.shards[i]); err != nil {
			return err
		}
	}
	for i := range p.tenants {
		if err := p.checkTenant(&p.tenants[i]); err != nil {
			return err
		}
	}
	return nil
}
