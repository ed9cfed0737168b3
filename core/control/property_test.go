package control

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// anyCommand draws a command: of a kind, the first of a few that would have an effect.
func anyCommand(t *rapid.T, p *Plane) (c Command) {
	kind := rapid.SampledFrom([]Kind{
		Register, Appear, Appear, Elect, Reform, Reform, Settle, Settle, Remove, Join, Join, Exclude, Exclude, Readmit, Readmit, Assign, Assign,
		CreateTenant, CreateTenant, DropTenant, Configure, Configure, Grant, Grant, Grant, Hold, Hold, Close, Close, Drain, Undrain, Undrain, AcceptLoss, AcceptLoss,
	}).Draw(t, "kind")
	for range 6 {
		if c = anyOf(t, p, kind); p.Judge(&c) == Done {
			break
		}
	}
	return c
}

func anyOf(t *rapid.T, p *Plane, kind Kind) Command {
	s := rapid.SampledFrom(likely(p, kind)).Draw(t, "shard")
	c := s.about(kind, anyMember(t, p, &s))
	if rapid.IntRange(0, 9).Draw(t, "stale") == 0 {
		c.Version--
	}
	if rapid.IntRange(0, 3).Draw(t, "by") > 0 {
		c.By = s.Leader
	}
	c.Node, c.In = rapid.SampledFrom(s.Replicas).Draw(t, "node"), env.ID(rapid.IntRange(0, 8).Draw(t, "in"))
	c.Tenant, c.Slot = tenant.ID(rapid.IntRange(6, 10).Draw(t, "tenant")), lineage.Slot(rapid.IntRange(0, 3).Draw(t, "slot"))
	if kind == Exclude && len(p.tenants) > 0 {
		c.Tenant = rapid.SampledFrom(p.tenants).Draw(t, "excluded").Config.ID
	}
	c.Base = rapid.Uint64Range(1, 4).Draw(t, "base")
	c.Config = tenant.Config{ID: c.Tenant, Version: c.Base + 1, Limits: anyLimits(t)}
	if rapid.Bool().Draw(t, "resident") {
		c.Config.Residency = tenant.Residency{s.Region}
	}
	for range rapid.IntRange(1, 3).Draw(t, "slots") {
		c.Shards = append(c.Shards, lineage.Shard(rapid.IntRange(1, 4).Draw(t, "home")))
	}
	switch c.Kind {
	case Appear:
		c.Member.Incarnation = p.nodes[min(int(c.Member.Node), 7)].Registered + env.Incarnation(rapid.IntRange(0, 2).Draw(t, "starts"))
	case Register:
		c.Directory, c.Nonce = env.Nonce{A: rapid.Uint64Range(0, 2).Draw(t, "directory")}, env.Nonce{B: rapid.Uint64Range(0, 9).Draw(t, "nonce")}
		if n := p.Node(c.Node); n != nil && rapid.IntRange(0, 3).Draw(t, "same directory") > 0 {
			c.Directory, c.Given = n.Directory, n.Registered
		}
	}
	if len(s.Excluded) > 0 && c.Kind == Readmit {
		x := rapid.SampledFrom(s.Excluded).Draw(t, "exclusion")
		c.Member, c.Tenant, c.Slot = x.Member, x.Tenant, x.Slot
	}
	switch kind {
	case Grant, Hold:
		aboutShare(t, p, &c)
	case Close:
		aboutEnd(t, p, &c)
	case Assign:
		aboutReplica(t, p, &s, &c)
	case Drain, Undrain:
		c.Node = c.In
		if n := p.Draining(); n != nil && rapid.Bool().Draw(t, "the drained one") {
			c.Node = n.ID
		}
	case Configure:
		if x := p.Tenant(c.Tenant); x != nil && rapid.IntRange(0, 4).Draw(t, "based") > 0 {
			c.Base, c.Config.Version = x.Config.Version, x.Config.Version+1
		}
	}
	// Fields that the kind does not have are not encoded.
	c, err := DecodeCommand(c.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// anyLimits draws limits of a few of each, so that slots come to their shares' ends.
func anyLimits(t *rapid.T) tenant.Limits {
	return tenant.Limits{
		Rate: rapid.Uint64Range(1, 8).Draw(t, "rate"), Burst: rapid.Uint64Range(0, 8).Draw(t, "burst"),
		Entities: rapid.Uint64Range(0, 9).Draw(t, "entities"), Bytes: rapid.SampledFrom([]uint64{0, tenant.MinBytes, 110, 120}).Draw(t, "bytes"),
	}
}

// aboutShare aims a command at the share of an existing slot, with numbers near the granted or held
// ones.
func aboutShare(t *rapid.T, p *Plane, c *Command) {
	if len(p.tenants) == 0 {
		return
	}
	x := rapid.SampledFrom(p.tenants).Draw(t, "whose")
	slot := rapid.IntRange(0, len(x.Slots)-1).Draw(t, "which")
	s := &x.Slots[slot]
	c.Tenant, c.Slot, c.Share = x.Config.ID, lineage.Slot(slot), s.Grant
	if rapid.IntRange(0, 9).Draw(t, "another grant") > 0 {
		c.Base = s.Granted
	}
	for r := range c.Share {
		switch rapid.IntRange(0, 5).Draw(t, "number") {
		case 0, 1:
			c.Share[r] -= min(c.Share[r], rapid.Uint64Range(0, 3).Draw(t, "less"))
		case 2:
			c.Share[r] += rapid.Uint64Range(0, 3).Draw(t, "more")
		case 3:
			c.Share[r] = s.Held[r]
		}
	}
	if c.Kind == Hold {
		c.Share = c.Share.Max(s.Grant)
	}
}

// aboutReplica makes a command mostly replace a replica that is no member by a node of the
// shard's region that has none.
func aboutReplica(t *rapid.T, p *Plane, s *Shard, c *Command) {
	out := slices.DeleteFunc(slices.Clone(s.Replicas), func(id env.ID) bool {
		return slices.ContainsFunc(s.InSync, func(m Member) bool { return m.Node == id })
	})
	in := slices.DeleteFunc(slices.Clone(p.nodes), func(n Node) bool { return n.Region != s.Region || slices.Contains(s.Replicas, n.ID) })
	if len(out) == 0 || len(in) == 0 || rapid.IntRange(0, 4).Draw(t, "any replica") == 0 {
		return
	}
	c.Node, c.In = rapid.SampledFrom(out).Draw(t, "out"), rapid.SampledFrom(in).Draw(t, "into").ID
}

// aboutEnd makes a command be about a slot of a tenant that is being dropped, by the one
// that leads its shard, if there is such a tenant.
func aboutEnd(t *rapid.T, p *Plane, c *Command) {
	ending := slices.DeleteFunc(slices.Clone(p.tenants), func(x Tenant) bool { return !x.Dropping })
	if len(ending) == 0 {
		return
	}
	x := rapid.SampledFrom(ending).Draw(t, "whose")
	slot := rapid.IntRange(0, len(x.Shards)-1).Draw(t, "which")
	s := p.Shard(x.Shards[slot])
	c.Tenant, c.Slot = x.Config.ID, lineage.Slot(slot)
	c.Shard, c.Epoch = s.ID, s.Epoch
	if rapid.IntRange(0, 4).Draw(t, "by another") > 0 {
		c.By = s.Leader
	}
}

// likely returns the shards on which a command of a kind can have an effect, all if there is none.
func likely(p *Plane, kind Kind) []Shard {
	some := slices.DeleteFunc(slices.Clone(p.shards), func(s Shard) bool {
		switch kind {
		case Readmit:
			return len(s.Excluded) == 0
		case Join, Assign:
			return len(s.InSync) == len(s.Replicas)
		case Settle:
			return !s.Reformed
		case AcceptLoss:
			return !p.IsStuck(&s)
		case Register:
			return len(s.InSync) > 1
		}
		return false
	})
	if len(some) == 0 {
		return p.shards
	}
	return some
}

// anyMember draws a member: one in sync, or the current life of a node.
func anyMember(t *rapid.T, p *Plane, s *Shard) Member {
	switch rapid.IntRange(0, 2).Draw(t, "member") {
	case 0:
		return rapid.SampledFrom(s.InSync).Draw(t, "in-sync")
	case 1:
		n := p.Node(rapid.SampledFrom(s.Replicas).Draw(t, "replica"))
		return Member{n.ID, n.Incarnation}
	}
	n := rapid.SampledFrom(p.nodes).Draw(t, "any")
	return Member{n.ID, n.Incarnation}
}

// shards returns copies that later commands do not change.
func shards(p *Plane) []Shard {
	all := slices.Clone(p.shards)
	for i := range all {
		all[i] = all[i].Clone()
	}
	return all
}

// step reports a change of a shard that the command must not make.
func step(p *Plane, old, now *Shard, c *Command, done bool) error {
	same := what(old) == what(now) && old.Index == now.Index
	switch {
	case !done && !same:
		return fmt.Errorf("a refusal changes %s to %s", what(old), what(now))
	case now.Epoch < old.Epoch || now.Version < old.Version || now.Index < old.Index:
		return fmt.Errorf("it goes back: %s to %s", what(old), what(now))
	case !same && now.Version != old.Version+1:
		return fmt.Errorf("a change that is not counted: %s to %s", what(old), what(now))
	case now.Epoch != old.Epoch && c.Kind != Elect && c.Kind != Reform, now.Leader != old.Leader && now.Epoch != old.Epoch+1:
		return fmt.Errorf("an epoch is a leadership: %s to %s", what(old), what(now))
	case now.Leader != old.Leader && c.Kind == Elect && !slices.Contains(old.InSync, now.Leader) && !old.IsEligible(now.Leader.Node):
		return fmt.Errorf("%v was promoted, of %v", now.Leader, old.InSync)
	case now.Epoch != old.Epoch && (old.IsExcluded(now.Leader) && (c.Kind == Elect || anyWhole(p, old)) || !p.isRegistered(now.Leader)):
		return fmt.Errorf("%v was promoted, registered %+v, excluded %v", now.Leader, p.Node(now.Leader.Node), old.Excluded)
	case old.Reformed && !now.Reformed && (c.Kind != Settle || c.By != old.Leader) && !(c.Kind == Elect && old.IsEligible(now.Leader.Node)):
		return fmt.Errorf("a reform ended by %v", c)
	}
	if id, slot, lost := wholeNoMore(p, old, now); lost {
		return fmt.Errorf("no member is whole any more for tenant %s slot %d, and no replica's disk was lost: %s to %s", id, slot, what(old), what(now))
	}
	for _, m := range now.Eligible {
		left := c.Kind == Remove && c.Member == m && len(old.InSync) >= old.Min || c.Kind == Elect && old.IsEligible(now.Leader.Node)
		if !slices.Contains(old.Eligible, m) && !(left && old.IsInSync(m) && !old.IsExcluded(m)) {
			return fmt.Errorf("%v became eligible, in sync were %v, excluded %v", m, old.InSync, old.Excluded)
		}
	}
	for _, m := range now.InSync {
		_, held := old.holder(m.Node)
		if !old.IsInSync(m) && !(c.Kind == Join && c.By == old.Leader && c.Member == m) && !(c.Kind == Reform && held) && !(c.Kind == Elect && old.IsEligible(m.Node)) {
			return fmt.Errorf("%v entered %v", m, old.InSync)
		}
	}
	return nil
}

// wholeNoMore returns a slot that had a member without an exclusion, or an eligible member, before a
// change of its shard, and has none after it, though no replica of before has ever lost its disk.
func wholeNoMore(p *Plane, old, now *Shard) (tenant.ID, lineage.Slot, bool) {
	if slices.ContainsFunc(old.Replicas, func(id env.ID) bool { return p.Node(id).Lost > 0 }) {
		return 0, 0, false
	}
	whole := func(s *Shard, id tenant.ID, slot lineage.Slot) bool {
		return len(s.Eligible) > 0 || slices.ContainsFunc(s.InSync, func(m Member) bool { return !s.Excludes(m, id, slot) })
	}
	for _, x := range now.Excluded {
		if whole(old, x.Tenant, x.Slot) && !whole(now, x.Tenant, x.Slot) {
			return x.Tenant, x.Slot, true
		}
	}
	return 0, 0, false
}

// anyWhole reports whether a member of a shard has no exclusion, and its disk.
func anyWhole(p *Plane, s *Shard) bool {
	return slices.ContainsFunc(s.InSync, func(m Member) bool { return !s.IsExcluded(m) && !p.isLost(m) })
}

// tenants returns copies that later commands do not change.
func tenants(p *Plane) []Tenant {
	all := slices.Clone(p.tenants)
	for i := range all {
		all[i] = all[i].Clone()
	}
	return all
}

// stepOfTenant reports a change of a tenant that the command must not make; now is nil if the
// tenant has ended.
func stepOfTenant(old, now *Tenant, c *Command, done bool) error {
	if now == nil {
		open := 0
		for i := range old.Slots {
			if !old.Slots[i].Closed {
				open++
			}
		}
		if c.Kind != Close || !old.Dropping || open != 1 || old.Slots[c.Slot].Closed {
			return fmt.Errorf("it ended: %+v", old)
		}
		return nil
	}
	same := fmt.Sprintf("%+v", old) == fmt.Sprintf("%+v", now)
	whole, before, after := quota.Whole(now.Config.Limits), old.Held(), now.Held()
	switch {
	case !done && !same:
		return fmt.Errorf("a refusal changes %+v to %+v", old, now)
	case old.Dropping && !now.Dropping, old.Dropping && fmt.Sprint(old.Config) != fmt.Sprint(now.Config):
		return fmt.Errorf("a tenant that is being dropped lives on: %+v", now)
	case now.Config.Version < old.Config.Version || now.Index < old.Index:
		return fmt.Errorf("it goes back: %+v to %+v", old, now)
	case !same && now.Index == old.Index:
		return fmt.Errorf("a change that nobody is told of: %+v to %+v", old, now)
	}
	for r := range whole {
		if after[r] > max(before[r], whole[r]) {
			return fmt.Errorf("%d may be used of number %d, %d before; the limits are %v", after[r], r, before[r], whole)
		}
		if c.Kind == Hold && after[r] > before[r] {
			return fmt.Errorf("what is held has grown from %v to %v", before, after)
		}
	}
	for i := range old.Slots {
		was, is := &old.Slots[i], &now.Slots[i]
		if was.Closed && !is.Closed || is.Granted < was.Granted || is.Taken < was.Taken || is.Grant != was.Grant && is.Granted != now.Index {
			return fmt.Errorf("slot %d goes back: %+v to %+v", i, was, is)
		}
		if is.Held != was.Held && !was.Held.Within(is.Held) && c.Kind != Hold {
			return fmt.Errorf("slot %d holds less, and its log has not said so: %+v to %+v", i, was, is)
		}
	}
	return nil
}

func TestAnyCommandsKeepTheInvariants(t *testing.T) {
	effects := map[Kind]int{}
	defer func() { t.Log("effects:", effects) }()
	rapid.Check(t, func(t *rapid.T) {
		l := newLog()
		for range rapid.IntRange(1, 120).Draw(t, "commands") {
			c, before, nodes := anyCommand(t, l.plane), shards(l.plane), slices.Clone(l.plane.nodes)
			were := tenants(l.plane)
			r := l.do(c)
			if r.Refusal == Done {
				effects[c.Kind]++
			}
			if err := invariant(l.plane); err != nil {
				t.Fatalf("after %v: %v", &c, err)
			}
			for i := range before {
				if err := step(l.plane, &before[i], &l.plane.shards[i], &c, r.Refusal == Done); err != nil {
					t.Fatalf("%v of shard %d: %v", &c, before[i].ID, err)
				}
			}
			for i := range were {
				if err := stepOfTenant(&were[i], l.plane.Tenant(were[i].Config.ID), &c, r.Refusal == Done); err != nil {
					t.Fatalf("%v of tenant %s: %v", &c, were[i].Config.ID, err)
				}
			}
			for i, n := range nodes {
				if now := l.plane.nodes[i].Incarnation; now < n.Incarnation {
					t.Fatalf("after %v node %d goes back from incarnation %d to %d", &c, n.ID, n.Incarnation, now)
				}
			}
		}
	})
	for k := Register; k < kindEnd; k++ {
		if effects[k] == 0 {
			t.Errorf("no %v ever had an effect", k)
		}
	}
}

// A former replica may keep bytes of a tenant for as long as it is down. So a residency permits the
// regions of all nodes that ever had a replica of a shard of the tenant.
func TestResidenciesPermitFormerReplicas(t *testing.T) {
	former := 0
	defer func() { t.Logf("%d configurations were compared with former replicas", former) }()
	rapid.Check(t, func(t *rapid.T) {
		l := newLog()
		holders := map[lineage.Shard][]env.ID{}
		for range rapid.IntRange(1, 120).Draw(t, "commands") {
			for i := range l.plane.shards {
				s := &l.plane.shards[i]
				holders[s.ID] = append(holders[s.ID], s.Replicas...)
			}
			c := anyCommand(t, l.plane)
			l.do(c)
			for i := range l.plane.tenants {
				x := &l.plane.tenants[i]
				for _, shard := range x.Shards {
					for _, id := range holders[shard] {
						if !slices.Contains(l.plane.Shard(shard).Replicas, id) {
							former++
						}
						if region := l.plane.Node(id).Region; !x.Config.Residency.Permits(region) {
							t.Fatalf("after %v: tenant %s may be in %v, and node %d in %q had shard %d", &c, x.Config.ID, x.Config.Residency, id, region, shard)
						}
					}
				}
			}
		}
	})
	if former == 0 {
		t.Error("no tenant ever had a former replica")
	}
}

func TestASnapshotAtAnyMomentChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := newLog()
		n, at := rapid.IntRange(1, 60).Draw(t, "commands"), rapid.IntRange(0, 59).Draw(t, "snapshot")
		other := *one
		for i := range n {
			if i == at {
				other = *newLog()
				other.index = one.index
				if err := other.plane.Restore(one.plane.Snapshot()); err != nil {
					t.Fatal(err)
				}
			}
			c := anyCommand(t, one.plane)
			if i < at {
				one.do(c)
				continue
			}
			if a, b := one.do(c), other.do(c); a != b {
				t.Fatalf("%v: %+v, and %+v after a snapshot", &c, a, b)
			}
		}
		if n > at && !bytes.Equal(one.plane.Snapshot(), other.plane.Snapshot()) {
			t.Fatalf("the states differ:\n% x\n% x", one.plane.Snapshot(), other.plane.Snapshot())
		}
	})
}

