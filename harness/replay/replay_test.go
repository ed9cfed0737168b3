package replay

import (
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/counter"
)

// What a replay shows is compared with what was recorded, by this binary or another one.
func TestWhatAReplaySays(t *testing.T) {
	s := counter.Suite()
	drawn := counter.Draw(counter.Smoke, 5)
	got, err := s.NewRunner().Run(drawn, harness.Options{Record: true})
	if err != nil {
		t.Fatal(err)
	}
	recorded := harness.Record(drawn, got, artifacts.Build())
	for _, c := range []struct {
		name   string
		change func(p *counter.Plan)
		want   Outcome // without Recorded
		says   string
	}{
		{"as it was", func(*counter.Plan) {}, Outcome{Reproduced: true}, ""},
		{"nothing was recorded", func(p *counter.Plan) { p.Recorded = nil }, Outcome{Reproduced: true}, ""},
		{"another trace, by another binary", func(p *counter.Plan) { p.Recorded.Trace, p.Recorded.Build = "0", "old" }, Outcome{Reproduced: true}, ""},
		{"another trace, by this one", func(p *counter.Plan) { p.Recorded.Trace = "0" }, Outcome{Exit: campaign.ExitNondeterminism}, "this very binary recorded another trace"},
		{"it failed, by another binary", func(p *counter.Plan) { p.Recorded.Fingerprint, p.Recorded.Build = "no-loss/lost", "old" },
			Outcome{Exit: campaign.ExitNotReproduced, Mended: true}, "counter shrink x.json --keep NAME"},
		{"it failed, and taught", func(p *counter.Plan) { p.Recorded.Fingerprint, p.Lesson = "no-loss/lost", "sync first" },
			Outcome{Mended: true}, "sync first"},
		{"it failed, and nothing happens any more", func(p *counter.Plan) {
			p.Recorded.Fingerprint, p.World.Disruptions = "no-loss/lost", p.World.Disruptions[:1]
			p.World.Disruptions[0].When.Nth = 1 << 30
		}, Outcome{Exit: campaign.ExitNotReproduced}, "the plan is stale"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := recorded.Clone().(*counter.Plan)
			c.change(p)
			_, out, err := Run(s, p, harness.Options{}, "x.json")
			if err != nil || out.Exit != c.want.Exit || out.Reproduced != c.want.Reproduced || out.Mended != c.want.Mended || !strings.Contains(out.Why, c.says) || c.says == "" && out.Why != "" {
				t.Errorf("%v: %+v, want %+v and %q", err, out, c.want, c.says)
			}
		})
	}
}

// forgetful is an environment that another run left something in.
type forgetful struct {
	env.Env
	sent *int
}

func (f forgetful) Send(to env.ID, key env.Key, payload []byte) {
	if *f.sent++; *f.sent%7 > 0 {
		f.Env.Send(to, key, payload)
	}
}

// Two runs of one plan that differ are not deterministic, whatever they show.
func TestRunsThatDiffer(t *testing.T) {
	sent := 0
	_, out, err := Run(counter.Suite(), counter.Draw(counter.Calm, 1), harness.Options{Decorate: func(e env.Env) env.Env { return forgetful{e, &sent} }}, "calm:0x1")
	if err != nil || out.Exit != campaign.ExitNondeterminism || !strings.Contains(out.Why, "two runs have different traces") {
		t.Errorf("%v: %+v", err, out)
	}
}
