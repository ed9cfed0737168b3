package core

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// What operators want.

func createOf(id tenant.ID, limits tenant.Limits, shards ...lineage.Shard) control.Command {
	return control.Command{Kind: control.CreateTenant, Config: tenant.Config{ID: id, Version: 1, Limits: limits}, Shards: shards}
}

func configureOf(id tenant.ID, base uint64, limits tenant.Limits) control.Command {
	return control.Command{Kind: control.Configure, Base: base, Config: tenant.Config{ID: id, Version: base + 1, Limits: limits}}
}

func dropOf(id tenant.ID, base uint64) control.Command {
	return control.Command{Kind: control.DropTenant, Tenant: id, Base: base}
}

// few are limits that are easily reached.
var few = tenant.Limits{Rate: 1000, Burst: 100, Entities: 10, Bytes: 10_000}

// has lists which slots of a tenant are open, by node: "0:0 1:0".
func (f *fleet) has(id tenant.ID) (open []string) {
	for _, b := range f.berths {
		for slot := range lineage.Slot(4) {
			if r := b.slot(id, slot); r != nil && !r.Dropped() {
				open = append(open, fmt.Sprintf("%d:%d", b.id, slot))
			}
		}
	}
	return open
}

// Who is told of a tenant opens each slot whose shard he holds, with what it is granted; in
// every log that is in force before the operator is told that the tenant is there.
func TestWhoIsToldOfATenantOpensItsSlots(t *testing.T) {
	f := newFleet(t)
	f.must(createOf(9, few, 1, 3))
	if diff := cmp.Diff([]string{"0:0", "1:0", "2:0", "4:1"}, f.has(9)); diff != "" {
		t.Errorf("slots by node (-want +got):\n%s", diff)
	}
	granted := f.plane().Tenant(9).Slots[0].Granted
	half := record.Limits{Version: granted, Rate: 500, Burst: 50, Entities: 5, Bytes: 5000}
	for slot, leader := range []*berth{f.leader(1), f.leader(3)} {
		r := leader.slot(9, lineage.Slot(slot))
		if r.Phase() != replica.Serving || r.State().Limits != half {
			t.Errorf("slot %d is %s with %+v, want %+v", slot, r.Phase(), r.State().Limits, half)
		}
	}
	f.settle()
	if got := f.berths[2].slot(9, 0).State().Limits; got != half {
		t.Errorf("a follower has %+v, want %+v", got, half)
	}
}

// Not a byte of a tenant is where it does not allow it, whatever a node is told.
func TestNothingIsOpenedOutsideTheResidency(t *testing.T) {
	f := newFleet(t)
	b := f.berths[1]
	for i, residency := range []tenant.Region{"us", "eu"} {
		want := i == 1
		told := control.Tenant{
			Config: tenant.Config{ID: 9, Version: 1, Limits: few, Residency: tenant.Residency{residency}}, Shards: []lineage.Shard{1},
			Slots: []control.Slot{{Grant: quota.Whole(few), Granted: 5}}, Index: 5,
		}
		b.node.takeTenant(&told)
		f.run()
		if got := b.slot(9, 0) != nil; got != want || len(b.tree(9)) > 0 != want {
			t.Errorf("a tenant of %s is opened in eu: %t, want %t; %v", residency, got, want, b.tree(9))
		}
	}
}

// late gives a node a put that has waited in its queue, so that it is decided about at once
// and appended in its turn.
func (f *fleet) late(at *berth, id tenant.ID, session, request uint64) {
	f.frame++
	m := wire.Message{
		Kind: wire.Put, Conn: f.conns[talk{writerID, at.id}], Frame: f.frame, Tenant: id, Placement: 1, Session: session, Request: request, Floor: request,
		Entity: f.entity(at, id, 0, request),
	}
	at.node.Step(&env.Event{Kind: env.Message, From: writerID, At: f.now - 1, Data: wire.Append(nil, &m)})
}

