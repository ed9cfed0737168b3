package checker

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

// caps changes the caps of the slot.
func (w *world) caps(entities, bytes uint64) lineage.Seq {
	limits := homeLimits
	limits.Version, limits.Entities, limits.Bytes = uint64(w.log().End().Seq), entities, bytes
	return w.append(&record.Record{Kind: record.Config, Limits: limits})
}

// refuse ends change i for a cap, in these words.
func (w *world) refuse(i int, resource observe.Resource, used, limit uint64) {
	told := observe.Refusal{Resource: resource, Limit: limit, Used: used, Op: w.hist.Ops[i].Op}
	w.run.Capped(home, 0, told, w.tick(), w.clock, 1)
	w.end(i, history.Refused, "quota-exceeded")
}

// swapEvents lets the last operation be charged before the record in front of it got
// its seq.
func (w *world) swapEvents() {
	events := w.log().Events
	last := len(events) - 1
	events[last-1], events[last] = events[last], events[last-1]
}

func TestCaps(t *testing.T) {
	judged(t, "caps", []given{
		{name: "up to the caps", verdict: Held, make: func(w *world) {
			w.caps(2, 3*101)
			w.wrote(7, 5)
			w.done(w.put(7, 6))
			w.refuse(w.put(7, 7), observe.Entities, 2, 2)
			w.done(w.put(7, 6)) // exists
			w.wrote(7, 6)
			w.wrote(7, 6)
			w.refuse(w.write(7, 5), observe.Bytes, 303, 303)
			w.dump().Counts.Limits = w.log().Entries[2].Record.Limits
		}},
		{name: "a byte short of one more", verdict: Held, make: func(w *world) {
			w.caps(2, 2*101-1)
			w.wrote(7, 5)
			w.refuse(w.write(7, 5), observe.Bytes, 101, 201)
		}},
		{name: "a deletion makes room", verdict: Held, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.done(w.remove(7, 5))
			w.done(w.remove(7, 5)) // is gone already
			w.wrote(7, 6)
		}},
		{name: "a lowered limit refuses growth only", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.wrote(7, 6)
			w.caps(1, 101)
			w.done(w.put(7, 5))
			w.refuse(w.put(7, 7), observe.Entities, 2, 1)
			w.refuse(w.write(7, 6), observe.Bytes, 202, 101)
			w.done(w.remove(7, 5))
			w.refuse(w.put(7, 7), observe.Entities, 1, 1)
		}},
		{name: "what is in flight counts", verdict: Held, make: func(w *world) {
			w.caps(1, 202)
			w.run.Admitted(home, 0, 4, w.clock, w.clock, 1)
			i := w.put(7, 5)
			w.refuse(w.put(8, 6), observe.Entities, 1, 1)
			w.ack(i, w.apply(i))
		}},
		{name: "what a crash took counts no longer", verdict: Held, make: func(w *world) {
			w.caps(1, 101)
			w.apply(w.write(7, 5))
			w.refuse(w.write(8, 5), observe.Bytes, 101, 101)
			w.run.Recovered(home, 0, 3, w.tick(), 0, 2)
			w.wrote(7, 6)
			w.refuse(w.put(8, 5), observe.Entities, 1, 1)
		}},
		{name: "what a crash brought back counts again", verdict: Held, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.apply(w.remove(7, 5))
			w.run.Recovered(home, 0, 4, w.tick(), 0, 2)
			w.refuse(w.put(8, 6), observe.Entities, 1, 1)
		}},
		{name: "so does what a full disk brought back", verdict: Held, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			i := w.remove(7, 5)
			w.apply(i)
			w.run.GivenBack(home, 0, w.hist.Ops[i].Op, 4, w.tick(), 1)
			w.refuse(w.put(8, 6), observe.Entities, 1, 1)
		}},
		{name: "what was charged counts, though a session got its seq before it", verdict: Held, make: func(w *world) {
			w.caps(1, 101)
			w.append(&record.Record{Kind: record.Session})
			w.apply(w.put(7, 5))
			w.swapEvents()
			w.refuse(w.put(8, 6), observe.Entities, 1, 1)
		}},
		{name: "what was charged and never got a seq is not judged until a recovery", verdict: Held, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			events := &w.log().Events
			*events = append(*events, observe.Event{Kind: observe.Admitted})
			w.refuse(w.put(8, 6), observe.Entities, 9, 9)
			w.run.Recovered(home, 0, 4, w.tick(), 0, 2)
			w.refuse(w.put(8, 6), observe.Entities, 1, 1)
		}},
		{name: "the counts of a node that ends elsewhere say nothing", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			d := w.dump()
			d.Position.Seq--
			d.Counts.Live = 9
		}},
		{name: "nor do limits that a crash took", verdict: Held, make: func(w *world) {
			w.caps(1, 101)
			w.caps(0, 0)
			w.run.Recovered(home, 0, 3, w.tick(), 0, 2)
			w.wrote(7, 5)
			w.refuse(w.put(8, 6), observe.Entities, 1, 1)
		}},
		{name: "nor does what the disk had no room for", verdict: Held, make: func(w *world) {
			w.caps(1, 101)
			i, j := w.put(7, 5), w.write(7, 5)
			w.apply(i)
			w.apply(j)
			w.run.GivenBack(home, 0, w.hist.Ops[i].Op, 3, w.tick(), 1)
			w.run.GivenBack(home, 0, w.hist.Ops[j].Op, 3, w.tick(), 1)
			w.done(w.put(8, 6))
			w.refuse(w.put(8, 7), observe.Entities, 1, 1)
		}},
		{name: "beside a record that was never seen nothing is judged", verdict: Held, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.run.Admitted(home, 0, 5, w.clock, w.clock, 1)
			w.refuse(w.put(8, 5), observe.Entities, 0, 1)
			w.run.Recovered(home, 0, 4, w.tick(), 0, 2)
			w.refuse(w.put(8, 6), observe.Entities, 1, 1)
		}},
		{name: "a request that the history does not know", verdict: Held, why: "1 refusals of requests that the history does not know were not judged", make: func(w *world) {
			w.wrote(7, 5)
			w.run.Capped(home, 0, observe.Refusal{Resource: observe.Entities}, w.tick(), w.clock, 1)
		}},
		{name: "nothing grew", verdict: Undecided, why: "nothing grew and no cap refused anything", make: func(w *world) { w.has(7, 5) }},
		{name: "limits not known", verdict: Undecided, why: "the limits of tenant 2 slot 0 are not known; the limits of tenant 2 are not known; nothing grew and no cap refused anything", make: func(w *world) {
			w.run.Reset()
			w.wrote(7, 5)
		}},

		{name: "one entity too many", verdict: Violated, make: func(w *world) {
			w.caps(1, 1000)
			w.wrote(7, 5)
			w.done(w.put(7, 6))
			w.wrote(7, 7)
		}, want: []string{
			"over-cap [] 8 ms: tenant 2 slot 0: with the entity-put at seq 5 (creation of entity 6), admitted at 8 ms, the slot holds 2 entities, the limit is 1",
			"over-cap [] 11 ms: tenant 2 slot 0: with the signal at seq 6 (entity 7 kind 0 weight 1 client time 0), admitted at 11 ms, the slot holds 3 entities, the limit is 1",
		}},
		{name: "one byte too many", verdict: Violated, make: func(w *world) {
			w.caps(1, 201)
			w.wrote(7, 5)
			w.wrote(7, 5)
		}, want: []string{
			"over-cap [] 8 ms: tenant 2 slot 0: with the signal at seq 5 (entity 5 kind 0 weight 1 client time 0), admitted at 8 ms, the slot holds 202 bytes, the limit is 201",
		}},
		{name: "growth above a lowered limit", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.caps(1, 0)
			w.wrote(7, 5)
		}, want: []string{
			"over-cap [] 8 ms: tenant 2 slot 0: with the signal at seq 5 (entity 5 kind 0 weight 1 client time 0), admitted at 8 ms, the slot holds 202 bytes, the limit is 0",
		}},
		{name: "refused with room for one", verdict: Violated, make: func(w *world) {
			w.caps(2, 202)
			w.wrote(7, 5)
			w.refuse(w.put(8, 6), observe.Entities, 1, 2)
			w.refuse(w.write(8, 5), observe.Bytes, 101, 202)
		}, want: []string{
			"refused-with-room [1] 8 ms: put #1 of client 8 (tenant 2 slot 0, entity 6, session 2 request 2) was refused for entities at 8 ms, although the slot held 1 of 2 and the operation does not pass that",
			"refused-with-room [2] 11 ms: write #2 of client 8 (tenant 2 slot 0, entity 5, session 2 request 3) was refused for bytes at 11 ms, although the slot held 101 of 202 and the operation does not pass that",
		}},
		{name: "refused what does not grow", verdict: Violated, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.refuse(w.put(8, 5), observe.Entities, 1, 1)
			w.refuse(w.put(8, 5), observe.Bytes, 101, 101)
			w.refuse(w.remove(8, 9), observe.Entities, 1, 1)
		}, want: []string{
			"refused-with-room [1] 8 ms: put #1 of client 8 (tenant 2 slot 0, entity 5, session 2 request 2) was refused for entities at 8 ms, although the slot held 1 of 1 and the operation does not pass that",
			"refused-with-room [2] 11 ms: put #2 of client 8 (tenant 2 slot 0, entity 5, session 2 request 3) was refused for bytes at 11 ms, although the slot held 101 of 101 and the operation does not pass that",
			"refused-with-room [3] 14 ms: delete #3 of client 8 (tenant 2 slot 0, entity 9, session 2 request 4) was refused for entities at 14 ms, although the slot held 1 of 1 and the operation does not pass that",
		}},
		{name: "what was deleted still counts", verdict: Violated, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.done(w.remove(7, 5))
			w.refuse(w.write(8, 6), observe.Bytes, 101, 101)
		}, want: []string{
			"refused-with-room [2] 11 ms: write #2 of client 8 (tenant 2 slot 0, entity 6, session 2 request 3) was refused for bytes at 11 ms, although the slot held 0 of 101 and the operation does not pass that",
		}},
		{name: "refused for bytes where entities come first", verdict: Violated, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.refuse(w.write(8, 6), observe.Bytes, 101, 101)
		}, want: []string{
			"wrong-resource [1] 8 ms: write #1 of client 8 (tenant 2 slot 0, entity 6, session 2 request 2) was refused for its bytes at 8 ms, although 1 of 1 entities come first",
		}},
		{name: "told another limit, told another use", verdict: Violated, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.refuse(w.put(8, 6), observe.Entities, 1, 2)
			w.refuse(w.write(8, 5), observe.Bytes, 202, 101)
		}, want: []string{
			"wrong-figures [1] 8 ms: put #1 of client 8 (tenant 2 slot 0, entity 6, session 2 request 2) was refused for entities at 8 ms, and told 1 of 2; it was 1 of 1",
			"wrong-figures [2] 11 ms: write #2 of client 8 (tenant 2 slot 0, entity 5, session 2 request 3) was refused for bytes at 11 ms, and told 202 of 101; it was 101 of 101",
		}},
		{name: "beside a record that was never seen, until another is at its place", verdict: Violated, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.run.Admitted(home, 0, 5, w.clock, w.clock, 1)
			w.refuse(w.put(8, 6), observe.Entities, 9, 9)
			w.done(w.put(8, 5))
			w.refuse(w.put(8, 6), observe.Entities, 1, 2)
		}, want: []string{
			"wrong-figures [3] 14 ms: put #3 of client 8 (tenant 2 slot 0, entity 6, session 2 request 4) was refused for entities at 14 ms, and told 1 of 2; it was 1 of 1",
		}},
		{name: "beside records that were never seen, until a session is at their place", verdict: Violated, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.run.Admitted(home, 0, 5, w.clock, w.clock, 1)
			w.run.Admitted(home, 0, 6, w.clock, w.clock, 1)
			w.append(&record.Record{Kind: record.Session})
			w.refuse(w.put(8, 6), observe.Entities, 1, 2)
		}, want: []string{
			"wrong-figures [1] 9 ms: put #1 of client 8 (tenant 2 slot 0, entity 6, session 2 request 2) was refused for entities at 9 ms, and told 1 of 2; it was 1 of 1",
		}},
		{name: "beside what never got a seq, until a recovery", verdict: Violated, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			events := &w.log().Events
			*events = append(*events, observe.Event{Kind: observe.Admitted})
			w.run.Recovered(home, 0, 4, w.tick(), 0, 2)
			w.refuse(w.put(8, 6), observe.Entities, 1, 2)
		}, want: []string{
			"wrong-figures [1] 9 ms: put #1 of client 8 (tenant 2 slot 0, entity 6, session 2 request 2) was refused for entities at 9 ms, and told 1 of 2; it was 1 of 1",
		}},
		{name: "beside a record that was never seen, until a recovery", verdict: Violated, make: func(w *world) {
			w.caps(1, 101)
			w.wrote(7, 5)
			w.run.Admitted(home, 0, 5, w.clock, w.clock, 1)
			w.refuse(w.put(8, 6), observe.Entities, 9, 9)
			w.run.Recovered(home, 0, 4, w.tick(), 0, 2)
			w.refuse(w.put(8, 6), observe.Entities, 1, 2)
		}, want: []string{
			"wrong-figures [2] 12 ms: put #2 of client 8 (tenant 2 slot 0, entity 6, session 2 request 3) was refused for entities at 12 ms, and told 1 of 2; it was 1 of 1",
		}},
		{name: "the node counts otherwise", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.dump().Counts.Bytes--
			w.dump().Counts.Live++
			w.dump().Counts.Limits.Bytes = 1
			w.dump().Counts.Known = false
			w.run.Dumps[3].Counts.Live = 9
		}, want: []string{
			"wrong-count [] 0 ms: tenant 2 slot 0: at seq 3 the node counts 1 live entities and 100 bytes, the log adds up to 1 and 101",
			"wrong-count [] 0 ms: tenant 2 slot 0: at seq 3 the node counts 2 live entities and 101 bytes, the log adds up to 1 and 101",
			"wrong-limits [] 0 ms: tenant 2 slot 0: at seq 3 the node has the limits {Version:1 Rate:1000 Burst:3 Entities:65533 Bytes:1 Feature:0}, the log {Version:1 Rate:1000 Burst:3 Entities:65533 Bytes:6618833 Feature:0}",
		}},
	})
}