// converge applies the proposals of Decide until there are none, and returns the waits.
func converge(t *rapid.T, l *log, seen *Seen) []Wait {
	patience := &Patience{Silence: 300 * env.Millisecond, Replace: 10 * env.Second, Slow: 600 * env.Millisecond}
	const enough = 64 // of rounds; a shard needs 1 + MaxReplicas
	for range enough {
		steps, waits := Decide(l.plane, seen, patience, nil, nil)
		if again, _ := Decide(l.plane, seen, patience, nil, nil); fmt.Sprint(again) != fmt.Sprint(steps) {
			t.Fatalf("decided once: %v, and again: %v", steps, again)
		}
		if len(steps) == 0 && !leadersRemove(l) {
			return waits
		}
		objects := map[any]bool{}
		for i := range steps {
			c := &steps[i].Command
			var object any = c.Shard
			if c.Kind == Appear {
				object = c.Member.Node
			}
			if objects[object] {
				t.Fatalf("two steps for one object: %v", steps)
			}
			objects[object] = true
			if r := l.do(*c); r.Refusal != Done {
				t.Fatalf("%v because %v: %v", c, steps[i].Why, r.Refusal)
			}
			if err := invariant(l.plane); err != nil {
				t.Fatalf("after %v because %v: %v", c, steps[i].Why, err)
			}
		}
	}
	t.Fatalf("no end after %d rounds", enough)
	return nil
}

