package wal

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Identity in a body, little endian, part of the format; never change:
//
//	offset size
//	     0    8  tenant
//	     8    4  slot
//	    12    4  shard
//	    16    8  placement epoch
//
// Body of a manifest:
//
//	     0   24  identity
//
// Body of a snapshot:
//
//	     0   24  identity
//	    24    8  seq of the last record that is included
//	    32    8  chain at that record
//	    40    n  state, opaque here

const (
	identitySize    = 24
	manifestBody    = identitySize
	snapshotBodyMin = identitySize + 16
)

func appendIdentity(dst []byte, id Identity) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(id.Tenant))
	dst = le.AppendUint32(dst, uint32(id.Slot))
	dst = le.AppendUint32(dst, uint32(id.Shard))
	return le.AppendUint64(dst, uint64(id.Placement))
}

func identityIn(r *layout.Reader) Identity {
	return Identity{
		Tenant: tenant.ID(r.Uint64()), Slot: lineage.Slot(r.Uint32()), Shard: lineage.Shard(r.Uint32()),
		Placement: lineage.PlacementEpoch(r.Uint64()),
	}
}

// AppendManifest appends the manifest of a slot directory to dst.
func AppendManifest(dst []byte, id Identity) []byte {
	start := len(dst)
	dst = manifestFormat.begin(dst)
	dst = appendIdentity(dst, id)
	manifestFormat.finish(dst[start:])
	return dst
}

// DecodeManifest reads the manifest that is exactly b. Its errors wrap
// ErrMalformed or ErrVersion; AppendManifest of the result gives b again.
func DecodeManifest(b []byte) (Identity, error) {
	body, err := manifestFormat.openWhole(b)
	if err != nil {
		return Identity{}, err
	}
	r := layout.Of(body)
	id := identityIn(&r)
	if err := r.End(); err != nil {
		return Identity{}, fmt.Errorf("%w: manifest: body of %d bytes: %w", ErrMalformed, len(body), err)
	}
	return id, nil
}

// AppendSnapshot appends to dst the snapshot of a slot at a position. state is below 4 GiB; its
// meaning belongs to the package that folds the log.
func AppendSnapshot(dst []byte, id Identity, at lineage.Position, state []byte) []byte {
	start := len(dst)
	dst = BeginSnapshot(slices.Grow(dst, SnapshotOverhead+len(state)), id, at)
	dst = append(dst, state...)
	FinishSnapshot(dst[start:])
	return dst
}

// SnapshotOverhead is the size of a snapshot in bytes, less that of the state.
const SnapshotOverhead = envelopeSize + snapshotBodyMin

// BeginSnapshot appends the part of a snapshot before the state to dst. The caller appends the
// state and calls FinishSnapshot. So a large state is not copied.
func BeginSnapshot(dst []byte, id Identity, at lineage.Position) []byte {
	assert.That(at.Seq > 0 || at.Chain == 0, "snapshot: chain before the first record is %016x", uint64(at.Chain))
	dst = snapshotFormat.begin(dst)
	dst = appendIdentity(dst, id)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at.Seq))
	return binary.LittleEndian.AppendUint64(dst, uint64(at.Chain))
}

// FinishSnapshot completes the snapshot that is exactly b.
func FinishSnapshot(b []byte) { snapshotFormat.finish(b) }

// DecodeSnapshot reads the snapshot that is exactly b. state aliases b. Its
// errors wrap ErrMalformed or ErrVersion; AppendSnapshot of the results gives b
// again.
func DecodeSnapshot(b []byte) (id Identity, at lineage.Position, state []byte, err error) {
	body, err := snapshotFormat.openWhole(b)
	if err != nil {
		return Identity{}, lineage.Position{}, nil, err
	}
	r := layout.Of(body)
	id = identityIn(&r)
	at = lineage.Position{Seq: lineage.Seq(r.Uint64()), Chain: lineage.Chain(r.Uint64())}
	state = r.Bytes(r.Len())
	if err := r.End(); err != nil {
		return Identity{}, lineage.Position{}, nil, fmt.Errorf("%w: snapshot: body of %d bytes: %w", ErrMalformed, len(body), err)
	}
	if at.Seq == 0 && at.Chain != 0 {
		return Identity{}, lineage.Position{}, nil, fmt.Errorf("%w: snapshot: chain before the first record is %016x, want 0", ErrMalformed, uint64(at.Chain))
	}
	return id, at, state, nil
}
