package group_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/wire"
)

// other returns a node's figures about another node.
func (n *node) other(id env.ID) peer.OtherFigures {
	n.Helper()
	for _, o := range n.group.Others(n, nil) {
		if o.Node == id {
			return o
		}
	}
	n.Fatalf("node %d tells nothing of node %d\n%v", n.id, id, n.world)
	return peer.OtherFigures{}
}

const ms = env.Millisecond

// A leader reports how far another replica is behind, since when, and the maximum age of that
// figure. It reports unknown figures as unknown.
func TestWhatALeaderTellsOfAnother(t *testing.T) {
	unheard := peer.OtherFigures{Node: 2}
	for name, c := range map[string]struct {
		story func(w *world)
		want  peer.OtherFigures
	}{
		"it has everything, and has just confirmed": {func(w *world) {
			w.tick(group.DefaultPatience.Silence / 6)
		}, peer.OtherFigures{Node: 2, Heard: true}},
		"it has everything, and confirmed some time ago": {func(w *world) {
			w.tick(group.DefaultPatience.Silence / 6)
			w.held = with(2)
			w.tick(7 * ms)
		}, peer.OtherFigures{Node: 2, Heard: true, Quiet: 7 * ms}},
		"it lacks records, and did at the last round": {func(w *world) {
			w.tick(group.DefaultPatience.Silence / 6)
			w.nodes[0].mustWrite(0, 7) // acknowledged since that round, in each log
			w.nodes[0].mustWrite(1, 1)
			w.run()
			w.held = of(peer.KindAppended, 2)
			w.tick(3 * ms)
			w.nodes[0].mustWrite(0, 8, 9)
			w.nodes[0].mustWrite(1, 2)
			w.tick(4 * ms)
		}, peer.OtherFigures{Node: 2, Heard: true, Quiet: 7 * ms, Records: 3, Lag: 4 * ms}},
		"it lacks records, and has confirmed since": {func(w *world) {
			w.tick(group.DefaultPatience.Silence / 6)
			w.nodes[0].mustWrite(1, 1)
			w.run()
			w.held = of(peer.KindAppended, 2)
			w.nodes[0].mustWrite(1, 2)
			w.tick(group.DefaultPatience.Silence / 6) // it may have the record by now, and had none then
		}, peer.OtherFigures{Node: 2, Heard: true, Quiet: group.DefaultPatience.Silence / 6, Records: 1, Lag: group.DefaultPatience.Silence / 6}},
		"it has got what it lacked": {func(w *world) {
			w.held = of(peer.KindAppended, 2)
			w.nodes[0].mustWrite(1, 1)
			w.tick(group.DefaultPatience.Silence / 6)
			w.held = nil
			w.run()
		}, peer.OtherFigures{Node: 2, Heard: true}},
		"a round that it confirmed has been forgotten": {func(w *world) {
			w.tick(group.DefaultPatience.Silence / 6)
			w.held = with(2)
			w.without(2)
			for range 70 {
				w.tick(group.DefaultPatience.Silence / 6)
			}
		}, unheard},
		"a log of it is excluded": {func(w *world) {
			w.must(control.Command{Kind: control.Exclude, Member: w.nodes[2].self(), Tenant: owner, Slot: 0})
			w.run()
			w.tick(group.DefaultPatience.Silence / 6)
		}, unheard},
		"it confirms, and has said nothing of its log for long": {func(w *world) {
			w.held = of(peer.KindAppended, 2)
			w.nodes[0].mustWrite(0, 1)
			for range 70 {
				w.tick(group.DefaultPatience.Silence / 6)
			}
		}, unheard},
		"it lacks a record, and says so again and again": {func(w *world) {
			w.tick(group.DefaultPatience.Silence / 6)
			w.nodes[2].stuck = true
			w.nodes[0].mustWrite(0, 1)
			for range 5 {
				w.tick(group.DefaultPatience.Silence / 6)
			}
			w.tick(6 * ms)
		}, peer.OtherFigures{Node: 2, Heard: true, Quiet: 6 * ms, Records: 1, Lag: 5*(group.DefaultPatience.Silence/6) + 6*ms}},
		"a log of it was excluded before the leader began": {func(w *world) {
			w.must(control.Command{Kind: control.Exclude, Member: w.nodes[2].self(), Tenant: owner, Slot: 0})
			w.elect(1)
			w.run()
			w.elect(0)
			w.run()
			w.tick(group.DefaultPatience.Silence / 6)
		}, unheard},
		"it heard of many rounds of an earlier epoch": {func(w *world) {
			for range 100 {
				w.tick(group.DefaultPatience.Silence / 6)
			}
			w.elect(1)
			w.run()
			w.elect(0)
			w.run()
			w.tick(group.DefaultPatience.Silence / 6)
			w.nodes[0].mustWrite(0, 1)
			w.run()
			w.held = of(peer.KindAppended, 2)
			w.nodes[0].mustWrite(0, 2)
			w.tick(6 * ms)
		}, peer.OtherFigures{Node: 2, Heard: true, Quiet: 6 * ms, Records: 1, Lag: 6 * ms}},
		"it has restarted": {func(w *world) {
			w.tick(group.DefaultPatience.Silence / 6)
			w.restart(2)
			w.held = of(peer.KindConfirmed, 2)
			w.nodes[0].mustWrite(0, 1) // so that its new life says something
			w.tick(group.DefaultPatience.Silence / 6)
		}, unheard},
		"it has restarted, and nobody knows": {func(w *world) {
			w.tick(group.DefaultPatience.Silence / 6)
			w.held = with(2)
			w.restart(2)
			w.tick(6 * ms)
		}, peer.OtherFigures{Node: 2, Heard: true, Quiet: 6 * ms}},
		"a log of the leader's has stopped, and it has as much of it": {func(w *world) {
			w.fail(0, 0)
			w.tick(group.DefaultPatience.Silence / 6)
		}, peer.OtherFigures{Node: 2, Heard: true}},
		"a log of the leader's has ended": {func(w *world) {
			w.end(0)
			w.nodes[0].deaf = true
			w.elect(1)
			w.run()
			w.elect(0)
			w.nodes[0].deaf = false
			w.run()
			w.tick(group.DefaultPatience.Silence / 6)
		}, peer.OtherFigures{Node: 2, Heard: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := serving(t)
			c.story(w)
			if got := w.nodes[0].other(2); got != c.want {
				t.Errorf("%+v is told, want %+v\n%v", got, c.want, w)
			}
		})
	}
}

