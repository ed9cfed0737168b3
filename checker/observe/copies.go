package observe

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Process is one incarnation of a node.
type Process struct {
	Node        uint32
	Incarnation uint64
}

// Flaw is a defect of a replica of a log, or of a statement of its node about it.
type Flaw uint8

// The flaws.
const (
	Hole         Flaw = iota + 1 // a record was written, and the one before it is not there
	Unlinked                     // a record was written that does not continue the one before it there
	Overwritten                  // another record was written in the place of one that is still there
	CameBack                     // a recovery found records that were never written there, or had been replaced
	CutUndone                    // a cut was over, and a power failure would bring the cut records back
	CutApplied                   // records were cut that the node had said it had applied
	CutSettled                   // records were cut that a leader had announced as committed
	CommitBack                   // a process announced less as committed than before
	AppliedBack                  // a process said that it had applied less than before
	AppliedOther                 // a process said that it had applied a record, and a leader had announced another one in its place
)

// Fault is a flaw, and where it showed.
type Fault struct {
	Flaw   Flaw
	Node   uint32
	Tenant tenant.ID
	Slot   lineage.Slot
	Seq    lineage.Seq // the record that was written, found, kept or announced
	Last   lineage.Seq // the earlier record or announcement that Seq contradicts
	At     int64       // true time, ns
}

// Version is a record that was written in some place.
type Version struct {
	Epoch lineage.ShardEpoch
	Chain lineage.Chain
	Node  uint32 // that wrote it first
	At    int64  // true time, ns
}

// Fork is two records of one epoch in one place.
type Fork struct {
	Tenant        tenant.ID
	Slot          lineage.Slot
	Seq           lineage.Seq
	First, Second Version
}

// Settled is a record as the first leader that announced it as committed had it. The zero value is
// a record that no leader had when it was announced.
type Settled struct {
	Chain lineage.Chain
	Node  uint32
	At    int64 // true time, ns
}

// Replicated holds the observations of all replicas of a slot's log together.
type Replicated struct {
	Tenant  tenant.ID
	Slot    lineage.Slot
	Written int       // records, on all nodes together
	Settled []Settled // by seq, from 1
	first   []Version // by seq, from 1: the first record that was written there
	more    []placed  // further records that were written there
}

type placed struct {
	seq lineage.Seq
	Version
}

// Retained is one node's log as its disk holds it at the end.
type Retained struct {
	Node   uint32
	Tenant tenant.ID
	Slot   lineage.Slot
	First  lineage.Seq
	Chains []lineage.Chain // from First on
	// Damage describes the damage of the files, "" if there is none.
	Damage string
}

// replica is a log on one node, as its bytes went to the disk.
//
// Invariant: chains[i] is that of record base+1+i. Records behind end were cut, and may come back
// until another record was written in their place.
type replica struct {
	tenant  tenant.ID
	slot    lineage.Slot
	node    uint32
	base    lineage.Seq // records up to here are not known one by one
	before  lineage.Chain
	chains  []lineage.Chain // before is that at base, 0 if it is not known
	end     lineage.Seq
	changes bool // its files are being replaced
	process uint64
	said    lineage.Seq // committed, by this process
	applied lineage.Seq // by any process of the node
}

// Copies holds the observations of the replicas of all logs. The zero value is empty and ready.
type Copies struct {
	Forks    []Fork  // of written records; at most maxNoted
	Denials  []Fork  // of records announced as committed, the epochs left out; likewise
	Faults   []Fault // likewise
	Retained []Retained
	More     int                    // forks, denials and faults beyond maxNoted
	Cuts     int                    // that were made
	slots    keyed.List[Replicated] // by tenant and slot
	replicas keyed.List[replica]    // by tenant, slot and node
}

func (c *Copies) reset() {
	c.Forks, c.Denials, c.Faults = c.Forks[:0], c.Denials[:0], c.Faults[:0]
	c.Retained, c.More, c.Cuts = c.Retained[:0], 0, 0
	c.slots.Reset()
	c.replicas.Reset()
}

// Slots returns the replicas of each slot, in the order in which the observer first saw them.
func (c *Copies) Slots() []Replicated { return c.slots.All() }

// Replicated returns the replicas of a slot, and makes an empty entry if there is none. The result
// is valid until another slot is asked for.
func (c *Copies) Replicated(t tenant.ID, slot lineage.Slot) *Replicated {
	key := keyed.Key{A: uint64(t), B: uint64(slot)}
	if s := c.slots.Find(key); s != nil {
		return s
	}
	s := c.slots.Add(key)
	*s = Replicated{Tenant: t, Slot: slot, Settled: s.Settled[:0], first: s.first[:0], more: s.more[:0]}
	return s
}

// another makes a list one longer, with the memory that an earlier run left there.
func another[T any](list *[]T) *T {
	if n := len(*list); n < cap(*list) {
		*list = (*list)[:n+1]
	} else {
		*list = append(*list, *new(T))
	}
	return &(*list)[len(*list)-1]
}

