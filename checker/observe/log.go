package observe

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Entry is one record of a slot, and when it was admitted.
type Entry struct {
	Record      record.Record
	Chain       lineage.Chain // at this record, computed from its bytes by the observer
	At          int64         // true time, ns, of its admission; of its append if no admission was announced
	Local       int64         // the node's monotonic clock then, ns
	Incarnation uint64        // of the node that appended it
}

// EventKind is the kind of a sequencer's act.
type EventKind uint8

// The kinds of events.
const (
	Recovered EventKind = iota + 1 // a process began to serve the slot, which ends at Seq
	Admitted                       // the record Seq got its place and, if it is an operation's, its token
	Refused                        // an operation was refused for want of a token
	Appended                       // the record Seq was appended without an announced admission, or it came back
	Capped                         // an operation was refused for a cap; RefusalOf says which
	// GivenBack: the disk or the limits had no room for the operation, at Seq. It and the records
	// behind it are not in the log after all. Seq 0: it was never seen.
	GivenBack
)

// Resource is the resource that a refusal is about. The numbers are those of the wire format.
type Resource uint8

// The resources that are capped. That of the rate is 1.
const (
	Entities Resource = 2
	Bytes    Resource = 3
)

// String returns the name of r.
func (r Resource) String() string {
	switch r {
	case Entities:
		return "entities"
	case Bytes:
		return "bytes"
	}
	return fmt.Sprintf("resource-%d", uint8(r))
}

// Refusal is a client's answer when its operation was refused for a quota.
type Refusal struct {
	Resource    Resource
	Limit, Used uint64
	RetryAfter  int64 // ns, of the rate
	Op          signal.Operation
}

// Event is one step of the slot's limiter. All events, in order, suffice for a second limiter to
// arrive at the same answers. There is one for every change, so limits and refusals, which few
// events have, are kept apart.
type Event struct {
	Kind EventKind
	// Written says that the record was seen on its way to the disk. Record, Entity, Level and the
	// log's LimitsOf are then those of the record. Of Recovered, Level is that of the record at
	// Seq.
	Written     bool
	Record      record.Kind
	Detail      int32 // the index for LimitsOf or RefusalOf, from 1; 0 is none
	Seq         lineage.Seq
	At          int64 // true time, ns
	Local       int64 // the node's monotonic clock, ns
	Incarnation uint64
	Entity      signal.Entity // of a record that touches one
	Level       int64         // nano-tokens
}

// Break is a record that does not continue the log.
type Break struct {
	Seq  lineage.Seq
	At   int64 // true time, ns
	Text string
}

// Log is everything that happened in one slot.
//
// Invariant: Entries[i].Record.Seq == i+1.
type Log struct {
	Tenant  tenant.ID
	Slot    lineage.Slot
	Entries []Entry // the lineage as it stands
	Cut     []Entry // records that were written once and then lost, in the order of the losses
	Events  []Event // the acts of the slot's limiter, in order
	Breaks  []Break // at most maxNoted
	pending []int32 // admissions that wait for their record: indexes into Events, ascending in Seq
	taken   []int32 // operations charged before they got a seq: indexes into Events, in order
	given   int     // where in Cut the records begin that were given back last
	shared  bool    // several processes have replicas of the log

	// Of a shared log: the highest epoch that began, and where its log began. sequencer says that
	// records written now come from the leader of that epoch.
	epoch     lineage.ShardEpoch
	tail      lineage.Seq
	sequencer bool

	limits   []record.Limits // of the events of Config records
	refusals []Refusal       // of the events that have one
}

// LimitsOf returns the limits that an event's Config record carries, zero if it is
// no event of one.
func (l *Log) LimitsOf(ev *Event) (limits record.Limits) {
	if ev.Record == record.Config && ev.Detail > 0 {
		limits = l.limits[ev.Detail-1]
	}
	return limits
}

// RefusalOf returns the client's answer: of Capped, and of Refused once that is known; else zero.
func (l *Log) RefusalOf(ev *Event) (told Refusal) {
	if (ev.Kind == Capped || ev.Kind == Refused) && ev.Detail > 0 {
		told = l.refusals[ev.Detail-1]
	}
	return told
}