// regranted is a tenant as a node is told of it after another grant of its slot 0.
func (b *berth) regranted(id tenant.ID, granted uint64, share quota.Share) *control.Tenant {
	told := b.node.tenant(id).Clone()
	told.Slots[0].Grant, told.Slots[0].Granted, told.Index = share, granted, granted
	return &told
}

// A grant takes its turn in the log: behind the changes that were charged under another one,
// and nobody is charged until it is there.
func TestAGrantTakesItsTurn(t *testing.T) {
	for _, waiting := range []uint64{0, 3} {
		f := newFleet(t)
		b := f.leader(1)
		r, session := b.slot(8, 0), f.open(b, 8, 0)
		for request := range waiting {
			f.late(b, 8, session, request+1)
		}
		less := quota.Share{10, 5, 1, 500}
		end := r.End().Seq
		b.node.takeTenant(b.regranted(8, 1000, less))
		f.late(b, 8, session, 9)
		if want := max(waiting, 1); r.Closed() != (waiting > 0) || r.Waiting() != int(want) { // one more if there was none
			t.Errorf("with %d changes waiting, closed %t, now %d wait, want %d", waiting, r.Closed(), r.Waiting(), want)
		}
		f.run()
		if got, want := r.State().Limits, (record.Limits{Version: 1000, Rate: 10, Burst: 5, Entities: 1, Bytes: 500}); got != want || r.Closed() {
			t.Errorf("with %d changes waiting %+v is in force, want %+v; closed %t", waiting, got, want, r.Closed())
		}
		for request := range waiting {
			if seq := r.State().Entity(f.entity(b, 8, 0, request+1)).LastSeq; seq != uint64(end)+request+1 {
				t.Errorf("change %d of %d that waited is record %d, want %d", request+1, waiting, seq, uint64(end)+request+1)
			}
		}
		last := f.told[len(f.told)-1]
		if waiting == 0 { // it was granted one entity
			if last.Kind != wire.Ack || r.State().Live() != 1 {
				t.Errorf("behind the grant: %+v, %d live", last, r.State().Live())
			}
		} else if got := f.put(b, 8, 0, session, 9); got == nil || got.Code != wire.QuotaExceeded || got.Quota.Resource != quota.Entities {
			t.Errorf("with %d entities, of which one is granted, another one: %+v", waiting, got)
		}
	}
}

// While a grant waits for its turn, who asks for a change is told to come again; an older
// grant, or the same once more, changes nothing.
func TestWhileAGrantWaits(t *testing.T) {
	f := newFleet(t)
	b := f.leader(1)
	session := f.open(b, 8, 0)
	f.late(b, 8, session, 1)
	b.node.takeTenant(b.regranted(8, 1000, quota.Share{10, 5, 1, 500}))
	f.told = nil
	f.late(b, 8, session, 2)
	refused := f.frame
	b.node.takeTenant(b.regranted(8, 1000, quota.Share{10, 5, 1, 500}))
	b.node.takeTenant(b.regranted(8, 999, quota.Share{11, 6, 2, 600}))
	f.run()
	if i := slices.IndexFunc(f.told, func(m wire.Message) bool { return m.Frame == refused }); i < 0 || f.told[i].Code != wire.NotServing {
		t.Errorf("a change while a grant waits: %+v", f.told)
	}
	if got := b.slot(8, 0); got.State().Limits.Version != 1000 || got.State().Live() != 1 || got.Closed() {
		t.Errorf("%+v is in force, %d live, closed %t", got.State().Limits, got.State().Live(), got.Closed())
	}
}

// A tenant that is dropped while a grant waits for its turn is not opened again by it.
func TestADropWhileAGrantWaits(t *testing.T) {
	f := newFleet(t)
	b := f.leader(1)
	session := f.open(b, 8, 0)
	f.late(b, 8, session, 1)
	told := b.regranted(8, 1000, quota.Share{10, 5, 1, 500})
	b.node.takeTenant(told)
	told.Dropping = true
	b.node.takeTenant(told)
	f.run()
	if r := b.slot(8, 0); !r.Closed() || r.State().Limits.Version == 1000 || r.State().Live() != 1 {
		t.Errorf("closed %t, %+v is in force, %d live", r.Closed(), r.State().Limits, r.State().Live())
	}
}

