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
)

// The node-wide file "node" holds the facts that a node needs before it opens any slot. It is
// little endian, part of the format; never change:
//
//	offset size
//	     0    4  magic "tnod"
//	     4    4  version (3)
//	     8    4  number of shards
//	    12    8  zero: earlier releases counted tenants here
//	    20    8  cluster
//	    28   16  directory
//	    44    8  given: the last incarnation that is durable here
//	    52   12  each shard, ascending: shard 4, epoch 8
//	          4  CRC-32C of all that
//
// Version 2 has neither cluster, directory nor given, and version 1 has no zeros either. Both are
// still read.
//
// The founding file names the directory, and the name is written into the node file before any
// process runs. A process that finds no name draws one. The name stays with the data directory for
// ever: a disk that is replaced brings another one.
//
// A node makes an epoch of a shard durable before it says anything in that epoch.
const (
	nodeName = "node"
	nodeTemp = "node.tmp"

	nodeMagic   = "tnod"
	nodeVersion = 3
	shardSize   = 12
)

// ErrCatalog is wrapped by the errors for a damaged node file. The node cannot start from it: it
// might speak in an epoch that it has left.
var ErrCatalog = errors.New("damaged node file")

// ErrCatalogVersion is wrapped by the errors for a node file of a newer version, and for one of an
// earlier release that names tenants.
var ErrCatalogVersion = errors.New("node file of another version")

// Catalog is the content of a node's file. The zero value is that of a new node.
//
// Invariant: the epochs ascend by shard.
type Catalog struct {
	// Cluster is the cluster that the data directory belongs to; 0: none yet.
	Cluster uint64
	// Directory names the data directory; zero: it has no name yet.
	Directory env.Nonce
	// Given is the last incarnation that is durable here.
	Given env.Incarnation

	epochs []shardEpoch
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

// clone returns a copy that shares nothing with c.
func (c *Catalog) clone() Catalog {
	return Catalog{Cluster: c.Cluster, Directory: c.Directory, Given: c.Given, epochs: slices.Clone(c.epochs)}
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
	for _, n := range [...]int{nodeVersion, len(c.epochs), 0, 0} {
		dst = le.AppendUint32(dst, uint32(n))
	}
	for _, v := range [...]uint64{c.Cluster, c.Directory.A, c.Directory.B, uint64(c.Given)} {
		dst = le.AppendUint64(dst, v)
	}
	for _, e := range c.epochs {
		dst = le.AppendUint32(dst, uint32(e.shard))
		dst = le.AppendUint64(dst, uint64(e.epoch))
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
		return c, err
	}
	return c, c.check()
}

// errTenants refuses a node file with tenants of a node without a control plane.
var errTenants = fmt.Errorf("%w: file %q: it names tenants of an earlier release, which had no control plane; create them anew and write their signals again", ErrCatalogVersion, nodeName)

// read takes what follows the version.
func (c *Catalog) read(r *layout.Reader, version uint32) error {
	epochs := uint64(r.Uint32())
	if version >= 2 && r.Uint64() != 0 {
		return errTenants
	}
	if version >= 3 {
		c.Cluster, c.Directory = r.Uint64(), env.Nonce{A: r.Uint64(), B: r.Uint64()}
		c.Given = env.Incarnation(r.Uint64())
	}
	for range r.Fits(epochs, shardSize) {
		c.epochs = append(c.epochs, shardEpoch{lineage.Shard(r.Uint32()), lineage.ShardEpoch(r.Uint64())})
	}
	if err := r.End(); err != nil {
		return damaged("%d shards: %v", epochs, err)
	}
	return nil
}

// check reports the first contradiction in a catalog that was read.
func (c *Catalog) check() error {
	for i := 1; i < len(c.epochs); i++ {
		if a, b := c.epochs[i-1].shard, c.epochs[i].shard; a >= b {
			return damaged("shard %d follows shard %d", b, a)
		}
	}
	return nil
}
