package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// extend appends a record to the end of the log up to seq-1.
func extend(r *Run, seq lineage.Seq, mark uint64, at int64) record.Record {
	l := r.Log(2, 0)
	rec := record.Record{Tenant: 2, Kind: record.Signal, Seq: seq, Request: mark, Level: int64(mark)}
	if seq > 1 {
		rec.Prev = l.Entries[seq-2].Chain
	}
	r.Append(&rec, record.ChainOf(record.Append(nil, &rec)), at, at, 1)
	return rec
}

func requests(entries []Entry) []uint64 {
	var all []uint64
	for i := range entries {
		all = append(all, entries[i].Record.Request)
	}
	return all
}

func TestAppendCutsWhatWasLost(t *testing.T) {
	var r Run
	for seq := range lineage.Seq(4) {
		extend(&r, seq+1, uint64(seq+1), 1)
	}
	extend(&r, 3, 30, 2)
	l := r.Log(2, 0)
	if diff := cmp.Diff([]uint64{1, 2, 30}, requests(l.Entries)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{3, 4}, requests(l.Cut)); diff != "" {
		t.Errorf("cut (-want +got):\n%s", diff)
	}
	if len(l.Breaks) != 0 {
		t.Errorf("breaks: %v", l.Breaks)
	}
}

func TestACopyChangesNothing(t *testing.T) {
	var r Run
	extend(&r, 1, 1, 1)
	extend(&r, 2, 2, 2)
	extend(&r, 1, 1, 9) // a recovery rewrites the good records
	l := r.Log(2, 0)
	if len(l.Entries) != 2 || l.Entries[0].At != 1 || len(l.Cut) != 0 || len(l.Events) != 2 {
		t.Errorf("after a copy: %+v", l)
	}
	r.Admitted(2, 0, 1, 10, 10, 2) // but this is a new record that happens to be equal
	extend(&r, 1, 1, 11)
	if len(l.Entries) != 1 || l.Entries[0].At != 10 || len(l.Cut) != 2 {
		t.Errorf("after a new record: %+v", l)
	}
}

