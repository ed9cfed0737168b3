package control

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// A command, little endian, part of the format; never change:
//
//	size
//	   1  version (3)
//	   1  kind
//	      and the fields that the kind has, in this order:
//	  20  shard 4, epoch 8, version 8
//	  12  member: node 4, incarnation 8
//	  12  by: the same
//	   8  node 4, in 4
//	   8  tenant
//	   4  slot
//	   8  base
//	      config: id 8, version 8, rate 8, burst 8, entities 8, bytes 8,
//	              n regions 4, and n times: length 1, name
//	      shards: n slots 4, and n times: shard 4
//	  32  share: rate 8, burst 8, entities 8, bytes 8
//	   4  node
//	  48  start: node 4, directory 16, nonce 16, given 8, supports 4
//	   4  shard
//
// A result:
//
//	1  version (1)
//	1  refusal
//	8  index
//	8  epoch
//	8  version
//
// Neither has a checksum: the log or message that carries the bytes detects damage.
const (
	commandVersion = 3
	resultVersion  = 1
	resultSize     = 26
)

// ErrCommand is wrapped by the errors about bytes that are neither a command nor a result.
var ErrCommand = errors.New("not a control command")

// Append appends the bytes of the command to dst. Its kind must be known. Fields that the kind does
// not have are left out.
func (c *Command) Append(dst []byte) []byte {
	if !c.Kind.known() {
		assert.Fail("command of %v is to be encoded", c.Kind)
	}
	le, has := binary.LittleEndian, kinds[c.Kind].has
	dst = append(dst, commandVersion, byte(c.Kind))
	if has&hasShard != 0 {
		dst = le.AppendUint32(dst, uint32(c.Shard))
		dst = le.AppendUint64(dst, uint64(c.Epoch))
		dst = le.AppendUint64(dst, c.Version)
	}
	if has&hasMember != 0 {
		dst = appendMember(dst, c.Member)
	}
	if has&hasBy != 0 {
		dst = appendMember(dst, c.By)
	}
	if has&hasNodes != 0 {
		dst = le.AppendUint32(dst, uint32(c.Node))
		dst = le.AppendUint32(dst, uint32(c.In))
	}
	if has&hasTenant != 0 {
		dst = le.AppendUint64(dst, uint64(c.Tenant))
	}
	if has&hasSlot != 0 {
		dst = le.AppendUint32(dst, uint32(c.Slot))
	}
	if has&hasBase != 0 {
		dst = le.AppendUint64(dst, c.Base)
	}
	if has&hasConfig != 0 {
		dst = appendConfig(dst, &c.Config)
	}
	if has&hasShards != 0 {
		dst = appendShards(dst, c.Shards)
	}
	if has&hasShare != 0 {
		dst = appendShare(dst, c.Share)
	}
	if has&hasNode != 0 {
		dst = le.AppendUint32(dst, uint32(c.Node))
	}
	if has&hasStart != 0 {
		dst = appendNonce(appendNonce(le.AppendUint32(dst, uint32(c.Node)), c.Directory), c.Nonce)
		dst = le.AppendUint32(le.AppendUint64(dst, uint64(c.Given)), c.Supports)
	}
	if has&hasPlace != 0 {
		dst = le.AppendUint32(dst, uint32(c.Shard))
	}
	return dst
}

func appendNonce(dst []byte, n env.Nonce) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, n.A), n.B)
}

func (d *decoder) nonce() env.Nonce { return env.Nonce{A: d.Uint64(), B: d.Uint64()} }

func appendShare(dst []byte, s quota.Share) []byte {
	for _, v := range s {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return dst
}

func appendMember(dst []byte, m Member) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.Node))
	return binary.LittleEndian.AppendUint64(dst, uint64(m.Incarnation))
}

func appendConfig(dst []byte, c *tenant.Config) []byte {
	le, l := binary.LittleEndian, &c.Limits
	for _, v := range [...]uint64{uint64(c.ID), c.Version, l.Rate, l.Burst, l.Entities, l.Bytes} {
		dst = le.AppendUint64(dst, v)
	}
	dst = le.AppendUint32(dst, uint32(len(c.Residency)))
	for _, r := range c.Residency {
		dst = appendRegion(dst, r)
	}
	return dst
}

func appendRegion(dst []byte, r tenant.Region) []byte {
	assert.That(len(r) <= tenant.MaxRegion, "region %q of %d bytes is to be encoded", string(r), len(r))
	return append(append(dst, byte(len(r))), r...)
}

func appendShards(dst []byte, shards []lineage.Shard) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(shards)))
	for _, s := range shards {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(s))
	}
	return dst
}