func (l *Log) reset(t tenant.ID, slot lineage.Slot) {
	l.Tenant, l.Slot = t, slot
	l.Entries, l.Cut, l.Events, l.Breaks, l.pending = l.Entries[:0], l.Cut[:0], l.Events[:0], l.Breaks[:0], l.pending[:0]
	l.taken, l.given, l.shared, l.epoch, l.tail, l.sequencer = l.taken[:0], 0, false, 0, 0, false
	l.limits, l.refusals = l.limits[:0], l.refusals[:0]
}

// End is the position of the last record.
func (l *Log) End() lineage.Position {
	if len(l.Entries) == 0 {
		return lineage.Position{}
	}
	last := &l.Entries[len(l.Entries)-1]
	return lineage.Position{Seq: last.Record.Seq, Chain: last.Chain}
}

// Append notes that rec, whose bytes hash to chain, is on its way to the disk. Records at its seq
// and after it are cut: they were lost before any process relied on them, or else the checkers will
// object. A record that is there already, or was cut already, and was not admitted again is a copy (a
// recovery rewrites, a replica stores the same) and changes nothing. at, local and incarnation count unless its
// admission was announced.
func (l *Log) Append(rec *record.Record, chain lineage.Chain, at, local int64, incarnation uint64) {
	waiting := l.waiting(rec.Seq)
	if waiting < 0 && l.holds(rec.Seq, chain) {
		return
	}
	if l.shared && rec.Epoch < l.epoch && !l.adopts(rec) {
		// Of a sequencer that was replaced: it is not in the lineage, and never will be. A replica that
		// is cut off may store it long after it was cut elsewhere.
		if slices.ContainsFunc(l.Cut, func(e Entry) bool { return e.Record.Seq == rec.Seq && e.Chain == chain }) {
			return
		}
		l.Cut = append(l.Cut, Entry{Record: *rec, Chain: chain, At: at, Local: local, Incarnation: incarnation})
		return
	}
	end := l.End()
	if rec.Seq == 0 || rec.Seq > end.Next() {
		l.broken(rec.Seq, at, "seq %d follows seq %d: there is a hole", rec.Seq, end.Seq)
		return
	}
	l.cutFrom(rec.Seq)
	if end = l.End(); rec.Prev != end.Chain {
		l.broken(rec.Seq, at, "seq %d continues chain %016x, but the chain at seq %d is %016x", rec.Seq, uint64(rec.Prev), end.Seq, uint64(end.Chain))
	}
	var ev *Event
	if waiting >= 0 {
		ev = &l.Events[l.pending[waiting]]
		l.pending = append(l.pending[:waiting], l.pending[waiting+1:]...)
	} else {
		ev = l.event(Appended, at, local, incarnation)
		ev.Seq = rec.Seq
	}
	l.written(ev, rec)
	n := len(l.Entries)
	l.Entries = slices.Grow(l.Entries, 1)[:n+1]
	e := &l.Entries[n]
	e.Record, e.Chain, e.At, e.Local, e.Incarnation = *rec, chain, ev.At, ev.Local, ev.Incarnation
}

// adopts reports whether a record of an earlier epoch is in the lineage because the leader has it.
func (l *Log) adopts(rec *record.Record) bool {
	end := l.End()
	return l.sequencer || rec.Seq <= l.tail && rec.Seq == end.Next() && rec.Prev == end.Chain
}

func (l *Log) written(ev *Event, rec *record.Record) {
	ev.Written, ev.Record, ev.Level = true, rec.Kind, rec.Level
	ev.Entity, _ = rec.Subject()
	if rec.Kind == record.Config {
		l.limits = append(l.limits, rec.Limits)
		ev.Detail = int32(len(l.limits))
	}
}

// event adds an event. It is valid until the next one is added.
func (l *Log) event(kind EventKind, at, local int64, incarnation uint64) *Event {
	n := len(l.Events)
	l.Events = slices.Grow(l.Events, 1)[:n+1]
	ev := &l.Events[n]
	*ev = Event{}
	ev.Kind, ev.At, ev.Local, ev.Incarnation = kind, at, local, incarnation
	return ev
}

