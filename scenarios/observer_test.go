package scenarios

import (
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The observer is the witness of all judges. Here a puppet in a world of its own writes, syncs,
// removes and sends like a node, one act after the other. Each row says how the observer has to
// note the act. Each of these mistakes in the observer fails a row: bytes in the page cache count
// as durable; an acknowledgement is looked up in another log; the cut of a recovery is not noted; a
// power failure is missed; a snapshot counts, or covers, before its name is durable; a claim, the
// last record of a file or the end after a cut is off by one; a failed sync is put down to another
// log; files are read without a look at seq and chain.

// stage is a world with one puppet for a node and one for a client.
type stage struct {
	world *sim.World
	run   observe.Run
	o     observer
	acts  []act
	next  int
	env   env.Env
	chain lineage.Chain
	seq   lineage.Seq
}

// act is one Step of the puppet. Its disk operations are done before the next act.
type act func(s *stage)

type puppet struct{ s *stage } // nil: it does nothing

// Step does the next act, and wakes the puppet for the one after it. Acts go on after a
// crash.
func (p puppet) Step(ev *env.Event) {
	s := p.s
	if s == nil || ev.Kind != env.Started && ev.Kind != env.Timer || s.next == len(s.acts) {
		return
	}
	s.next++
	s.env.SetTimer(0, s.env.Now()+env.Time(5*millisecond))
	s.acts[s.next-1](s)
}

func (puppet) Status(s *env.Status) { *s = env.Status{} }

const (
	oneSegment = "tenants/2/wal/0-1/1-1.seg"
	oneDir     = "tenants/2/wal/0-1"
)

var oneLog = wal.Identity{Tenant: 2, Slot: 0, Placement: 1, Shard: 1}

// play lets a puppet do some acts. Power fails as disruptions say.
func play(t *testing.T, rates plan.Rates, disruptions []plan.Disruption, acts ...act) *stage {
	t.Helper()
	s := &stage{world: new(sim.World), acts: acts}
	p := &plan.Plan{
		Seed: 7, Duration: second, Calm: second, Network: network.DefaultProfile, Disk: disk.DefaultProfile, Rates: rates, Disruptions: disruptions,
	}
	p.Disk.Sector = 64
	plane := control.New(&control.Cluster{
		Meta: []env.ID{0}, Nodes: []control.NodeConfig{{Region: "home"}}, Shards: []control.ShardConfig{{ID: 1, Region: "home", Replicas: []env.ID{0}}},
	})
	view := &groupsView{
		plane: func() (*control.Plane, metalog.Position) { return plane, metalog.Position{} },
		lives: make([]*core.Node, 2), metaAsked: make([]int64, 1),
	}
	for id := range tenant.ID(4) {
		view.place(id, oneLog.Slot, oneLog.Shard)
	}
	s.o.reset(s.world, &s.run, 1, 2, nil, view)
	err := s.world.Reset(sim.Config{Points: fault.Names(), Observer: &s.o, Programs: []sim.Program{
		{Name: "node", New: func(e env.Env) env.Machine { s.env = e; return puppet{s} }},
		{Name: "client", New: func(env.Env) env.Machine { return puppet{} }},
	}}, p)
	if err != nil {
		t.Fatal(err)
	}
	s.world.Run(func() bool { return s.next == len(s.acts) })
	if s.next != len(s.acts) {
		t.Fatalf("%d of %d acts were done", s.next, len(s.acts))
	}
	return s
}

func (s *stage) submit(op env.Op) {
	op.Key = env.Key{A: 2, B: uint64(s.seq), Kind: uint16(op.Kind)}
	s.env.Submit(op)
}

// makes makes the log's directory and its first segment, all of it durable.
func makes(s *stage) {
	for _, dir := range []string{"tenants", "tenants/2", "tenants/2/wal", oneDir} {
		s.submit(env.Op{Kind: env.OpMkdir, Path: dir})
	}
	s.submit(env.Op{Kind: env.OpCreate, File: 1, Path: oneSegment})
	s.submit(env.Op{Kind: env.OpAppend, File: 1, Data: wal.AppendHeader(nil, &wal.Header{Identity: oneLog, First: 1})})
	s.submit(env.Op{Kind: env.OpSync, File: 1})
	for _, dir := range []string{"", "tenants", "tenants/2", "tenants/2/wal", oneDir} {
		s.submit(env.Op{Kind: env.OpSyncDir, Path: dir})
	}
}

// writesThat appends one record that says so much to be durable.
func writesThat(synced lineage.Seq) act {
	return func(s *stage) {
		s.seq++
		rec := record.Record{Tenant: 2, Placement: 1, Epoch: 1, Kind: record.EntityPut, Seq: s.seq, Prev: s.chain, Entity: 5}
		var frame []byte
		frame, s.chain = wal.AppendFrame(nil, synced, &rec)
		s.submit(env.Op{Kind: env.OpAppend, File: 1, Data: frame})
	}
}

func writes(s *stage) { writesThat(0)(s) }

func syncs(s *stage) { s.submit(env.Op{Kind: env.OpSync, File: 1}) }

// acks sends the acknowledgement of a record to the client.
func acks(seq lineage.Seq) act {
	return func(s *stage) {
		s.env.Send(1, env.Key{A: 2, B: uint64(seq)}, wire.Append(nil, &wire.Message{Kind: wire.Ack, Tenant: 2, Seq: seq}))
	}
}

// hits passes a fault point of the log.
func hits(p env.Point, seq lineage.Seq) act {
	return func(s *stage) { s.env.Hit(p, env.Key{A: 2, B: uint64(seq)}) }
}

func removes(path string) act {
	return func(s *stage) { s.submit(env.Op{Kind: env.OpRemove, Path: path}) }
}

// names gives a snapshot of the log up to a record its name, durably if so wanted.
func names(seq lineage.Seq, durably bool) act {
	return func(s *stage) {
		path := oneDir + "/" + wal.SnapshotName(seq)
		data := wal.BeginSnapshot(nil, oneLog, lineage.Position{Seq: seq, Chain: s.chain})
		data = append(data, 1)
		wal.FinishSnapshot(data)
		s.submit(env.Op{Kind: env.OpCreate, File: 2, Path: path + wal.TempSuffix})
		s.submit(env.Op{Kind: env.OpAppend, File: 2, Data: data})
		s.submit(env.Op{Kind: env.OpSync, File: 2})
		s.submit(env.Op{Kind: env.OpRename, Path: path + wal.TempSuffix, To: path})
		if durably {
			s.submit(env.Op{Kind: env.OpSyncDir, Path: oneDir})
		}
	}
}

// powerAt takes the power away after some acts.
func powerAt(acts int64) []plan.Disruption {
	return []plan.Disruption{{Kind: plan.Power, For: millisecond, When: plan.Anchor{At: acts*5*millisecond - millisecond}}}
}

// A record is durable, and may be acknowledged, when its bytes and its name are on the
// platter: not when they are in the page cache, and not when a power failure left a part.
func TestTheObserverKnowsWhatIsDurable(t *testing.T) {
	torn := plan.Rates{chance.DiskTorn: chance.Million}
	lost := plan.Rates{chance.DiskLost: chance.Million}
	for _, c := range []struct {
		name        string
		rates       plan.Rates
		disruptions []plan.Disruption
		acts        []act
		early       string // of the acknowledgement; "" if it is right
	}{
		{"written and synced", plan.Rates{}, nil, []act{makes, writes, syncs, acks(1)}, ""},
		{"in the page cache", plan.Rates{}, nil, []act{makes, writes, acks(1)}, "bytes 64 to"},
		{"the sync is on its way", plan.Rates{}, nil, []act{makes, writes, func(s *stage) { syncs(s); acks(1)(s) }}, "bytes 64 to"},
		{"only the one before is durable", plan.Rates{}, nil, []act{makes, writes, syncs, writes, acks(2)}, "bytes "},
		{"the one before is told", plan.Rates{}, nil, []act{makes, writes, syncs, writes, acks(1)}, ""},
		{"never written", plan.Rates{}, nil, []act{makes, writes, syncs, acks(2)}, "never written"},
		{"of another log", plan.Rates{}, nil, []act{makes, writes, syncs, func(s *stage) {
			s.env.Send(1, env.Key{A: 3}, wire.Append(nil, &wire.Message{Kind: wire.Ack, Tenant: 3, Seq: 1}))
		}}, "never written"},
		{"durable, and then the power goes", torn, powerAt(3), []act{makes, writes, syncs, acks(1)}, ""},
		{"lost with the power", lost, powerAt(2), []act{makes, writes, acks(1)}, "bytes 64 to"},
		{"torn by the power", torn, powerAt(2), []act{makes, writes, acks(1)}, "which are torn"},
		{"cut by a recovery", plan.Rates{}, nil, []act{makes, writes, writes, syncs, hits(fault.RecoverySyncing, 1), acks(2)}, "never written"},
		{"kept by a recovery", plan.Rates{}, nil, []act{makes, writes, writes, syncs, hits(fault.RecoverySyncing, 2), acks(2)}, ""},
		{"covered by a snapshot", plan.Rates{}, nil, []act{makes, writes, syncs, names(1, true), removes(oneSegment), acks(1)}, ""},
		{"covered by a snapshot without a durable name", plan.Rates{}, nil, []act{makes, writes, names(1, false), acks(1)}, "bytes 64 to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := play(t, c.rates, c.disruptions, c.acts...)
			d := &s.run.DurableAck
			switch {
			case d.Count != 1:
				t.Errorf("%d acknowledgements were seen, want 1", d.Count)
			case c.early == "" && len(d.Early) > 0:
				t.Errorf("too early: %s", d.Early[0].Detail)
			case c.early != "" && (len(d.Early) != 1 || !strings.Contains(d.Early[0].Detail, c.early)):
				t.Errorf("noted %v, want one that is too early for %q", d.Early, c.early)
			}
		})
	}
}