func (c *Copies) replicaOf(node uint32, t tenant.ID, slot lineage.Slot) *replica {
	key := keyed.Key{A: uint64(t), B: uint64(node)<<32 | uint64(slot)}
	if r := c.replicas.Find(key); r != nil {
		return r
	}
	r := c.replicas.Add(key)
	*r = replica{tenant: t, slot: slot, node: node, chains: r.chains[:0]}
	return r
}

func (c *Copies) fault(r *replica, flaw Flaw, seq, last lineage.Seq, at int64) {
	if len(c.Faults) == maxNoted {
		c.More++
		return
	}
	c.Faults = append(c.Faults, Fault{Flaw: flaw, Node: r.node, Tenant: r.tenant, Slot: r.slot, Seq: seq, Last: last, At: at})
}

// chainAt returns the chain at a record of the log, false if it is not known.
func (r *replica) chainAt(seq lineage.Seq) (lineage.Chain, bool) {
	switch {
	case seq == r.base:
		return r.before, r.before != 0 || seq == 0
	case seq < r.base || seq > r.end:
		return 0, false
	}
	return r.chains[seq-r.base-1], true
}

// begin lets the log go on behind a record, with or without a known chain.
func (r *replica) begin(at lineage.Position) {
	r.base, r.before, r.end, r.chains = at.Seq, at.Chain, at.Seq, r.chains[:0]
}

// Wrote notes a record on its way to the disk of a node.
func (c *Copies) Wrote(node uint32, rec *record.Record, chain lineage.Chain, at int64) {
	v := Version{Epoch: rec.Epoch, Chain: chain, Node: node, At: at}
	c.version(rec, v)
	r := c.replicaOf(node, rec.Tenant, rec.Slot)
	switch seq := rec.Seq; {
	case seq <= r.base: // a recovery rewrites the records that it found
		return
	case seq <= r.end:
		if r.chains[seq-r.base-1] == chain {
			return
		}
		c.fault(r, Overwritten, seq, r.end, at)
		r.end = seq - 1
	case seq > r.end+1:
		c.fault(r, Hole, seq, r.end, at)
		r.begin(lineage.Position{Seq: seq - 1, Chain: rec.Prev})
	}
	if before, known := r.chainAt(rec.Seq - 1); known && before != rec.Prev {
		c.fault(r, Unlinked, rec.Seq, rec.Seq-1, at)
	}
	r.chains = append(r.chains[:rec.Seq-r.base-1], chain)
	r.end = rec.Seq
}

// version compares a record with those of its place and epoch on other nodes.
func (c *Copies) version(rec *record.Record, v Version) {
	s := c.Replicated(rec.Tenant, rec.Slot)
	s.Written++
	if rec.Seq == 0 || rec.Seq > lineage.Seq(len(s.first))+maxGap {
		return // it is a hole in the replica
	}
	for lineage.Seq(len(s.first)) < rec.Seq {
		s.first = append(s.first, Version{})
	}
	known := &s.first[rec.Seq-1]
	if *known == (Version{}) {
		*known = v
		return
	}
	if known.Epoch != v.Epoch {
		i := slices.IndexFunc(s.more, func(p placed) bool { return p.seq == rec.Seq && p.Epoch == v.Epoch })
		if i < 0 {
			s.more = append(s.more, placed{rec.Seq, v})
			return
		}
		known = &s.more[i].Version
	}
	if known.Chain != v.Chain {
		c.note(&c.Forks, Fork{Tenant: rec.Tenant, Slot: rec.Slot, Seq: rec.Seq, First: *known, Second: v})
	}
}

func (c *Copies) note(list *[]Fork, f Fork) {
	if len(*list) == maxNoted {
		c.More++
		return
	}
	*list = append(*list, f)
}

// maxGap bounds how far a record may be ahead of all that were written.
const maxGap = 1 << 16

// Cutting notes that a node begins to cut a log behind a record.
func (c *Copies) Cutting(node uint32, t tenant.ID, slot lineage.Slot, seq lineage.Seq, at int64) {
	c.Cuts++
	r := c.replicaOf(node, t, slot)
	if seq < r.applied {
		c.fault(r, CutApplied, seq, r.applied, at)
	}
	settled := c.Replicated(t, slot).Settled
	for n := max(seq, r.base) + 1; n <= r.end && n <= lineage.Seq(len(settled)); n++ {
		if chain, _ := r.chainAt(n); chain == settled[n-1].Chain {
			c.fault(r, CutSettled, seq, n, at)
			break
		}
	}
	r.cut(seq)
}

// Cut notes that the log of a node ends with a record, durably.
func (c *Copies) Cut(node uint32, t tenant.ID, slot lineage.Slot, seq lineage.Seq) {
	c.replicaOf(node, t, slot).cut(seq)
}

// Undone notes that the log of a node would not end with a record after a power failure,
// although it was cut there.
func (c *Copies) Undone(node uint32, t tenant.ID, slot lineage.Slot, seq lineage.Seq, at int64) {
	c.fault(c.replicaOf(node, t, slot), CutUndone, seq, seq+1, at)
}

