package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// The commands of operators to a cluster of one node: what they are told, what is durable by then,
// and what a crash or a full disk leaves of a command.

// What an operator is told of a command after others, in which all of them were done, and what
// he is told of it once more after a power failure.
func TestWhatTheOperatorOfOneNodeIsTold(t *testing.T) {
	type list = []control.Command
	tight := tenant.Limits{Rate: 10, Burst: 5, Entities: 3, Bytes: 500}
	for name, c := range map[string]struct {
		before  list
		command control.Command
		want    string
	}{
		"create":                          {nil, createOf(3, few, 1), "done"},
		"create again":                    {list{createOf(3, few, 1)}, createOf(3, few, 1), "done"},
		"create as it was founded":        {nil, createOf(1, tenant.Limits{Rate: 1000}, 1), "done"},
		"create otherwise":                {list{createOf(3, few, 1)}, createOf(3, tight, 1), "tenant-exists"},
		"create in another shard":         {list{createOf(3, few, 1)}, createOf(3, few, 2), "tenant-exists"},
		"create after other limits":       {list{createOf(3, few, 1), configureOf(3, 1, tight)}, createOf(3, few, 1), "tenant-exists"},
		"create what was dropped":         {list{createOf(3, few, 1), dropOf(3, 1)}, createOf(3, few, 1), "tenant-dropped"},
		"create what was founded":         {list{dropOf(1, 1)}, createOf(1, tenant.Limits{Rate: 1000}, 1), "tenant-dropped"},
		"create in two slots":             {nil, createOf(3, few, 1, 2), "done"},
		"create in no shard":              {nil, createOf(3, few, 8), "invalid"},
		"create with no rate":             {nil, createOf(3, tenant.Limits{}, 1), "invalid-config field 3 0"},
		"create the reserved tenant":      {nil, createOf(tenant.Reserved, few, 1), fmt.Sprintf("invalid-config field 1 %d", uint64(tenant.Reserved))},
		"configure":                       {nil, configureOf(1, 1, tight), "done"},
		"configure again":                 {list{configureOf(1, 1, tight)}, configureOf(1, 1, tight), "done"},
		"configure what was created":      {list{createOf(3, few, 1)}, configureOf(3, 1, tight), "done"},
		"configure over another version":  {nil, configureOf(1, 2, tight), "version-conflict 1"},
		"configure back":                  {list{configureOf(1, 1, tight), configureOf(1, 2, few)}, configureOf(1, 1, tight), "version-conflict 3"},
		"configure too few bytes":         {nil, configureOf(1, 1, tenant.Limits{Rate: 1, Bytes: 100}), "invalid-config field 6 100"},
		"configure nobody":                {nil, configureOf(9, 1, tight), "unknown-tenant"},
		"configure what was dropped":      {list{dropOf(1, 0)}, configureOf(1, 1, tight), "tenant-dropped"},
		"drop":                            {nil, dropOf(1, 1), "done"},
		"drop any version":                {list{configureOf(1, 1, tight)}, dropOf(1, 0), "done"},
		"drop another version":            {list{configureOf(1, 1, tight)}, dropOf(1, 1), "version-conflict 2"},
		"drop again":                      {list{dropOf(1, 1)}, dropOf(1, 1), "done"},
		"drop again over another version": {list{dropOf(1, 1)}, dropOf(1, 6), "done"},
		"drop what was created":           {list{createOf(3, few, 1)}, dropOf(3, 1), "done"},
		"drop nobody":                     {nil, dropOf(9, 1), "unknown-tenant"},
		"drain the only node":             {nil, drainOf(hostID), "not-now"},
	} {
		t.Run(name, func(t *testing.T) {
			h := serving(t)
			h.must(c.before...)
			for _, when := range []string{"at once", "after a power failure"} {
				m := h.obtain(c.command)
				if got := inWords(&m); got != c.want {
					t.Errorf("%s: %q, want %q", when, got, c.want)
				}
				h.power()
				h.restart()
			}
		})
	}
}

