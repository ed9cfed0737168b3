package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

func drainOf(node env.ID) control.Command { return control.Command{Kind: control.Drain, Node: node} }

func undrainOf(node env.ID) control.Command {
	return control.Command{Kind: control.Undrain, Node: node}
}

func within(c control.Command, regions ...tenant.Region) control.Command {
	c.Config.Residency = regions
	return c
}

// inWords tells an answer to an operator: "version-conflict 1", "invalid-config field 3 0"; ""
// if there is none.
func inWords(m *wire.Message) string {
	switch {
	case m == nil:
		return ""
	case m.Kind == wire.Done && m.Command == wire.Control:
		return "done"
	case m.Kind != wire.Refusal:
		return m.Kind.String()
	}
	text := m.Code.String()
	switch {
	case m.BadField.Field != 0:
		text += fmt.Sprintf(" field %d %d", m.BadField.Field, m.BadField.Value)
	case m.Outdated.Version != 0:
		text += fmt.Sprintf(" %d", m.Outdated.Version)
	case m.NotLeader.Known:
		text += fmt.Sprintf(" %d", m.NotLeader.Leader+1)
	}
	return text
}

// What an operator is told of each command: at once, and when he has asked again and again.
// What is done or under way is never refused because it is.
func TestWhatAnOperatorIsTold(t *testing.T) {
	tight := tenant.Limits{Rate: 10, Burst: 5, Entities: 3, Bytes: 500}
	type list = []control.Command
	for name, c := range map[string]struct {
		before   list
		command  control.Command
		at, last string
	}{
		"a tenant":                          {nil, createOf(9, few, 1, 2), "", "done"},
		"a tenant that is there":            {list{createOf(9, few, 1, 2)}, createOf(9, few, 1, 2), "done", "done"},
		"one of the founding":               {nil, createOf(8, few, 1), "done", "done"},
		"one with other limits":             {nil, createOf(8, tight, 1), "tenant-exists", "tenant-exists"},
		"one in another shard":              {nil, createOf(8, few, 2), "tenant-exists", "tenant-exists"},
		"one that was dropped":              {list{dropOf(8, 0)}, createOf(8, few, 1), "tenant-dropped", "tenant-dropped"},
		"one without a rate":                {nil, createOf(9, tenant.Limits{}, 1), "invalid-config field 3 0", "invalid-config field 3 0"},
		"one with too small a cap":          {nil, createOf(9, tenant.Limits{Rate: 1, Bytes: 7}, 1), "invalid-config field 6 7", "invalid-config field 6 7"},
		"one with too little for its slots": {nil, createOf(9, tenant.Limits{Rate: 1}, 1, 2), "invalid-config", "invalid-config"},
		"one without slots":                 {nil, createOf(9, few), "invalid-config", "invalid-config"},
		"one in a shard that is not there":  {nil, createOf(9, few, 1, 9), "invalid", "invalid"},
		"one where it may not be":           {nil, within(createOf(9, few, 1, 3), "eu"), "residency", "residency"},
		"one that is elsewhere only":        {nil, within(createOf(9, few, 3), "us"), "", "done"},

		"limits":                        {nil, configureOf(8, 1, tight), "", "done"},
		"limits of several slots":       {nil, configureOf(7, 1, tight), "", "done"},
		"limits that are there":         {list{configureOf(8, 1, tight)}, configureOf(8, 1, tight), "done", "done"},
		"limits that were there":        {list{configureOf(8, 1, tight), configureOf(8, 2, few)}, configureOf(8, 1, tight), "version-conflict 3", "version-conflict 3"},
		"limits over those of a dream":  {nil, configureOf(8, 2, tight), "version-conflict 1", "version-conflict 1"},
		"limits of another":             {list{configureOf(8, 1, tight)}, configureOf(8, 1, few), "version-conflict 2", "version-conflict 2"},
		"limits out of range":           {nil, configureOf(8, 1, tenant.Limits{Rate: 1, Burst: 2_000_000_000}), "invalid-config field 4 2000000000", "invalid-config field 4 2000000000"},
		"limits of nobody":              {nil, configureOf(9, 1, tight), "unknown-tenant", "unknown-tenant"},
		"limits of one who was dropped": {list{dropOf(8, 0)}, configureOf(8, 1, tight), "tenant-dropped", "tenant-dropped"},
		"a residency elsewhere":         {nil, within(configureOf(8, 1, few), "us"), "residency", "residency"},
		"a residency where it is":       {nil, within(configureOf(8, 1, few), "eu"), "", "done"},

		"a drop":               {nil, dropOf(7, 0), "", "done"},
		"a drop of a version":  {nil, dropOf(7, 1), "", "done"},
		"a drop of another":    {nil, dropOf(7, 2), "version-conflict 1", "version-conflict 1"},
		"a drop once more":     {list{dropOf(7, 0)}, dropOf(7, 0), "done", "done"},
		"a drop of who is not": {nil, dropOf(9, 0), "unknown-tenant", "unknown-tenant"},

		"a drain":                   {nil, drainOf(3), "", "done"},
		"a drain once more":         {list{drainOf(3)}, drainOf(3), "done", "done"},
		"a second drain":            {list{drainOf(3)}, drainOf(0), "not-now", "not-now"},
		"a drain of the only one":   {nil, drainOf(4), "not-now", "not-now"},
		"a drain of nobody":         {nil, drainOf(9), "invalid", "invalid"},
		"the end of a drain":        {list{drainOf(3)}, undrainOf(3), "", "done"},
		"the end of no drain":       {nil, undrainOf(3), "done", "done"},
		"the end of nobody's drain": {nil, undrainOf(9), "invalid", "invalid"},

		"what is no operator's": {nil, control.Command{Kind: control.Elect, Shard: 1, Epoch: 1, Version: 1, Member: control.Member{Node: 1, Incarnation: 1}}, "invalid", "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.must(c.before...)
			if got := inWords(f.steer(f.coordinator().id, c.command)); got != c.at {
				t.Errorf("%v: %q at once, want %q", &c.command, got, c.at)
			}
			// It is decided, and has taken no time: nothing that logs or leaders have to do is done.
			want := c.at
			if name == "the end of a drain" || name == "a residency where it is" {
				want = c.last
			}
			if got := inWords(f.steer(f.coordinator().id, c.command)); got != want {
				t.Errorf("%v: %q when it has been decided, want %q", &c.command, got, want)
			}
			last := f.obtain(c.command)
			if got := inWords(&last); got != c.last || last.Request != 5 {
				t.Errorf("%v: %q in the end, of request %d, want %q of request 5", &c.command, got, last.Request, c.last)
			}
			f.settle()
		})
	}
}