// leadersRemove lets the leader of each shard remove one member that has restarted, if
// it is alive itself, and reports whether any did.
func leadersRemove(l *log) (removed bool) {
	for _, s := range shards(l.plane) {
		for _, x := range s.InSync {
			c := s.about(Remove, x)
			c.By = s.Leader
			if l.plane.isRegistered(s.Leader) && l.plane.hasRestarted(x) && l.plane.Judge(&c) == Done {
				l.do(c)
				removed = true
				break
			}
		}
	}
	return removed
}

func anyState(t *rapid.T) *log {
	l := newLog()
	for range rapid.IntRange(0, 60).Draw(t, "commands") {
		l.do(anyCommand(t, l.plane))
	}
	return l
}

// With all nodes alive every shard gets a leader that lives, from any state, and then
// there is nothing to do and, but for logs that the leaders fetch, to wait for.
func TestDecisionsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyState(t)
		seen := &Seen{Now: 50 * env.Time(env.Second), Since: env.Time(env.Second)}
		for _, n := range l.plane.nodes {
			starts := env.Incarnation(rapid.IntRange(0, 1).Draw(t, "starts"))
			seen.Nodes = append(seen.Nodes, Sighting{n.ID, max(n.Incarnation+starts, n.Registered), seen.Now, true})
		}
		waits := converge(t, l, seen)
		for i := range l.plane.shards {
			s := &l.plane.shards[i]
			if l.plane.IsStuck(s) { // it waits for an operator
				continue
			}
			if !l.plane.isRegistered(s.Leader) {
				t.Fatalf("shard %d is led by the dead: %s", s.ID, what(s))
			}
			if l.plane.IsDraining(s.Leader.Node) && !s.Reformed { // it gathers logs first
				for _, x := range s.InSync {
					if x != s.Leader && l.plane.promotable(s, x) {
						t.Fatalf("shard %d is led by one that is drained: %s", s.ID, what(s))
					}
				}
			}
			if s.IsExcluded(s.Leader) {
				for _, x := range s.InSync {
					if l.plane.promotable(s, x) {
						t.Fatalf("shard %d is led by one that lacks records: %s", s.ID, what(s))
					}
				}
				continue
			}
			for _, x := range s.InSync {
				if !l.plane.isRegistered(x) {
					t.Fatalf("shard %d has a dead member: %s", s.ID, what(s))
				}
			}
		}
		for _, w := range waits {
			if w.Why.Because == NobodyElse { // it leads on, because the shard needs a leader
				s := l.plane.Shard(w.Shard)
				if s.Leader != w.Why.Member || !l.plane.IsDraining(s.Leader.Node) || slices.ContainsFunc(s.InSync, func(x Member) bool { return x != s.Leader && l.plane.promotable(s, x) }) {
					t.Fatalf("shard %d %v: %s", w.Shard, w.Why, what(s))
				}
				continue
			}
			if w.Why.Because != OnlyExcluded && w.Why.Because != LossUnaccepted {
				t.Fatalf("all are alive, and shard %d %v", w.Shard, w.Why)
			}
		}
	})
}

