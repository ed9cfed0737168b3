package state_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/state"
)

// size is the bytes that one signal counts against a slot.
const size = 101

// log folds records as a slot's log would: each follows the one before.
type log struct {
	slot    *state.Slot
	records []record.Record
}

func newLog() *log { return &log{slot: state.New()} }

// next gives r its place behind the last record, without folding it.
func (l *log) next(r record.Record) record.Record {
	at := lineage.Position{}
	if n := len(l.records); n > 0 {
		at.Seq, at.Chain = l.records[n-1].Seq, chainOf(&l.records[n-1])
	}
	r.Seq, r.Prev = at.Next(), at.Chain
	l.records = append(l.records, r)
	return r
}

func chainOf(r *record.Record) lineage.Chain { return record.ChainOf(record.Append(nil, r)) }

func (l *log) fold(r record.Record) lineage.Seq {
	r = l.next(r)
	l.slot.Apply(&r, chainOf(&r))
	return r.Seq
}

func (l *log) session(client, evicted uint64) uint64 {
	return uint64(l.fold(record.Record{Kind: record.Session, Session: record.SessionStart{Client: client, Nonce: 1, Evicted: evicted}}))
}

func on(e signal.Entity, weight int32) record.Record {
	return record.Record{Kind: record.Signal, Signal: signal.Signal{Entity: e, Weight: weight}}
}

func put(e signal.Entity) record.Record  { return record.Record{Kind: record.EntityPut, Entity: e} }
func drop(e signal.Entity) record.Record { return record.Record{Kind: record.EntityDelete, Entity: e} }

// holds prints the content of a slot: entities in the slot's order with their bytes.
func holds(s *state.Slot) string {
	var parts []string
	for _, e := range s.Entities() {
		parts = append(parts, fmt.Sprintf("%d:%d", e.Entity, e.Bytes))
	}
	return fmt.Sprintf("%d entities, %d bytes: %s", s.Live(), s.Bytes(), strings.Join(parts, " "))
}

func TestEntitiesComeAndGo(t *testing.T) {
	for _, c := range []struct {
		name    string
		records []record.Record
		want    string
	}{
		{"nothing", nil, "0 entities, 0 bytes: "},
		{"a signal creates", []record.Record{on(7, 1)}, "1 entities, 101 bytes: 7:101"},
		{"a put creates, without bytes", []record.Record{put(7)}, "1 entities, 0 bytes: 7:0"},
		{"a put of what exists changes nothing", []record.Record{on(7, 1), put(7), put(7)}, "1 entities, 101 bytes: 7:101"},
		{"a delete refunds", []record.Record{on(7, 1), on(8, 1), on(7, 1), drop(7)}, "1 entities, 101 bytes: 8:101"},
		{"a delete of nothing does nothing", []record.Record{on(7, 1), drop(8), drop(8)}, "1 entities, 101 bytes: 7:101"},
		{"deleted twice", []record.Record{on(7, 1), drop(7), drop(7)}, "0 entities, 0 bytes: "},
		{"created again, from nothing", []record.Record{on(7, 1), on(7, 1), drop(7), on(7, 1)}, "1 entities, 101 bytes: 7:101"},
		{"the last one takes the place", []record.Record{put(1), put(2), put(3), put(4), drop(2)}, "3 entities, 0 bytes: 1:0 4:0 3:0"},
		{"all values are entities", []record.Record{put(0), on(1<<64-1, 1)}, "2 entities, 101 bytes: 0:0 18446744073709551615:101"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLog()
			for _, r := range c.records {
				l.fold(r)
			}
			if diff := cmp.Diff(c.want, holds(l.slot)); diff != "" {
				t.Errorf("slot (-want +got):\n%s", diff)
			}
		})
	}
}

