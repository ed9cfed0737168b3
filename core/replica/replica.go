// Package replica is the log of one slot on one node. It opens and recovers the log's directory,
// appends records, groups them into durable batches, folds committed records into the slot's state,
// and writes snapshots so that old segments can be removed.
//
// A Replica is a state machine without an Env of its own: its caller passes one to each method. It
// knows nothing of connections and other slots.
//
// The one rule to remember: every answer follows from the durable part of the log. Later records
// are pending; they serve only to recognize duplicates and to charge the limits.
package replica

import (
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/diskops"
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
	// SegmentSize: a segment is closed before it would grow beyond this.
	SegmentSize   int64 `json:"segment_bytes"`
	SnapshotEvery int64 `json:"snapshot_bytes"` // a snapshot is written after this many log bytes
	MaxSessions   int   `json:"max_sessions"`   // of one slot
	// MaxPending bounds the records of one slot that are admitted and not durable.
	MaxPending int `json:"max_pending"`
	MaxQueued  int `json:"max_queued"` // requests that wait for their turn at one slot
	// ShipBytes and ChunkBytes bound the records and the part of a snapshot in one message to
	// another replica. Each message has at least one record. 0 means the default.
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

// Costs are the times that the simulator charges for the work of a slot, ns.
type Costs struct {
	Check  env.Duration `json:"check_ns"`   // finding and judging a request
	Append env.Duration `json:"append_ns"`  // encoding and folding one record
	PerKiB env.Duration `json:"per_kib_ns"` // encoding or decoding a snapshot, per 1024 bytes
}

// DefaultCosts were compared with a real machine: docs/calibration.md has the measurements, their
// dates, and the reasons for differences.
var DefaultCosts = Costs{Check: 300, Append: 700, PerKiB: 500}

// Config is the input of New.
type Config struct {
	Identity wal.Identity
	Limits   record.Limits // to append if those in the log have a lower version
	Constants
	// Memory is shared by the replicas of one node; nil gives the replica its own.
	Memory *Memory
	// Index distinguishes the replicas of one node. Operations carry it in the
	// upper half of their ID, plus one; handles are derived from it.
	Index uint32
}

// config is the part of Config that a Replica keeps.
type config struct {
	Identity wal.Identity
	Limits   record.Limits // to append if those in the log have a lower version
	*Constants
	Index uint32
}

// Phase is the stage of a Replica's life.
type Phase uint8

// The phases, in order.
const (
	Closed    Phase = iota
	Making          // makes its directories
	Creating        // writes its manifest
	Reading         // reads manifest, snapshot, segments
	Repairing       // cuts a torn tail, removes covered files
	Syncing         // makes the recovered files durable
	Starting        // the record that begins this epoch is not committed yet
	Serving
	// Stopped lasts until the node restarts or the log is fetched again; Failure has the reason.
	Stopped
	Following  // open; another replica leads the log, or none yet
	Refetching // a snapshot of another replica replaces the log
)

var phaseNames = [...]string{"closed", "making", "creating", "reading", "repairing", "syncing", "starting", "serving", "stopped", "following", "refetching"}

// String returns the name of p.
func (p Phase) String() string { return phaseNames[p] }

// Pending is a record that is appended but not yet answered, with the data for its answer.
type Pending struct {
	Record  record.Record
	Chain   lineage.Chain
	Request wire.Origin // the client's request; Kind 0: none
	From    env.ID
	Refused wire.Code // why it did not come into the log; NoError if it did
	// Announced: its token was taken at admission, some time before the append.
	Announced bool
}

// Replica is a slot's log on one node. Use New.
//
// Invariants: state.Position <= durable <= end. pending holds exactly the records between
// state.Position and end. After every call a batch is in flight or frames is empty, unless the
// replica waits for room on the disk or for a task. Folded records are committed, so no record up
// to state.Position is ever cut.
type Replica struct {
	config  config
	memory  *Memory
	failure error
	started env.Time // when this incarnation of the node started

	state   *state.Slot
	overlay state.Overlay // state, plus pending and admitted records
	bucket  quota.Bucket

	admitted []Pending // charged, and not appended yet

	epoch   lineage.ShardEpoch // of appended records
	opening lineage.Seq        // the last record that begins the epoch
	end     lineage.Position   // last record appended
	durable lineage.Position   // last record that is durable here
	pending []Pending
	frames  []byte // of the records that are in no batch yet
	flight  batch

	segments []segment // ascending; appends go to the last one
	handle   env.File  // of the last segment, 0 if none is open
	number   uint32    // of the last batch

	phase Phase
	// closing: its tenant is being dropped, or new limits wait for their turn. dropped: the tenant
	// was dropped, and the replica has stopped.
	closing, dropped bool
	// doubted: a sync of its directory may have failed, so a power failure may bring back removed
	// files, even after later syncs.
	doubted bool

	script   diskops.List
	recovery *recovery // nil: the slot is not being opened
	snapshot snapshot
	counts   Counts

	replication
}

// Counts are the counters of a replica since the node started.
type Counts struct {
	Signals uint64 // folded signals
	// Refused counts requests that were refused for a quota since the replica began to lead, by
	// quota.Resource less one.
	Refused [3]uint64
}

// Counts returns the counters of the replica.
func (r *Replica) Counts() Counts { return r.counts }

// Level returns the level of the bucket at an instant, and that of a full one.
func (r *Replica) Level(now env.Time) (level, full int64) {
	b := r.bucket
	return b.Level(now), b.Full()
}

// DiskBytes returns the size of the log's files, writes under way included; false while files are
// made, replaced or removed.
func (r *Replica) DiskBytes() (int64, bool) {
	// During these steps the disk holds more or less than the recorded sizes.
	//safety:disk-told-when-still false by=health-truth on=slow-follower
	if r.phase != Serving && r.phase != Following && r.phase != Starting || r.snapshot.stage != idle || r.script.Busy() || r.Busy() || r.stuck {
		return 0, false
	}
	size := r.snapshot.size
	for i := range r.segments {
		size += r.segments[i].size
	}
	return size, true
}

// batch is the group of records that one sync makes durable.
type batch struct {
	number uint32
	waits  uint8 // completions it still needs; 0: none in flight
	// rotated: it begins the last segment. full: the disk had no room for it.
	rotated, full bool
	end           lineage.Seq // of the last record in it
	size          int64
}

type segment struct {
	shard lineage.Shard // the shard that began it
	first lineage.Seq
	size  int64
}

// Outcome is the immediate result of a request. NoError with Later means that the answer comes when
// the record is durable, or is on its way already.
type Outcome struct {
	Code     wire.Code
	Later    bool
	Admitted bool        // a record waits for AppendNext
	Seq      lineage.Seq // of the record that answers a repeated request, or of a session
	Facts    wire.Facts  // details of Code
}

// New returns a closed replica.
func New(c Config) *Replica {
	memory := c.Memory
	if memory == nil {
		memory = new(Memory)
	}
	return &Replica{
		config: config{Identity: c.Identity, Limits: c.Limits, Constants: memory.constantsOf(&c.Constants), Index: c.Index},
		memory: memory, state: state.New(),
	}
}

// Phase returns the stage of the replica's life.
func (r *Replica) Phase() Phase { return r.phase }

// Failure returns the reason that the replica stopped; nil otherwise.
func (r *Replica) Failure() error { return r.failure }

// Identity returns the slot that the log is of.
func (r *Replica) Identity() wal.Identity { return r.config.Identity }

// dir returns the log's directory.
func (r *Replica) dir() string { return r.memory.path(&r.config.Identity, file{}) }

// State returns the fold of the committed records. It belongs to the replica.
func (r *Replica) State() *state.Slot { return r.state }

// Appended returns the seq of the last record appended, durable or not.
func (r *Replica) Appended() lineage.Seq { return r.end.Seq }

// key returns the key of an operation or fault point of this slot.
func (r *Replica) key(e env.Env, kind uint16, b uint64) env.Key {
	return env.Key{Kind: kind, A: uint64(r.config.Identity.Tenant), B: b}
}

func (r *Replica) hit(e env.Env, p env.Point, seq lineage.Seq) env.Action {
	return fault.Hit(e, p, r.key(e, uint16(r.config.Identity.Slot), uint64(seq)))
}

// stop ends the slot until the node restarts. Pending changes get no answer: whether they are on
// the disk is unknown.
func (r *Replica) stop(err error) {
	r.phase = Stopped
	r.admitted = nil
	r.failure = fmt.Errorf("tenant %s slot %d stopped: %w", r.config.Identity.Tenant, r.config.Identity.Slot, err)
}

// Refusal returns the code for requests while the slot does not serve. A slot that waits for room on
// the disk tries again. A stopped slot may serve after a restart, unless its log is corrupt.
func (r *Replica) Refusal(e env.Env) wire.Code {
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
