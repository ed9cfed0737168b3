package core

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// reports collects what nodes tell the coordinator from here on.
type reports struct {
	from  []env.ID
	sizes []int
	told  []peer.Figures
}

func (f *fleet) collect() *reports {
	r := new(reports)
	f.lost = func(l *letter) bool {
		if l.kind() != peer.KindReport {
			return false
		}
		m, err := new(peer.Inbox).Decode(l.payload)
		if err != nil {
			f.Errorf("node %d tells %d bytes: %v", l.from, len(l.payload), err)
			return false
		}
		figures := m.(*peer.Report).Figures
		r.from, r.sizes, r.told = append(r.from, l.from), append(r.sizes, len(figures.Append(nil))), append(r.told, figures)
		return false
	}
	return r
}

// However much there is to tell, each part of it can be sent: what a node has of all shards,
// all slots that it leads, in few shards or in many, with the replicas of each. Nothing is
// lost or told twice.
func TestWhateverThereIsToTellCanBeSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := rapid.SampledFrom([]int{0, 1, control.MaxShards}).Draw(t, "copies")
		f := &peer.Figures{Own: true, Copies: make([]peer.CopyFigures, copies)}
		shards, told := rapid.SampledFrom([]int{1, 3, control.MaxShards}).Draw(t, "shards"), copies/4
		others := rapid.IntRange(0, control.MaxReplicas-1).Draw(t, "others")
		most := rapid.SampledFrom([]int{1, 5, 2 * maxFigures / shards, 9000 / shards}).Draw(t, "slots of a shard, at most")
		var want, got []peer.SlotFigures
		led := map[lineage.Shard]bool{}
		send := func() {
			if size := len(f.Append(nil)); size > peer.MaxTail {
				t.Fatalf("%d copies and %d shards make a report of %d bytes, want at most %d", len(f.Copies), len(f.Led), size, peer.MaxTail)
			}
			for i := range f.Led {
				led[f.Led[i].Shard] = true
				got = append(got, f.Led[i].Slots...)
			}
			f, told = new(peer.Figures), 0
		}
		for id := range lineage.Shard(shards) {
			s := peer.ShardFigures{Shard: id, Others: make([]peer.OtherFigures, others)}
			for slot := range lineage.Slot(rapid.IntRange(0, most).Draw(t, "slots")) {
				s.Slots = append(s.Slots, peer.SlotFigures{Tenant: tenant.ID(id), Slot: slot})
			}
			want = append(want, s.Slots...)
			for all := false; !all; {
				if s.Slots, told, all = pack(f, told, s); !all {
					send()
				}
			}
		}
		send()
		if !slices.Equal(want, got) || len(led) != shards {
			t.Fatalf("%d slots of %d shards are told, want %d of %d", len(got), len(led), len(want), shards)
		}
	})
}

// What has changed of the largest tenant, and of the largest shard, can be told, be there as
// much before it in the message as there may be.
func TestWhateverHasChangedCanBeTold(t *testing.T) {
	largest := control.Tenant{Config: tenant.Config{ID: 1}, Shards: make([]lineage.Shard, control.MaxSlots), Slots: make([]control.Slot, control.MaxSlots), Index: 9}
	for range 100 {
		largest.Config.Residency = append(largest.Config.Residency, "a-region-with-a-name-of-32-bytes")
	}
	shard := control.Shard{ID: 1, Region: "eu", Replicas: make([]env.ID, control.MaxReplicas), Since: make([]uint64, control.MaxReplicas), Excluded: make([]control.Exclusion, control.MaxExclusions), Index: 9}
	for _, change := range []control.Change{{Index: 9, Tenant: &largest}, {Index: 9, Shard: &shard}} {
		b, _ := control.AppendChanges(nil, 0, 9, []control.Change{change}, 0)
		if len(b)+maxChanges > peer.MaxTail {
			t.Errorf("it takes %d bytes, want at most %d", len(b), peer.MaxTail-maxChanges)
		}
	}
}

// known returns what the coordinator knows of a shard and a slot.
func (f *fleet) known(shard lineage.Shard, id tenant.ID, slot lineage.Slot) (shardKnown, slotKnown) {
	f.Helper()
	k := &f.coordinator().node.knowledge
	s, x := k.shards[shard], k.slots[slotKey{id, slot}]
	if s == nil || x == nil {
		f.Fatalf("the coordinator knows nothing of shard %d, or of tenant %s slot %d", shard, id, slot)
	}
	return *s, *x
}

