package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

var some = tenant.Limits{Rate: 50, Burst: 10, Entities: 5, Bytes: 1000}

func create(id tenant.ID) wire.Message {
	return wire.Message{Kind: wire.Create, Tenant: id, Placement: 1, Version: 1, Limits: some}
}

func configure(id tenant.ID, version, base uint64) wire.Message {
	return wire.Message{Kind: wire.Configure, Tenant: id, Placement: 1, Version: version, Base: base, Limits: some}
}

func drop(id tenant.ID, base uint64) wire.Message {
	return wire.Message{Kind: wire.Drop, Tenant: id, Placement: 1, Base: base}
}

// altered returns a command with something changed.
func altered(m wire.Message, change func(*wire.Message)) wire.Message {
	change(&m)
	return m
}

// What an operator is told of a command after others, in which all of them were
// done. Tenant 1 was there from the beginning, tenant 2 is on another node.
func TestWhatOperatorsAreTold(t *testing.T) {
	done, no := wire.Message{Kind: wire.Done}, func(c wire.Code) wire.Message { return wire.Message{Kind: wire.Refusal, Code: c} }
	outdated := func(inForce uint64) wire.Message {
		return wire.Message{Kind: wire.Refusal, Code: wire.VersionConflict, Facts: wire.Facts{Outdated: wire.Outdated{Version: inForce}}}
	}
	illegal := func(field uint8, value uint64) wire.Message {
		return wire.Message{Kind: wire.Refusal, Code: wire.InvalidConfig, Facts: wire.Facts{BadField: wire.BadField{Field: field, Value: value}}}
	}
	for name, c := range map[string]struct {
		before  []wire.Message
		command wire.Message
		want    wire.Message
	}{
		"create":                              {nil, create(3), done},
		"create again":                        {[]wire.Message{create(3)}, create(3), done},
		"create as it was founded":            {nil, altered(create(1), func(m *wire.Message) { m.Limits = tenant.Limits{Rate: 1000} }), done},
		"create otherwise":                    {[]wire.Message{create(3)}, altered(create(3), func(m *wire.Message) { m.Limits.Rate++ }), no(wire.TenantExists)},
		"create in another version":           {[]wire.Message{create(3)}, altered(create(3), func(m *wire.Message) { m.Version = 2 }), no(wire.TenantExists)},
		"create after other limits":           {[]wire.Message{create(3), configure(3, 2, 1)}, create(3), done},
		"create what is elsewhere":            {nil, altered(create(2), func(m *wire.Message) { m.Shard = 0 }), no(wire.TenantExists)},
		"create what was dropped":             {[]wire.Message{create(3), drop(3, 1)}, create(3), no(wire.TenantDropped)},
		"create what was dropped at first":    {[]wire.Message{drop(1, 1)}, create(1), no(wire.TenantDropped)},
		"create in a new shard":               {nil, altered(create(3), func(m *wire.Message) { m.Shard = 8 }), done},
		"create in another's shard":           {nil, altered(create(3), func(m *wire.Message) { m.Shard = 1 }), no(wire.Invalid)},
		"create slot 1":                       {nil, altered(create(3), func(m *wire.Message) { m.Slot = 1 }), no(wire.Invalid)},
		"create without a placement":          {nil, altered(create(3), func(m *wire.Message) { m.Placement = 0 }), no(wire.Invalid)},
		"create with no rate":                 {nil, altered(create(3), func(m *wire.Message) { m.Limits.Rate = 0 }), illegal(3, 0)},
		"create the reserved tenant":          {nil, create(tenant.Reserved), illegal(1, uint64(tenant.Reserved))},
		"configure":                           {nil, configure(1, 2, 1), done},
		"configure again":                     {[]wire.Message{configure(1, 2, 1)}, configure(1, 2, 1), done},
		"configure what was created":          {[]wire.Message{create(3)}, altered(configure(3, 2, 1), func(m *wire.Message) { m.Limits.Rate++ }), done},
		"configure over another version":      {nil, configure(1, 3, 2), outdated(1)},
		"configure back":                      {[]wire.Message{configure(1, 4, 1)}, configure(1, 3, 4), outdated(4)},
		"configure version 0":                 {nil, configure(1, 0, 1), illegal(2, 0)},
		"configure too few bytes":             {nil, altered(configure(1, 2, 1), func(m *wire.Message) { m.Limits.Bytes = 100 }), illegal(6, 100)},
		"configure nobody":                    {nil, configure(9, 2, 1), no(wire.UnknownTenant)},
		"configure nobody illegally":          {nil, configure(9, 0, 1), no(wire.UnknownTenant)},
		"configure another slot":              {nil, altered(configure(1, 2, 1), func(m *wire.Message) { m.Slot = 4 }), no(wire.WrongSlot)},
		"configure another slot of a new one": {[]wire.Message{create(3)}, altered(configure(3, 2, 1), func(m *wire.Message) { m.Slot = 4 }), no(wire.WrongSlot)},
		"configure elsewhere":                 {nil, configure(2, 2, 1), no(wire.Moved)},
		"configure another placement":         {nil, altered(configure(1, 2, 1), func(m *wire.Message) { m.Placement = 2 }), no(wire.BadEpoch)},
		"configure what was dropped":          {[]wire.Message{drop(1, 0)}, configure(1, 2, 1), no(wire.UnknownTenant)},
		"drop":                                {nil, drop(1, 1), done},
		"drop any version":                    {[]wire.Message{configure(1, 5, 1)}, drop(1, 0), done},
		"drop another version":                {[]wire.Message{configure(1, 5, 1)}, drop(1, 1), outdated(5)},
		"drop again":                          {[]wire.Message{drop(1, 1)}, drop(1, 1), done},
		"drop again over another version":     {[]wire.Message{drop(1, 1)}, drop(1, 6), done},
		"drop what was created":               {[]wire.Message{create(3)}, drop(3, 1), done},
		"drop nobody":                         {nil, drop(9, 1), no(wire.UnknownTenant)},
		"drop elsewhere":                      {nil, drop(2, 1), no(wire.Moved)},
	} {
		t.Run(name, func(t *testing.T) {
			h := serving(t)
			for _, m := range c.before {
				if got := h.told(m); got.Kind != wire.Done {
					t.Fatalf("%s of tenant %s: %s %s", m.Kind, m.Tenant, got.Kind, got.Code)
				}
			}
			for _, when := range []string{"at once", "after a restart"} {
				got := h.told(c.command)
				got = wire.Message{Kind: got.Kind, Code: got.Code, Facts: got.Facts}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", when, diff)
				}
				h.power()
				h.restart()
			}
		})
	}
}

