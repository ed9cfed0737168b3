package sim_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// drawTrouble draws a disruption of one of two witnesses within 20 ms, or for
// longer than the disruptive part.
func drawTrouble(t *rapid.T) plan.Disruption {
	d := plan.Disruption{
		Kind:    rapid.SampledFrom(plan.Kinds()).Draw(t, "kind"),
		Process: rapid.Uint32Range(0, 1).Draw(t, "process"),
		When:    plan.Anchor{At: rapid.Int64Range(0, 20*ms).Draw(t, "at")},
	}
	if rapid.Bool().Draw(t, "unsynced") {
		d.When.Unsynced, d.When.Nth = true, rapid.Uint32Range(0, 5).Draw(t, "nth")
		d.When.After = rapid.Int64Range(0, ms).Draw(t, "after")
	}
	span := rapid.SampledFrom([]int64{1, 100 * us, 3 * ms, 3000 * ms}).Draw(t, "span")
	switch d.Kind {
	case plan.Rot:
		d.Amount = rapid.Int64Range(0, 1).Draw(t, "amount")
	case plan.WallStep, plan.MonoStep:
		d.Amount = rapid.Int64Range(0, 100*us).Draw(t, "amount")
	default:
		d.For = span
	}
	switch d.Kind {
	case plan.SlowLink: // messages are still on their way then
		d.Amount = rapid.Int64Range(1, 20).Draw(t, "amount")
	case plan.SlowDisk:
		d.Amount = rapid.Int64Range(1, 1000).Draw(t, "amount")
	case plan.Drift:
		d.Amount = rapid.Int64Range(-plan.MaxDrift, plan.MaxDrift).Draw(t, "amount")
	}
	if d.Kind.OfLinks() {
		d.Peer = rapid.SampledFrom([]int64{-1, int64(1 - d.Process)}).Draw(t, "peer")
	}
	return d
}

// Whatever disrupts two processes, alone or together, the calm part is as if
// nothing had happened, and the run can be repeated.
func TestAfterAnyTroubleTheCalmPartIsAsUsual(t *testing.T) {
	var w sim.World
	rapid.Check(t, func(rt *rapid.T) {
		p := plan.Quiet()
		p.Seed = plan.Seed(rapid.Uint64().Draw(rt, "seed"))
		p.Duration = 25 * ms
		p.Rates = plan.Rates{chance.DiskInFlight: 300_000, chance.DiskLost: 300_000, chance.DiskTorn: 300_000, chance.DiskEntry: 300_000}
		for range rapid.IntRange(1, 8).Draw(rt, "disruptions") {
			p.Disruptions = append(p.Disruptions, drawTrouble(rt))
		}
		notes, calm := witnessed(t, &w, p, anything)
		got := slices.DeleteFunc(within(notes, calm+5*ms, calm+10*ms), func(s string) bool {
			return strings.HasSuffix(s, "misses")
		})
		if diff := cmp.Diff(usual, got); diff != "" {
			rt.Fatalf("after %q (-usual +got):\n%s", p.Disruptions, diff)
		}
		hash := w.Trace().Hash()
		if witnessed(t, &w, p, anything); w.Trace().Hash() != hash {
			rt.Fatalf("after %q the second run differs", p.Disruptions)
		}
	})
}