// For any sightings, the proposals of Decide are never refused and come to an end, and a shard
// without a leader that is alive and whole has a wait.
func TestDecisionsAreTakenAndEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyState(t)
		seen := anySightings(t, l.plane)
		waits := converge(t, l, seen)
		d := &decision{Plane: l.plane, seen: seen, patience: &Patience{Silence: 300 * env.Millisecond, Replace: 10 * env.Second, Slow: 600 * env.Millisecond}}
		for i := range l.plane.shards {
			s := &l.plane.shards[i]
			if d.look(s.Leader).life == alive && !s.IsExcluded(s.Leader) {
				continue
			}
			if !slices.ContainsFunc(waits, func(w Wait) bool { return w.Shard == s.ID }) {
				t.Fatalf("shard %d has no leader and waits for nobody: %s; seen %+v", s.ID, what(s), seen)
			}
		}
	})
}

func anySightings(t *rapid.T, p *Plane) *Seen {
	seen := &Seen{Now: 50 * env.Time(env.Second)}
	seen.Since = seen.Now.Add(-rapid.SampledFrom([]env.Duration{0, 100, 299, 300, 9999, 10000, 49000}).Draw(t, "since") * env.Millisecond)
	for _, n := range p.nodes {
		quiet := rapid.SampledFrom([]env.Duration{0, 299, 300, 9999, 10000, 20000}).Draw(t, "quiet") * env.Millisecond
		seen.Nodes = append(seen.Nodes, Sighting{
			n.ID, n.Incarnation + env.Incarnation(rapid.IntRange(0, 2).Draw(t, "starts")) - 1, seen.Now.Add(-quiet), rapid.IntRange(0, 4).Draw(t, "known") > 0,
		})
	}
	return seen
}