// The state that a reader sees of an entity that was created, written, deleted and written again.
func TestAnEntityBeginsAnewAfterItsDeletion(t *testing.T) {
	l := newLog()
	see := func(want signal.State) {
		t.Helper()
		if diff := cmp.Diff(want, l.slot.Entity(7)); diff != "" {
			t.Errorf("after record %d (-want +got):\n%s", l.slot.Position.Seq, diff)
		}
	}
	see(signal.State{})
	l.fold(put(7))
	see(signal.State{LastSeq: 1})
	l.fold(put(7)) // changes nothing, not even the seq
	see(signal.State{LastSeq: 1})
	written := func(seq, request uint64, weight int64) signal.State {
		return signal.State{
			LastSeq: seq, Applied: signal.Digest{}.Add(signal.Operation{Request: request}),
			Totals: [signal.Kinds]signal.Total{{Count: 1, Weight: weight}},
		}
	}
	first := on(7, 40)
	first.Request = 3
	l.fold(first)
	see(written(3, 3, 40))
	l.fold(drop(7))
	see(signal.State{})
	second := on(7, 2)
	second.Request = 5
	l.fold(second)
	see(written(5, 5, 2))
	if _, ok := l.slot.Find(8); ok {
		t.Error("an entity that was never touched is found")
	}
	if e, ok := l.slot.Find(7); !ok || e.Entity != 7 || e.Bytes != size {
		t.Errorf("found %+v, %t", e, ok)
	}
}

func TestTheFoldCarriesWhatTheSequencerNeeds(t *testing.T) {
	l := newLog()
	l.fold(record.Record{Kind: record.EpochStart, Epoch: 4, Level: 50})
	limits := record.Limits{Version: 1, Rate: 2, Burst: 3, Entities: 4, Bytes: 5, Feature: 6}
	l.fold(record.Record{Kind: record.Config, Limits: limits, Level: 40})
	s := l.slot
	if s.Lineage().Epoch != 4 || s.Limits != limits || s.Level != 40 || s.Position != (lineage.Position{Seq: 2, Chain: chainOf(&l.records[1])}) {
		t.Errorf("lineage %v, limits %+v, level %d, position %+v", s.Lineage(), s.Limits, s.Level, s.Position)
	}
}

// TestOnlyTheNextRecordFolds: nor does a record of a kind that the state does not know.
func TestOnlyTheNextRecordFolds(t *testing.T) {
	for name, change := range map[string]func(*record.Record){
		"again":         func(r *record.Record) { r.Seq-- },
		"a gap":         func(r *record.Record) { r.Seq++ },
		"other history": func(r *record.Record) { r.Prev++ },
		"another kind":  func(r *record.Record) { r.Kind = record.EntityDelete + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog()
			l.fold(put(1))
			r := l.next(put(2))
			change(&r)
			defer func() {
				if _, ok := recover().(assert.Failure); !ok {
					t.Error("nobody objects")
				}
			}()
			l.slot.Apply(&r, 1)
		})
	}
}

// Signals, puts and deletes alike are answered by their number, as long as it is
// in the window; a map is the slower model.
func TestAnswersAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLog()
		ids := []uint64{l.session(1, 0), l.session(2, 0)}
		type key struct{ session, request uint64 }
		answers, floors, lasts := map[key]lineage.Seq{}, map[uint64]uint64{}, map[uint64]lineage.Seq{}
		highest := map[uint64]uint64{}
		for _, id := range ids {
			lasts[id] = lineage.Seq(id)
		}
		for range rapid.IntRange(1, 80).Draw(t, "operations") {
			id := rapid.SampledFrom(ids).Draw(t, "session")
			// Requests are logged in another order than they were made in, so a floor may
			// be below the highest: that one stands.
			floor := floors[id] + rapid.Uint64Range(0, 3).Draw(t, "floor moves")
			floor -= min(floor, rapid.Uint64Range(0, 2).Draw(t, "floor lags"))
			request := max(1, floor, floors[id]) + rapid.Uint64Range(0, state.Window-2).Draw(t, "request")
			if _, told := answers[key{id, request}]; told {
				continue // a sequencer answers a repeated request and logs nothing
			}
			r := rapid.SampledFrom([]record.Record{on(7, 1), put(7), drop(7), put(8), drop(9)}).Draw(t, "operation")
			r.Client, r.Request, r.Floor = id, request, floor
			seq := l.fold(r)
			answers[key{id, request}], floors[id], lasts[id] = seq, max(floors[id], floor), seq
			highest[id] = max(highest[id], request)
		}
		for _, id := range ids {
			session := l.slot.Session(id)
			if session.Floor != floors[id] || session.LastSeq != lasts[id] {
				t.Fatalf("%s: floor %d, last seq %d, want %d, %d", session, session.Floor, session.LastSeq, floors[id], lasts[id])
			}
			for request := floors[id]; request < floors[id]+state.Window; request++ {
				seq, ok := session.Answer(request)
				want, told := answers[key{id, request}]
				if ok != told || told && seq != want {
					t.Fatalf("%s, request %d: told %d, %t; want %d, %t", session, request, seq, ok, want, told)
				}
			}
			for request := highest[id] + 1; request < highest[id]+3*state.Window; request++ {
				if seq, ok := session.Answer(request); ok {
					t.Fatalf("%s: request %d was never made and is answered %d", session, request, seq)
				}
			}
		}
	})
}