// Who starts while a tenant is being dropped that was created at run time does not open it.
func TestWhoStartsOpensNothingThatIsBeingDropped(t *testing.T) {
	f := newFleet(t)
	f.must(createOf(9, few, 1))
	session := f.open(f.leader(1), 9, 0)
	f.lost = func(l *letter) bool { return l.kind() == peer.KindAppended }
	f.put(f.leader(1), 9, 0, session, 1)
	f.steer(f.coordinator().id, dropOf(9, 0))
	down := slices.IndexFunc(f.berths, func(b *berth) bool { return b.id < 3 && !b.leads(1) && b != f.coordinator() })
	f.berths[down].kill()
	f.advance(40 * env.Millisecond)
	f.berths[down].start()
	f.advance(40 * env.Millisecond)
	if x := f.plane().Tenant(9); x == nil || !x.Dropping || f.berths[down].node.tenant(9) == nil {
		t.Fatalf("tenant 9 is %+v, and node %d knows of it: %t", x, down, f.berths[down].node.tenant(9) != nil)
	}
	if r := f.berths[down].slot(9, 0); r != nil {
		t.Errorf("node %d has opened it: %s", down, r.Phase())
	}
	f.lost = nil
	f.must(dropOf(9, 0))
	f.settle()
	for _, text := range f.gone(9) {
		t.Error(text)
	}
}

// gone reports what is wrong with a tenant that was dropped: a slot that is open, a file, an
// answer.
func (f *fleet) gone(id tenant.ID) (wrong []string) {
	if open := f.has(id); len(open) > 0 {
		wrong = append(wrong, fmt.Sprintf("slots by node: %v", open))
	}
	for _, b := range f.berths {
		if b.node == nil {
			continue
		}
		if tree := b.tree(id); len(tree) > 0 {
			wrong = append(wrong, fmt.Sprintf("on node %d: %v", b.id, tree))
		}
		for _, m := range []wire.Message{
			{Kind: wire.OpenSession, Nonce: 9}, {Kind: wire.Query, Level: wire.Linearizable}, {Kind: wire.Query, Level: wire.Session},
			{Kind: wire.Query, Level: wire.Bounded, Bound: env.Second}, {Kind: wire.Put, Session: 3, Floor: 1},
		} {
			m.Tenant, m.Placement, m.Request = id, 1, 1
			if got := f.ask(writerID, b.id, m); got == nil || got.Code != wire.UnknownTenant {
				wrong = append(wrong, fmt.Sprintf("node %d answers a %s at level %s with %+v", b.id, m.Kind, m.Level, got))
			}
		}
	}
	return wrong
}

// What is dropped is served by nobody and leaves no file, and its ID never names anything
// else, also after all nodes have started again: be it of the founding or created since.
func TestWhatIsDroppedIsGone(t *testing.T) {
	f := newFleet(t)
	f.must(createOf(9, few, 1, 3), createOf(10, few, 2))
	session := f.open(f.leader(1), 9, 0)
	f.put(f.leader(1), 9, 0, session, 1)
	for _, id := range []tenant.ID{7, 9, 10} {
		f.must(dropOf(id, 0))
		if m := f.obtain(createOf(id, few, 1)); m.Code != wire.TenantDropped {
			t.Errorf("tenant %s is created again: %+v", id, m)
		}
	}
	f.settle()
	look := func(when string) {
		t.Helper()
		for _, id := range []tenant.ID{7, 9, 10} {
			for _, text := range f.gone(id) {
				t.Errorf("%s, tenant %s: %s", when, id, text)
			}
		}
	}
	look("dropped")
	for _, b := range f.berths {
		b.kill()
	}
	for _, b := range f.berths {
		b.start()
	}
	f.settle()
	f.until(func() bool { return f.berths[3].node.Told() > 1 && f.berths[4].node.Told() > 1 })
	look("after all have started again")
	if got := f.open(f.leader(1), 8, 0); got == 0 {
		t.Error("tenant 8 is not there")
	}
}