// The coordinator knows what leaders say of their shards: what is in them, what was refused,
// what was committed since they said it last, and how far the others are.
func TestWhatTheCoordinatorIsTold(t *testing.T) {
	f := newFleet(t)
	leader := f.leader(1)
	session := f.open(leader, 8, 0)
	for request := range uint64(12) { // 10 entities are granted
		f.put(leader, 8, 0, session, request+1)
	}
	f.advance(2 * pollEvery)
	s, x := f.known(1, 8, 0)
	if s.by != leader.node.self || s.figures.Epoch != 1 || !s.figures.Whole || s.figures.Entities != 10 || s.figures.Signals != 0 || s.figures.Window <= 0 {
		t.Errorf("of the shard it knows %+v", s)
	}
	if x.figures.Entities != 10 || x.figures.Refused != [3]uint64{0, 2, 0} || x.figures.Granted != 1 || x.figures.Seq != leader.slot(8, 0).State().Position.Seq {
		t.Errorf("of the slot it knows %+v", x)
	}
	for _, o := range s.figures.Others {
		if !o.Heard || o.Records != 0 {
			t.Errorf("of another replica it knows %+v", o)
		}
	}
	if now := f.now; s.asked > now || now.Sub(s.asked) > 2*pollEvery || s.since > s.asked {
		t.Errorf("it was asked at %d and was so since %d, now is %d", s.asked, s.since, now)
	}
}

// A report of a question that was not asked here, or of long ago, tells nothing; nor does
// one that is late change what was asked for later, or what a later leader said.
func TestLateReportsChangeNothing(t *testing.T) {
	f := newFleet(t)
	f.advance(70 * pollEvery) // more than are remembered
	n := f.coordinator().node
	round := n.polls.round
	figures := func(epoch lineage.ShardEpoch, entities uint64) *peer.Figures {
		return &peer.Figures{Own: true, Free: entities, Led: []peer.ShardFigures{{Shard: 3, Epoch: epoch, Entities: entities, Whole: true}}}
	}
	node := n.sightingOf(4)
	for _, c := range []struct {
		round    peer.PollNumber
		epoch    lineage.ShardEpoch
		entities uint64
		want     uint64 // known afterwards of the shard
		free     uint64 // of the node
	}{
		{round, 1, 11, 11, 11},
		{round - 1, 1, 12, 11, 11},            // asked for before
		{round, 1, 13, 13, 13},                // the same question
		{round + 1, 1, 14, 13, 13},            // nobody has asked that
		{round - 64, 1, 15, 13, 13},           // long ago
		{round + 1<<32, 1, 16, 13, 13},        // of another life
		{round - 1, 2, 17, 17, 13},            // a later leader counts, whenever it was asked
		{round, 1, 18, 17, 18},                // and one before it does not
		{(round>>32 - 1) << 32, 2, 9, 17, 18}, // of an earlier life
	} {
		n.reported(4, 1, c.round, figures(c.epoch, c.entities))
		if got := n.knowledge.shards[3].figures.Entities; got != c.want || n.knowledge.nodes[node].free != c.free {
			t.Errorf("%d entities in epoch %d for question %x of %x: %d are known, of %d free; want %d and %d",
				c.entities, c.epoch, c.round, round, got, n.knowledge.nodes[node].free, c.want, c.free)
		}
	}
	other := f.berths[3].node
	other.reported(4, 1, round, figures(1, 5))
	if other.knowledge.nodes != nil {
		t.Error("who does not lead the meta log keeps a report")
	}
}

// A slot that is in want of more says so without being asked, once, and gets what another
// one can do without.
func TestASlotInWantAsksAhead(t *testing.T) {
	f := newFleet(t)
	leader := f.leader(1)
	session := f.open(leader, 7, 0)
	f.advance(pollEvery)
	got := f.collect()
	from := f.now
	for request := range uint64(12) { // of 10 that it is granted
		f.put(leader, 7, 0, session, request+1)
	}
	f.advance(2 * tickEvery)
	ahead := 0
	for i := range got.told {
		if !got.told[i].Own && got.from[i] == leader.id {
			ahead++
		}
	}
	if leader != f.coordinator() && ahead == 0 {
		t.Errorf("nothing is told ahead: %v", got.from)
	}
	request := uint64(12)
	if !f.until(func() bool {
		request++
		m := f.put(leader, 7, 0, session, request)
		return m != nil && m.Kind == wire.Ack
	}) {
		t.Errorf("it gets nothing: %+v", f.plane().Tenant(7))
	}
	if took := f.now.Sub(from); took > pollEvery {
		t.Errorf("it took %d ns, want less than until the next question", took)
	}
	if x := f.plane().Tenant(7); x.Slots[0].Grant[quota.LiveEntities] <= 10 || x.Granted()[quota.LiveEntities] > 20 {
		t.Errorf("granted is %+v", x.Slots)
	}
}

// A clock that steps back makes no figure that nobody can read.
func TestAClockThatStepsBackMakesNoBadReport(t *testing.T) {
	f := newFleet(t)
	f.advance(2 * pollEvery)
	got := f.collect()
	f.now = f.now.Add(-100 * env.Millisecond)
	for _, b := range f.berths {
		b.node.tell(0, 5)
	}
	f.run()
	if len(got.told) == 0 {
		t.Error("nobody tells anything")
	}
}