// A new leader has no figures about a replica until the replica has confirmed a round.
func TestALeaderThatBeginsKnowsNobody(t *testing.T) {
	w := serving(t)
	w.settle()
	w.held = of(peer.KindConfirmed, 2)
	w.elect(1)
	w.run()
	w.elect(0)
	w.settle()
	if got := w.nodes[0].other(2); got != (peer.OtherFigures{Node: 2}) {
		t.Errorf("node 2 has not confirmed in this epoch, and %+v is told", got)
	}
	w.held = nil
	w.settle()
	if got := w.nodes[0].other(2); !got.Heard || got.Records > 0 {
		t.Errorf("%+v is told", got)
	}
}

// A leader is certain to be the only one as of the beginning of the last round that all members
// confirmed. No other node ever is.
func TestWhoIsTheOnlyLeader(t *testing.T) {
	w := serving(t)
	w.tick(group.DefaultPatience.Silence / 6)
	want := func(when string, n *node, age env.Duration, sure bool) {
		t.Helper()
		if got, ok := n.group.Sole(n); ok != sure || ok && got != age {
			t.Errorf("%s node %d is certain as of %d ns ago, %t; want %d, %t", when, n.id, got, ok, age, sure)
		}
	}
	want("confirmed", w.nodes[0], 0, true)
	want("confirmed", w.nodes[1], 0, false)
	w.held = of(peer.KindConfirmed, 2)
	w.tick(group.DefaultPatience.Silence / 6)
	w.now, w.held = w.now.Add(8*ms), nil
	w.run()
	want("confirmed late", w.nodes[0], 8*ms, true) // it was so when the round began
	w.tick(group.DefaultPatience.Silence / 6)
	w.held = of(peer.KindConfirmed, 2)
	w.tick(group.DefaultPatience.Silence / 6)
	w.tick(5 * ms)
	want("one member is silent", w.nodes[0], group.DefaultPatience.Silence/6+5*ms, true)
	w.nodes[0].deaf = true
	w.elect(1)
	w.run()
	want("another one leads", w.nodes[0], 0, false)
	want("not confirmed", w.nodes[1], 0, false)
	w.held, w.nodes[0].deaf = nil, false
	w.run()
	w.tick(group.DefaultPatience.Silence / 6)
	want("confirmed", w.nodes[1], 0, true)
}

// witness remembers the records of replicas, and when records were appended.
type witness struct {
	*world
	t        *rapid.T
	seen     []sight
	appended [slots][]env.Time // by seq, less that of the first one
	first    [slots]lineage.Seq
	asked    uint64
	told     int // figures that say that something is lacking
}

