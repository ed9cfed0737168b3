package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

const nameReplicasEqual = "replicas-equal"

// judgeReplicasEqual compares the state of each replica that was looked at with the
// judge's own fold of the log up to that record: so replicas are equal to the log, and
// at equal seqs to each other. Samples are taken at records that are drawn, when a
// replica opens, leads, serves or has cut its log, of each snapshot on its way to a
// disk, and in the end. The rules:
//
//	unreadable        a replica or a snapshot holds bytes that are no state
//	another-log       the last record of the state is not in the slot's log
//	entities-differ   the live entities, their order, bytes or states are not those of the log
//	sessions-differ   there are other sessions, or a session was last used by another record
//	floors-differ     a session has another floor
//	answers-differ    the table of duplicates is another one
//	level-differs     the bucket's level is not that of the last record
//	limits-differ     the limits are not those of the last Config record
//	lineage-differs   the records are placed in other epochs than their EpochStart records say
func judgeReplicasEqual(run *observe.Run, o Options) Report {
	v, s := newVerdict(nameReplicasEqual), o.scratch()
	samples := run.States.Samples
	v.report.Checked = len(samples)
	s.order = s.order[:0]
	for i := range samples {
		s.order = append(s.order, int32(i))
	}
	slices.SortFunc(s.order, func(a, b int32) int {
		x, y := &samples[a], &samples[b]
		return cmp.Or(cmp.Compare(x.Tenant, y.Tenant), cmp.Compare(x.Slot, y.Slot), cmp.Compare(x.Position.Seq, y.Position.Seq), cmp.Compare(a, b))
	})
	var log *observe.Log
	for i, n := range s.order {
		sample := &samples[n]
		if i == 0 || sample.Tenant != samples[s.order[i-1]].Tenant || sample.Slot != samples[s.order[i-1]].Slot {
			log = nil
			if at := run.Find(sample.Tenant, sample.Slot); at >= 0 {
				log = run.Logs[at]
			}
			s.slot.reset(s, log)
		}
		compareSample(v, s, log, sample)
	}
	switch {
	case len(run.Ops()) == 0 && v.report.Checked == 0:
		v.cannotTell("nothing was asked")
	case v.report.Checked == 0:
		v.cannotTell("no replica was looked at")
	}
	return v.done()
}

// compareSample compares one sample with the fold of the log up to its record.
func compareSample(v *verdict, s *Scratch, log *observe.Log, x *observe.Sample) {
	seq := x.Position.Seq
	if x.Unreadable {
		v.find("unreadable", x.At, nil, "%s on node %d: %s, at %s, its bytes are no state", place(x.Tenant, x.Slot), x.Node, x.Moment, instant(x.At))
		return
	}
	chain := lineage.Chain(0)
	if seq > 0 && log != nil && seq <= lineage.Seq(len(log.Entries)) {
		chain = log.Entries[seq-1].Chain
	}
	if chain != x.Position.Chain {
		v.find("another-log", x.At, nil, "%s on node %d: %s, at %s, its state ends with seq %d and chain %016x, where the log has chain %016x",
			place(x.Tenant, x.Slot), x.Node, x.Moment, instant(x.At), seq, uint64(x.Position.Chain), uint64(chain))
		return
	}
	for s.slot.seq < seq {
		s.slot.apply(s, &log.Entries[s.slot.seq].Record)
	}
	want := s.slot.digest()
	if x.Parts != want {
		rule, got, wanted := differs(&x.Parts, &want)
		v.find(rule, x.At, nil, "%s on node %d: %s, at %s, its state at seq %d has %s, and the log adds up to %s",
			place(x.Tenant, x.Slot), x.Node, x.Moment, instant(x.At), seq, got, wanted)
	}
}

// differs names the first part in which two states differ.
func differs(got, want *observe.Parts) (rule, has, wants string) {
	count := func(what string, n uint64) string { return fmt.Sprintf("%d %s", n, what) }
	others := func(n uint64) string { return fmt.Sprintf("%d others", n) }
	switch {
	case got.Limits != want.Limits:
		return "limits-differ", fmt.Sprintf("limits %+v", got.Limits), fmt.Sprintf("%+v", want.Limits)
	case got.Spans != want.Spans || got.Lineage != want.Lineage:
		return "lineage-differs", count("spans of epochs", got.Spans), others(want.Spans)
	case got.Level != want.Level:
		return "level-differs", fmt.Sprintf("level %d", got.Level), fmt.Sprintf("%d", want.Level)
	case got.Live != want.Live || got.Entities != want.Entities:
		return "entities-differ", count("entities", got.Live), others(want.Live)
	case got.Open != want.Open || got.Sessions != want.Sessions:
		return "sessions-differ", count("sessions", got.Open), others(want.Open)
	case got.Floors != want.Floors:
		return "floors-differ", "floors of its sessions", "others"
	}
	return "answers-differ", "answers in its table of duplicates", "others"
}

// slotFold is the judge's own fold of a log: the parts of a slot's state. Digests are brought up to
// date only on request.
//
// Invariant: entities stand in the slot's order, places[n] is where entity number n of
// Scratch.dense stands, or -1.
type slotFold struct {
	seq      lineage.Seq
	parts    observe.Parts
	entities []foldedEntity
	places   []int32
	sessions []foldedSession
	spans    []lineage.Span
}

