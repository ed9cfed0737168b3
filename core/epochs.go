package core

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// The node-wide file "node" holds the epoch of every shard that the node has led,
// little endian, part of the format; never change:
//
//	magic "tnod" (4 bytes), version 1 (u32), number of shards (u32),
//	then for each, ascending: shard (u32), epoch (u64);
//	CRC-32C of all that (u32)
//
// A shard with one replica counts its epoch up at each start, and the new epoch
// is durable before anything is served under it.
const (
	epochsName  = "node"
	epochsTemp  = "node.tmp"
	epochsMagic = "tnod"
	epochEntry  = 12
)

// ErrEpochs is wrapped by the errors for a damaged node file. The node cannot
// start from it: an epoch might be used twice.
var ErrEpochs = errors.New("damaged node file")

type shardEpoch struct {
	shard lineage.Shard
	epoch lineage.ShardEpoch
}

func appendEpochs(dst []byte, epochs []shardEpoch) []byte {
	le := binary.LittleEndian
	start := len(dst)
	dst = append(dst, epochsMagic...)
	dst = le.AppendUint32(dst, 1)
	dst = le.AppendUint32(dst, uint32(len(epochs)))
	for _, e := range epochs {
		dst = le.AppendUint32(dst, uint32(e.shard))
		dst = le.AppendUint64(dst, uint64(e.epoch))
	}
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func decodeEpochs(b []byte) ([]shardEpoch, error) {
	le := binary.LittleEndian
	if len(b) < 16 || string(b[:4]) != epochsMagic {
		return nil, fmt.Errorf("%w: %d bytes, no %q at the start; restore the node or wipe it", ErrEpochs, len(b), epochsMagic)
	}
	body, sum := b[:len(b)-4], le.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: checksum does not match; restore the node or wipe it", ErrEpochs)
	}
	if v := le.Uint32(b[4:]); v != 1 {
		return nil, fmt.Errorf("%w: version %d, this binary reads 1; use a newer binary", ErrEpochs, v)
	}
	n := int(le.Uint32(b[8:]))
	body = body[12:]
	if len(body) != n*epochEntry {
		return nil, fmt.Errorf("%w: %d bytes for %d shards", ErrEpochs, len(body), n)
	}
	epochs := make([]shardEpoch, n)
	for i := range epochs {
		epochs[i] = shardEpoch{lineage.Shard(le.Uint32(body[i*epochEntry:])), lineage.ShardEpoch(le.Uint64(body[i*epochEntry+4:]))}
	}
	return epochs, nil
}

// The steps of starting a node, in order: each is one operation on the disk, or a
// few that complete in order, of which the last counts.
const (
	nodeFile = env.File(1)

	stepMkdir env.OpID = iota // the directory of tenants, and the root's sync
	stepOpen                  // the node file, which may not exist
	stepRead
	stepWritten // the new file under its temporary name, synced
	stepNamed   // the new file has its name, durably
	stepIgnore  // success or failure does not matter
)

func (n *Node) submit(op env.Op) {
	op.Key = env.Key{Kind: keyNodeFile + uint16(op.Kind), Attempt: uint32(n.env.Incarnation()), A: uint64(tenant.Reserved), B: uint64(op.ID)}
	n.env.Submit(op)
}

// keyNodeFile is the kind of the keys of operations on node-wide files, plus the
// operation's kind.
const keyNodeFile uint16 = 0x180

// startEpochs begins to read the epochs of earlier incarnations.
func (n *Node) startEpochs() {
	n.submit(env.Op{Kind: env.OpMkdir, Path: wal.TenantsDir, ID: stepIgnore})
	n.submit(env.Op{Kind: env.OpSyncDir, Path: "", ID: stepMkdir})
}

// epochsDone goes on when a step is done.
func (n *Node) epochsDone(ev *env.Event) {
	switch {
	case ev.Op == stepIgnore:
	case ev.Op == stepOpen && ev.Err == env.NotExist:
		n.writeEpochs()
	case ev.Err != env.OK:
		n.env.Halt(fmt.Sprintf("node file: step %d: %v", ev.Op, ev.Err))
	case ev.Op == stepMkdir:
		n.submit(env.Op{Kind: env.OpOpen, File: nodeFile, Path: epochsName, ID: stepOpen})
	case ev.Op == stepOpen:
		n.submit(env.Op{Kind: env.OpRead, File: nodeFile, Length: ev.N, ID: stepRead})
		n.submit(env.Op{Kind: env.OpClose, File: nodeFile, ID: stepIgnore})
	case ev.Op == stepRead:
		epochs, err := decodeEpochs(ev.Data)
		if err != nil {
			n.fail(err)
			return
		}
		n.epochs = epochs
		n.writeEpochs()
	case ev.Op == stepWritten:
		n.submit(env.Op{Kind: env.OpRename, Path: epochsTemp, To: epochsName, ID: stepIgnore})
		n.submit(env.Op{Kind: env.OpSyncDir, Path: "", ID: stepNamed})
	case ev.Op == stepNamed:
		n.openSlots()
	}
}

// writeEpochs counts up the epoch of every shard here and writes the node file.
func (n *Node) writeEpochs() {
	for i := range n.cluster.Placements {
		if p := &n.cluster.Placements[i]; p.Node == n.env.Self() && n.epochOf(p.Shard) == nil {
			n.epochs = append(n.epochs, shardEpoch{shard: p.Shard})
		}
	}
	slices.SortFunc(n.epochs, func(a, b shardEpoch) int { return int(int64(a.shard) - int64(b.shard)) })
	for i := range n.epochs {
		n.epochs[i].epoch++
	}
	n.submit(env.Op{Kind: env.OpRemove, Path: epochsTemp, ID: stepIgnore})
	n.submit(env.Op{Kind: env.OpCreate, File: nodeFile, Path: epochsTemp, ID: stepIgnore})
	n.submit(env.Op{Kind: env.OpAppend, File: nodeFile, Data: appendEpochs(nil, n.epochs), ID: stepIgnore})
	n.submit(env.Op{Kind: env.OpSync, File: nodeFile, ID: stepWritten})
	n.submit(env.Op{Kind: env.OpClose, File: nodeFile, ID: stepIgnore})
}

// epochOf returns the entry of a shard, nil if the node has none yet.
func (n *Node) epochOf(shard lineage.Shard) *shardEpoch {
	for i := range n.epochs {
		if n.epochs[i].shard == shard {
			return &n.epochs[i]
		}
	}
	return nil
}
