// Package replica is a slot's log on one node: it opens and recovers the log's
// directory, appends records, groups them into durable batches, folds what is
// durable into the slot's state, and writes snapshots that let old segments go.
//
// A Replica is a state machine without an Env of its own: its caller passes one
// to every method. It refuses to know about connections and other slots.
//
// The one rule to remember: what is told to anybody follows from the durable
// part of the log only. Records beyond it are pending; they matter for
// duplicates and for nothing else.
package replica

import (
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Constants are the capacities of a slot's log. A simulation draws small ones.
type Constants struct {
	SegmentSize   int64 `json:"segment_bytes"`  // a segment is closed before it would grow beyond
	SnapshotEvery int64 `json:"snapshot_bytes"` // a snapshot is written after so many log bytes
	MaxSessions   int   `json:"max_sessions"`   // of one slot
	MaxPending    int   `json:"max_pending"`    // records of one slot that are admitted and not durable
	MaxQueued     int   `json:"max_queued"`     // requests to one slot that wait for their turn
	// ShipBytes and ChunkBytes bound what one message to another replica carries, of records
	// and of a snapshot. At least one record goes into each. 0 stands for the default.
	ShipBytes  int   `json:"ship_bytes,omitzero"`
	ChunkBytes int   `json:"chunk_bytes,omitzero"`
	Costs      Costs `json:"costs"`
}

// DefaultConstants are those of a real deployment.
var DefaultConstants = Constants{
	SegmentSize: 16 << 20, SnapshotEvery: 64 << 20, MaxSessions: 1024, MaxPending: 4096, MaxQueued: 1024, Costs: DefaultCosts,
}

// shipBytes returns the bound of the records in one message, bytes.
func (c *Constants) shipBytes() int {
	if c.ShipBytes > 0 {
		return c.ShipBytes
	}
	return maxShipped
}

// chunkBytes returns the bound of the part of a snapshot in one message, bytes.
func (c *Constants) chunkBytes() int {
	if c.ChunkBytes > 0 {
		return c.ChunkBytes
	}
	return maxChunk
}

// Costs are what the simulator charges for the work of a slot, ns.
type Costs struct {
	Check  env.Duration `json:"check_ns"`   // looking up and deciding about a request
	Append env.Duration `json:"append_ns"`  // encoding and folding one record
	PerKiB env.Duration `json:"per_kib_ns"` // encoding or decoding a snapshot, per 1024 bytes
}

// DefaultCosts were compared with a real machine: docs/calibration.md says what was
// measured, when, and why a cost may differ from it.
var DefaultCosts = Costs{Check: 300, Append: 700, PerKiB: 500}

// Config is what a Replica is made of.
type Config struct {
	Identity wal.Identity
	Limits   record.Limits      // that are to be in force, if those of the log have a lower version
	Epoch    lineage.ShardEpoch // of this incarnation; durable already. Not of a shared log: Lead tells
	Constants
	// Shared: other nodes have replicas of the log, and somebody says who sequences it
	// (Lead, Follow) and what is committed (Commit). Else the replica is the only one,
	// sequences as soon as it is open, and what is durable is committed.
	Shared bool
	// Memory is shared by the replicas of one node; nil is memory of its own.
	Memory *Memory
	// Index distinguishes the replicas of one node. Operations carry it in the
	// upper half of their ID, plus one; handles are derived from it.
	Index uint32
}

// config is what a Replica keeps of its Config.
type config struct {
	Identity wal.Identity
	Limits   record.Limits // that are to be in force, if those of the log have a lower version
	*Constants
	Index  uint32
	Shared bool
}

// Phase is where a Replica is in its life.
type Phase uint8

// The phases, in order.
const (
	Closed    Phase = iota
	Making          // its directories
	Creating        // its manifest
	Reading         // manifest, snapshot, segments
	Repairing       // cutting a torn tail, removing leftovers
	Syncing         // what was recovered
	Starting        // the record that opens this epoch is not durable yet
	Serving
	Stopped    // for good in this incarnation, or until a shared log is fetched anew; Failure says why
	Following  // open; another replica sequences the shared log, or nobody yet
	Refetching // the shared log is being replaced by what another replica has
)

var phaseNames = [...]string{"closed", "making", "creating", "reading", "repairing", "syncing", "starting", "serving", "stopped", "following", "refetching"}

// String returns the name of p.
func (p Phase) String() string { return phaseNames[p] }

// Pending is a record that is appended and not yet durable, with what its answer
// needs.
type Pending struct {
	Record  record.Record
	Chain   lineage.Chain
	Request wire.Origin // what asked for it; Kind 0 if no client did
	From    env.ID
	Refused wire.Code // why it is not in the log after all; NoError if it is
	// Announced: its token was taken when it was admitted, some time before it was
	// appended.
	Announced bool
}

// Replica is a slot's log on one node. Use New.
//
// Invariants: state.Position <= durable <= end; pending holds exactly the records
// between state.Position and end; a batch is in flight or frames is empty, after
// every call, unless room on the disk or a task is waited for. What is folded is
// committed, so nothing up to state.Position is ever cut.
type Replica struct {
	config  config
	memory  *Memory
	failure error
	started env.Time // when this incarnation of the node started

	state   *state.Slot
	overlay state.Overlay // state, what is pending, and what is admitted
	bucket  quota.Bucket
	before  *kept // the bucket before the first of the limits that are not durable yet, unless the log is shared

	admitted []Pending // charged, and not appended yet

	epoch   lineage.ShardEpoch // that records are appended in
	opening lineage.Seq        // the last record that begins the epoch
	end     lineage.Position   // last record appended
	durable lineage.Position   // last record that is durable here
	pending []Pending
	frames  []byte // of the records that are in no batch yet
	flight  batch

	segments []segment // ascending; the last one is appended to
	handle   env.File  // of the last segment, 0 if none is open
	number   uint32    // of the last batch

	phase Phase
	// closing: its tenant is being dropped, or new limits wait for their turn. dropped: that is done, and it has stopped.
	closing, dropped bool
	// doubted: a sync of its directory may have failed, so that a power failure may bring back
	// removed files, whatever is synced later.
	doubted bool

	script   script
	recovery *recovery // nil: the slot is not being opened
	snapshot snapshot
	counts   Counts

	shared
}

// Counts are what a replica has counted in this life.
type Counts struct {
	Signals uint64 // that were folded
	// Refused are requests that were refused for a quota since the replica began to
	// sequence its log, by quota.Resource less one.
	Refused [3]uint64
}

// Counts returns what the replica has counted.
func (r *Replica) Counts() Counts { return r.counts }

// Level returns the level of the bucket at an instant, and that of a full one.
func (r *Replica) Level(now env.Time) (level, full int64) {
	b := r.bucket
	return b.Level(now), b.Full()
}

// DiskBytes returns the size of the log's files, of segments with all that is on its way
// to them; false while files are made, replaced or removed.
func (r *Replica) DiskBytes() (int64, bool) {
	// Amid that the disk has more, or less, than what is noted here.
	//safety:disk-told-when-still false by=health-truth on=slow-follower
	if r.phase != Serving && r.phase != Following && r.phase != Starting || r.snapshot.stage != idle || r.script.running || r.Busy() || r.stuck {
		return 0, false
	}
	size := r.snapshot.size
	for i := range r.segments {
		size += r.segments[i].size
	}
	return size, true
}

// batch is what one sync makes durable.
type batch struct {
	number uint32
	waits  uint8 // completions it still needs; 0: none in flight
	// rotated: it begins the last segment. full: the disk had no room for it.
	rotated, full bool
	end           lineage.Seq // of the last record in it
	size          int64
}

type segment struct {
	shard lineage.Shard // that began it
	first lineage.Seq
	size  int64
}

// Outcome is what a request leads to now. Code NoError with Later set means that
// the answer comes when the record is durable, or that it is on its way already.
type Outcome struct {
	Code     wire.Code
	Later    bool
	Admitted bool        // a record waits for AppendNext
	Seq      lineage.Seq // of the record that answers a repeated request, or of a session
	Facts    wire.Facts  // that belong to Code
}

// New returns a closed replica.
func New(c Config) *Replica {
	memory := c.Memory
	if memory == nil {
		memory = new(Memory)
	}
	return &Replica{
		config: config{Identity: c.Identity, Limits: c.Limits, Constants: memory.constantsOf(&c.Constants), Index: c.Index, Shared: c.Shared},
		memory: memory, epoch: c.Epoch, state: state.New(),
	}
}

// Phase returns where the replica is in its life.
func (r *Replica) Phase() Phase { return r.phase }

// Failure says why the replica stopped; nil otherwise.
func (r *Replica) Failure() error { return r.failure }

// Identity returns what the replica is of.
func (r *Replica) Identity() wal.Identity { return r.config.Identity }

// dir returns the log's directory.
func (r *Replica) dir() string { return r.memory.path(&r.config.Identity, file{}) }

// State returns the fold of the durable records. It belongs to the replica.
func (r *Replica) State() *state.Slot { return r.state }

// Appended returns the seq of the last record appended, durable or not.
func (r *Replica) Appended() lineage.Seq { return r.end.Seq }

// key names something about this slot to the world.
func (r *Replica) key(e env.Env, kind uint16, b uint64) env.Key {
	return env.Key{Kind: kind, A: uint64(r.config.Identity.Tenant), B: b}
}

func (r *Replica) hit(e env.Env, p env.Point, seq lineage.Seq) env.Action {
	return fault.Hit(e, p, r.key(e, uint16(r.config.Identity.Slot), uint64(seq)))
}

// stop ends the slot until the node restarts. Nothing that is pending will be
// answered: it is on the disk or not, nobody knows.
func (r *Replica) stop(err error) {
	r.phase = Stopped
	r.admitted = nil
	r.failure = fmt.Errorf("tenant %s slot %d stopped: %w", r.config.Identity.Tenant, r.config.Identity.Slot, err)
}

// refuse is the code while the slot does not serve. One that waits for room on
// the disk tries again. One that stopped may serve after a restart, unless it is
// damaged.
func (r *Replica) refuse(e env.Env) wire.Code {
	switch {
	case r.dropped:
		return wire.UnknownTenant
	case r.phase == Following || r.phase == Refetching:
		return wire.Moved
	case r.phase != Stopped:
		r.Resume(e)
		return wire.NotServing
	case errors.Is(r.failure, wal.ErrCorrupt):
		return wire.Corrupt
	}
	return wire.StorageFault
}