func TestAppendPicksUpTheAdmission(t *testing.T) {
	var r Run
	r.Admitted(2, 0, 1, 5, 105, 3)
	r.Admitted(2, 0, 2, 6, 106, 3)
	r.Admitted(2, 0, 2, 7, 107, 3) // the first one was given back
	extend(&r, 1, 1, 50)
	extend(&r, 2, 2, 51)
	extend(&r, 3, 3, 52) // not announced
	l := r.Log(2, 0)
	want := []Event{
		{Kind: Admitted, Seq: 1, At: 5, Local: 105, Incarnation: 3, Written: true, Record: record.Signal, Level: 1},
		{Kind: Admitted, Seq: 2, At: 6, Local: 106, Incarnation: 3},
		{Kind: Admitted, Seq: 2, At: 7, Local: 107, Incarnation: 3, Written: true, Record: record.Signal, Level: 2},
		{Kind: Appended, Seq: 3, At: 52, Local: 52, Incarnation: 1, Written: true, Record: record.Signal, Level: 3},
	}
	if diff := cmp.Diff(want, l.Events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for i, at := range []int64{5, 7, 52} {
		if l.Entries[i].At != at {
			t.Errorf("entry %d at %d, want %d", i, l.Entries[i].At, at)
		}
	}
}

func TestEventsCarryWhatTheirRecordsDo(t *testing.T) {
	var r Run
	chain := lineage.Chain(0)
	for i, rec := range [...]record.Record{
		{Kind: record.Config, Limits: record.Limits{Entities: 3}},
		{Kind: record.Signal, Signal: signal.Signal{Entity: 5}},
		{Kind: record.EntityPut, Entity: 6},
		{Kind: record.EntityDelete, Entity: 7},
	} {
		rec.Tenant, rec.Seq, rec.Prev = 2, lineage.Seq(i+1), chain
		chain++
		r.Append(&rec, chain, 1, 1, 1)
	}
	refusal := Refusal{Resource: Entities, Limit: 3, Used: 3, Op: signal.Operation{Session: 1, Request: 2}}
	r.Capped(2, 0, refusal, 9, 8, 4)
	at := Event{Kind: Appended, At: 1, Local: 1, Incarnation: 1, Written: true}
	want := []Event{at, at, at, at, {Kind: Capped, At: 9, Local: 8, Incarnation: 4, Detail: 1}}
	want[0].Seq, want[0].Record, want[0].Detail = 1, record.Config, 1
	want[1].Seq, want[1].Record, want[1].Entity = 2, record.Signal, 5
	want[2].Seq, want[2].Record, want[2].Entity = 3, record.EntityPut, 6
	want[3].Seq, want[3].Record, want[3].Entity = 4, record.EntityDelete, 7
	l := r.Log(2, 0)
	if diff := cmp.Diff(want, l.Events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for i := range l.Events {
		ev := &l.Events[i]
		limits, told := record.Limits{}, Refusal{}
		switch i {
		case 0:
			limits.Entities = 3
		case 4:
			told = refusal
		}
		if l.LimitsOf(ev) != limits || l.RefusalOf(ev) != told {
			t.Errorf("event %d has limits %+v and refusal %+v, want %+v and %+v", i, l.LimitsOf(ev), l.RefusalOf(ev), limits, told)
		}
	}
}

// A full disk refuses a batch and what waits behind it. Each of its operations is
// told, in order, and the same requests come again later.
func TestWhatTheDiskHadNoRoomForIsCut(t *testing.T) {
	var r Run
	for seq := range lineage.Seq(5) {
		extend(&r, seq+1, uint64(seq+1), 1)
	}
	r.Admitted(2, 0, 6, 1, 1, 1)
	again := func(durable lineage.Seq, requests ...uint64) {
		for _, request := range requests {
			r.GivenBack(2, 0, signal.Operation{Request: request}, durable, 9, 1)
		}
	}
	again(3, 2, 4, 5, 6, 99) // 2 is durable, 6 was never seen
	l := r.Log(2, 0)
	if diff := cmp.Diff([]uint64{1, 2, 3}, requests(l.Entries)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	extend(&r, 4, 5, 10)
	extend(&r, 5, 4, 10)
	again(3, 5, 4)
	extend(&r, 4, 40, 11)
	again(3, 40, 4) // 4 was given back before, not now
	for seq := range lineage.Seq(3) {
		extend(&r, seq+4, 50, 12)
	}
	var given []lineage.Seq
	for _, ev := range l.Events {
		if ev.Kind == GivenBack {
			given = append(given, ev.Seq)
		}
	}
	if diff := cmp.Diff([]lineage.Seq{0, 4, 5, 0, 0, 4, 5, 4, 0}, given); diff != "" {
		t.Errorf("given back (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{1, 2, 3, 50, 50, 50}, requests(l.Entries)); diff != "" || len(l.Breaks) != 0 {
		t.Errorf("breaks %v, entries (-want +got):\n%s", l.Breaks, diff)
	}
	if l.Entries[5].At != 12 {
		t.Errorf("seq 6 at %d: it took the instant of an admission that was given back", l.Entries[5].At)
	}
}

func TestDamageIsNotedOnceAndForgotten(t *testing.T) {
	var r Run
	r.Damage(2, 1)
	r.Damage(2, 1)
	if !r.Damaged(2, 1) || r.Damaged(2, 0) || r.Damaged(1, 1) || len(r.damaged) != 1 {
		t.Errorf("damaged: %v", r.damaged)
	}
	r.Stopped(Stop{Tenant: 2})
	r.Refusals.Answered(Reply{Tenant: 2})
	r.AddDump(2, 0, lineage.Position{}).Counts.Known = true
	r.Reset()
	if r.Damaged(2, 1) || len(r.Stops) != 0 || len(r.Refusals.Replies) != 0 || r.AddDump(2, 0, lineage.Position{}).Counts.Known {
		t.Error("Reset left something behind")
	}
}

func TestRecoveryCutsTheTailAndVoidsAdmissions(t *testing.T) {
	var r Run
	extend(&r, 1, 1, 1)
	extend(&r, 2, 2, 2)
	r.Admitted(2, 0, 3, 3, 3, 1)
	r.Recovered(2, 0, 1, 4, 40, 2)
	extend(&r, 2, 20, 5)
	l := r.Log(2, 0)
	if diff := cmp.Diff([]uint64{1, 20}, requests(l.Entries)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if ev := l.Events[3]; ev.Kind != Recovered || ev.Seq != 1 || ev.Level != 1 || ev.Local != 40 {
		t.Errorf("recovery: %+v", ev)
	}
	extend(&r, 3, 3, 6)
	if l.Entries[2].At != 6 {
		t.Errorf("seq 3 at %d: it took the instant of an admission that died", l.Entries[2].At)
	}
}

func TestBreaksAreNoted(t *testing.T) {
	var r Run
	extend(&r, 1, 1, 1)
	r.Append(&record.Record{Tenant: 2, Seq: 3}, 7, 2, 2, 1)
	r.Append(&record.Record{Tenant: 2, Seq: 0}, 7, 3, 3, 1)
	r.Append(&record.Record{Tenant: 2, Seq: 2, Prev: 5}, 7, 4, 4, 1)
	r.Recovered(2, 0, 9, 5, 5, 2)
	l := r.Log(2, 0)
	var seqs []lineage.Seq
	for _, b := range l.Breaks {
		seqs = append(seqs, b.Seq)
	}
	if diff := cmp.Diff([]lineage.Seq{3, 0, 2, 9}, seqs); diff != "" || len(l.Entries) != 2 {
		t.Errorf("%d entries, breaks (-want +got):\n%s", len(l.Entries), diff)
	}
}

func TestListsOfWrongsAreBounded(t *testing.T) {
	var r Run
	for range maxNoted + 5 {
		r.DurableAck.Acked(2, 0, 1, 1, false, "")
		r.Islands.Touched("x", 2, true, 3, true, 1)
		r.Append(&record.Record{Tenant: 2, Seq: 9}, 1, 1, 1, 1)
	}
	if len(r.DurableAck.Early) != maxNoted || r.DurableAck.More != 5 || r.DurableAck.Count != maxNoted+5 {
		t.Errorf("early acknowledgements: %d and %d more of %d", len(r.DurableAck.Early), r.DurableAck.More, r.DurableAck.Count)
	}
	if len(r.Islands.Foreign) != maxNoted || r.Islands.More != 5 || r.Islands.Count != maxNoted+5 {
		t.Errorf("foreign paths: %d and %d more of %d", len(r.Islands.Foreign), r.Islands.More, r.Islands.Count)
	}
	if n := len(r.Log(2, 0).Breaks); n != maxNoted {
		t.Errorf("%d breaks", n)
	}
}

// Whatever order slots turn up in, and whatever a run before left behind, logs
// are sorted, distinct and empty at first.
func TestLogsAreSortedAndResetKeepsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Run
		r.History = &history.History{}
		for range 3 {
			seen := map[[2]uint64]*Log{}
			for range rapid.IntRange(0, 12).Draw(t, "slots") {
				id, slot := tenant.ID(rapid.IntRange(1, 3).Draw(t, "tenant")), lineage.Slot(rapid.IntRange(0, 3).Draw(t, "slot"))
				l := r.Log(id, slot)
				where := [2]uint64{uint64(id), uint64(slot)}
				if before := seen[where]; before != nil && before != l {
					t.Fatalf("tenant %s slot %d has two logs", id, slot)
				} else if before == nil && len(l.Events) != 0 {
					t.Fatalf("tenant %s slot %d begins with %d events", id, slot, len(l.Events))
				}
				seen[where] = l
				l.Refuse(1, 1, 1)
			}
			for i, l := range r.Logs {
				if r.Find(l.Tenant, l.Slot) != i {
					t.Fatalf("log %d is found at %d", i, r.Find(l.Tenant, l.Slot))
				}
			}
			if len(r.Logs) != len(seen) {
				t.Fatalf("%d logs of %d slots", len(r.Logs), len(seen))
			}
			r.AddDump(1, 0, lineage.Position{}).Entities = append(r.AddDump(1, 0, lineage.Position{}).Entities, EntityState{})
			r.Reset()
			if d := r.AddDump(1, 0, lineage.Position{}); len(d.Entities) != 0 {
				t.Fatal("a dump begins with entities")
			}
			r.Reset()
		}
	})
}

func TestOnceWarmARunAllocatesNothing(t *testing.T) {
	r := Run{History: &history.History{}}
	once := func() {
		r.Reset()
		for seq := range lineage.Seq(100) {
			rec := record.Record{Tenant: 2, Seq: seq + 1, Prev: lineage.Chain(seq)}
			r.Admitted(2, 0, rec.Seq, 1, 1, 1)
			r.Append(&rec, lineage.Chain(seq+1), 1, 1, 1)
			r.Capped(2, 0, Refusal{Resource: Bytes}, 1, 1, 1)
			r.Refusals.Answered(Reply{Tenant: 2})
		}
		r.Damage(2, 0)
		r.Stopped(Stop{Tenant: 2})
	}
	once()
	if n := testing.AllocsPerRun(10, once); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Records that were charged before they got a seq are matched with their charges by order, even if
// others get theirs at once in between.
func TestChargedBeforeItsSeq(t *testing.T) {
	var r Run
	r.Taken(1, 0, 10, 1, 1)
	r.Taken(1, 0, 20, 2, 1)
	r.Placed(1, 0, 1)
	r.Admitted(1, 0, 2, 30, 3, 1) // a session, say
	r.Placed(1, 0, 3)
	prev := lineage.Chain(0)
	for seq := lineage.Seq(1); seq <= 3; seq++ {
		rec := record.Record{Tenant: 1, Seq: seq, Prev: prev, Kind: record.Signal}
		r.Append(&rec, lineage.Chain(seq), 99, 99, 1)
		prev = lineage.Chain(seq)
	}
	var got []int64
	for _, e := range r.Logs[0].Entries {
		got = append(got, e.At)
	}
	if diff := cmp.Diff([]int64{10, 30, 20}, got); diff != "" {
		t.Errorf("instants of admission (-want +got):\n%s", diff)
	}
	r.Taken(1, 0, 40, 4, 1)
	r.Recovered(1, 0, 3, 50, 1, 2) // what waited is gone
	r.Placed(1, 0, 4)
	if n := len(r.Logs[0].Events); n != 5 || r.Logs[0].Events[3].Seq != 0 {
		t.Errorf("%d events, the lost one has seq %d", n, r.Logs[0].Events[3].Seq)
	}
}

// Limits that the disk had no room for take with them what waits: those operations
// never get a seq, and the next one that is placed is not one of them.
func TestLimitsThatAreGivenBack(t *testing.T) {
	var r Run
	limits := record.Record{Tenant: 2, Kind: record.Config, Seq: 2, Limits: record.Limits{Version: 7}}
	extend(&r, 1, 1, 1)
	limits.Prev = r.Log(2, 0).Entries[0].Chain
	r.Append(&limits, 99, 2, 2, 1)
	r.Taken(2, 0, 3, 3, 1)
	r.LimitsGivenBack(2, 0, 6, 1, 4, 1)
	r.LimitsGivenBack(2, 0, 7, 1, 5, 1)
	r.Taken(2, 0, 6, 6, 1)
	r.Placed(2, 0, 2)
	extend(&r, 2, 2, 9)
	l := r.Log(2, 0)
	if len(l.Entries) != 2 || l.Entries[1].At != 6 || len(l.Breaks) != 0 {
		t.Errorf("entries %+v, breaks %v", l.Entries, l.Breaks)
	}
	var given []Event
	for _, ev := range l.Events {
		if ev.Kind == GivenBack {
			given = append(given, ev)
		}
	}
	want := []Event{
		{Kind: GivenBack, Record: record.Config, At: 4, Incarnation: 1},
		{Kind: GivenBack, Record: record.Config, Seq: 2, At: 5, Incarnation: 1},
	}
	if diff := cmp.Diff(want, given); diff != "" {
		t.Errorf("given back (-want +got):\n%s", diff)
	}
}

// A leader may have records that were cut when another leader, with a log that is lost, wrote
// others in their place. Then the log is that of the leader. The events show that the other one's
// records go and that its own come back, with their levels and limits.
func TestWhatALeaderHasComesBack(t *testing.T) {
	var r Run
	none := func(lineage.Seq) (lineage.Chain, bool) { return 0, false }
	limits := record.Limits{Version: 1, Rate: 10, Burst: 5}
	r.Leads(2, 0, 1, 0, none, 1, 1, 1)
	chains := []lineage.Chain{0}
	write := func(rec record.Record) {
		rec.Tenant = 2
		chain := record.ChainOf(record.Append(nil, &rec))
		r.Admitted(2, 0, rec.Seq, 10*int64(rec.Seq), 10*int64(rec.Seq), 1)
		r.AppendedBy(true, &rec, chain, 99, 1)
		chains = append(chains, chain)
	}
	write(record.Record{Kind: record.EpochStart, Epoch: 1, Seq: 1, Level: 7})
	write(record.Record{Kind: record.Config, Epoch: 1, Seq: 2, Prev: chains[1], Level: 8, Limits: limits})
	write(record.Record{Kind: record.EntityPut, Epoch: 1, Seq: 3, Prev: chains[2], Level: 9, Entity: 4})
	first := chains[:4:4]

	r.Leads(2, 0, 2, 1, none, 50, 50, 2)
	write(record.Record{Kind: record.EntityPut, Epoch: 2, Seq: 2, Prev: chains[1], Level: 6, Entity: 5})
	seen := len(r.Log(2, 0).Events)

	r.Leads(2, 0, 3, 3, func(seq lineage.Seq) (lineage.Chain, bool) { return first[seq], true }, 70, 60, 3)
	l := r.Log(2, 0)
	for i := range l.Entries {
		if l.Entries[i].Chain != first[i+1] {
			t.Errorf("the record at seq %d is another one's", i+1)
		}
	}
	want := []Event{
		{Kind: Recovered, Seq: 1, At: 70, Local: 60, Incarnation: 3, Level: 7},
		{Kind: Appended, Seq: 2, At: 20, Local: 20, Incarnation: 1, Written: true, Record: record.Config, Level: 8, Detail: 2},
		{Kind: Appended, Seq: 3, At: 30, Local: 30, Incarnation: 1, Written: true, Record: record.EntityPut, Level: 9, Entity: 4},
		{Kind: Recovered, Seq: 3, At: 70, Local: 60, Incarnation: 3, Level: 9},
	}
	if diff := cmp.Diff(want, l.Events[seen:]); diff != "" || len(l.Entries) != 3 {
		t.Errorf("%d entries; events (-want +got):\n%s", len(l.Entries), diff)
	}
	if got := l.LimitsOf(&l.Events[seen+1]); got != limits {
		t.Errorf("the limits that came back are %+v", got)
	}
}