// A node that was down while a tenant was dropped, and one that never had it, remove what an
// earlier life has left of it.
func TestWhoWasDownRemovesWhatWasDropped(t *testing.T) {
	for _, id := range []tenant.ID{7, 9} { // of the founding, and created since
		f := newFleet(t)
		if id == 9 {
			f.must(createOf(9, few, 1, 2))
		}
		down := f.berths[2]
		if len(down.tree(id)) == 0 {
			t.Fatalf("node 2 has nothing of tenant %s", id)
		}
		down.kill()
		f.must(dropOf(id, 0))
		if len(down.tree(id)) == 0 {
			t.Fatal("who is down removes something")
		}
		down.start()
		f.settle()
		for _, text := range f.gone(id) {
			t.Errorf("tenant %s: %s", id, text)
		}
	}
}

// A tenant is dropped when all that was under way in it is done; nothing begins meanwhile.
func TestADropWaitsForWhatIsUnderWay(t *testing.T) {
	f := newFleet(t)
	leader := f.leader(1)
	session := f.open(leader, 8, 0)
	for _, id := range []env.ID{1, 2} { // so that nothing is committed
		f.berths[id].stuck = true
	}
	if got := f.put(leader, 8, 0, session, 1); got != nil {
		t.Fatalf("a change that no other member has is answered: %+v", got)
	}
	put := f.frame
	// The meta log needs one of them, whose disk does nothing else.
	leader.node.takeTenant(&control.Tenant{Config: leader.node.tenant(8).Config, Shards: []lineage.Shard{1}, Slots: leader.node.tenant(8).Slots, Dropping: true, Index: 50})
	f.advance(100 * env.Millisecond)
	if i := leader.node.slotOf(8, 0); leader.node.groupBy[i].Ended(i) {
		t.Error("the slot is said to be closed, and a change is under way")
	}
	if got := f.put(leader, 8, 0, session, 2); got == nil || got.Code != wire.UnknownTenant {
		t.Errorf("a change while the tenant is dropped: %+v", got)
	}
	f.told, f.frame = nil, put
	f.berths[1].stuck, f.berths[2].stuck = false, false
	f.advance(100 * env.Millisecond)
	if got := f.answer(); got == nil || got.Kind != wire.Ack {
		t.Errorf("the change that was under way: %+v", f.told)
	}
	if i := leader.node.slotOf(8, 0); !leader.node.groupBy[i].Ended(i) {
		t.Error("nothing is under way, and the slot is not said to be closed")
	}
}

// A tenant may end while a node makes its slot: whatever operation is under way then, and
// whether it is done before what is there is removed or after, nothing is left.
func TestATenantThatEndsWhileItsSlotIsMadeLeavesNothing(t *testing.T) {
	for _, late := range []bool{false, true} {
		for steps := 0; ; steps++ {
			f := newFleet(t)
			b := f.berths[2]
			b.stuck = true
			told := control.Tenant{Config: tenant.Config{ID: 9, Version: 1, Limits: few}, Shards: []lineage.Shard{1}, Slots: []control.Slot{{Grant: quota.Whole(few), Granted: 50}}, Index: 50}
			b.node.takeTenant(&told)
			for range steps {
				if len(b.queue) > 0 {
					b.complete()
				}
			}
			if len(b.queue) == 0 {
				if steps < 10 {
					t.Errorf("a slot is made in %d steps, want more", steps)
				}
				break
			}
			making := b.queue
			b.node.takeTombstone(9)
			if late { // what is submitted since comes first
				b.queue = b.queue[len(making):]
				for len(b.queue) > 0 {
					b.complete()
				}
				b.queue = append(b.queue, making...)
			}
			b.stuck = false
			f.run()
			if left := b.tree(9); len(left) > 0 || len(b.node.removal.waiting) > 0 {
				t.Errorf("ended after %d steps, the one under way is done late: %t; left is %v, under way %v", steps, late, left, b.node.removal.waiting)
			}
		}
	}
}