func (r *replica) cut(seq lineage.Seq) { r.end = max(r.base, min(r.end, seq)) }

// Created notes that a node begins a log anew: the same process may have held it before,
// and have let it go.
func (c *Copies) Created(node uint32, t tenant.ID, slot lineage.Slot) {
	r := c.replicaOf(node, t, slot)
	r.begin(lineage.Position{})
	r.applied, r.said, r.changes = 0, 0, false
}

// Recovered notes that a node found its log to end with a record.
func (c *Copies) Recovered(node uint32, t tenant.ID, slot lineage.Slot, tail lineage.Seq, at int64) {
	r := c.replicaOf(node, t, slot)
	switch known := r.base + lineage.Seq(len(r.chains)); {
	case r.changes || tail < r.base: // a recovery found the earlier records, or records that replaced them
		r.begin(lineage.Position{Seq: tail})
	case tail > known:
		c.fault(r, CameBack, tail, known, at)
		r.begin(lineage.Position{Seq: tail})
	default:
		r.end = tail
	}
	r.changes = false
}

// Copied notes that a node starts from an older copy of its disk, which holds these records of a
// log behind a position. The copy knows nothing of the node's statements about the lost disk.
func (c *Copies) Copied(node uint32, t tenant.ID, slot lineage.Slot, from lineage.Position, chains []lineage.Chain) {
	r := c.replicaOf(node, t, slot)
	r.begin(from)
	r.chains = append(r.chains, chains...)
	r.end += lineage.Seq(len(chains))
	r.applied, r.said, r.changes = 0, 0, false
}

// Refetching notes that a node begins to replace its log by another's.
func (c *Copies) Refetching(node uint32, t tenant.ID, slot lineage.Slot) {
	r := c.replicaOf(node, t, slot)
	r.changes, r.applied, r.said = true, 0, 0
}

// Refetched notes that the log of a node goes on behind a snapshot. It is meaningless if the log is
// not being replaced; see Replaces.
func (c *Copies) Refetched(node uint32, t tenant.ID, slot lineage.Slot, at lineage.Position) {
	r := c.replicaOf(node, t, slot)
	r.begin(at)
	r.changes = false
}

// Replaces reports whether a node is replacing a log.
func (c *Copies) Replaces(node uint32, t tenant.ID, slot lineage.Slot) bool {
	return c.replicaOf(node, t, slot).changes
}

// Announced notes that a process says, as leader, that records up to seq are committed.
func (c *Copies) Announced(p Process, t tenant.ID, slot lineage.Slot, seq lineage.Seq, at int64) {
	r := c.replicaOf(p.Node, t, slot)
	r.lives(p)
	if seq < r.said {
		c.fault(r, CommitBack, seq, r.said, at)
	}
	r.said = seq
	s := c.Replicated(t, slot)
	for n := lineage.Seq(len(s.Settled)) + 1; n <= seq && n <= r.end; n++ {
		chain, _ := r.chainAt(n)
		s.Settled = append(s.Settled, Settled{Chain: chain, Node: p.Node, At: at})
	}
	chain, known := r.chainAt(seq)
	if !known || seq == 0 || seq > lineage.Seq(len(s.Settled)) {
		return
	}
	mine := Settled{Chain: chain, Node: p.Node, At: at}
	switch first := &s.Settled[seq-1]; first.Chain {
	case chain:
	case 0:
		*first = mine
	default:
		c.note(&c.Denials, Fork{Tenant: t, Slot: slot, Seq: seq, First: first.version(), Second: mine.version()})
	}
}

func (s Settled) version() Version { return Version{Chain: s.Chain, Node: s.Node, At: s.At} }

// Applied notes that a process says that it has applied the records up to seq.
func (c *Copies) Applied(p Process, t tenant.ID, slot lineage.Slot, seq lineage.Seq, at int64) {
	r := c.replicaOf(p.Node, t, slot)
	if r.lives(p); seq < r.said {
		c.fault(r, AppliedBack, seq, r.said, at)
	}
	r.said, r.applied = seq, max(r.applied, seq)
	if settled := c.Replicated(t, slot).Settled; seq > 0 && seq <= lineage.Seq(len(settled)) {
		if chain, known := r.chainAt(seq); known && settled[seq-1].Chain != 0 && chain != settled[seq-1].Chain {
			c.fault(r, AppliedOther, seq, seq, at)
		}
	}
}

// lives forgets the statements of earlier processes of the node.
func (r *replica) lives(p Process) {
	if r.process != p.Incarnation {
		r.process, r.said = p.Incarnation, 0
	}
}

// AddRetained adds a node's final log, to be filled in by the caller before the next one is added.
func (c *Copies) AddRetained(node uint32, t tenant.ID, slot lineage.Slot) *Retained {
	r := another(&c.Retained)
	*r = Retained{Node: node, Tenant: t, Slot: slot, Chains: r.Chains[:0]}
	return r
}
