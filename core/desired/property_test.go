package desired_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// ids are those of the properties' tenants: few, so that everything meets.
const ids = 10

func anyLimits(t *rapid.T) tenant.Limits {
	l := tenant.Limits{Rate: rapid.Uint64Range(2, 5).Draw(t, "rate"), Burst: rapid.Uint64Range(0, 5).Draw(t, "burst")}
	if rapid.Bool().Draw(t, "caps") {
		l.Entities, l.Bytes = rapid.Uint64Range(0, 2).Draw(t, "entities"), rapid.SampledFrom([]uint64{0, 101, 102}).Draw(t, "bytes")
	}
	return l
}

func anyResidency(t *rapid.T) tenant.Residency {
	return rapid.SampledFrom([]tenant.Residency{nil, nil, {"eu"}, {"us"}, {"eu", "us"}, {"us", "eu"}, {"asia", "eu"}, {"asia"}}).Draw(t, "residency")
}

func anyShards(t *rapid.T, n int) (shards []lineage.Shard) {
	for range n {
		shards = append(shards, lineage.Shard(rapid.IntRange(1, 4).Draw(t, "shard")))
	}
	return shards
}

// change makes a change that an operator or a leader could make to one tenant, and reports whether
// it has an effect.
func change(t *rapid.T, p *control.Plane, id tenant.ID) (done bool) {
	commands := []control.Command{anyChange(t, p, id)}
	if have := p.Tenant(id); have != nil && have.Dropping {
		commands = closes(p, id)[:rapid.IntRange(0, len(have.Shards)).Draw(t, "closes")]
	}
	for _, c := range commands {
		done = do(p, c).Refusal == control.Done || done
	}
	return done
}

func anyChange(t *rapid.T, p *control.Plane, id tenant.ID) control.Command {
	have := p.Tenant(id)
	if have != nil && rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
		return control.Command{Kind: control.DropTenant, Tenant: id}
	}
	c := control.Command{Kind: control.CreateTenant, Config: tenant.Config{ID: id, Version: 1, Limits: anyLimits(t), Residency: anyResidency(t)}}
	if have == nil {
		c.Shards = anyShards(t, rapid.IntRange(1, 3).Draw(t, "slots"))
		return c
	}
	c.Kind, c.Base = control.Configure, have.Config.Version
	c.Config.Version = c.Base + rapid.Uint64Range(1, 3).Draw(t, "versions")
	return c
}

func anyPlane(t *rapid.T) *control.Plane {
	p := running()
	for range rapid.IntRange(0, 20).Draw(t, "changes") {
		change(t, p, tenant.ID(rapid.IntRange(0, ids-1).Draw(t, "changed")))
	}
	return p
}

// anyState draws a state that often fits a plane.
func anyState(t *rapid.T, p *control.Plane) *desired.State {
	s := &desired.State{Tenants: []desired.Tenant{}}
	order := rapid.Permutation(slices.Collect(func(yield func(tenant.ID) bool) {
		for id := tenant.ID(0); id < ids && yield(id); id++ {
		}
	})).Draw(t, "order")
	for _, id := range order[:rapid.IntRange(0, ids).Draw(t, "mentioned")] {
		have := p.Tenant(id)
		likely := rapid.IntRange(0, 9).Draw(t, "fits") > 0
		switch {
		case rapid.IntRange(0, 5).Draw(t, "drop") == 0, likely && (p.Tombstone(id) != nil || have != nil && have.Dropping):
			s.Drop = append(s.Drop, id)
		case likely && have != nil:
			s.Tenants = append(s.Tenants, fitting(t, p, have))
		default:
			s.Tenants = append(s.Tenants, anyTenant(t, id, likely))
		}
	}
	return s
}

// anyTenant draws a tenant; one that is likely to be legal is anywhere, or lets its
// homes be proposed.
func anyTenant(t *rapid.T, id tenant.ID, likely bool) desired.Tenant {
	w := desired.Tenant{ID: id, Limits: anyLimits(t), Slots: rapid.IntRange(0, 3).Draw(t, "slots")}
	w.Limits.Rate++
	if likely && w.Limits.Burst > 0 {
		w.Limits.Burst = max(w.Limits.Burst, 3)
	}
	if rapid.Bool().Draw(t, "named") {
		w.Shards = anyShards(t, w.P())
	}
	switch {
	case !likely:
		w.Residency = anyResidency(t)
	case w.Shards == nil:
		w.Residency = rapid.SampledFrom([]tenant.Residency{nil, {"us"}, {"asia", "eu"}}).Draw(t, "region")
	}
	return w
}

