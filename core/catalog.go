package core

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// The node-wide file "node" holds the facts that a node needs before it opens any slot. It is
// little endian, part of the format; never change:
//
//	offset size
//	     0    4  magic "tnod"
//	     4    4  version (3)
//	     8    4  number of shards
//	    12    4  number of tenants that were created here
//	    16    4  number of tenants that were dropped here
//	    20    8  cluster
//	    28   16  directory
//	    44    8  given: the last incarnation that is durable here
//	    52   12  each shard, ascending: shard 4, epoch 8
//	         64  each created tenant, ascending: tenant 8, slot 4, shard 4,
//	             placement epoch 8, version 8, rate 8, burst 8, entities 8, bytes 8
//	          8  each dropped tenant, ascending: tenant
//	          4  CRC-32C of all that
//
// Version 2 has neither cluster, directory nor given; version 1 has neither kind of tenants,
// nor their numbers, either. Both are still read.
//
// The founding file names the directory, and the name is written into the node file before any
// process runs. A process that finds no name draws one. The name stays with the data directory for
// ever: a disk that is replaced brings another one.
//
// A node counts up the epoch of a shard with one replica at each start, and makes the new epoch
// durable before it serves anything under it. The limits of a created tenant are those of its
// creation; later ones are in its log. A dropped tenant is a tombstone: it stays for ever, so that
// its ID never names other data.
const (
	nodeName = "node"
	nodeTemp = "node.tmp"

	nodeMagic   = "tnod"
	nodeVersion = 3
	shardSize   = 12
	createdSize = 64
	droppedSize = 8
)

// MaxCatalog bounds the tenants that a node's catalog names, the dropped ones
// included: the file is written whole at each change.
const MaxCatalog = 65536

// ErrCatalog is wrapped by the errors for a damaged node file. The node cannot
// start from it: an epoch might be used twice, a dropped tenant come back.
var ErrCatalog = errors.New("damaged node file")

// ErrCatalogVersion is wrapped by the error for a node file of a newer version.
var ErrCatalogVersion = errors.New("node file of a newer version")

// Catalog is the content of a node's file. The zero value is that of a new node.
//
// Invariant: each list ascends, and no tenant is in both created and dropped.
type Catalog struct {
	// Cluster is the cluster that the data directory belongs to; 0: none yet.
	Cluster uint64
	// Directory names the data directory; zero: it has no name yet.
	Directory env.Nonce
	// Given is the last incarnation that is durable here. Without a control plane it counts the
	// starts.
	Given env.Incarnation

	epochs  []shardEpoch
	created []placement.Entry // their nodes are not in the file
	dropped []tenant.ID
}

type shardEpoch struct {
	shard lineage.Shard
	epoch lineage.ShardEpoch
}

// ErrForeign is wrapped by the error for a data directory of another cluster.
var ErrForeign = errors.New("data directory of another cluster")

// Founded returns the name and the content of the file that gives a node's data directory its name.
// It is written there before any process runs.
func Founded(cluster uint64, directory env.Nonce) (name string, content []byte) {
	c := Catalog{Cluster: cluster, Directory: directory, Given: foundingGiven}
	return nodeName, c.Append(nil)
}

// foundingGiven is the incarnation that a new founding directory has: that of the members in the
// founding in-sync sets.
const foundingGiven = 1

// Dropped reports whether a tenant was dropped on the node.
func (c *Catalog) Dropped(id tenant.ID) bool {
	_, found := slices.BinarySearch(c.dropped, id)
	return found
}

// Created returns the placement of a tenant that was created on the node and not
// dropped, without its node; nil if there is none.
func (c *Catalog) Created(id tenant.ID) *placement.Entry {
	if i, found := c.place(id); found {
		return &c.created[i]
	}
	return nil
}

func (c *Catalog) place(id tenant.ID) (int, bool) {
	return slices.BinarySearchFunc(c.created, id, func(p placement.Entry, id tenant.ID) int { return cmp.Compare(p.Tenant.ID, id) })
}

// clone returns a copy that shares nothing with c.
func (c *Catalog) clone() Catalog {
	return Catalog{Cluster: c.Cluster, Directory: c.Directory, Given: c.Given, epochs: slices.Clone(c.epochs), created: slices.Clone(c.created), dropped: slices.Clone(c.dropped)}
}

// create adds a tenant, and its shard if that is new. The tenant must be neither
// created nor dropped yet.
func (c *Catalog) create(p *placement.Entry) {
	i, _ := c.place(p.Tenant.ID)
	c.created = slices.Insert(c.created, i, *p)
	if c.epochOf(p.Shard) == nil {
		c.lead(p.Shard)
		c.epochOf(p.Shard).epoch = 1
	}
}

// drop replaces a tenant by its tombstone.
func (c *Catalog) drop(id tenant.ID) {
	if i, found := c.place(id); found {
		c.created = slices.Delete(c.created, i, i+1)
	}
	if i, found := slices.BinarySearch(c.dropped, id); !found {
		c.dropped = slices.Insert(c.dropped, i, id)
	}
}

// lead adds a shard that the node has not led yet, with epoch 0.
func (c *Catalog) lead(shard lineage.Shard) {
	i, found := slices.BinarySearchFunc(c.epochs, shard, func(e shardEpoch, s lineage.Shard) int { return cmp.Compare(e.shard, s) })
	if !found {
		c.epochs = slices.Insert(c.epochs, i, shardEpoch{shard: shard})
	}
}

