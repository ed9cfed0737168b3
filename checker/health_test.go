package checker

import (
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// The world's slot as a replica group of three nodes in one region. Node 0 leads, node 1 is
// the coordinator and tells the health, and node 2 lacks a record.
var (
	leading   = observe.Process{Node: 0, Incarnation: 1}
	telling1  = observe.Process{Node: 1, Incarnation: 1}
	following = observe.Process{Node: 2, Incarnation: 1}
)

// led lets node 0 lead the slot, and write three records on two entities: one each 3 ms from
// 4 ms on, and acknowledged 1 ms later.
func (w *world) led() {
	h, r := &w.run.Health, &w.run.Residency
	w.epoch = 3
	r.Place("east")
	r.Place("east")
	r.Place("east")
	r.Allow(home, tenant.Residency{"east"})
	for node := range uint32(3) {
		k := h.Track(node, home, 0, 0)
		k.Persist(2, w.clock)
		if node == 0 {
			k.Lead(3, 2, w.clock)
			k.Serve(w.clock)
		}
	}
	h.AddReport(leading, 1, w.clock, w.clock).Free = 900
	h.LedBy(1)
	w.decided()
	for _, entity := range []uint64{5, 6, 6} {
		i := w.write(7, signal.Entity(entity))
		seq := w.apply(i)
		h.Track(0, home, 0, 0).Append(seq, w.clock)
		for node := range uint32(3) {
			if node < 2 || seq < 5 {
				h.Track(node, home, 0, 0).Persist(seq, w.clock)
			}
		}
		w.ack(i, seq)
	}
}

// decided notes the decisions of the control plane up to its entry 9.
func (w *world) decided() {
	for kind, numbers := range [][]uint64{
		observe.NodeObject: {1, 0}, observe.ShardObject: shardDecided, observe.TenantObject: tenantDecided,
	} {
		if numbers == nil {
			continue
		}
		id := uint64(0)
		if observe.ObjectKind(kind) == observe.TenantObject {
			id = uint64(home)
		}
		o := observe.AddObject(&w.run.Health.Decided, observe.ObjectKind(kind), id)
		o.Index, o.At, o.Numbers = 4, w.clock, append(o.Numbers, numbers...)
	}
	w.run.Health.Reached(9, w.clock)
}

var (
	shardDecided  = []uint64{3, 7, 0, 1, 0, 3, 0, 1, 1, 1, 2, 1, 0, 1, 2}
	tenantDecided = []uint64{1, 0, homeRate, homeBurst, 65533, 65533 * 101, 0, 0, homeRate, homeBurst, 65533, 65533 * 101}
)

// reports lets every node say how it is, 1 ms after the last record was acknowledged.
func (w *world) reports() {
	h := &w.run.Health
	w.tick()
	for n, by := range []observe.Process{leading, telling1, following} {
		r := h.AddReport(by, 2, w.clock, w.clock)
		r.Free = 1000
		*r.Copy(0) = observe.Copy{Shard: 0, Bytes: uint64(700 - 100*n)}
		h.Delivered(telling1, by, 2, w.clock+ms/2)
	}
}

// toldHealth lets node 1 tell the truth, 4 ms after it has asked for the reports that came 2 ms ago.
func (w *world) toldHealth() *observe.Telling {
	w.tick()
	w.tick()
	const age = 4
	t := w.run.Health.AddTelling()
	t.By, t.At, t.Member, t.Coordinator = telling1, w.clock, true, observe.Is(1)
	t.Index, t.Age, t.Watched = observe.Is(9), observe.Is(age), observe.Is(uint64(w.clock/ms))
	s := t.AddShard()
	s.Region, s.Configured, s.Epoch, s.Leader = "east", true, 3, leading
	s.InSync = append(s.InSync, leading, telling1, following)
	s.Age, s.Entities, s.Bytes = observe.Is(age), observe.Is(2), observe.Is(3*101)
	s.Signals, s.Window = observe.Is(3), observe.Is(uint64(w.clock/ms-4))
	for node := range uint32(3) {
		n := t.AddNode()
		n.ID, n.Region, n.Replicas, n.Leads = node, "east", observe.Is(1), observe.Is(0)
		n.Disk = observe.ToldDisk{Age: observe.Is(age), Used: observe.Is(uint64(700 - 100*node)), Free: observe.Is(1000)}
		n.Heard, n.Silent = w.clock-3*ms, observe.Is(3)
		p := observe.ToldReplica{Node: node, Age: observe.Is(age), Records: observe.Is(0), Lag: observe.Is(0), Heard: w.clock - 3*ms}
		p.Disk = observe.ToldDisk{Age: observe.Is(age), Used: observe.Is(uint64(700 - 100*node))}
		s.Replicas = append(s.Replicas, p)
	}
	t.Nodes[0].Leads, t.Nodes[1].Silent, t.Nodes[1].Heard = observe.Is(1), observe.Is(0), 0
	s.Replicas[2].Records, s.Replicas[2].Lag = observe.Is(1), observe.Is(2)
	n := t.AddTenant(1)
	n.ID, n.Compliance = home, observe.Complies
	n.Slots[0] = observe.ToldSlot{Age: observe.Is(age), Seq: observe.Is(5), Entities: observe.Is(2), Bytes: observe.Is(3 * 101), Refused: [3]observe.Figure{observe.Is(0), observe.Is(0), observe.Is(0)}}
	t.Regions = append(t.Regions, observe.ToldRegion{Name: "east", Status: observe.Healthy, Age: observe.Is(age), Nodes: 3, Heard: observe.Is(3), Lag: observe.Is(2)})
	for _, d := range w.run.Health.Decided {
		o := t.AddObject(d.Kind, d.ID, len(d.Numbers))
		o.Numbers = append(o.Numbers, d.Numbers...)
	}
	return t
}

// tells is a run with all of that, and with the report spoiled.
func tells(spoil func(w *world, t *observe.Telling)) func(*world) {
	return func(w *world) {
		w.led()
		w.reports()
		spoil(w, w.toldHealth())
	}
}

// slot0 is the slot that is told of.
func slot0(t *observe.Telling) *observe.ToldSlot { return &t.Tenants[0].Slots[0] }

// unsaid tells nothing of the slot, and a shard without it.
func unsaid(t *observe.Telling) {
	*slot0(t) = observe.ToldSlot{}
	t.Shards[0].Entities, t.Shards[0].Bytes = observe.Is(0), observe.Is(0)
}

func TestHealthIsTrue(t *testing.T) {
	ok := func(name string, spoil func(*world, *observe.Telling)) given {
		return given{name: name, verdict: Held, make: tells(spoil)}
	}
	judged(t, "health-truth", []given{
		{name: "nothing told", verdict: Undecided, why: "no node told anything of the health of the cluster", make: func(w *world) { w.led() }},
		{name: "too much told", verdict: Held, why: "3 tellings of nodes were not kept", make: func(w *world) {
			tells(func(*world, *observe.Telling) {})(w)
			w.run.Health.More = 3
		}},
		ok("all of it", func(*world, *observe.Telling) {}),
		ok("nothing known", func(_ *world, t *observe.Telling) {
			*t = observe.Telling{By: t.By, At: t.At, Nodes: []observe.ToldNode{{ID: 0, Region: "east"}}, Regions: []observe.ToldRegion{{Name: "east", Nodes: 1, Reasoned: true}}}
		}),
		ok("as it was at the beginning of its age", func(_ *world, t *observe.Telling) {
			s := slot0(t)
			s.Seq, s.Bytes, t.Shards[0].Bytes = observe.Is(4), observe.Is(2*101), observe.Is(2*101)
		}),
		ok("by a slow clock", func(w *world, t *observe.Telling) {
			w.run.SlowPPM = 500_000
			for i := range t.Nodes {
				t.Nodes[i].Disk.Age = observe.Is(1) // 2 ms
			}
			t.Nodes[0].Silent = observe.Is(2)
		}),
		ok("by a fast clock", func(w *world, t *observe.Telling) {
			w.run.DriftPPM = 500_000
			t.Nodes[0].Silent, t.Watched = observe.Is(5), observe.Is(21)
		}),
		ok("a slot whose tenant was dropped is in the sum of the shard", func(w *world, t *observe.Telling) {
			w.gone(9)
			t.Shards[0].Entities, t.Shards[0].Bytes = observe.Is(3), observe.Is(4*101)
		}),
		ok("so is one of which who tells has not been told", func(w *world, t *observe.Telling) {
			w.run.Health.Reached(10, t.At)
			t.Shards[0].Entities = observe.Is(3)
		}),
		ok("one of a tenant that is being dropped need not be", func(w *world, t *observe.Telling) {
			unsaid(t)
			w.run.Health.Decided[2].Numbers[isDropping], t.Objects[2].Numbers[isDropping] = 1, 1
		}),
		ok("nor one of which who tells has not been told all", func(w *world, t *observe.Telling) {
			unsaid(t)
			w.run.Health.Reached(10, t.At)
		}),
		ok("nor one that its leader sequences since then only", func(_ *world, t *observe.Telling) {
			unsaid(t)
			t.Shards[0].Age = observe.Is(13) // it began 12 ms ago
		}),
		ok("what is to be removed may count", func(w *world, t *observe.Telling) {
			w.run.Health.Reports[1].Copies[0].Waits = 50
			t.Nodes[0].Disk.Used, t.Shards[0].Replicas[0].Disk.Used = observe.Is(750), observe.Is(750)
		}),
		ok("what an entry behind the index decided", func(w *world, t *observe.Telling) {
			t.Objects[1].Numbers[1] = 6
			t.Index, w.run.Health.Decided[1].Index = observe.Is(8), 9
			w.run.Health.Applied[0].Index = 8
		}),
		ok("a replica that had all and lost it", func(w *world, t *observe.Telling) {
			w.run.Health.Track(2, home, 0, 0).Persist(0, 9*ms)
			t.Shards[0].Replicas[2].Records, t.Shards[0].Replicas[2].Lag = observe.Is(5), observe.Is(1)
			t.Regions[0].Lag = observe.Is(1)
		}),
		ok("a log that ends with its tenant need not count", func(w *world, t *observe.Telling) {
			w.gone(home)
			t.Tenants, t.Objects = nil, t.Objects[:2]
			t.Shards[0].Replicas[2].Records, t.Shards[0].Replicas[2].Lag, t.Regions[0].Lag = observe.Is(0), observe.Is(0), observe.Is(0)
		}),
		ok("what others may have told of before", func(w *world, t *observe.Telling) {
			w.run.Health.Tracks.All()[0].Leads[0].Served = 5 * ms
			t.Shards[0].Signals = observe.Is(3)
		}),
	})
}

// gone notes that a tenant was dropped.
func (w *world) gone(id tenant.ID) {
	o := observe.AddObject(&w.run.Health.Decided, observe.TenantObject, uint64(id))
	o.Index, o.At, o.Gone = 9, w.clock, true
}

func TestHealthIsNotTrue(t *testing.T) {
	for _, c := range []spoiled{
		{"entities", "wrong-use", func(_ *world, t *observe.Telling) {
			slot0(t).Entities, t.Shards[0].Entities = observe.Is(1), observe.Is(1)
		}},
		{"bytes", "wrong-use", func(_ *world, t *observe.Telling) {
			slot0(t).Bytes, t.Shards[0].Bytes = observe.Is(202), observe.Is(202)
		}},
		{"a change that was acknowledged before", "wrong-sum old-use", func(_ *world, t *observe.Telling) {
			s := slot0(t)
			s.Age, s.Seq, s.Bytes = observe.Is(2), observe.Is(4), observe.Is(2*101)
		}},
		{"a record that was appended later", "wrong-throughput early-use", func(w *world, t *observe.Telling) { w.log().Entries[4].At = t.At + 1 }},
		{"a record that never was", "early-use", func(_ *world, t *observe.Telling) { slot0(t).Seq = observe.Is(6) }},
		{"a slot that never was", "early-use", func(_ *world, t *observe.Telling) { slot0(t).Slot = 1 }},
		{"a sum", "wrong-sum", func(_ *world, t *observe.Telling) { t.Shards[0].Bytes = observe.Is(304) }},
		{"a sum without a slot", "wrong-sum", func(_ *world, t *observe.Telling) { unsaid(t) }},
		{"a sum of less, and a tenant was dropped", "wrong-sum", func(w *world, t *observe.Telling) { w.gone(9); t.Shards[0].Entities = observe.Is(1) }},
		{"refusals that never were", "wrong-refusals", func(_ *world, t *observe.Telling) { slot0(t).Refused[0] = observe.Is(1) }},
		{"refusals that were long ago", "wrong-refusals", func(w *world, t *observe.Telling) {
			k := w.run.Health.Track(0, home, 0, 0)
			k.Refuse(2, 9*ms)
			k.Refuse(2, 11*ms)
			slot0(t).Refused[1] = observe.Is(0)
		}},
		{"refusals of another epoch", "wrong-refusals", func(w *world, t *observe.Telling) {
			k := w.run.Health.Track(0, home, 0, 0)
			k.Refuse(3, 9*ms)
			k.Lead(4, 5, 10*ms)
			slot0(t).Refused[2] = observe.Is(0)
		}},
		{"refusals, and who leads is not known", "unheard", func(_ *world, t *observe.Telling) {
			slot0(t).Shard = 1
			t.Shards[0].Entities, t.Shards[0].Bytes = observe.Is(0), observe.Is(0)
		}},
		{"signals", "wrong-throughput", func(_ *world, t *observe.Telling) { t.Shards[0].Signals = observe.Is(2) }},
		{"a window", "wrong-throughput", func(_ *world, t *observe.Telling) { t.Shards[0].Window = observe.Is(9) }},
		{"a lag that is not", "wrong-lag", func(_ *world, t *observe.Telling) {
			t.Shards[0].Replicas[1].Records, t.Shards[0].Replicas[1].Lag = observe.Is(2), observe.Is(1)
		}},
		{"no lag", "wrong-lag", func(w *world, t *observe.Telling) {
			p := &t.Shards[0].Replicas[2]
			p.Age, p.Records, p.Lag, t.Regions[0].Lag = observe.Is(3), observe.Is(0), observe.Is(0), observe.Is(0)
		}},
		{"a lag that has been longer", "wrong-lag", func(_ *world, t *observe.Telling) {
			t.Shards[0].Replicas[2].Lag, t.Regions[0].Lag = observe.Is(7), observe.Is(7)
		}},
		{"a lag that has been shorter", "wrong-lag", func(_ *world, t *observe.Telling) {
			p := &t.Shards[0].Replicas[2]
			p.Age, p.Lag, t.Regions[0].Lag = observe.Is(2), observe.Is(1), observe.Is(1)
			p.Heard = t.At
		}},
		{"a lag of nothing", "wrong-lag", func(_ *world, t *observe.Telling) { t.Shards[0].Replicas[1].Lag = observe.Is(2) }},
		{"a lag of the leader", "wrong-lag", func(_ *world, t *observe.Telling) { t.Shards[0].Replicas[0].Records = observe.Is(1) }},
		{"a lag of who was not heard since", "unheard", func(_ *world, t *observe.Telling) { t.Shards[0].Replicas[1].Heard = 9 * ms }},
		{"a lag of who was never heard", "unheard", func(_ *world, t *observe.Telling) { t.Shards[0].Replicas[1].Heard = 0 }},
		{"a leader that a member has not confirmed since", "unconfirmed", func(w *world, t *observe.Telling) {
			s := &t.Shards[0]
			w.run.Configurations.Told(observe.Configuration{Shard: s.ID, Version: 1, InSync: s.InSync})
			s.Version, s.Newest, s.Replicas[1].Heard = 1, true, 9*ms
			s.Replicas[1].Age, s.Replicas[1].Records, s.Replicas[1].Lag = observe.Figure{}, observe.Figure{}, observe.Figure{}
			g := &t.Regions[0]
			g.Status, g.Reasoned = 0, true
		}},
		{"a shard of which nothing had come", "unheard", func(w *world, t *observe.Telling) {
			w.run.Health.Deliveries[0].At = t.At + 1
			t.Nodes[0].Disk, t.Shards[0].Replicas[0].Disk = observe.ToldDisk{}, observe.ToldDisk{}
			t.Shards[0].Signals = observe.Figure{}
		}},
		{"a shard of which an earlier life told", "unheard", func(w *world, t *observe.Telling) {
			w.run.Health.Reports[1].By.Incarnation = 2
			t.Shards[0].Signals = observe.Figure{}
		}},
		{"bytes that are free", "wrong-disk", func(_ *world, t *observe.Telling) { t.Nodes[2].Disk.Free = observe.Is(1001) }},
		{"bytes of a node", "wrong-disk", func(_ *world, t *observe.Telling) { t.Nodes[2].Disk.Used = observe.Is(501) }},
		{"bytes of a replica", "wrong-disk", func(_ *world, t *observe.Telling) { t.Shards[0].Replicas[2].Disk.Used = observe.Is(499) }},
		{"bytes of a node that had not told", "unheard", func(w *world, t *observe.Telling) {
			w.run.Health.Deliveries = w.run.Health.Deliveries[:2]
			t.Shards[0].Replicas[2].Disk = observe.ToldDisk{}
		}},
		{"a control state that was older", "old-index", func(w *world, t *observe.Telling) { t.Index = observe.Is(8) }},
		{"an object", "wrong-object", func(_ *world, t *observe.Telling) { t.Objects[0].Numbers[0] = 2 }},
		{"a shard's version", "wrong-object", func(_ *world, t *observe.Telling) { t.Objects[1].Numbers[1] = 6 }},
		{"a shard's replicas", "wrong-object", func(_ *world, t *observe.Telling) { t.Objects[1].Numbers = t.Objects[1].Numbers[:14] }},
		{"a tenant's cap", "wrong-object", func(_ *world, t *observe.Telling) { t.Objects[2].Numbers[4] = 1 }},
		{"a slot's share", "wrong-object", func(_ *world, t *observe.Telling) { t.Objects[2].Numbers[8] = 1 }},
		{"a tenant that is not told of", "wrong-object", func(_ *world, t *observe.Telling) { t.Objects = t.Objects[:2] }},
		{"a tenant that was dropped", "wrong-object", func(w *world, t *observe.Telling) { w.gone(home) }},
		{"what a node is to hold", "wrong-object", func(_ *world, t *observe.Telling) { t.Nodes[2].Replicas = observe.Is(2) }},
		{"what a node leads", "wrong-object", func(_ *world, t *observe.Telling) { t.Nodes[2].Leads = observe.Is(1) }},
		{"a node that is drained", "wrong-object", func(_ *world, t *observe.Telling) { t.Nodes[2].Draining, t.Nodes[2].Idle = true, true }},
		{"a silence that was shorter", "wrong-silence", func(_ *world, t *observe.Telling) { t.Nodes[0].Silent = observe.Is(4) }},
		{"a silence that was longer", "wrong-silence", func(_ *world, t *observe.Telling) { t.Nodes[0].Silent = observe.Is(2) }},
		{"a silence of its own", "wrong-silence", func(_ *world, t *observe.Telling) { t.Nodes[1].Silent = observe.Is(1) }},
		{"a silence of who was never heard", "unheard", func(_ *world, t *observe.Telling) { t.Nodes[0].Heard = 0 }},
		{"a silence of who was heard", "wrong-silence", func(_ *world, t *observe.Telling) {
			t.Nodes[0].Silent, t.Regions[0] = observe.Figure{}, observe.ToldRegion{Name: "east", Reasoned: true, Nodes: 3, Heard: observe.Is(2), Lag: observe.Is(2)}
		}},
		{"how long it watches", "wrong-watch", func(_ *world, t *observe.Telling) { t.Watched = observe.Is(15) }},
		{"a region that is well", "wrong-region", func(_ *world, t *observe.Telling) {
			t.Shards[0].Replicas[1].Age, t.Shards[0].Replicas[1].Lag, t.Shards[0].Replicas[1].Records = observe.Figure{}, observe.Figure{}, observe.Figure{}
		}},
		{"a region that is not", "wrong-region", func(_ *world, t *observe.Telling) {
			t.Regions[0].Status, t.Regions[0].Reasoned = observe.Degraded, true
		}},
		{"a region without a reason", "wrong-region", func(_ *world, t *observe.Telling) { t.Regions[0].Reasoned = true }},
		{"nodes of a region", "wrong-region", func(_ *world, t *observe.Telling) { t.Regions[0].Nodes = 2 }},
		{"nodes of a region that were heard", "wrong-region", func(_ *world, t *observe.Telling) { t.Regions[0].Heard = observe.Is(2) }},
		{"the lag of a region", "wrong-region", func(_ *world, t *observe.Telling) { t.Regions[0].Lag = observe.Is(1) }},
		{"a region of which nothing is told", "wrong-region", func(_ *world, t *observe.Telling) { t.Regions = nil; t.Nodes = t.Nodes[:1] }},
		{"a tenant that is where it may not be", "wrong-compliance", func(w *world, t *observe.Telling) { w.run.Residency.Allow(home, tenant.Residency{"west"}) }},
		{"a tenant that is where it may be", "wrong-compliance", func(_ *world, t *observe.Telling) { t.Tenants[0].Compliance = observe.Strays }},
		{"a coordinator that never was", "wrong-leader", func(_ *world, t *observe.Telling) { t.Coordinator = observe.Is(2) }},
		{"no age", "no-age", func(_ *world, t *observe.Telling) {
			s := slot0(t)
			s.Age, s.Refused = observe.Figure{}, [3]observe.Figure{}
			t.Shards[0].Entities = observe.Figure{}
		}},
	} {
		w := newWorld()
		tells(c.spoil)(w)
		t.Run(c.name, func(t *testing.T) {
			check, _ := Lookup("health-truth")
			report := check.Judge(&w.run, Options{})
			var rules []string
			for _, f := range report.Findings {
				if !slices.Contains(rules, f.Rule) {
					rules = append(rules, f.Rule)
				}
			}
			if got := strings.Join(rules, " "); report.Verdict != Violated || got != c.rules {
				t.Errorf("%s, %q, want it violated by %q: %v", report.Verdict, got, c.rules, report.Findings)
			}
		})
	}
}

// spoiled is a telling in which something is wrong, and the rules that say so, in the order
// in which they do.
type spoiled struct {
	name, rules string
	spoil       func(*world, *observe.Telling)
}

func TestHealthOfRegions(t *testing.T) {
	known, silent := observe.Is(0), observe.Is(30_001)
	lag := func(ms, age uint64) observe.ToldReplica {
		return observe.ToldReplica{Node: 9, Age: observe.Is(age), Lag: observe.Is(ms)}
	}
	for _, c := range []struct {
		name    string
		silent  []observe.Figure
		watched observe.Figure
		lags    []observe.ToldReplica
		want    observe.Status
		heard   uint64
	}{
		{"no nodes", nil, known, nil, 0, 0},
		{"well", []observe.Figure{known, observe.Is(30_000)}, known, []observe.ToldReplica{lag(5000, 5000)}, observe.Healthy, 2},
		{"one is silent", []observe.Figure{known, silent}, known, nil, observe.Degraded, 1},
		{"all are silent", []observe.Figure{silent, silent}, known, []observe.ToldReplica{lag(9000, 1)}, observe.Offline, 0},
		{"one was never heard", []observe.Figure{known, {}}, observe.Is(30_000), nil, 0, 1},
		{"one was never heard, for long", []observe.Figure{known, {}}, silent, nil, observe.Degraded, 1},
		{"one lags", []observe.Figure{known}, known, []observe.ToldReplica{lag(5001, 0)}, observe.Degraded, 1},
		{"one lagged long ago", []observe.Figure{known}, known, []observe.ToldReplica{lag(9000, 5001)}, 0, 1},
		{"a lag is not known", []observe.Figure{known}, known, []observe.ToldReplica{{}}, 0, 1},
		{"one lags, and another lag is not known", []observe.Figure{known}, known, []observe.ToldReplica{{}, lag(5001, 0)}, observe.Degraded, 1},
	} {
		var s survey
		for _, f := range c.silent {
			s.node(f, c.watched)
		}
		for i := range c.lags {
			s.replica(&c.lags[i])
		}
		if s.status() != c.want || s.heard != c.heard {
			t.Errorf("%s: %s, %d heard; want %s, %d", c.name, s.status(), s.heard, c.want, c.heard)
		}
	}
}