// The part of a torn write that a power failure leaves is durable, and it is no copy of the record:
// also while the node is down, and until its recovery has cut it.
func TestATornRecordIsNoCopy(t *testing.T) {
	s := play(t, plan.Rates{chance.DiskTorn: chance.Million}, powerAt(2), makes, writes, func(*stage) {})
	w := s.o.writesOf(0, 2, 0)
	if p := &w.places[0]; !s.world.Disk(0).Durable(p.path, p.from, min(p.to, s.world.Disk(0).Size(p.path))) {
		t.Fatal("what was torn is not on the platter, so this shows nothing")
	}
	if !w.reborn || s.o.missing(0, w, 1) == "" || w.durable != 0 {
		t.Errorf("the torn record counts: durable up to %d", w.durable)
	}
}

// Nor is a record in a segment without its header: no recovery reads it.
func TestARecordBehindATornHeaderIsNoCopy(t *testing.T) {
	s := play(t, plan.Rates{}, powerAt(2), makes, writes, func(*stage) {})
	w := s.o.writesOf(0, 2, 0)
	s.world.Disk(0).Damage(oneSegment, 8, []byte{1})
	if missing := s.o.missing(0, w, 1); !strings.Contains(missing, "header") || w.durable != 0 {
		t.Errorf("%q is missing, durable up to %d", missing, w.durable)
	}
	s.world.Disk(0).Damage(oneSegment, 8, []byte{1}) // as it was
	if missing := s.o.missing(0, w, 1); missing != "" || w.durable != 1 {
		t.Errorf("%q is missing, durable up to %d", missing, w.durable)
	}
}