func TestRequestsOfNobodyLeaveNoAnswer(t *testing.T) {
	l := newLog()
	id := l.session(1, 0)
	r := put(7)
	r.Client, r.Request = id+100, 1 // evicted, or of no client
	l.fold(r)
	l.fold(put(8))
	if seq, ok := l.slot.Session(id).Answer(1); ok {
		t.Errorf("the request of another session is answered %d", seq)
	}
	if seq, ok := l.slot.Session(id).Answer(0); ok {
		t.Errorf("request 0, which is none, is answered %d", seq)
	}
}

func TestTheLeastRecentSessionMakesRoom(t *testing.T) {
	l := newLog()
	a, b, c := l.session(1, 0), l.session(2, 0), l.session(3, 0)
	use := put(7)
	use.Client, use.Request = a, 1
	l.fold(use)
	least := func() string {
		if s := l.slot.LeastRecent(); s != nil {
			return s.String()
		}
		return "none"
	}
	if got, want := least(), fmt.Sprintf("session %d of client 2", b); got != want {
		t.Errorf("least recent is %s, want %s", got, want)
	}
	l.slot.Session(b).InFlight = 1
	l.slot.Session(c).Leaving = true
	if got, want := least(), fmt.Sprintf("session %d of client 1", a); got != want {
		t.Errorf("with %d in flight and %d leaving the least recent is %s, want %s", b, c, got, want)
	}
	d := l.session(4, c)
	if l.slot.Session(c) != nil || l.slot.Sessions() != 3 {
		t.Errorf("session %d is still there, %d in all", c, l.slot.Sessions())
	}
	for client, id := range map[uint64]uint64{1: a, 2: b, 4: d} {
		if s := l.slot.SessionOf(client, 1); s == nil || s.ID != id || l.slot.Session(id) != s {
			t.Errorf("client %d: %v, want session %d", client, s, id)
		}
	}
	if l.slot.SessionOf(1, 2) != nil {
		t.Error("a session with another nonce is found")
	}
	e := l.session(5, 9999) // evicts a session that is gone already
	if l.slot.Sessions() != 4 || l.slot.Session(e) == nil {
		t.Errorf("%d sessions, want 4", l.slot.Sessions())
	}
}

// workload draws records as clients would cause them: few entities and sessions, so
// that they meet.
func workload(t *rapid.T, n int) *log {
	l := newLog()
	var ids []uint64
	for range rapid.IntRange(0, n).Draw(t, "records") {
		l.fold(operation(t, &ids, l))
	}
	return l
}