func (l *Log) holds(seq lineage.Seq, chain lineage.Chain) bool {
	return seq >= 1 && seq <= lineage.Seq(len(l.Entries)) && l.Entries[seq-1].Chain == chain
}

// waiting returns where in pending the admission of seq is, or -1.
func (l *Log) waiting(seq lineage.Seq) int {
	for i, index := range l.pending {
		if l.Events[index].Seq == seq {
			return i
		}
	}
	return -1
}

func (l *Log) cutFrom(seq lineage.Seq) {
	if seq > lineage.Seq(len(l.Entries)) {
		return
	}
	l.Cut = append(l.Cut, l.Entries[seq-1:]...)
	l.Entries = l.Entries[:seq-1]
}

func (l *Log) broken(seq lineage.Seq, at int64, format string, operands ...any) {
	if len(l.Breaks) < maxNoted {
		l.Breaks = append(l.Breaks, Break{Seq: seq, At: at, Text: fmt.Sprintf(format, operands...)})
	}
}

// Admit notes the instant at which the record seq got its place and, if it is an
// operation's, its token. Its bytes are seen a little later, by Append. A later
// admission of the same seq replaces the one that waits: its charge was given
// back. Announce records of every kind, or the recomputed bucket has to take
// the instant of the append instead.
func (l *Log) Admit(seq lineage.Seq, at, local int64, incarnation uint64) {
	l.voidFrom(seq)
	l.pending = append(l.pending, int32(len(l.Events)))
	l.event(Admitted, at, local, incarnation).Seq = seq
}

// Take notes the instant at which an operation was charged that gets its seq
// later. Such operations get their seqs in the order in which they were charged.
func (l *Log) Take(at, local int64, incarnation uint64) {
	l.taken = append(l.taken, int32(len(l.Events)))
	l.event(Admitted, at, local, incarnation)
}

// Place notes that a charged operation got its seq: the one that has waited longest.
func (l *Log) Place(seq lineage.Seq) {
	if len(l.taken) == 0 {
		return
	}
	l.voidFrom(seq)
	index := l.taken[0]
	l.taken = l.taken[:copy(l.taken, l.taken[1:])]
	l.Events[index].Seq = seq
	l.pending = append(l.pending, index)
}

// voidFrom drops the admissions from seq on that wait for their records.
func (l *Log) voidFrom(seq lineage.Seq) {
	n := len(l.pending)
	for n > 0 && l.Events[l.pending[n-1]].Seq >= seq {
		n--
	}
	l.pending = l.pending[:n]
}

// Refuse notes that an operation was refused for want of a token.
func (l *Log) Refuse(at, local int64, incarnation uint64) {
	l.event(Refused, at, local, incarnation)
}

// Tell notes the answer to the client whose operation was refused last for want of a token.
func (l *Log) Tell(r Refusal) {
	if last := len(l.Events) - 1; last >= 0 && l.Events[last].Kind == Refused {
		l.told(&l.Events[last], r)
	}
}

func (l *Log) told(ev *Event, r Refusal) {
	l.refusals = append(l.refusals, r)
	ev.Detail = int32(len(l.refusals))
}

// Cap notes that an operation was refused for a cap, in the words of the refusal.
func (l *Log) Cap(r Refusal, at, local int64, incarnation uint64) {
	l.told(l.event(Capped, at, local, incarnation), r)
}

// GiveBack notes that an operation was refused although its record had been on its way to the disk,
// which had no room for it. That record and those behind it are cut, and its token is back in the
// bucket. Records up to durable are not searched. An operation whose record was not seen has no
// seq.
func (l *Log) GiveBack(op signal.Operation, durable lineage.Seq, at int64, incarnation uint64) {
	l.giveBack(func(rec *record.Record) bool { return rec.Kind.IsOperation() && rec.Operation() == op }, durable,
		Event{Kind: GivenBack, At: at, Incarnation: incarnation})
}

// GiveBackLimits notes the same of limits of a version. Operations that were charged
// under them and wait are refused too: they never get a seq.
func (l *Log) GiveBackLimits(version uint64, durable lineage.Seq, at int64, incarnation uint64) {
	l.taken = l.taken[:0]
	l.giveBack(func(rec *record.Record) bool { return rec.Kind == record.Config && rec.Limits.Version == version }, durable,
		Event{Kind: GivenBack, Record: record.Config, At: at, Incarnation: incarnation})
}