// An honest slot with small caps holds, whatever is asked of it and lost of it; one
// that is off by one entity, or by one byte, does not.
func TestCapsOfAnHonestSlot(t *testing.T) {
	refused, full := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		mistaken := rapid.Bool().Draw(t, "off by one")
		limit := record.Limits{Entities: 3, Bytes: 5 * 101}
		w.caps(limit.Entities, limit.Bytes)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "crash") == 0 {
				tail := lineage.Seq(rapid.IntRange(3, int(w.log().End().Seq)).Draw(t, "tail"))
				w.run.Recovered(home, 0, tail, w.tick(), 0, 2)
			}
			begin := []func(uint64, signal.Entity) int{w.put, w.write, w.write, w.remove}[rapid.IntRange(0, 3).Draw(t, "kind")]
			i := begin(7, signal.Entity(rapid.IntRange(1, 5).Draw(t, "entity")))
			op := &w.hist.Ops[i]
			live, bytes := w.count()
			creates := op.Kind != history.Delete && w.state(op.Signal.Entity, w.log().End().Seq).LastSeq == 0
			allowed := limit.Entities
			if mistaken {
				allowed++
			}
			switch {
			case creates && live >= allowed:
				w.refuse(i, observe.Entities, live, limit.Entities)
				refused++
			case op.Kind == history.Write && bytes+101 > limit.Bytes:
				w.refuse(i, observe.Bytes, bytes, limit.Bytes)
				refused++
			default:
				w.apply(i)
				if live >= limit.Entities {
					full++
				}
			}
		}
		live, _ := w.count()
		switch r := judgeCaps(&w.run, Options{}); {
		case !mistaken && r.Verdict == Violated:
			t.Fatalf("an honest slot: %v", r.Findings)
		case live > limit.Entities && r.Verdict != Violated:
			t.Fatalf("%d entities are live, but the verdict is %s", live, r.Verdict)
		}
	})
	if refused == 0 || full == 0 {
		t.Errorf("%d operations refused, %d admitted at the cap: one side was never tried", refused, full)
	}
}

// count adds up the log in the plainest way.
func (w *world) count() (live, bytes uint64) {
	for e := range signal.Entity(10) {
		state := w.state(e, w.log().End().Seq)
		live += min(1, state.LastSeq)
		for _, total := range state.Totals {
			bytes += 101 * total.Count
		}
	}
	return live, bytes
}