// A durable record on a lost disk was a copy, in the incarnation that the set names. A record that
// was not durable yet, or another record, was none.
func TestWhatWentWithItsDiskWasACopy(t *testing.T) {
	s := play(t, plan.Rates{}, nil, makes, writes, syncs, writes, func(*stage) {})
	w := s.o.writesOf(0, 2, 0)
	first, _ := w.chainAt(1)
	s.o.goes(w, 0)
	set := func(life env.Incarnation) *control.Shard {
		return &control.Shard{InSync: []control.Member{{Node: 0, Incarnation: life}}}
	}
	for _, c := range []struct {
		name string
		set  *control.Shard
		told utmost
		want bool
	}{
		{"durable when the disk was lost", set(0), utmost{1, first}, true},
		{"not durable yet", set(0), utmost{seq: 2}, false},
		{"another record", set(0), utmost{1, first + 1}, false},
		{"the set names another life", set(1), utmost{1, first}, false},
		{"no member", &control.Shard{}, utmost{1, first}, false},
	} {
		if got := s.o.wentWithItsDisk(c.set, 0, 2, 0, c.told); got != c.want {
			t.Errorf("%s: a copy is %v, want %v", c.name, got, c.want)
		}
	}
	if s.o.goes(w, 1); len(w.gone) != 0 {
		t.Errorf("%v was kept, which had been told before", w.gone)
	}
}

