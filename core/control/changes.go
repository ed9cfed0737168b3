package control

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Nodes receive the changes of the plane in the order of its entries, in several messages if they
// are many. A node that applies a shard knows every tenant that was created, changed or dropped
// before: see Reader.

// Change is an object of the plane and the entry that changed it last. Exactly one pointer is not
// nil.
type Change struct {
	Index   uint64
	Node    *Node
	Tenant  *Tenant
	Dropped *Tombstone
	Shard   *Shard
}

// String describes the object in short.
func (c *Change) String() string {
	switch {
	case c.Node != nil:
		return fmt.Sprintf("node %d incarnation %d draining %v", c.Node.ID, c.Node.Incarnation, c.Node.Draining)
	case c.Tenant != nil:
		text := fmt.Sprintf("tenant %v version %d in shards %v dropping %v", c.Tenant.Config.ID, c.Tenant.Config.Version, c.Tenant.Shards, c.Tenant.Dropping)
		for i := range c.Tenant.Slots {
			s := &c.Tenant.Slots[i]
			text += fmt.Sprintf(", slot %d granted %v at %d taken %d holds %v closed %v", i, s.Grant, s.Granted, s.Taken, s.Held, s.Closed)
		}
		return text
	case c.Dropped != nil:
		return fmt.Sprintf("tenant %v dropped", c.Dropped.Tenant)
	}
	s := c.Shard
	text := fmt.Sprintf("shard %d epoch %d version %d led by %v, in sync %v", s.ID, s.Epoch, s.Version, s.Leader, s.InSync)
	if len(s.Eligible) > 0 {
		text += fmt.Sprintf(", eligible %v", s.Eligible)
	}
	return text
}

// rank orders the changes of one entry: tenants come before the shards that host them.
func (c *Change) rank() int {
	switch {
	case c.Node != nil:
		return 0
	case c.Tenant != nil, c.Dropped != nil:
		return 1
	}
	return 2
}

// Since appends to dst the changes after an entry, in the order of the entries. The founding
// configuration is no change. The objects belong to the plane.
func (p *Plane) Since(index uint64, dst []Change) []Change {
	if index = max(index, founded); index >= p.index {
		return dst
	}
	from := len(dst)
	for i := range p.nodes {
		if n := &p.nodes[i]; n.Index > index {
			dst = append(dst, Change{Index: n.Index, Node: n})
		}
	}
	for i := range p.tenants {
		if t := &p.tenants[i]; t.Index > index {
			dst = append(dst, Change{Index: t.Index, Tenant: t})
		}
	}
	for i := range p.dropped {
		if t := &p.dropped[i]; t.Index > index {
			dst = append(dst, Change{Index: t.Index, Dropped: t})
		}
	}
	for i := range p.shards {
		if s := &p.shards[i]; s.Index > index {
			dst = append(dst, Change{Index: s.Index, Shard: s})
		}
	}
	slices.SortStableFunc(dst[from:], func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.rank(), b.rank()))
	})
	return dst
}

// The change feed, little endian, part of the format; never change:
//
//	8  after: a reader that knows less than this entry cannot use the changes
//	   and each: 1 the kind of object, then the object as in a snapshot
const (
	aNode    = 'n'
	aTenant  = 't'
	aDropped = 'd'
	aShard   = 's'
)

// AppendChanges appends to dst the bytes of the changes after an entry, about as many as fit into a
// budget of bytes. It returns the entry up to which they are complete; last is the plane's last
// entry. The changes of one entry stay together.
func AppendChanges(dst []byte, after, last uint64, changes []Change, budget int) ([]byte, uint64) {
	start, upTo := len(dst), after
	dst = binary.LittleEndian.AppendUint64(dst, after)
	for i := range changes {
		c := &changes[i]
		if c.Index > upTo {
			if i > 0 && len(dst)-start > budget {
				return dst, upTo
			}
			upTo = c.Index
		}
		dst = c.append(dst)
	}
	return dst, last
}

// Reader reassembles the change feed; chunks may be lost, duplicated or reordered. The zero Reader
// knows the founding configuration.
//
// A shard's leader counts on the node knowing the tenants of the shard. A tenant that has changed
// again comes behind the shard in the feed. So the reader passes no shard on before it is up to
// date.
type Reader struct {
	index  uint64  // changes up to here are known
	last   uint64  // the last entry of the plane, as far as the reader has heard
	shards []Shard // received, not passed on yet
}

// Index returns the entry up to which the reader knows all changes.
func (r *Reader) Index() uint64 { return r.index }

// Take takes the changes after an entry up to another one, of a plane whose last entry is last. It
// returns the changes to apply now, in order. It ignores a chunk that leaves a gap: the coordinator
// repeats the changes.
func (r *Reader) Take(after, upTo, last uint64, changes []Change) (heed []Change) {
	// The changes between the reader's entry and after are missing.
	if after > r.index {
		return nil
	}
	known := r.index
	r.index, r.last = max(r.index, upTo), max(r.last, last)
	for i := range changes {
		switch c := &changes[i]; {
		case c.Index <= known:
		case c.Shard != nil:
			r.shards = append(r.shards, c.Shard.Clone())
		default:
			heed = append(heed, *c)
		}
	}
	// A node that does not know a tenant would omit its log when another node gathers the logs.
	if r.index < r.last {
		return heed
	}
	for i := range r.shards {
		heed = append(heed, Change{Index: r.shards[i].Index, Shard: &r.shards[i]})
	}
	r.shards = nil
	return heed
}

func (c *Change) append(dst []byte) []byte {
	le := binary.LittleEndian
	switch {
	case c.Node != nil:
		return c.Node.append(append(dst, aNode))
	case c.Tenant != nil:
		return c.Tenant.append(append(dst, aTenant))
	case c.Dropped != nil:
		return le.AppendUint64(le.AppendUint64(append(dst, aDropped), uint64(c.Dropped.Tenant)), c.Dropped.Index)
	}
	return c.Shard.append(append(dst, aShard))
}

// DecodeChanges reads the bytes that AppendChanges wrote. Errors wrap ErrSnapshot.
func DecodeChanges(b []byte) (after uint64, changes []Change, err error) {
	d := decoder{layout.Of(b)}
	after = d.Uint64()
	for d.Len() > 0 {
		changes = append(changes, d.change())
	}
	if err := d.End(); err != nil {
		return 0, nil, fmt.Errorf("%w: change %d: %w", ErrSnapshot, len(changes), err)
	}
	return after, changes, nil
}

func (d *decoder) change() (c Change) {
	switch what := d.Uint8(); what {
	case aNode:
		n := d.node()
		c = Change{Index: n.Index, Node: &n}
	case aTenant:
		t := d.tenant()
		c = Change{Index: t.Index, Tenant: &t}
	case aDropped:
		t := Tombstone{tenant.ID(d.Uint64()), d.Uint64()}
		c = Change{Index: t.Index, Dropped: &t}
	case aShard:
		s := d.shard()
		c = Change{Index: s.Index, Shard: &s}
	default:
		d.Fail(fmt.Errorf("%#x is no kind of object", what))
	}
	return c
}