type foldedEntity struct {
	fold
	number int32  // in Scratch.dense
	bytes  uint64 // logical
	digest uint64 // that is in the sum
	stale  bool
}

type foldedSession struct {
	id, client, nonce, floor uint64
	last                     lineage.Seq
	answers                  [observe.Window]observe.Answer
	who, floors, told        uint64 // digests that are in the sums
	stale                    bool
}

func (f *slotFold) reset(s *Scratch, log *observe.Log) {
	if log != nil {
		s.dense.reset(len(log.Entries))
	}
	*f = slotFold{entities: f.entities[:0], places: f.places[:0], sessions: f.sessions[:0], spans: f.spans[:0]}
}

// apply adds the next record.
func (f *slotFold) apply(s *Scratch, rec *record.Record) {
	f.seq = rec.Seq
	f.parts.Level = rec.Level
	switch rec.Kind {
	case record.EpochStart:
		f.begin(lineage.Span{Lineage: lineage.Lineage{Placement: rec.Placement, Epoch: rec.Epoch}, First: rec.Seq})
	case record.Config:
		f.parts.Limits = rec.Limits
	case record.Session:
		f.evict(rec.Session.Evicted)
		f.sessions = append(f.sessions, foldedSession{
			id: uint64(rec.Seq), client: rec.Session.Client, nonce: rec.Session.Nonce, last: rec.Seq, stale: true,
		})
	}
	if entity, touches := rec.Subject(); touches {
		f.touch(s, entity, rec)
	}
	if rec.Kind.IsOperation() {
		f.answer(rec)
	}
}

// begin adds the span of a new epoch. Of too many the oldest is forgotten.
func (f *slotFold) begin(span lineage.Span) {
	if len(f.spans) == observe.MaxSpans {
		f.parts.Lineage -= observe.SpanDigest(f.spans[0])
		f.spans = f.spans[:copy(f.spans, f.spans[1:])]
	}
	f.spans = append(f.spans, span)
	f.parts.Lineage += observe.SpanDigest(span)
}

// touch applies a record to its entity. The last entity takes the place of a deleted one.
func (f *slotFold) touch(s *Scratch, entity signal.Entity, rec *record.Record) {
	number, fresh := s.dense.dense(key{a: uint64(entity)})
	if fresh {
		f.places = append(f.places, -1)
	}
	at := f.places[number]
	if rec.Kind == record.EntityDelete {
		if at < 0 {
			return
		}
		last := len(f.entities) - 1
		f.parts.Entities -= f.entities[at].digest
		f.places[number] = -1
		if moved := f.entities[last]; int(at) < last {
			f.parts.Entities -= moved.digest
			moved.digest, moved.stale = 0, true
			f.entities[at] = moved
			f.places[moved.number] = at
		}
		f.entities = f.entities[:last]
		return
	}
	if at < 0 {
		at = int32(len(f.entities))
		f.places[number] = at
		f.entities = append(f.entities, foldedEntity{fold: fold{entity: entity}, number: number})
	}
	e := &f.entities[at]
	e.apply(rec)
	e.stale = true
	if rec.Kind == record.Signal {
		e.bytes += uint64(record.Size(record.Signal))
	}
}

func (f *slotFold) session(id uint64) int {
	return slices.IndexFunc(f.sessions, func(c foldedSession) bool { return c.id == id })
}

func (f *slotFold) evict(id uint64) {
	i := f.session(id)
	if i < 0 {
		return
	}
	c := &f.sessions[i]
	f.parts.Sessions -= c.who
	f.parts.Floors -= c.floors
	f.parts.Answers -= c.told
	f.sessions = slices.Delete(f.sessions, i, i+1)
}

// answer notes the answer to an operation's request in its session.
func (f *slotFold) answer(rec *record.Record) {
	i := f.session(rec.Client)
	if i < 0 {
		return
	}
	c := &f.sessions[i]
	c.floor, c.last, c.stale = max(c.floor, rec.Floor), rec.Seq, true
	c.answers[rec.Request%observe.Window] = observe.Answer{Request: rec.Request, Seq: rec.Seq}
}

// digest returns the parts of the state as it is.
func (f *slotFold) digest() observe.Parts {
	p := &f.parts
	p.Live, p.Open, p.Spans = uint64(len(f.entities)), uint64(len(f.sessions)), uint64(len(f.spans))
	for i := range f.entities {
		if e := &f.entities[i]; e.stale {
			p.Entities -= e.digest
			e.digest, e.stale = observe.EntityDigest(i, e.entity, e.bytes, &e.state), false
			p.Entities += e.digest
		}
	}
	for i := range f.sessions {
		c := &f.sessions[i]
		if !c.stale {
			continue
		}
		p.Sessions -= c.who
		p.Floors -= c.floors
		p.Answers -= c.told
		c.who, c.floors = observe.SessionDigest(c.id, c.client, c.nonce, c.last), observe.FloorDigest(c.id, c.floor)
		c.told, c.stale = observe.AnswersDigest(c.id, &c.answers), false
		p.Sessions += c.who
		p.Floors += c.floors
		p.Answers += c.told
	}
	return *p
}