func operation(t *rapid.T, ids *[]uint64, l *log) record.Record {
	e := signal.Entity(rapid.IntRange(0, 9).Draw(t, "entity"))
	var r record.Record
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0:
		*ids = append(*ids, uint64(len(l.records)+1))
		r = record.Record{Kind: record.Session, Session: record.SessionStart{Client: uint64(len(*ids)), Nonce: 1}}
		if len(*ids) > 3 {
			r.Session.Evicted, *ids = (*ids)[0], slices.Delete(*ids, 0, 1)
		}
	case 1:
		v := uint64(len(l.records))
		r = record.Record{Kind: record.Config, Limits: record.Limits{Version: v, Rate: 1 + v, Burst: 2 + v, Entities: 3 + v, Bytes: 4 + v, Feature: 5 + v}}
	case 2:
		r = record.Record{Kind: record.EpochStart, Epoch: lineage.ShardEpoch(len(l.records))}
	case 3, 4:
		r = put(e)
	case 5, 6:
		r = drop(e)
	default:
		r = on(e, rapid.Int32().Draw(t, "weight"))
	}
	if r.Kind.IsOperation() && len(*ids) > 0 {
		r.Client, r.Request = rapid.SampledFrom(*ids).Draw(t, "session"), rapid.Uint64Range(1, 40).Draw(t, "request")
	}
	r.Level = rapid.Int64Min(0).Draw(t, "level")
	return r
}

// A recount gives the counters: entities and bytes are those of the signals since each entity's
// last deletion.
func TestCountersEqualARecount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := workload(t, 80)
		live, bytes := map[signal.Entity]uint64{}, uint64(0)
		for i := range l.records {
			e, touches := l.records[i].Subject()
			switch {
			case !touches:
			case l.records[i].Kind == record.EntityDelete:
				delete(live, e)
			case l.records[i].Kind == record.Signal:
				live[e] += uint64(len(record.Append(nil, &l.records[i])))
			default:
				live[e] += 0
			}
		}
		for e, want := range live {
			bytes += want
			if got, ok := l.slot.Find(e); !ok || got.Bytes != want {
				t.Fatalf("entity %d has %d bytes (%t), want %d", e, got.Bytes, ok, want)
			}
		}
		if l.slot.Live() != uint64(len(live)) || l.slot.Bytes() != bytes {
			t.Fatalf("%d entities with %d bytes, a recount finds %d with %d", l.slot.Live(), l.slot.Bytes(), len(live), bytes)
		}
	})
}

func TestApplyDoesNotAllocate(t *testing.T) {
	l := newLog()
	id := l.session(1, 0)
	l.fold(on(7, 1))
	r := on(7, 1)
	r.Client, r.Request = id, 1
	for _, kind := range []record.Kind{record.Signal, record.EntityPut} {
		r.Kind, r.Entity = kind, 7
		if n := testing.AllocsPerRun(100, func() {
			r.Seq, r.Prev = l.slot.Position.Next(), l.slot.Position.Chain
			l.slot.Apply(&r, 1)
		}); n != 0 {
			t.Errorf("folding a %s allocates %v times, want 0", kind, n)
		}
	}
}

func BenchmarkApplySignal(b *testing.B) {
	l := newLog()
	id := l.session(1, 0)
	const entities = 1 << 10
	for e := range signal.Entity(entities) {
		l.fold(on(e, 1))
	}
	r := on(7, 1)
	r.Client = id
	b.ReportAllocs()
	for b.Loop() {
		r.Seq, r.Prev = l.slot.Position.Next(), l.slot.Position.Chain
		r.Request++
		r.Signal.Entity = (r.Signal.Entity + 1) % entities
		l.slot.Apply(&r, 1)
	}
}

// Deleting is as cheap with many entities as with few.
func BenchmarkDeleteAndCreate(b *testing.B) {
	for _, entities := range []signal.Entity{1 << 4, 1 << 14} {
		b.Run(fmt.Sprint(entities), func(b *testing.B) {
			l := newLog()
			for e := range entities {
				l.fold(put(e))
			}
			var r record.Record
			e := signal.Entity(0)
			b.ReportAllocs()
			for b.Loop() {
				for _, kind := range [...]record.Kind{record.EntityDelete, record.EntityPut} {
					r.Kind, r.Entity = kind, e
					r.Seq, r.Prev = l.slot.Position.Next(), l.slot.Position.Chain
					l.slot.Apply(&r, 1)
				}
				e = (e + 1) % entities
			}
		})
	}
}
