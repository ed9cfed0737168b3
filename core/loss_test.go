package core

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/wire"
)

// wipe replaces the disk of a node that runs, and starts it again.
func (b *berth) wipe() {
	b.kill()
	b.files, b.dirs = map[string][]byte{}, map[string]bool{"": true}
	b.start()
}

// lonely is tenant 9 in shard 3, which node 4 alone holds.
func lonely(f *fleet) (session uint64) {
	f.must(createOf(9, few, 3))
	f.settle()
	b := f.leader(3)
	session = f.open(b, 9, 0)
	if m := f.put(b, 9, 0, session, 1); m == nil || m.Kind != wire.Ack {
		f.Fatalf("a put is answered with %+v", m)
	}
	f.settle()
	return session
}

func accept(shard lineage.Shard) control.Command {
	return control.Command{Kind: control.AcceptLoss, Shard: shard}
}

// Of a shard whose only holder has lost its disk nothing is served, as if it were empty or
// elsewhere: whoever asks is told that it is corrupt, until an operator accepts the loss.
func TestALostShardIsCorruptUntilTheLossIsAccepted(t *testing.T) {
	f := newFleet(t)
	session := lonely(f)
	f.berths[4].wipe()
	f.advance(2 * env.Second)
	asks := map[string]func() *wire.Message{
		"open": func() *wire.Message {
			return f.ask(writerID, 4, wire.Message{Kind: wire.OpenSession, Tenant: 9, Placement: 1, Nonce: 77, Request: 9})
		},
		"put": func() *wire.Message { return f.put(f.berths[4], 9, 0, session, 2) },
		"read": func() *wire.Message {
			return f.ask(writerID, 4, wire.Message{Kind: wire.Query, Tenant: 9, Placement: 1, Entity: f.entity(f.berths[4], 9, 0, 1), Request: 9})
		},
		"query": func() *wire.Message {
			return f.ask(writerID, 4, wire.Message{Kind: wire.Query, Tenant: 9, Placement: 1, Entity: f.entity(f.berths[4], 9, 0, 1), Level: wire.Session, Request: 9})
		},
	}
	for name, ask := range asks {
		if m := ask(); m == nil || m.Code != wire.Corrupt {
			t.Errorf("%s is answered with %+v, want that the slot is corrupt\n%v", name, m, f)
		}
	}
	if s := f.plane().Shard(3); !s.LossOpen || s.LossAccepted || s.Leader.Incarnation != 1 && f.berths[4].leads(3) {
		t.Errorf("the shard goes on: %+v", s)
	}
	// What nobody has lost there is nothing to accept of.
	if got := inWords(f.steer(f.coordinator().id, accept(1))); got != "done" {
		t.Errorf("of a whole shard an operator is told %q", got)
	}
	if f.plane().Shard(1).LossAccepted {
		t.Error("a whole shard may begin anew")
	}
	f.must(accept(3))
	f.settle()
	b := f.leader(3)
	if !f.until(func() bool {
		m := f.ask(writerID, b.id, wire.Message{Kind: wire.OpenSession, Tenant: 9, Placement: 1, Nonce: 78, Request: 9})
		return m != nil && m.Kind == wire.SessionOpen
	}) {
		t.Fatalf("the shard does not begin anew:\n%v", f)
	}
	if s := f.plane().Shard(3); s.LossOpen || s.LossAccepted {
		t.Errorf("the loss is not over: %+v", s)
	}
}