// fitting draws a configuration that an existing tenant can get.
func fitting(t *rapid.T, p *control.Plane, have *control.Tenant) desired.Tenant {
	w := desired.Tenant{ID: have.Config.ID, Limits: have.Config.Limits, Residency: have.Config.Residency, Slots: len(have.Shards)}
	if rapid.Bool().Draw(t, "other limits") {
		w.Limits = anyLimits(t)
		w.Limits.Rate++
		w.Limits.Burst += 2
	}
	if r := anyResidency(t); !slices.ContainsFunc(have.Shards, func(id lineage.Shard) bool { return !r.Permits(p.Shard(id).Region) }) {
		w.Residency = r
	}
	if rapid.Bool().Draw(t, "named") {
		w.Shards = slices.Clone(have.Shards)
		w.Slots = rapid.SampledFrom([]int{0, w.Slots}).Draw(t, "counted")
	}
	return w
}

// unmet reports a part of a state that a plane does not have, or other state that it has lost. It
// is independent of Diff, which it judges.
func unmet(s *desired.State, before, now *control.Plane) error {
	for _, w := range s.Tenants {
		have := now.Tenant(w.ID)
		if have == nil {
			return fmt.Errorf("tenant %s is not there", w.ID)
		}
		l, want := have.Config.Limits, w.Limits
		if l.Rate != want.Rate || l.EffectiveBurst() != want.EffectiveBurst() || l.EffectiveEntities() != want.EffectiveEntities() || l.EffectiveBytes() != want.EffectiveBytes() {
			return fmt.Errorf("tenant %s has %+v, want %+v", w.ID, l, want)
		}
		for _, r := range []tenant.Region{"eu", "us", "asia"} {
			if have.Config.Residency.Permits(r) != w.Residency.Permits(r) {
				return fmt.Errorf("tenant %s has residency %v, want %v", w.ID, have.Config.Residency, w.Residency)
			}
		}
		if len(have.Shards) != w.P() || w.Shards != nil && !slices.Equal(have.Shards, w.Shards) {
			return fmt.Errorf("tenant %s is in %v, want %d slots in %v", w.ID, have.Shards, w.P(), w.Shards)
		}
	}
	for id := range tenant.ID(ids) {
		mentioned := slices.ContainsFunc(s.Tenants, func(w desired.Tenant) bool { return w.ID == id })
		switch was := before.Tenant(id); {
		case slices.Contains(s.Drop, id):
			if is := now.Tenant(id); is != nil && !is.Dropping || is == nil && was != nil && now.Tombstone(id) == nil {
				return fmt.Errorf("tenant %s is still there", id)
			}
		case !mentioned && !cmp.Equal(was, now.Tenant(id)):
			return fmt.Errorf("tenant %s is not mentioned, and was changed from %+v to %+v", id, was, now.Tenant(id))
		}
	}
	return nil
}

// For any plane and any state, Diff returns commands or an error and does not change the plane. If
// it returns commands, all of them are accepted, the plane then has the desired state, and a second
// Diff returns none.
func TestWhatIsWantedComesToBe(t *testing.T) {
	taken, refused := map[control.Kind]int{}, 0
	rapid.Check(t, func(t *rapid.T) {
		p := anyPlane(t)
		s := anyState(t, p)
		before, snapshot := p.Clone(), string(p.Snapshot())
		commands, err := desired.Diff(p, s)
		if string(p.Snapshot()) != snapshot {
			t.Fatal("to compare changes the plane")
		}
		if err != nil {
			if !errors.Is(err, desired.ErrInvalid) || commands != nil {
				t.Fatalf("%v, and %d commands", err, len(commands))
			}
			refused++
			return
		}
		for _, c := range commands {
			if r := do(p, c); r.Refusal != control.Done {
				t.Fatalf("%v is refused: %v", &c, r.Refusal)
			}
			taken[c.Kind]++
		}
		if err := unmet(s, before, p); err != nil {
			t.Fatalf("after %v: %v", commands, err)
		}
		if again, err := desired.Diff(p, s); err != nil || len(again) != 0 {
			t.Fatalf("then there is %v, %v", again, err)
		}
	})
	t.Logf("taken %v, %d refused", taken, refused)
	for _, kind := range []control.Kind{control.CreateTenant, control.Configure, control.DropTenant} {
		if taken[kind] == 0 || refused == 0 {
			t.Errorf("%d times %v, and %d refusals: some case never came", taken[kind], kind, refused)
		}
	}
}