// Only who leads the meta log takes a command; others say who that is, as far as they know.
func TestOthersSayWhoLeadsTheMetaLog(t *testing.T) {
	f := newFleet(t)
	f.advance(env.Second)
	leader := f.coordinator()
	for _, b := range f.berths {
		want := "moved " + fmt.Sprint(leader.id+1)
		if b == leader {
			want = "done"
		}
		if got := inWords(f.steer(b.id, undrainOf(0))); got != want {
			t.Errorf("node %d says %q, want %q", b.id, got, want)
		}
	}
	f.lost = func(l *letter) bool { return (l.to == 3 || l.from == 3) && l.to < 5 && l.from < 5 }
	f.berths[3].kill()
	f.berths[3].start()
	f.advance(100 * env.Millisecond)
	if got := inWords(f.steer(3, undrainOf(0))); got != "moved" {
		t.Errorf("who was told nothing says %q", got)
	}
	if f.plane().IsDraining(0) {
		t.Error("a command that nobody took had its effect")
	}
}

// What is no command of the control plane is refused by everybody.
func TestWhatIsNoCommandIsRefused(t *testing.T) {
	f := newFleet(t)
	for _, tail := range []string{"", "\x02", "\x01\x01", strings.Repeat("\x02", 100)} {
		for _, b := range f.berths {
			got := f.ask(steersID, b.id, wire.Message{Kind: wire.Control, Request: 5, Tail: []byte(tail)})
			if inWords(got) != "invalid" {
				t.Errorf("node %d answers %q with %q", b.id, tail, inWords(got))
			}
		}
	}
}