// epochOf returns the entry of a shard, nil if the node has none yet.
func (c *Catalog) epochOf(shard lineage.Shard) *shardEpoch {
	for i := range c.epochs {
		if c.epochs[i].shard == shard {
			return &c.epochs[i]
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the bytes of the node file to dst.
func (c *Catalog) Append(dst []byte) []byte {
	le := binary.LittleEndian
	start := len(dst)
	dst = append(dst, nodeMagic...)
	for _, n := range [...]int{nodeVersion, len(c.epochs), len(c.created), len(c.dropped)} {
		dst = le.AppendUint32(dst, uint32(n))
	}
	for _, v := range [...]uint64{c.Cluster, c.Directory.A, c.Directory.B, uint64(c.Given)} {
		dst = le.AppendUint64(dst, v)
	}
	for _, e := range c.epochs {
		dst = le.AppendUint32(dst, uint32(e.shard))
		dst = le.AppendUint64(dst, uint64(e.epoch))
	}
	for i := range c.created {
		p := &c.created[i]
		l := &p.Tenant.Limits
		dst = le.AppendUint64(dst, uint64(p.Tenant.ID))
		dst = le.AppendUint32(dst, uint32(p.Slot))
		dst = le.AppendUint32(dst, uint32(p.Shard))
		for _, v := range [...]uint64{uint64(p.Epoch), p.Tenant.Version, l.Rate, l.Burst, l.Entities, l.Bytes} {
			dst = le.AppendUint64(dst, v)
		}
	}
	for _, id := range c.dropped {
		dst = le.AppendUint64(dst, uint64(id))
	}
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func damaged(format string, operands ...any) error {
	return fmt.Errorf("%w: file %q: %s; restore the node from a backup, or wipe it and let it fetch its slots", ErrCatalog, nodeName, fmt.Sprintf(format, operands...))
}

// DecodeCatalog reads a node file of this version or an earlier one. Errors name the
// file and what to do, and wrap ErrCatalog or ErrCatalogVersion.
func DecodeCatalog(b []byte) (c Catalog, err error) {
	if len(b) < 16 || string(b[:4]) != nodeMagic {
		return c, damaged("%d bytes, no %q at the start", len(b), nodeMagic)
	}
	body := b[:len(b)-4]
	end := layout.Of(b[len(b)-4:])
	if got, want := crc32.Checksum(body, castagnoli), end.Uint32(); got != want {
		return c, damaged("its checksum is %#08x, want %#08x", got, want)
	}
	r := layout.Of(body[len(nodeMagic):])
	version := r.Uint32()
	if version == 0 || version > nodeVersion {
		return c, fmt.Errorf("%w: file %q: version %d, this binary reads up to %d; use a newer binary", ErrCatalogVersion, nodeName, version, nodeVersion)
	}
	if err := c.read(&r, version); err != nil {
		return c, damaged("%v", err)
	}
	return c, c.check()
}

// placeHere notes the node of the tenants that were created: the file has none, since it is the
// node's own.
func (c *Catalog) placeHere(self env.ID) {
	for i := range c.created {
		c.created[i].Node = self
	}
}

// read takes what follows the version.
func (c *Catalog) read(r *layout.Reader, version uint32) error {
	epochs, created, dropped := uint64(r.Uint32()), uint64(0), uint64(0)
	if version >= 2 {
		created, dropped = uint64(r.Uint32()), uint64(r.Uint32())
	}
	if version >= 3 {
		c.Cluster, c.Directory = r.Uint64(), env.Nonce{A: r.Uint64(), B: r.Uint64()}
		c.Given = env.Incarnation(r.Uint64())
	}
	for range r.Fits(epochs, shardSize) {
		c.epochs = append(c.epochs, shardEpoch{lineage.Shard(r.Uint32()), lineage.ShardEpoch(r.Uint64())})
	}
	for range r.Fits(created, createdSize) {
		c.created = append(c.created, createdIn(r))
	}
	for range r.Fits(dropped, droppedSize) {
		c.dropped = append(c.dropped, tenant.ID(r.Uint64()))
	}
	if err := r.End(); err != nil {
		return fmt.Errorf("%d shards, %d created and %d dropped tenants: %w", epochs, created, dropped, err)
	}
	return nil
}

// createdIn takes a tenant that was created.
func createdIn(r *layout.Reader) (p placement.Entry) {
	p.Tenant.ID, p.Slot, p.Shard = tenant.ID(r.Uint64()), lineage.Slot(r.Uint32()), lineage.Shard(r.Uint32())
	p.Epoch, p.Tenant.Version = lineage.PlacementEpoch(r.Uint64()), r.Uint64()
	l := &p.Tenant.Limits
	l.Rate, l.Burst, l.Entities, l.Bytes = r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()
	return p
}

// check reports the first contradiction in a catalog that was read.
func (c *Catalog) check() error {
	for i := 1; i < len(c.epochs); i++ {
		if a, b := c.epochs[i-1].shard, c.epochs[i].shard; a >= b {
			return damaged("shard %d follows shard %d", b, a)
		}
	}
	for i := 1; i < len(c.dropped); i++ {
		if a, b := c.dropped[i-1], c.dropped[i]; a >= b {
			return damaged("dropped tenant %s follows %s", b, a)
		}
	}
	for i := range c.created {
		p := &c.created[i]
		if err := p.Tenant.Validate(); err != nil {
			return damaged("created tenants: %v", err)
		}
		if i > 0 && c.created[i-1].Tenant.ID >= p.Tenant.ID {
			return damaged("created tenant %s follows %s", p.Tenant.ID, c.created[i-1].Tenant.ID)
		}
		if c.epochOf(p.Shard) == nil {
			return damaged("tenant %s is in shard %d, which has no epoch", p.Tenant.ID, p.Shard)
		}
		if c.Dropped(p.Tenant.ID) {
			return damaged("tenant %s is created and dropped", p.Tenant.ID)
		}
	}
	return nil
}