// DecodeCommand is the inverse of Append. It accepts only bytes that Append writes; other bytes
// give an error that wraps ErrCommand. The command shares no memory with b.
func DecodeCommand(b []byte) (Command, error) {
	if len(b) < 2 {
		return Command{}, fmt.Errorf("%w: %d bytes", ErrCommand, len(b))
	}
	if b[0] != commandVersion {
		return Command{}, fmt.Errorf("%w: version %d, this binary reads version %d", ErrCommand, b[0], commandVersion)
	}
	c := Command{Kind: Kind(b[1])}
	if !c.Kind.known() {
		return Command{}, fmt.Errorf("%w: kind %d, this binary knows 1..%d", ErrCommand, b[1], kindEnd-1)
	}
	d := decoder{layout.Of(b[2:])}
	d.command(&c)
	if err := d.End(); err != nil {
		return Command{}, fmt.Errorf("%w: %v: %w", ErrCommand, c.Kind, err)
	}
	return c, nil
}

func (d *decoder) command(c *Command) {
	has := kinds[c.Kind].has
	if has&hasShard != 0 {
		c.Shard, c.Epoch, c.Version = lineage.Shard(d.Uint32()), lineage.ShardEpoch(d.Uint64()), d.Uint64()
	}
	if has&hasMember != 0 {
		c.Member = d.member()
	}
	if has&hasBy != 0 {
		c.By = d.member()
	}
	if has&hasNodes != 0 {
		c.Node, c.In = env.ID(d.Uint32()), env.ID(d.Uint32())
	}
	if has&hasTenant != 0 {
		c.Tenant = tenant.ID(d.Uint64())
	}
	if has&hasSlot != 0 {
		c.Slot = lineage.Slot(d.Uint32())
	}
	if has&hasBase != 0 {
		c.Base = d.Uint64()
	}
	if has&hasConfig != 0 {
		c.Config = d.config()
	}
	if has&hasShards != 0 {
		c.Shards = d.shards()
	}
	if has&hasShare != 0 {
		c.Share = d.share()
	}
	if has&hasNode != 0 {
		c.Node = env.ID(d.Uint32())
	}
	if has&hasStart != 0 {
		c.Node, c.Directory, c.Nonce = env.ID(d.Uint32()), d.nonce(), d.nonce()
		c.Given, c.Supports = env.Incarnation(d.Uint64()), d.Uint32()
	}
	if has&hasPlace != 0 {
		c.Shard = lineage.Shard(d.Uint32())
	}
}

func (d *decoder) share() (s quota.Share) {
	for r := range s {
		s[r] = d.Uint64()
	}
	return s
}

// Append appends the bytes of the result to dst.
func (r *Result) Append(dst []byte) []byte {
	dst = append(dst, resultVersion, byte(r.Refusal))
	for _, v := range [...]uint64{r.Index, uint64(r.Epoch), r.Version} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return dst
}

// DecodeResult is the inverse of Append; errors wrap ErrCommand.
func DecodeResult(b []byte) (Result, error) {
	d := decoder{layout.Of(b)}
	version := d.Uint8()
	r := Result{Refusal(d.Uint8()), d.Uint64(), lineage.ShardEpoch(d.Uint64()), d.Uint64()}
	if d.End() != nil || version != resultVersion || r.Refusal >= refusalEnd {
		return Result{}, fmt.Errorf("%w: % x is no result either", ErrCommand, b[:min(len(b), resultSize)])
	}
	return r, nil
}

// decoder takes the fields of commands and of objects of the plane from bytes.
type decoder struct{ layout.Reader }

func (d *decoder) member() Member {
	return Member{env.ID(d.Uint32()), env.Incarnation(d.Uint64())}
}

func (d *decoder) config() tenant.Config {
	c := tenant.Config{ID: tenant.ID(d.Uint64()), Version: d.Uint64()}
	l := &c.Limits
	l.Rate, l.Burst, l.Entities, l.Bytes = d.Uint64(), d.Uint64(), d.Uint64(), d.Uint64()
	for range d.Count(1) {
		c.Residency = append(c.Residency, d.region())
	}
	return c
}

func (d *decoder) region() tenant.Region {
	n := d.Uint8()
	if n > tenant.MaxRegion {
		d.Fail(fmt.Errorf("the name of a region is %d bytes long, want at most %d", n, tenant.MaxRegion))
		return ""
	}
	return tenant.Region(d.Bytes(int(n)))
}

func (d *decoder) shards() []lineage.Shard {
	n := d.Count(4)
	if n > route.MaxPartitions {
		d.Fail(fmt.Errorf("%d slots, want at most %d", n, route.MaxPartitions))
		return nil
	}
	var shards []lineage.Shard
	for range n {
		shards = append(shards, lineage.Shard(d.Uint32()))
	}
	return shards
}
