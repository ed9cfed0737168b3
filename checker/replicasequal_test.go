package checker

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

// The encoded state of the hand-made slot of replicas, word by word, as it is drawn in
// core/state/codec.go: entity 5 with one signal, entity 9 that was put, and session 2.
func stateWords(w *world, level uint64) []uint64 {
	end := w.log().End()
	words := []uint64{2, uint64(end.Seq), uint64(end.Chain), 1, level, 1, homeRate, homeBurst, homeLimits.Entities, homeLimits.Bytes, 0}
	words = append(words, 0, 4, 3) // the span of epoch 4
	words = append(words, 2)       // entities
	for _, e := range []struct {
		entity signal.Entity
		bytes  uint64
		state  signal.State
	}{{5, 101, w.state(5, end.Seq)}, {9, 0, signal.State{LastSeq: 5}}} {
		words = append(words, uint64(e.entity), e.bytes, e.state.LastSeq, e.state.Applied.Hi, e.state.Applied.Lo)
		for _, t := range e.state.Totals {
			words = append(words, t.Count, uint64(t.Weight))
		}
	}
	words = append(words, 1, 2, 7, 1, 1, 7) // sessions; id, client, nonce, floor, last seq
	answers := [2 * observe.Window]uint64{}
	answers[2*1], answers[2*1+1] = 1, 4
	answers[2*2], answers[2*2+1] = 2, 5
	answers[2*3], answers[2*3+1] = 3, 6
	answers[2*4], answers[2*4+1] = 4, 7
	return append(words, answers[:]...)
}

// Where words of it are.
const (
	wordLevel    = 4
	wordRate     = 6
	wordEpoch    = 12
	wordFirst    = 13
	wordBytes    = 16 // of entity 5
	wordLast     = 17
	wordSessions = 15 + 2*21
	wordNonce    = wordSessions + 3
	wordFloor    = wordSessions + 4
	wordUsed     = wordSessions + 5
	wordAnswer   = wordSessions + 6 + 2*3 // request 3
)

// replicated makes the slot's log, and notes a sample of it that a test may spoil.
func replicated(spoil func(words []uint64) []uint64) func(*world) {
	return func(w *world) {
		w.epoch = 4
		w.append(&record.Record{Kind: record.EpochStart})
		w.wrote(7, 5)
		for i, rec := range []record.Record{
			{Kind: record.EntityPut, Entity: 9}, {Kind: record.EntityPut, Entity: 8}, {Kind: record.EntityDelete, Entity: 8},
		} {
			rec.Client, rec.Request, rec.Floor = 2, uint64(i+2), uint64(i/2)
			w.append(&rec)
		}
		words := stateWords(w, uint64(w.level))
		if spoil != nil {
			words = spoil(words)
		}
		w.sample(words)
	}
}

func (w *world) sample(words []uint64) {
	var encoded []byte
	for _, v := range words {
		encoded = binary.LittleEndian.AppendUint64(encoded, v)
	}
	w.run.States.Add(observe.Sample{Process: observe.Process{Node: 1, Incarnation: 1}, Tenant: home, At: 9 * ms, Moment: observe.Served}, encoded)
}