// Before its start is registered a node knows neither its tenants nor who leads the meta log.
func TestAStartingNodeKnowsNobody(t *testing.T) {
	h := serving(t)
	h.must(createOf(3, few, 1))
	h.start()
	for _, m := range []wire.Message{{Kind: wire.Query, Tenant: 3, Placement: 1}, {Kind: wire.OpenSession, Tenant: 1, Placement: 1, Nonce: 1}} {
		h.answers = nil
		h.send(m)
		if len(h.answers) != 1 || h.answers[0].Code != wire.NotServing {
			t.Errorf("%s of tenant %s: %+v", m.Kind, m.Tenant, h.answers)
		}
	}
	for _, c := range []control.Command{createOf(4, few, 1), configureOf(3, 1, few), dropOf(3, 1)} {
		h.answers = nil
		h.command(c)
		if len(h.answers) != 1 || h.answers[0].Code != wire.Moved {
			t.Errorf("%v: %+v", &c, h.answers)
		}
	}
}

// From the moment on at which a drop is decided nothing is begun in the slot.
func TestADropIsTheLastWord(t *testing.T) {
	h := serving(t)
	h.command(dropOf(1, 1))
	for steps := 0; ; steps++ {
		decided := h.plane.Tenant(1) == nil || h.plane.Tenant(1).Dropping
		for _, m := range []wire.Message{{Kind: wire.OpenSession, Tenant: 1, Placement: 1, Nonce: 1}, {Kind: wire.Query, Tenant: 1, Placement: 1}} {
			if !decided {
				continue
			}
			h.answers = nil
			h.send(m)
			if len(h.answers) != 1 || h.answers[0].Code != wire.UnknownTenant {
				t.Fatalf("after %d operations a %s is told %+v", steps, m.Kind, h.answers)
			}
		}
		if len(h.queue) == 0 {
			if !decided {
				t.Error("nothing is decided")
			}
			break
		}
		h.step()
	}
	h.must(dropOf(1, 1))
}

// While the disk is full no command is decided: the operator is told nothing, and all is done once
// there is room.
func TestACommandWaitsForRoom(t *testing.T) {
	for _, c := range []control.Command{createOf(3, few, 1), dropOf(1, 1), configureOf(1, 1, few)} {
		h := serving(t)
		room := h.room
		h.room = 10
		h.answers = nil
		h.command(c)
		h.advance(env.Second)
		h.command(c)
		h.advance(env.Second)
		if len(h.answers) > 0 {
			t.Errorf("%v: %+v", &c, h.answers)
		}
		h.room = room
		h.must(c)
	}
}

// tree lists what is on the disk below a tenant's directory.
func (h *host) tree(id tenant.ID) []string {
	var paths []string
	for path := range h.names {
		if path == "tenants/"+id.String() || strings.HasPrefix(path, "tenants/"+id.String()+"/") {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// Whatever step of a creation or a drop a crash comes at, of either kind, and again
// at any step of the start after it: the tenant is there or is not, all of it, and
// the command can be repeated to its end. Another tenant is as it was.
func TestACrashAtAnyStep(t *testing.T) {
	for _, c := range []control.Command{createOf(3, few, 1), dropOf(1, 1), dropOf(4, 0)} {
		for _, power := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s power=%t", c.Kind, c.Subject(), power), func(t *testing.T) {
				t.Parallel()
				for first, over := 0, false; !over; first++ {
					over = crashes(t, c, power, first)
				}
			})
		}
	}
}

// crashes lets the node die after a number of operations, and again at every sixteenth
// step of the start after it, others for each number. It is true if there are not as
// many operations.
func crashes(t *testing.T, c control.Command, power bool, first int) (over bool) {
	for second := first % 16; ; second += 16 {
		h := serving(t)
		h.check = false // TestWhatTheOperatorOfOneNodeIsTold does
		h.must(createOf(4, few, 1))
		session := h.told(wire.Message{Kind: wire.OpenSession, Tenant: 2, Placement: 1, Nonce: 1}).Session
		if m := h.told(wire.Message{Kind: wire.Put, Tenant: 2, Placement: 1, Session: session, Request: 1, Floor: 1, Entity: 6}); m.Kind != wire.Ack {
			t.Fatalf("a put is told %+v", m)
		}
		h.command(c)
		over = die(h, first, power)
		h.start()
		last := die(h, second, power)
		h.restart()
		if m := h.obtain(c); m.Kind != wire.Done {
			t.Fatalf("crashes at steps %d and %d: the repetition is told %s %s", first, second, m.Kind, m.Code)
		}
		h.settle()
		if c.Kind == control.DropTenant && len(h.tree(c.Subject())) > 0 {
			t.Fatalf("crashes at steps %d and %d: there is still %v", first, second, h.tree(c.Subject()))
		}
		if i := h.slotOf(2, 0); i < 0 || h.slots[i].State().Live() != 1 {
			t.Fatalf("crashes at steps %d and %d: tenant 2 has lost its entity", first, second)
		}
		if last {
			return over
		}
	}
}