// stopMeta lets nothing be decided: the members of the meta log do not hear each other.
func (f *fleet) stopMeta() {
	f.lost = func(l *letter) bool { return len(l.payload) > 0 && l.payload[0] == MetaPrefix }
}

// A tenant that is being dropped is no tenant any more to who asks for something else, and
// its ID is not free; who asks for the same waits.
func TestWhatIsToldOfATenantThatIsBeingDropped(t *testing.T) {
	f := newFleet(t)
	leader := f.leader(1)
	session := f.open(leader, 8, 0)
	f.lost = func(l *letter) bool { return l.kind() == peer.KindAppended } // so that a change is under way
	f.put(leader, 8, 0, session, 1)
	f.steer(f.coordinator().id, dropOf(8, 0))
	f.advance(200 * env.Millisecond)
	if got := f.has(8); len(got) != 3 {
		t.Errorf("a change is under way, and the slot is open on %v", got)
	}
	if x := f.plane().Tenant(8); x == nil || !x.Dropping {
		t.Fatalf("tenant 8 is %+v", x)
	}
	for _, c := range []struct {
		command control.Command
		want    string
	}{
		{dropOf(8, 0), ""}, {dropOf(8, 7), ""}, {configureOf(8, 1, few), "unknown-tenant"}, {createOf(8, few, 1), "tenant-exists"},
	} {
		if got := inWords(f.steer(f.coordinator().id, c.command)); got != c.want {
			t.Errorf("%v: %q, want %q", &c.command, got, c.want)
		}
	}
	f.lost = nil
	f.must(dropOf(8, 0))
}

// Limits are in force when every log has its grant, on every member: an operator is told
// then, and not before.
func TestLimitsAreInForceEverywhereBeforeAnOperatorIsTold(t *testing.T) {
	for _, command := range []control.Command{configureOf(7, 1, tenant.Limits{Rate: 10, Burst: 5, Entities: 3, Bytes: 500}), createOf(9, few, 1, 2)} {
		for shard := lineage.Shard(1); shard <= 2; shard++ {
			f := newFleet(t)
			f.lost = func(l *letter) bool {
				m, err := new(peer.Inbox).Decode(l.payload)
				appended, ok := m.(*peer.Appended)
				return err == nil && ok && appended.Shard == shard
			}
			for range 10 {
				if got := f.steer(f.coordinator().id, command); got != nil {
					t.Fatalf("nothing is committed in shard %d, and %v is answered: %q", shard, &command, inWords(got))
				}
				f.advance(20 * env.Millisecond)
			}
			for slot, s := range f.plane().Tenant(command.Config.ID).Slots {
				if has := s.Taken == s.Granted; has != (slot+1 != int(shard)) {
					t.Errorf("nothing is committed in shard %d, and slot %d is said to have its grant: %t", shard, slot, has)
				}
			}
			f.lost = nil
			f.must(command)
		}
	}
}

// A command that is under way is proposed once, however often the operator asks, and of each
// operator one at a time.
func TestACommandIsProposedOnce(t *testing.T) {
	f := newFleet(t)
	f.settle()
	f.stopMeta()
	leader := f.coordinator()
	for range 3 {
		f.steer(leader.id, createOf(9, few, 1))
	}
	f.steer(leader.id, createOf(10, few, 1))
	if n := len(leader.node.proposals); n != 1 {
		t.Errorf("%d proposals are under way, want 1: %+v", n, leader.node.proposals)
	}
	f.lost = nil
	f.must(createOf(9, few, 1), createOf(10, few, 1))
}

