package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// command is a whole command of an operator, with the limits of the world.
func (w *world) command(kind observe.CommandKind, t tenant.ID, version uint64, outcome history.Outcome) {
	i := w.run.Asked(observe.Command{Kind: kind, Tenant: t, Version: version, Base: min(1, version-min(1, version)), AskedAt: w.tick(), Limits: tenant.Limits{
		Rate: homeLimits.Rate, Burst: homeLimits.Burst, Entities: homeLimits.Entities, Bytes: homeLimits.Bytes,
	}})
	w.run.Ended(i, outcome, w.tick())
}

// configured lets the log take the world's limits under another version.
func (w *world) configured(version uint64) {
	limits := homeLimits
	limits.Version = version
	w.append(&record.Record{Kind: record.Config, Limits: limits})
}

// founded is a world with a founding tenant.
func (w *world) founded() { w.run.Founded = append(w.run.Founded, home) }

// dropped is a whole drop, with its tombstone.
func (w *world) dropped() {
	w.command(observe.Drop, home, 0, history.Acked)
	w.run.Tombstone(home)
}

func TestLifecycle(t *testing.T) {
	const unknown = "unknown-tenant"
	const none = "no operator asked for anything"
	judged(t, "lifecycle", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(w *world) {}},
		{name: "no operator", verdict: Held, why: none, make: func(w *world) {
			w.founded()
			w.wrote(7, 5)
			w.dump()
		}},
		{name: "limits are set, dropped is dropped", verdict: Held, make: func(w *world) {
			w.founded()
			w.wrote(7, 5)
			w.configured(4)
			w.command(observe.Configure, home, 4, history.Acked)
			w.command(observe.Configure, home, 3, history.Refused)
			w.dropped()
			w.end(w.write(7, 5), history.Refused, unknown)
			w.command(observe.Create, home, 9, history.Refused)
		}},
		{name: "a tenant is created and known from then on", verdict: Held, make: func(w *world) {
			w.end(w.write(7, 5), history.Refused, unknown)
			w.command(observe.Create, home, 1, history.Acked)
			w.wrote(7, 5)
			w.dump()
		}},
		{name: "a drop that was refused is none", verdict: Held, make: func(w *world) {
			w.founded()
			w.command(observe.Drop, home, 0, history.Refused)
			w.wrote(7, 5)
			w.dump()
		}},
		{name: "a drop that nobody answered may be one", verdict: Held, make: func(w *world) {
			w.founded()
			w.wrote(7, 5)
			w.command(observe.Drop, home, 0, history.Unknown)
			w.end(w.write(7, 5), history.Refused, unknown)
			w.run.Tombstone(home)
			w.run.AddDump(9, 0, w.log().End())
		}},
		{name: "unknown though it is there", verdict: Violated, why: none, make: func(w *world) {
			w.founded()
			w.end(w.write(7, 5), history.Refused, unknown)
			w.dump()
		}, want: []string{"unknown-while-there [0] 4 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was told at 4 ms that there is no such tenant, which was there, and nobody had asked to drop it"}},
		{name: "unknown though its creation was answered", verdict: Violated, make: func(w *world) {
			w.command(observe.Create, home, 1, history.Acked)
			w.end(w.write(7, 5), history.Refused, unknown)
			w.dump()
		}, want: []string{"unknown-while-there [0] 6 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was told at 6 ms that there is no such tenant, which was there, and nobody had asked to drop it"}},
		{name: "gone", verdict: Violated, make: func(w *world) {
			w.command(observe.Create, home, 1, history.Acked)
			w.run.AddDump(9, 0, w.log().End())
		}, want: []string{"gone [] 0 ms: tenant 2 is on no node in the end, and nobody asked to drop it"}},
		{name: "served after its end", verdict: Violated, make: func(w *world) {
			w.founded()
			w.wrote(7, 5)
			w.dropped()
			w.has(7, 5)
		}, want: []string{"served-after-drop [1] 9 ms: read #1 of client 7 (tenant 2 slot 0, entity 5) was answered at 9 ms, although the tenant was dropped by 7 ms"}},
		{name: "written after its end", verdict: Violated, make: func(w *world) {
			w.founded()
			i := w.write(7, 5)
			w.dropped()
			w.apply(i)
			w.end(i, history.Unknown, "deadline")
		}, want: []string{"written-after-drop [] 6 ms: tenant 2 slot 0: the record at seq 3 (entity 5 kind 0 weight 1 client time 0) was appended at 6 ms, although the tenant was dropped by 5 ms"}},
		{name: "created again", verdict: Violated, make: func(w *world) {
			w.founded()
			w.dropped()
			w.command(observe.Create, home, 1, history.Acked)
		}, want: []string{"created-again [] 6 ms: tenant 2 was dropped by 4 ms, and at 6 ms its creation was answered, asked for at 5 ms"}},
		{name: "something is left", verdict: Violated, make: func(w *world) {
			w.founded()
			w.dropped()
			w.run.Leftovers = append(w.run.Leftovers, observe.Leftover{Tenant: home, Path: "tenants/2 on node 0"})
		}, want: []string{"left-behind [] 0 ms: tenant 2 was dropped, and in the end there is still tenants/2 on node 0"}},
		{name: "older limits", verdict: Violated, make: func(w *world) {
			w.founded()
			w.configured(5)
			w.configured(5)
			w.configured(4)
			w.command(observe.Configure, home, 4, history.Unknown)
		}, want: []string{
			"older-version [] 4 ms: tenant 2 slot 0: limits of version 5 were set at seq 4, at 4 ms, after those of version 5",
			"older-version [] 5 ms: tenant 2 slot 0: limits of version 4 were set at seq 5, at 5 ms, after those of version 5",
		}},
		{name: "limits that nobody may have", verdict: Violated, make: func(w *world) {
			w.founded()
			w.command(observe.Configure, home, 0, history.Acked)
		}, want: []string{"invalid-accepted [] 4 ms: the configure of tenant 2 asked at 3 ms was answered, although: invalid tenant configuration: tenant 2: version is 0, want 1 or more"}},
	})
}

// A slot of a dropped tenant need not be there at the end. Earlier answers are judged as ever, and
// a tombstone that no operator asked for excuses nothing.
func TestNoLossOfDroppedTenants(t *testing.T) {
	judged(t, "no-loss", []given{
		{name: "dropped", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.dropped()
		}},
		{name: "lost before it was dropped", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.run.Recovered(home, 0, 2, w.tick(), 0, 2)
			w.dropped()
		}, want: []string{"lost-ack [0] 5 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was acknowledged at seq 3 at 5 ms and is not in the final log: it was written at seq 3 at 4 ms and lost later"}},
		{name: "a tombstone that nobody asked for", verdict: Undecided, why: "there is no final dump of tenant 2 slot 0", make: func(w *world) {
			w.wrote(7, 5)
			w.command(observe.Drop, home, 0, history.Refused)
			w.run.Tombstone(home)
		}},
		{name: "a drop without a tombstone", verdict: Undecided, why: "there is no final dump of tenant 2 slot 0", make: func(w *world) {
			w.wrote(7, 5)
			w.command(observe.Drop, home, 0, history.Acked)
		}},
	})
}