func TestReplicasEqual(t *testing.T) {
	set := func(at int, v uint64) func([]uint64) []uint64 {
		return func(words []uint64) []uint64 { words[at] = v; return words }
	}
	at := "tenant 2 slot 0 on node 1: when it began to serve, at 9 ms, "
	object := func(rule, text string) []string { return []string{rule + " [] 9 ms: " + at + text} }
	judged(t, "replicas-equal", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nothing looked at", verdict: Undecided, why: "no replica was looked at", make: func(w *world) { w.wrote(7, 5) }},
		{name: "an equal replica", verdict: Held, make: replicated(nil)},
		{name: "an empty replica", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.sample(append([]uint64{2}, make([]uint64, 12)...))
		}},
		{name: "an older one", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			first := &w.log().Entries[0]
			l := first.Record.Limits
			w.sample([]uint64{2, 1, uint64(first.Chain), 0, uint64(first.Record.Level), l.Version, l.Rate, l.Burst, l.Entities, l.Bytes, l.Feature, 0, 0})
			replicated(nil)(w)
			w.run.States.Samples = w.run.States.Samples[:1]
		}},
		{name: "no state", verdict: Violated, make: replicated(func(words []uint64) []uint64 { return words[:len(words)-1] }),
			want: object("unreadable", "its bytes are no state")},
		{name: "another format", verdict: Violated, make: replicated(set(0, 3)), want: object("unreadable", "its bytes are no state")},
		{name: "beyond the log", verdict: Violated, make: replicated(set(1, 8)),
			want: object("another-log", "its state ends with seq 8 and chain 745ae9533c0bad80, where the log has chain 0000000000000000")},
		{name: "another record", verdict: Violated, make: replicated(set(2, 5)),
			want: object("another-log", "its state ends with seq 7 and chain 0000000000000005, where the log has chain 745ae9533c0bad80")},
		{name: "entity with other bytes", verdict: Violated, make: replicated(set(wordBytes, 202)),
			want: object("entities-differ", "its state at seq 7 has 2 entities, and the log adds up to 2 others")},
		{name: "entity of another record", verdict: Violated, make: replicated(set(wordLast, 3)),
			want: object("entities-differ", "its state at seq 7 has 2 entities, and the log adds up to 2 others")},
		{name: "other order", verdict: Violated, make: replicated(func(words []uint64) []uint64 {
			for i := range 21 {
				words[15+i], words[36+i] = words[36+i], words[15+i]
			}
			return words
		}), want: object("entities-differ", "its state at seq 7 has 2 entities, and the log adds up to 2 others")},
		{name: "session of another nonce", verdict: Violated, make: replicated(set(wordNonce, 9)),
			want: object("sessions-differ", "its state at seq 7 has 1 sessions, and the log adds up to 1 others")},
		{name: "session used earlier", verdict: Violated, make: replicated(set(wordUsed, 6)),
			want: object("sessions-differ", "its state at seq 7 has 1 sessions, and the log adds up to 1 others")},
		{name: "session lost", verdict: Violated, make: replicated(func(words []uint64) []uint64 {
			words[wordSessions] = 0
			return words[:wordSessions+1]
		}), want: object("sessions-differ", "its state at seq 7 has 0 sessions, and the log adds up to 1 others")},
		{name: "floor lost", verdict: Violated, make: replicated(set(wordFloor, 0)),
			want: object("floors-differ", "its state at seq 7 has floors of its sessions, and the log adds up to others")},
		{name: "answer lost", verdict: Violated, make: replicated(set(wordAnswer, 0)),
			want: object("answers-differ", "its state at seq 7 has answers in its table of duplicates, and the log adds up to others")},
		{name: "bucket filled", verdict: Violated, make: replicated(set(wordLevel, 3_000_000_001)),
			want: object("level-differs", "its state at seq 7 has level 3000000001, and the log adds up to 2000000000")},
		{name: "older limits", verdict: Violated, make: replicated(set(wordRate, 999)),
			want: object("limits-differ", "its state at seq 7 has limits {Version:1 Rate:999 Burst:3 Entities:65533 Bytes:6618833 Feature:0}, and the log adds up to {Version:1 Rate:1000 Burst:3 Entities:65533 Bytes:6618833 Feature:0}")},
		{name: "another epoch", verdict: Violated, make: replicated(set(wordEpoch, 5)),
			want: object("lineage-differs", "its state at seq 7 has 1 spans of epochs, and the log adds up to 1 others")},
		{name: "an epoch that begins elsewhere", verdict: Violated, make: replicated(set(wordFirst, 4)),
			want: object("lineage-differs", "its state at seq 7 has 1 spans of epochs, and the log adds up to 1 others")},
		{name: "epoch lost", verdict: Violated, make: replicated(func(words []uint64) []uint64 {
			words[3] = 0
			return slices.Delete(words, 11, 14)
		}), want: object("lineage-differs", "its state at seq 7 has 0 spans of epochs, and the log adds up to 1 others")},
	})
}

// The judge's fold in any order of creations, deletions and evictions equals the sum that is made
// anew from the final contents.
func TestTheFoldOfASlotIsItsSum(t *testing.T) {
	var s Scratch
	w := newWorld()
	s.slot.reset(&s, w.log())
	s.dense.reset(64)
	seq := lineage.Seq(0)
	apply := func(rec record.Record) {
		seq++
		rec.Seq = seq
		s.slot.apply(&s, &rec)
	}
	next := func(n uint64) func() uint64 {
		return func() uint64 { n = n*6364136223846793005 + 1442695040888963407; return n >> 33 }
	}(1)
	for range 2000 {
		entity := signal.Entity(next() % 7)
		rec := record.Record{Client: 1 + next()%40, Request: 1 + next()%64, Floor: next() % 50}
		switch next() % 7 {
		case 6:
			rec = record.Record{Kind: record.EpochStart, Placement: 1, Epoch: lineage.ShardEpoch(next())}
		case 0:
			rec = record.Record{Kind: record.Session, Session: record.SessionStart{Client: next(), Nonce: next(), Evicted: next() % uint64(seq+1)}}
		case 1, 2:
			rec.Kind, rec.Entity = record.EntityDelete, entity
		case 3:
			rec.Kind, rec.Entity = record.EntityPut, entity
		default:
			rec.Kind, rec.Signal = record.Signal, signal.Signal{Entity: entity, Weight: int32(next())}
		}
		apply(rec)
		if next()%3 > 0 {
			continue
		}
		var want observe.Parts
		f := &s.slot
		for i := range f.entities {
			want.Entities += observe.EntityDigest(i, f.entities[i].entity, f.entities[i].bytes, &f.entities[i].state)
		}
		for _, span := range f.spans {
			want.Lineage += observe.SpanDigest(span)
		}
		for i := range f.sessions {
			c := &f.sessions[i]
			want.Sessions += observe.SessionDigest(c.id, c.client, c.nonce, c.last)
			want.Floors += observe.FloorDigest(c.id, c.floor)
			want.Answers += observe.AnswersDigest(c.id, &c.answers)
		}
		if got := f.digest(); got.Entities != want.Entities || got.Sessions != want.Sessions || got.Floors != want.Floors || got.Answers != want.Answers || got.Lineage != want.Lineage || len(f.spans) > observe.MaxSpans {
			t.Fatalf("after record %d: %+v, want %+v", seq, got, want)
		}
	}
}