// A node that is drained leads nothing, is in no set, and does not lead the meta log either;
// whoever asks is told when that is so. Then it can be stopped, and has duties again later.
func TestADrainedNodeHasNoDuties(t *testing.T) {
	f := newFleet(t)
	first := f.coordinator()
	f.must(drainOf(first.id))
	if now := f.coordinator(); now == first || !f.plane().Idle(first.id) {
		t.Errorf("node %d coordinates, before node %d; %v", now.id, first.id, f)
	}
	for i := range f.plane().Shards() {
		s := &f.plane().Shards()[i]
		if s.Leader.Node == first.id || slices.ContainsFunc(s.InSync, func(m control.Member) bool { return m.Node == first.id }) {
			t.Errorf("node %d is drained, and shard %d is %+v", first.id, s.ID, s)
		}
	}
	f.advance(5 * env.Second)
	if !f.plane().Idle(first.id) || f.coordinator() == first {
		t.Errorf("node %d has duties again: %v", first.id, f)
	}
	for i := range f.plane().Shards() { // and is kept up to date
		s := &f.plane().Shards()[i]
		if slices.Contains(s.Replicas, first.id) != slices.Contains(foundedFleet().Shards[i].Replicas, first.id) {
			t.Errorf("shard %d is held by %v", s.ID, s.Replicas)
		}
	}
	first.kill()
	f.advance(2 * env.Second)
	first.start()
	f.settle()
	if !f.plane().Idle(first.id) {
		t.Errorf("node %d is drained, has started again, and has duties: %v", first.id, f)
	}
	f.must(undrainOf(first.id))
	f.settle()
	if f.plane().Idle(first.id) {
		t.Errorf("node %d may have duties again, and gets none: %v", first.id, f)
	}
}

// Every refusal of the control plane is decided about: what an operator is told. Those that
// his commands cannot meet are as those of commands that are not his to give.
func TestEveryRefusalHasItsCode(t *testing.T) {
	const not = wire.Invalid
	want := map[control.Refusal]wire.Code{
		control.Done: not, control.Malformed: not, control.Already: not, // no refusals of his
		control.UnknownShard: not, control.UnknownNode: not, // what he names is not there
		control.UnknownTenant: wire.UnknownTenant, control.TenantExists: wire.TenantExists, control.TenantDropped: wire.TenantDropped, control.Dropping: wire.UnknownTenant,
		control.Stale: wire.VersionConflict, control.InvalidConfig: wire.InvalidConfig, control.Full: wire.CatalogFull,
		control.WrongResidency: wire.NoResidency, control.OtherDrains: wire.NotNow, control.BelowMin: wire.NotNow,
		control.NothingLost: wire.NotNow,
		// Of commands about shards, members and shares.
		control.UnknownSlot: not, control.NotInSync: not, control.NotRegistered: not, control.NotReplica: not, control.NotLeader: not, control.NotRemoved: not,
		control.NotRestarted: not, control.IsLeader: not, control.IsInSync: not, control.IsReplica: not, control.IsExcluded: not, control.LastMember: not,
		control.Reforming: not, control.WrongRegion: not, control.OverLimits: not, control.NotDropping: not, control.IsDraining: not, control.IsEligible: not,
	}
	n := newFleet(t).berths[0].node
	decided := 0
	for r := control.Refusal(0); !strings.HasPrefix(r.String(), "refusal "); r++ {
		code, is := want[r]
		if !is {
			t.Errorf("%v: nobody decided what an operator is told", r)
			continue
		}
		decided++
		c := createOf(9, few, 1)
		if got := n.whyNot(&c, r); got.Code != code {
			t.Errorf("%v is told as %v, want %v", r, got.Code, code)
		}
	}
	if decided != len(want) {
		t.Errorf("%d refusals, %d rows", decided, len(want))
	}
}