// One change of the node file at a time: others are told to come again, and one that
// comes again while it is under way is too.
func TestOneChangeAtATime(t *testing.T) {
	h := serving(t)
	h.command(create(3))
	for _, m := range []wire.Message{create(4), create(3), drop(1, 1)} {
		h.answers = nil
		h.command(m)
		if len(h.answers) != 1 || h.answers[0].Code != wire.Overloaded {
			t.Errorf("%s of tenant %s meanwhile: %+v", m.Kind, m.Tenant, h.answers)
		}
	}
	h.run()
	if got := h.told(create(4)); got.Kind != wire.Done {
		t.Errorf("afterwards: %s %s", got.Kind, got.Code)
	}
}

// Before the node file is read nobody can say who is here.
func TestAStartingNodeKnowsNobody(t *testing.T) {
	h := serving(t)
	h.told(create(3))
	h.start()
	for _, m := range []wire.Message{create(4), configure(3, 2, 1), drop(3, 1), {Kind: wire.Read, Tenant: 3, Placement: 1}} {
		h.answers = nil
		h.command(m)
		if len(h.answers) != 1 || h.answers[0].Code != wire.NotServing {
			t.Errorf("%s of tenant %s: %+v", m.Kind, m.Tenant, h.answers)
		}
	}
}

// From the moment on at which a tombstone is written nothing is begun in the slot.
func TestADropIsTheLastWord(t *testing.T) {
	h := serving(t)
	h.command(drop(1, 1))
	for _, want := range []wire.Code{wire.NotServing, wire.UnknownTenant} {
		for _, m := range []wire.Message{configure(1, 2, 1), {Kind: wire.Read, Tenant: 1, Placement: 1}} {
			h.answers = nil
			h.command(m)
			if len(h.answers) != 1 || h.answers[0].Code != want {
				t.Errorf("a %s is told %+v, want %s", m.Kind, h.answers, want)
			}
		}
		h.run()
	}
}

// A full disk refuses what it has no room for, and nothing happened.
func TestNoRoomForTheNodeFile(t *testing.T) {
	for _, m := range []wire.Message{create(3), drop(1, 1)} {
		h := serving(t)
		room := h.room
		h.room = 10
		if got := h.told(m); got.Code != wire.DiskFull {
			t.Errorf("%s: %s %s", m.Kind, got.Kind, got.Code)
		}
		h.room = room
		if got := h.told(configure(1, 2, 1)); got.Kind != wire.Done {
			t.Errorf("after a %s that was refused: %s %s", m.Kind, got.Kind, got.Code)
		}
		if got := h.told(altered(m, func(m *wire.Message) { m.Base = 0 })); got.Kind != wire.Done {
			t.Errorf("%s with room again: %s %s", m.Kind, got.Kind, got.Code)
		}
	}
}