// A deed that endangers the log is noted when it is done.
func TestTheObserverSeesHazards(t *testing.T) {
	for _, c := range []struct {
		name string
		acts []act
		want observe.Deed // 0: none
	}{
		{"a claim that is right", []act{makes, writes, syncs, writesThat(1)}, 0},
		{"a claim of what is in the page cache", []act{makes, writes, writesThat(1)}, observe.ClaimedEarly},
		{"a claim of one too many", []act{makes, writes, syncs, writes, writesThat(2)}, observe.ClaimedEarly},
		{"a segment goes that is covered", []act{makes, writes, syncs, acks(1), names(1, true), removes(oneSegment)}, 0},
		{"a segment goes, and the snapshot's name may too", []act{makes, writes, syncs, acks(1), names(1, false), removes(oneSegment)}, observe.RemovedUncovered},
		{"a segment goes that nothing covers", []act{makes, writes, syncs, acks(1), removes(oneSegment)}, observe.RemovedUncovered},
		{"a segment goes with a record behind the snapshot", []act{makes, writes, syncs, names(1, true), writes, syncs, acks(2), removes(oneSegment)}, observe.RemovedUncovered},
		{"the only snapshot goes", []act{makes, writes, names(1, true), removes(oneDir + "/1.snap")}, observe.RemovedUncovered},
		{"an older snapshot goes", []act{makes, writes, names(1, true), writes, names(2, true), removes(oneDir + "/1.snap")}, 0},
		{"nothing durable goes", []act{makes, writes, removes(oneSegment)}, 0},
		{"a cut that cut nothing", []act{makes, writes, writes, syncs, hits(fault.LogCutting, 1), hits(fault.LogCut, 1)}, observe.CutLeft},
		{"a cut behind the end", []act{makes, writes, writes, syncs, hits(fault.LogCutting, 2), hits(fault.LogCut, 2)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := play(t, plan.Rates{}, nil, c.acts...).run.Openings.Hazards
			if c.want == 0 && len(got) > 0 || c.want != 0 && (len(got) != 1 || got[0].Deed != c.want) {
				t.Errorf("noted %+v, want deed %d", got, c.want)
			}
		})
	}
}

// The logs that a node finds are compared with the files, and with the records that became durable.
func TestTheObserverReadsWhatIsOpened(t *testing.T) {
	found := func(seq lineage.Seq) act {
		return func(s *stage) { hits(fault.RecoveryReading, 0)(s); hits(fault.RecoverySyncing, seq)(s) }
	}
	failing := []plan.Disruption{{Kind: plan.SyncFail, For: 100 * millisecond, Files: ".seg", When: plan.Anchor{At: 8 * millisecond}}}
	for _, c := range []struct {
		name        string
		disruptions []plan.Disruption
		rates       plan.Rates
		acts        []act
		want        observe.Opening // Outcome, End, Held, Kept, Durable, Manifest, Harm
	}{
		{"as it is", nil, plan.Rates{}, []act{makes, writes, writes, syncs, acks(2), found(2)}, observe.Opening{Outcome: observe.FoundEnd, End: 2, Held: 2, Kept: 2, Durable: 2}},
		{"one too few", nil, plan.Rates{}, []act{makes, writes, writes, syncs, acks(2), found(1)}, observe.Opening{Outcome: observe.FoundEnd, End: 1, Held: 2, Kept: 2, Durable: 2}},
		{"in the page cache", nil, plan.Rates{}, []act{makes, writes, found(1)}, observe.Opening{Outcome: observe.FoundEnd, End: 1, Held: 1, Kept: 1}},
		{"torn by the power", powerAt(4), plan.Rates{chance.DiskTorn: chance.Million}, []act{makes, writes, syncs, writes, found(1)}, observe.Opening{Outcome: observe.FoundEnd, End: 1, Held: 1, Kept: 1}},
		{"a record that continues nothing", nil, plan.Rates{}, []act{makes, writes, func(s *stage) { s.seq = 4; writes(s) }, found(1)}, observe.Opening{Outcome: observe.FoundEnd, End: 1, Held: 1, Kept: 1}},
		{"begun where records were", nil, plan.Rates{}, []act{makes, writes, syncs, acks(1), hits(fault.SlotCreating, 0)}, observe.Opening{Outcome: observe.BeganEmpty, Held: 1, Durable: 1}},
		{"after a failed sync", failing, plan.Rates{}, []act{makes, writes, syncs, found(1)}, observe.Opening{Outcome: observe.FoundEnd, End: 1, Held: 1, Kept: 1, Harm: observe.SyncFailed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := play(t, c.rates, c.disruptions, c.acts...).run.Openings.List
			if len(list) != 1 {
				t.Fatalf("noted %+v, want one opening", list)
			}
			got := list[0]
			got.Process, got.Tenant, got.At = observe.Process{}, 0, 0
			if got != c.want {
				t.Errorf("noted %+v\nwant  %+v", got, c.want)
			}
		})
	}
}