// Another operator changes a tenant between the comparison and the commands. Commands decided on
// the old tenant are refused, the others are accepted. A new comparison either ends at the same
// state or reports the conflict.
func TestAnotherOperatorInBetween(t *testing.T) {
	stale, ended, impossible := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := anyPlane(t)
		s := anyState(t, p)
		commands, err := desired.Diff(p, s)
		if err != nil || len(commands) == 0 {
			return
		}
		// Of a drop the tenant is in Tenant, else in Config; the other one is 0.
		target := rapid.SampledFrom(commands).Draw(t, "target")
		id := target.Config.ID + target.Tenant
		others := change(t, p, id)
		between := p.Clone()
		for _, c := range commands {
			mine := c.Config.ID+c.Tenant == id
			r := do(p, c)
			switch {
			case mine && others && r.Refusal == control.Done:
				t.Fatalf("%v has its effect after another operator's change", &c)
			case mine && others:
				stale++
			case r.Refusal != control.Done:
				t.Fatalf("%v is refused: %v", &c, r.Refusal)
			}
		}
		commands, err = desired.Diff(p, s)
		if err != nil {
			impossible++
			if !others {
				t.Fatal(err)
			}
			return
		}
		ended++
		for _, c := range commands {
			must(p, c)
		}
		if err := unmet(s, between, p); err != nil {
			t.Fatalf("after %v: %v", commands, err)
		}
	})
	t.Logf("%d stale, %d ended, %d impossible", stale, ended, impossible)
	if stale == 0 || ended == 0 || impossible == 0 {
		t.Errorf("%d stale, %d ended, %d impossible: some case never came", stale, ended, impossible)
	}
}

// Nothing hangs on the order of the lists, nor on whether a state is a value or a file.
func TestOrderAndFormDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPlane(t)
		s := anyState(t, p)
		want, wantErr := desired.Diff(p, s)
		data, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got, err := desired.DiffFile(p, data)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (wantErr == nil) {
			t.Fatalf("%s\nas a value: %v, as a file: %v\n%s", data, wantErr, err, diff)
		}
		other := &desired.State{Tenants: rapid.Permutation(s.Tenants).Draw(t, "tenants"), Drop: rapid.Permutation(s.Drop).Draw(t, "drop")}
		got, err = desired.Diff(p, other)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, and in another order %v:\n%s", wantErr, err, diff)
		}
		if back, err := desired.Decode(data); err == nil && !cmp.Equal(s, back) {
			t.Fatalf("%s reads back as %+v", data, back)
		}
	})
}

// For any file there are commands that are accepted, or an error with a line, and never both.
func FuzzDiffFile(f *testing.F) {
	f.Add([]byte(file))
	for _, c := range refusals {
		f.Add([]byte(c.mistake))
	}
	f.Add([]byte(`{"tenants": [{"id": "1", "limits": {"rate": 65536}, "slots": 65536}], "drop": ["7", "8"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := running()
		commands, err := desired.DiffFile(p, data)
		if err != nil {
			var field *desired.FieldError
			if !errors.As(err, &field) || field.Line < 1 || field.Column < 1 || commands != nil {
				t.Fatalf("%v, and %d commands", err, len(commands))
			}
			return
		}
		for _, c := range commands {
			must(p, c)
		}
		if again, err := desired.DiffFile(p, data); err != nil || len(again) != 0 {
			t.Fatalf("then there is %v, %v", again, err)
		}
	})
}