// Who has started and was told nothing yet may make the slot of a tenant of the founding
// again that was dropped since: it takes no change, tells nothing of it that a client could
// count on, and lets go of it when it is told.
func TestWhoStartsServesNothingOfWhatWasDropped(t *testing.T) {
	f := newFleet(t)
	session := f.open(f.leader(2), 7, 1)
	f.put(f.leader(2), 7, 1, session, 1)
	f.must(dropOf(7, 0))
	f.settle()
	entity := f.berths[3].entityBefore(7, 1)
	for _, b := range f.berths[1:4] {
		b.kill()
		f.lost = func(l *letter) bool { return l.kind() == peer.KindConfigs && l.to == b.id }
		b.start()
		f.advance(300 * env.Millisecond)
		for _, m := range []wire.Message{
			{Kind: wire.OpenSession, Nonce: 9}, {Kind: wire.Put, Session: session, Floor: 1}, {Kind: wire.Query, Level: wire.Linearizable},
			{Kind: wire.Query, Level: wire.Session, Token: wire.Token{Epoch: 1, Seq: 3}}, {Kind: wire.Query, Level: wire.Bounded, Bound: env.Second},
		} {
			m.Tenant, m.Slot, m.Placement, m.Request, m.Entity = 7, 1, 1, 1, entity
			f.ask(writerID, b.id, m)
			f.advance(env.Second)
			if got := f.answer(); got != nil && got.Kind != wire.Refusal {
				t.Errorf("node %d answers a %s at level %s with %+v", b.id, m.Kind, m.Level, got)
			}
		}
		f.lost = nil
		f.settle()
		f.advance(env.Second)
		if left := b.tree(7); len(left) > 0 || len(f.has(7)) > 0 {
			t.Errorf("node %d was told that tenant 7 is dropped, and has %v, %v", b.id, left, f.has(7))
		}
	}
}

// entityBefore is an entity of a slot of a tenant of the founding.
func (b *berth) entityBefore(id tenant.ID, slot lineage.Slot) signal.Entity {
	for e := signal.Entity(0); ; e++ {
		if b.cluster.Owns(id, slot, e) {
			return e
		}
	}
}

// A tenant of one slot whose cap was lowered below what it uses can use the new cap, once it
// has deleted enough.
func TestATenantOfOneSlotGrowsAgain(t *testing.T) {
	f := newFleet(t)
	session := f.open(f.leader(1), 8, 0)
	request := uint64(0)
	for ; request < 6; request++ {
		f.put(f.leader(1), 8, 0, session, request+1)
	}
	limits := few
	limits.Entities = 4
	f.must(configureOf(8, 1, limits))
	if got := f.put(f.leader(1), 8, 0, session, request+1); got.Code != wire.QuotaExceeded {
		t.Errorf("6 entities of 4, and another one: %+v", got)
	}
	for of := range uint64(3) {
		request++
		if got := f.remove(f.leader(1), 8, 0, session, request, of+1); got == nil || got.Kind != wire.Ack {
			t.Fatalf("a deletion: %+v", got)
		}
	}
	if !f.until(func() bool {
		request++
		got := f.put(f.leader(1), 8, 0, session, request)
		return got != nil && got.Kind == wire.Ack
	}) {
		t.Errorf("3 entities of 4, and another one is refused for ever: %+v", f.plane().Tenant(8))
	}
	request++
	f.advance(env.Second)
	if got := f.put(f.leader(1), 8, 0, session, request); got.Code != wire.QuotaExceeded {
		t.Errorf("4 entities of 4, and another one: %+v", got)
	}
}
