package plan

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
)

func TestSeeds(t *testing.T) {
	for text, want := range map[string]Seed{
		"0": 0, "42": 42, "0x2a": 42, "0X2A": 42, "18446744073709551615": 1<<64 - 1, "0xffffffffffffffff": 1<<64 - 1,
		"007": 7, "1e240cafe": 0x1e240cafe, "da39a3ee5e6b4b0d3255bfef95601890afd80709": 0xda39a3ee5e6b4b0d,
	} {
		if got, err := ParseSeed(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "0x", "0x1g", "18446744073709551616", "seed", "1.5", " 1", "abc", "0x10000000000000000"} {
		if got, err := ParseSeed(text); !errors.Is(err, ErrSeed) {
			t.Errorf("%q parses to %v, %v", text, got, err)
		}
	}
}

func drawPlan(t *rapid.T) *Plan {
	p := &Plan{
		Seed: Seed(rapid.Uint64().Draw(t, "seed")), Duration: 1, Calm: 1,
		Network: network.DefaultProfile, Disk: disk.DefaultProfile, Disruptions: []Disruption{},
	}
	p.Rates[chance.NetDelay] = rapid.Uint32Range(0, chance.Million).Draw(t, "rate")
	for range rapid.IntRange(0, 4).Draw(t, "disruptions") {
		p.Disruptions = append(p.Disruptions, Disruption{
			Kind: rapid.SampledFrom(Kinds()).Draw(t, "kind"), Process: 1, Peer: rapid.Int64Range(-1, 2).Draw(t, "peer"),
			When: Anchor{Point: "p", Nth: rapid.Uint32().Draw(t, "nth"), At: rapid.Int64Range(0, 9).Draw(t, "at")},
			For:  3, Amount: rapid.Int64Range(1, 9).Draw(t, "amount"),
		})
	}
	if rapid.Bool().Draw(t, "listed") {
		p.Deviations = []Deviation{}
		for range rapid.IntRange(0, 4).Draw(t, "deviations") {
			p.Deviations = append(p.Deviations, Deviation{
				Site: chance.Site(rapid.IntRange(0, int(chance.Deviations)-1).Draw(t, "site")), Scope: rapid.Uint64().Draw(t, "scope"),
				Key:   env.Key{Kind: 1, A: rapid.Uint64().Draw(t, "a"), B: rapid.Uint64().Draw(t, "b"), Attempt: 4},
				Value: rapid.Uint64Min(1).Draw(t, "value"),
			})
		}
	}
	return p
}

func TestPlansSurviveJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var got Plan
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if diff := cmp.Diff(p, &got); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
		if err := got.Validate(3, []string{"p"}); err != nil {
			t.Fatal(err)
		}
	})
}

// Removing any entry leaves a valid plan: that is what makes plans shrink.
func TestEveryPartOfAValidPlanIsValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		if n := len(p.Disruptions); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(t, "removed")
			p.Disruptions = append(p.Disruptions[:i], p.Disruptions[i+1:]...)
		}
		if err := p.Validate(3, []string{"p"}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWhatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Plan)
		want   string
	}{
		"no calm part":             {func(p *Plan) { p.Calm = 0 }, "calm_ns"},
		"a year":                   {func(p *Plan) { p.Duration = 1 << 62 }, "duration_ns"},
		"a process that is not":    {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Kill, Process: 3}} }, "disruptions[0]: process is 3, want 0..2"},
		"no kind":                  {func(p *Plan) { p.Disruptions = []Disruption{{}} }, "kind is missing"},
		"a point of another build": {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Kill, When: Anchor{Point: "gone"}}} }, `"gone"`},
		"two moments":              {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Kill, When: Anchor{Point: "p", Unsynced: true}}} }, "want one"},
		"a monotonic leap ahead":   {func(p *Plan) { p.Disruptions = []Disruption{{Kind: MonoStep, Amount: -1}} }, "amount"},
		"disk depth":               {func(p *Plan) { p.Disk.Depth = 33 }, "disk.depth is 33, want 1..32"},
		"sector":                   {func(p *Plan) { p.Disk.Sector = 0 }, "disk.sector_bytes"},
		"a racing clock":           {func(p *Plan) { p.Clocks = []Clock{{DriftPPM: 1_000_000}} }, "clocks[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Plan{Duration: 1, Calm: 1, Network: network.DefaultProfile, Disk: disk.DefaultProfile}
			c.change(p)
			err := p.Validate(3, []string{"p"})
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestUnknownNamesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`{"rates":{"net.gremlins":1}}`:                    "net.gremlins",
		`{"rates":{"net.loss":1000001}}`:                  "net.loss is 1000001",
		`{"disruptions":[{"kind":"explode"}]}`:            "explode",
		`{"deviations":[{"site":"x","value":"1"}]}`:       `unknown site "x"`,
		`{"deviations":[{"site":"net.loss"}]}`:            "which is no deviation",
		`{"deviations":[{"site":"net.loss","colour":1}]}`: "colour",
		`{"seed":"zz"}`: "not a seed",
	} {
		if err := json.Unmarshal([]byte(text), new(Plan)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}