// sight is the state of replicas at an instant: the durable records that equal the leader's.
type sight struct {
	at  env.Time
	has [3][slots]lineage.Seq
}

func (w *witness) look() {
	s := sight{at: w.now}
	for id, n := range w.nodes {
		for slot := range slots {
			s.has[id][slot] = n.logs[slot].Matched().Seq
		}
	}
	w.seen = append(w.seen, s)
	for slot := range slots {
		for end := w.nodes[0].logs[slot].End().Seq; w.first[slot]+lineage.Seq(len(w.appended[slot])) <= end; {
			w.appended[slot] = append(w.appended[slot], w.now)
		}
	}
}

// had returns the records of a replica at an instant, before anything happened in it.
func (w *witness) had(id env.ID, slot int, at env.Time) lineage.Seq {
	had := w.seen[0].has[id][slot]
	for _, s := range w.seen {
		if s.at >= at {
			break
		}
		had = s.has[id][slot]
	}
	return had
}

// lag returns how many records a replica lacks that had so much of each log, and for how
// long the oldest has been there.
func (w *witness) lag(had func(slot int) lineage.Seq) (records uint64, age env.Duration) {
	for slot := range slots {
		has, end := had(slot), w.nodes[0].logs[slot].End().Seq
		if has >= end {
			continue
		}
		records += uint64(end - has)
		age = max(age, w.now.Sub(w.appended[slot][has+1-w.first[slot]]))
	}
	return records, age
}

// judge compares the figures about another replica with the truth. The reported lag is no less than
// the present one, and no more than the lag at the instant that the figure's age names.
func (w *witness) judge(o peer.OtherFigures) {
	if !o.Heard {
		return
	}
	least, since := w.lag(func(slot int) lineage.Seq { return w.nodes[o.Node].logs[slot].Matched().Seq })
	most, before := w.lag(func(slot int) lineage.Seq { return w.had(o.Node, slot, w.now.Add(-o.Quiet)) })
	// An instant of an append is at most an eighth of the time since too early, or 1 ms.
	before += max(before/7, ms)
	if o.Records < least || o.Records > most || o.Lag < since || o.Lag > before && o.Lag > 0 {
		w.t.Fatalf("told is %+v; it lacks %d records, the oldest for %d ns, and then lacked %d, for at most %d ns\n%v", o, least, since, most, before, w.world)
	}
	if o.Records > 0 {
		w.told++
	}
}

func (w *witness) happen() {
	n := w.nodes[rapid.IntRange(0, 2).Draw(w.t, "node")]
	switch what := rapid.IntRange(0, 99).Draw(w.t, "what"); {
	case what < 40 && len(w.messages) > 0:
		w.fate(w.t, 10)
	case what < 65 && len(n.queue) > 0:
		n.complete()
	case what < 75:
		w.asked++
		w.nodes[0].write(int(w.asked)%slots, w.asked/slots+1)
	case what < 78:
		n.propose()
	case what < 82:
		n.group.Configure(n, w.config())
	default:
		w.now = w.now.Add(rapid.SampledFrom([]env.Duration{ms, 7 * ms, 20 * ms, 60 * ms, 300 * ms}).Draw(w.t, "time"))
		for _, n := range w.nodes {
			n.group.Tick(n)
		}
	}
	w.look()
}

// With delayed and lost messages, a leader's figures about another replica were true at some
// instant within the age that it states, and the lag is never larger than reported.
func TestFiguresAreSoWithinTheirAge(t *testing.T) {
	told := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := &witness{world: serving(t), t: rt}
		for slot := range slots {
			w.first[slot] = w.nodes[0].logs[slot].End().Seq + 1
		}
		w.look()
		for range rapid.IntRange(50, 400).Draw(rt, "events") {
			w.happen()
			for _, o := range w.nodes[0].group.Others(w.nodes[0], nil) {
				w.judge(o)
			}
		}
		told += w.told
	})
	if told < 1000 {
		t.Errorf("%d figures said that something is lacking, want more", told)
	}
}

// A read that a round confirms is as good as the figures of that round; a leader that
// answers none knows no more either.
func TestARoundForReadsMakesFiguresYoung(t *testing.T) {
	w := serving(t)
	w.tick(group.DefaultPatience.Silence / 6)
	w.now = w.now.Add(9 * ms)
	if got := w.nodes[0].other(2); got.Quiet != 9*ms {
		t.Fatalf("%+v is told", got)
	}
	w.nodes[0].mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.run()
	if got := w.nodes[0].other(2); got.Quiet != 0 || !got.Heard {
		t.Errorf("it has just confirmed for a read, and %+v is told", got)
	}
}
