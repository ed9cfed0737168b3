package group_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/peer"
)

// wish returns the leader's proposal after a time with nothing but ticks.
func (w *world) wish(d env.Duration) (control.Command, bool) {
	for range d / (20 * env.Millisecond) {
		w.tick(20 * env.Millisecond)
	}
	return w.nodes[0].group.Wish(w.nodes[0])
}

// A member that speaks and does not answer hears nothing: the leader removes it.
func TestAMemberThatSpeaksAndDoesNotAnswerIsRemoved(t *testing.T) {
	w := serving(t)
	w.held = to(1)
	for range 20 {
		m := peer.AskIndex{LogHeader: peer.LogHeader{ShardHeader: onShard(w.nodes[1].self().Incarnation, 1)}}
		w.nodes[1].Send(0, env.Key{}, m.Encode(nil))
		w.tick(20 * env.Millisecond)
	}
	c, ok := w.nodes[0].group.Wish(w.nodes[0])
	if want := w.nodes[1].self(); !ok || c.Kind != control.Remove || c.Member != want {
		t.Errorf("wish %v (%v), want the removal of %v", &c, ok, want)
	}
}

// A leader that hears nothing finds all others silent. It asks for no removal: for three
// bounds if it hears the meta log, and never if it does not.
func TestALeaderThatHearsNothingRemovesNobody(t *testing.T) {
	for _, c := range []struct {
		name  string
		deaf  bool
		after env.Duration
		want  bool
	}{
		{"it hears the coordinator", false, 800 * env.Millisecond, false},
		{"it hears the coordinator, and nobody leads instead", false, 1000 * env.Millisecond, true},
		{"it hears nobody at all", true, 5000 * env.Millisecond, false},
	} {
		w := serving(t)
		w.held = to(0)
		w.nodes[0].group.Deaf(w.nodes[0], c.deaf)
		if got, ok := w.wish(c.after); ok != c.want {
			t.Errorf("%s: wish %v (%v), want %v", c.name, &got, ok, c.want)
		}
	}
}

// A leader that hears again gives all others the time to answer: while it was deaf it could not
// hear them, and one of them may be all that it has left.
func TestALeaderThatHearsAgainWaitsForAnswers(t *testing.T) {
	w := serving(t)
	w.without(2)
	l := w.nodes[0]
	w.held = to(0)
	l.group.Deaf(l, true)
	if c, ok := w.wish(5000 * env.Millisecond); ok {
		t.Fatalf("deaf, it wants %v", &c)
	}
	l.group.Deaf(l, false)
	if c, ok := w.wish(280 * env.Millisecond); ok {
		t.Errorf("it hears again, and wants %v at once", &c)
	}
	if c, ok := w.wish(40 * env.Millisecond); !ok || c.Kind != control.Remove || c.Member != w.nodes[1].self() {
		t.Errorf("node 1 does not answer, and the leader wants %v (%v)", &c, ok)
	}
}

// A leader that hears one of two members is not deaf: it removes the other one at once.
func TestALeaderThatHearsAMemberRemovesTheOther(t *testing.T) {
	w := serving(t)
	w.held = with(2)
	if c, ok := w.wish(400 * env.Millisecond); !ok || c.Kind != control.Remove || c.Member != w.nodes[2].self() {
		t.Errorf("wish %v (%v), want the removal of %v", &c, ok, w.nodes[2].self())
	}
}

// A leader tells for how long its members have not confirmed it, and for how long its disk has
// made nothing durable.
func TestTroubleOfALeader(t *testing.T) {
	w := serving(t)
	l := w.nodes[0]
	for range 20 {
		w.tick(20 * env.Millisecond)
		w.run()
	}
	if unconfirmed, unsynced := l.group.Trouble(l); unconfirmed > 100*env.Millisecond || unsynced != 0 {
		t.Errorf("all is well: unconfirmed for %d ns, unsynced for %d ns", unconfirmed, unsynced)
	}
	if unconfirmed, unsynced := w.nodes[1].group.Trouble(w.nodes[1]); unconfirmed != 0 || unsynced != 0 {
		t.Errorf("a follower: unconfirmed for %d ns, unsynced for %d ns", unconfirmed, unsynced)
	}
	w.held = to(0)
	for range 20 {
		w.tick(20 * env.Millisecond)
	}
	if unconfirmed, _ := l.group.Trouble(l); unconfirmed < 400*env.Millisecond {
		t.Errorf("nobody confirms for 400 ms: unconfirmed for %d ns", unconfirmed)
	}
	w.held = nil
	w.run()
	l.stuck = true
	l.mustWrite(0, 1)
	for range 20 {
		w.tick(20 * env.Millisecond)
	}
	if _, unsynced := l.group.Trouble(l); unsynced < 390*env.Millisecond {
		t.Errorf("the disk stands still for 400 ms: unsynced for %d ns", unsynced)
	}
	l.stuck = false
	w.run()
	if _, unsynced := l.group.Trouble(l); unsynced != 0 {
		t.Errorf("the disk has made all durable: unsynced for %d ns", unsynced)
	}
}

// Only a replica of the shard can end an epoch or answer a survey.
func TestAStrangerIsNotBelieved(t *testing.T) {
	w := serving(t)
	l := w.nodes[0]
	const stranger = 9
	now := onShard(1, l.group.Epoch())
	for _, m := range []peer.ShardMessage{
		&peer.Outdated{ShardHeader: onShard(1, 77)}, &peer.Surveyed{ShardHeader: now}, &peer.Confirmed{ShardHeader: now},
		&peer.Appended{LogHeader: peer.LogHeader{ShardHeader: now}},
	} {
		l.group.Message(l, stranger, m)
		if wants, higher := l.group.Wants(); higher {
			t.Errorf("%s: a node without a replica makes the leader adopt epoch %d", m.Kind(), wants)
		}
	}
	l.group.Message(l, 1, &peer.Outdated{ShardHeader: onShard(w.nodes[1].self().Incarnation, 77)})
	if wants, higher := l.group.Wants(); !higher || wants != 77 {
		t.Errorf("a replica knows of epoch 77, and the leader is to adopt %d (%v)", wants, higher)
	}
}