// die completes n operations, and lets time pass where only that leads to more, and ends the
// process. It is true if there were fewer.
func die(h *host, n int, power bool) (over bool) {
	for i := 0; i < n && !over; i++ {
		for range 20 {
			if len(h.queue) == 0 {
				h.fire()
			}
		}
		if over = len(h.queue) == 0; !over {
			h.step()
		}
	}
	if power {
		h.power()
	}
	return over
}

// fire fires the timer that is due first.
func (h *host) fire() {
	first := 0
	for i, at := range h.timers {
		if at < h.timers[first] {
			first = i
		}
	}
	h.now, h.timers[first] = max(h.now, h.timers[first]), env.Never
	h.Step(&env.Event{Kind: env.Timer, Timer: env.TimerID(first), At: h.now})
}

// While a tenant is removed, nothing but its own directory is touched.
func TestARemovalStaysInItsDirectory(t *testing.T) {
	h := serving(t)
	h.must(createOf(3, few, 1))
	h.settle()
	before := maps.Clone(h.names)
	h.paths = nil
	h.must(dropOf(3, 0))
	h.settle()
	for _, path := range h.paths {
		switch own := "tenants/3"; {
		case path == "", path == own, strings.HasPrefix(path, own+"/"), path == "tenants", strings.HasPrefix(path, metaDir+"/"):
		default:
			t.Errorf("an operation on %s", path)
		}
	}
	for path := range before {
		if h.names[path] == nil && !strings.HasPrefix(path, "tenants/3") && !strings.HasPrefix(path, metaDir+"/") {
			t.Errorf("%s is gone", path)
		}
	}
	if left := h.tree(3); len(left) > 0 {
		t.Errorf("there is still %v", left)
	}
}

// A removal that the disk does not let happen is tried again, with pauses that grow, as long
// as the process lives; other tenants are removed meanwhile.
func TestARemovalThatFailsIsTriedAgain(t *testing.T) {
	h := serving(t)
	h.must(createOf(3, few, 1), createOf(4, few, 1))
	h.fails = func(op *env.Op) bool {
		return (op.Kind == env.OpRename || op.Kind == env.OpRemove) && strings.HasPrefix(op.Path, "tenants/3")
	}
	h.must(dropOf(3, 0))
	if !h.until(func() bool { return len(h.pauses) > 1 }) {
		t.Fatal("it is not tried again")
	}
	h.must(dropOf(4, 0))
	const first, longest = 100 * env.Millisecond, 5 * env.Second
	for len(h.pauses) == 0 || h.pauses[len(h.pauses)-1] < longest {
		if before := len(h.pauses); !h.until(func() bool { return len(h.pauses) > before }) {
			t.Fatalf("it is not tried again after pauses %v", h.pauses)
		}
		if len(h.tree(3)) == 0 || !h.removal.paused {
			t.Fatalf("the disk lets go of nothing; left is %v, paused: %t", h.tree(3), h.removal.paused)
		}
	}
	// The pauses begin anew once tenant 4 is removed.
	anew := 1
	for anew < len(h.pauses) && h.pauses[anew] != first {
		anew++
	}
	want := []env.Duration{first, 2 * first, 4 * first, 8 * first, 16 * first, 32 * first, longest}
	if !slices.Equal(h.pauses[:2], want[:2]) || !slices.Equal(h.pauses[anew:], want) {
		t.Errorf("pauses %v", h.pauses)
	}
	if left := h.tree(4); len(left) > 0 {
		t.Errorf("tenant 4 waits for tenant 3: there is still %v", left)
	}
	h.fails = nil
	h.advance(longest)
	if left := h.tree(3); len(left) > 0 || len(h.removal.waiting) > 0 {
		t.Errorf("the disk lets go, and there is still %v", left)
	}
}

var _ env.Env = (*host)(nil)