func TestTheCatalogIsBounded(t *testing.T) {
	h := serving(t)
	for id := tenant.ID(100); len(h.catalog.dropped) < MaxCatalog-2; id++ {
		h.catalog.dropped = append(h.catalog.dropped, id)
	}
	h.cluster.Placements = h.cluster.Placements[:1]
	h.cluster.Index()
	if got := h.told(create(3)); got.Kind != wire.Done {
		t.Errorf("the last one: %s %s", got.Kind, got.Code)
	}
	if got := h.told(create(4)); got.Code != wire.CatalogFull {
		t.Errorf("one more: %s %s", got.Kind, got.Code)
	}
	if got := h.told(drop(1, 1)); got.Kind != wire.Done {
		t.Errorf("a drop: %s %s", got.Kind, got.Code)
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
// the command can be repeated to its end. The other tenant is not touched.
func TestACrashAtAnyStep(t *testing.T) {
	for _, m := range []wire.Message{create(3), drop(1, 1), drop(4, 0)} {
		for _, power := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s power=%t", m.Kind, m.Tenant, power), func(t *testing.T) {
				for first, over := 0, false; !over; first++ {
					over = crashes(t, m, power, first)
				}
			})
		}
	}
}

// crashes lets the node die after a number of operations, and again at every fourth
// step of the start after it, others for each number. It is true if there are not as
// many operations.
func crashes(t *testing.T, m wire.Message, power bool, first int) (over bool) {
	for second := first % 4; ; second += 4 {
		h := serving(t)
		if got := h.told(create(4)); got.Kind != wire.Done {
			t.Fatal(got.Code)
		}
		bystander := h.tree(2)
		h.paths = nil
		h.command(m)
		over = die(h, first, power)
		h.start()
		last := die(h, second, power)
		h.restart()
		if got := h.told(m); got.Kind != wire.Done {
			t.Fatalf("crashes at steps %d and %d: the repetition is told %s %s", first, second, got.Kind, got.Code)
		}
		if m.Kind == wire.Drop && len(h.tree(m.Tenant)) > 0 {
			t.Fatalf("crashes at steps %d and %d: there is still %v", first, second, h.tree(m.Tenant))
		}
		if !h.Settled() || !slices.Equal(h.tree(2), bystander) {
			t.Fatalf("crashes at steps %d and %d: settled %t, tenant 2 has %v", first, second, h.Settled(), h.tree(2))
		}
		if last {
			return over
		}
	}
}

// die completes n operations and ends the process. It is true if there were fewer.
func die(h *host, n int, power bool) bool {
	for range n {
		if len(h.queue) == 0 {
			break
		}
		h.step()
	}
	over := len(h.queue) == 0
	if power {
		h.power()
	}
	return over
}

// While a tenant is removed, nothing but its own directory is touched.
func TestARemovalStaysInItsDirectory(t *testing.T) {
	h := serving(t)
	h.told(create(3))
	before := maps.Clone(h.names)
	h.paths = nil
	h.told(drop(3, 0))
	for _, path := range h.paths {
		switch own := "tenants/3"; {
		case path == "", path == own, strings.HasPrefix(path, own+"/"), path == nodeName, path == nodeTemp, path == "tenants":
		default:
			t.Errorf("an operation on %s", path)
		}
	}
	for path := range before {
		if h.names[path] == nil && !strings.HasPrefix(path, "tenants/3") {
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
	h.told(create(3))
	h.told(create(4))
	h.fails = func(op *env.Op) bool {
		return (op.Kind == env.OpRename || op.Kind == env.OpRemove) && strings.HasPrefix(op.Path, "tenants/3")
	}
	h.told(drop(3, 0))
	h.told(drop(4, 0))
	var pauses []env.Duration
	for range 9 {
		h.run()
		if len(h.tree(3)) == 0 || !h.removal.paused {
			t.Fatalf("the disk lets go of nothing; left is %v, paused: %t", h.tree(3), h.removal.paused)
		}
		pauses = append(pauses, env.Duration(h.removal.wait))
		h.now = h.now.Add(env.Duration(h.removal.wait))
		h.Step(&env.Event{Kind: env.Timer, Timer: removalTimer, At: h.now})
	}
	// The pauses begin anew once tenant 4 is removed.
	const first, longest = 100 * env.Millisecond, 5 * env.Second
	if want := []env.Duration{first, 2 * first, 4 * first}; !slices.Equal(pauses[2:5], want) || pauses[8] != longest {
		t.Errorf("pauses %v", pauses)
	}
	if left := h.tree(4); len(left) > 0 {
		t.Errorf("tenant 4 waits for tenant 3: there is still %v", left)
	}
	h.fails = nil
	h.run()
	h.Step(&env.Event{Kind: env.Timer, Timer: removalTimer, At: h.now})
	h.run()
	if left := h.tree(3); len(left) > 0 || len(h.removal.waiting) > 0 {
		t.Errorf("the disk lets go, and there is still %v", left)
	}
}

var _ env.Env = (*host)(nil)