func (l *Log) giveBack(is func(*record.Record) bool, durable lineage.Seq, ev Event) {
	seq := lineage.Seq(0)
	if i := lastOf(l.Entries[min(int(durable), len(l.Entries)):], is); i >= 0 {
		seq = durable + lineage.Seq(i) + 1
		l.given = len(l.Cut)
		l.cutFrom(seq)
		l.voidFrom(seq)
	} else if i := lastOf(l.Cut[l.given:], is); i >= 0 {
		seq = l.Cut[l.given+i].Record.Seq // cut together with one before it
	}
	ev.Seq = seq
	l.Events = append(l.Events, ev)
}

// lastOf returns the place of the last such record, or -1.
func lastOf(entries []Entry, is func(*record.Record) bool) int {
	for i := len(entries) - 1; i >= 0; i-- {
		if is(&entries[i].Record) {
			return i
		}
	}
	return -1
}

// Recover notes that a process began to serve the slot with tail as its last
// record; its limiter has credit since local. Whatever was written after tail is
// cut, and admissions that waited for their records are void.
func (l *Log) Recover(tail lineage.Seq, at, local int64, incarnation uint64) {
	l.taken = l.taken[:0]
	if end := l.End().Seq; tail > end {
		l.broken(tail, at, "a process recovered %d records, but only %d were ever written", tail, end)
		tail = end
	}
	l.cutFrom(tail + 1)
	l.pending = l.pending[:0]
	l.serves(tail, at, local, incarnation)
}

// adopt makes the lineage up to tail the records that a process has written. Another process, whose
// log is lost, may have cut them and written other records there. The events then say that the log
// ends before the first such record, and that its records are appended once more.
func (l *Log) adopt(tail lineage.Seq, written func(lineage.Seq) (lineage.Chain, bool), at, local int64, incarnation uint64) {
	from := tail + 1
	for seq := tail; seq > 0; seq-- {
		chain, seen := written(seq)
		if !seen || l.holds(seq, chain) {
			break
		}
		from = seq
	}
	l.cutFrom(from)
	if from <= tail {
		l.serves(from-1, at, local, incarnation)
	}
	for seq := from; seq <= tail; seq++ {
		chain, _ := written(seq)
		i := lastCut(l.Cut, seq, chain)
		if i < 0 {
			return
		}
		e := &l.Cut[i]
		l.Entries = append(l.Entries, *e)
		ev := l.event(Appended, e.At, e.Local, e.Incarnation)
		ev.Seq = seq
		l.written(ev, &e.Record)
	}
}

// serves notes that a process goes on from the record at tail.
func (l *Log) serves(tail lineage.Seq, at, local int64, incarnation uint64) {
	ev := l.event(Recovered, at, local, incarnation)
	ev.Seq = tail
	if tail > 0 && tail <= l.End().Seq {
		ev.Level = l.Entries[tail-1].Record.Level
	}
}

// lastCut returns the place of the last record with a seq and a chain, or -1.
func lastCut(cut []Entry, seq lineage.Seq, chain lineage.Chain) int {
	for i := len(cut) - 1; i >= 0; i-- {
		if cut[i].Record.Seq == seq && cut[i].Chain == chain {
			return i
		}
	}
	return -1
}

// Lead notes that another process began to sequence a shared log behind tail. The credit of its
// limiter counts from local, when it received that record, which may be before it led. Admissions
// of the earlier leader that wait for their records are void, and so are its later writes. The log
// of the new leader is the lineage: written is the chain that it wrote at a seq, if that was seen.
func (l *Log) Lead(epoch lineage.ShardEpoch, tail lineage.Seq, written func(lineage.Seq) (lineage.Chain, bool), at, local int64, incarnation uint64) {
	l.shared, l.epoch, l.tail = true, epoch, tail
	l.taken = l.taken[:0]
	l.voidFrom(tail + 1)
	l.cutFrom(tail + 1)
	l.adopt(tail, written, at, local, incarnation)
	l.serves(tail, at, local, incarnation)
}
