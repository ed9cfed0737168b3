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

// drawDisruption draws a valid one for a world of three processes with point "p".
func drawDisruption(t *rapid.T) Disruption {
	d := Disruption{
		Kind: rapid.SampledFrom(Kinds()).Draw(t, "kind"), Process: 1,
		When: Anchor{Nth: rapid.Uint32().Draw(t, "nth"), At: drawIn(t, "when.at_ns"), After: drawIn(t, "when.after_ns"),
			By: drawIn(t, "when.by_ns"), Incarnation: rapid.Uint32().Draw(t, "incarnation")},
	}
	switch rapid.IntRange(0, 2).Draw(t, "moment") {
	case 0:
		d.When.Point = "p"
	case 1:
		d.When.Unsynced = true
	}
	if d.When.Point != "" || d.When.Unsynced {
		d.When.Of = rapid.SampledFrom([]Whose{0, Other(0), Other(2)}).Draw(t, "of")
	}
	s := d.Kind.shape()
	if s.peer {
		d.Peer = rapid.SampledFrom([]int64{-1, 0, 2}).Draw(t, "peer")
	}
	if s.span != instant {
		d.For = max(1, drawIn(t, "for_ns"))
	}
	if s.amount {
		d.Amount = drawIn(t, "amount of "+s.name)
	}
	if s.files {
		d.Files = rapid.StringMatching(`[a-z./]{0,9}`).Draw(t, "files")
	}
	if s.bytes {
		d.FromByte = rapid.Int64Range(0, 9).Draw(t, "from")
		d.ToByte = rapid.SampledFrom([]int64{0, 10, 4096}).Draw(t, "to")
	}
	return d
}

func drawIn(t *rapid.T, name string) int64 {
	for _, b := range Bounds() {
		if b.Name == name {
			return rapid.Int64Range(b.Low, b.High).Draw(t, name)
		}
	}
	t.Fatalf("%s has no bound", name)
	return 0
}

func drawPlan(t *rapid.T) *Plan {
	p := &Plan{
		Seed: Seed(rapid.Uint64().Draw(t, "seed")), Duration: 1, Calm: 1,
		Network: network.DefaultProfile, Disk: disk.DefaultProfile, Disruptions: []Disruption{},
	}
	for range rapid.IntRange(0, 2).Draw(t, "links") {
		p.Links = append(p.Links, network.LinkProfile{From: 1, To: 2, Latency: drawIn(t, "links.latency_ns"), PerKiB: drawIn(t, "links.per_kib_ns")})
	}
	p.Rates[chance.NetDelay] = rapid.Uint32Range(0, chance.Million).Draw(t, "rate")
	for range rapid.IntRange(0, 4).Draw(t, "disruptions") {
		p.Disruptions = append(p.Disruptions, drawDisruption(t))
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
		"a moment of nobody":       {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Kill, When: Anchor{Point: "p", Of: Other(3)}}} }, "process is 3, want 0..2"},
		"a time of somebody":       {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Kill, When: Anchor{Of: Other(0)}}} }, "when.of is 0"},
		"a monotonic leap ahead":   {func(p *Plan) { p.Disruptions = []Disruption{{Kind: MonoStep, Amount: -1}} }, "amount of monotonic-step is -1"},
		"a kind of no name":        {func(p *Plan) { p.Disruptions = []Disruption{{Kind: 99}} }, "kind is missing"},
		"a peer that is not":       {func(p *Plan) { p.Disruptions = []Disruption{{Kind: CutInto, Peer: 3, For: 1}} }, "peer is 3, want -1..2"},
		"a link to itself":         {func(p *Plan) { p.Disruptions = []Disruption{{Kind: CutInto, For: 1}} }, "the process itself"},
		"a cut of no length":       {func(p *Plan) { p.Disruptions = []Disruption{{Kind: CutHold, Peer: -1}} }, "cut-hold lasts"},
		"rot that lasts":           {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Rot, For: 1}} }, "rot does not last"},
		"an endless pause":         {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Pause, For: MaxDuration + 1}} }, "for_ns"},
		"an amount of a kill":      {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Kill, Amount: 1}} }, "kill has none"},
		"slower than slow":         {func(p *Plan) { p.Disruptions = []Disruption{{Kind: SlowDisk, For: 1, Amount: 1001}} }, "amount of slow-disk is 1001, want 1..1000"},
		"half a sector of rot":     {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Rot, Amount: 4}} }, "amount of rot"},
		"a pause of files":         {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Pause, For: 1, Files: ".seg"}} }, "not aimed at files"},
		"a name with a space":      {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Rot, Files: "a b"}} }, "without spaces"},
		"bytes of a failed sync":   {func(p *Plan) { p.Disruptions = []Disruption{{Kind: SyncFail, For: 1, ToByte: 1}} }, "not aimed at bytes"},
		"no bytes":                 {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Rot, FromByte: 4, ToByte: 4}} }, "to_byte is 4"},
		"bytes before a file":      {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Rot, FromByte: -4}} }, "from_byte is -4"},
		"a time before all times":  {func(p *Plan) { p.Disruptions = []Disruption{{Kind: Kill, When: Anchor{At: -1}}} }, "when.at_ns"},
		"a term of no point":       {func(p *Plan) { p.Terms = []Term{{Point: "gone", Term: "off"}} }, "terms[0]"},
		"a wall clock of a day":    {func(p *Plan) { p.Clocks = []Clock{{Wall: 24 * MaxDuration}} }, "clocks.wall_ns"},
		"disk depth":               {func(p *Plan) { p.Disk.Depth = 33 }, "disk.depth is 33, want 1..32"},
		"sector":                   {func(p *Plan) { p.Disk.Sector = 0 }, "disk.sector_bytes"},
		"a link to nobody":         {func(p *Plan) { p.Links = []network.LinkProfile{{To: 3}} }, "links[0]: process is 3, want 0..2"},
		"a link that is a year":    {func(p *Plan) { p.Links = []network.LinkProfile{{Latency: MaxDuration + 1}} }, "links.latency_ns"},
		"a link that is not slow":  {func(p *Plan) { p.Disruptions = []Disruption{{Kind: SlowLink, Peer: 1, For: 1}} }, "amount of slow-link is 0, want 1..1000"},
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

func TestDisruptionsParseBack(t *testing.T) {
	for text, want := range map[string]Disruption{
		"power process 1 when batch.submitting nth 3 from 2ms after 0.01ms for 5ms": {
			Kind: Power, Process: 1, When: Anchor{Point: "batch.submitting", Nth: 3, At: 2e6, After: 1e4}, For: 5e6},
		"cut-hold process 0 peer all at 0.000007ms for 1000ms":    {Kind: CutHold, Peer: -1, When: Anchor{At: 7}, For: 1e9},
		"hold-into process 2 peer 0 at 0ms for 1.5ms":             {Kind: HoldInto, Process: 2, When: Anchor{}, For: 15e5},
		"rot process 2 files .seg bytes 0..4096 at 30ms amount 1": {Kind: Rot, Process: 2, Files: ".seg", ToByte: 4096, When: Anchor{At: 3e7}, Amount: 1},
		"kill process 1 when batch.submitting of 0 nth 2":         {Kind: Kill, Process: 1, When: Anchor{Point: "batch.submitting", Of: Other(0), Nth: 2}},
		"kill process 0 when (unsynced) nth 2":                    {Kind: Kill, When: Anchor{Unsynced: true, Nth: 2}},
	} {
		if got := want.String(); got != text {
			t.Errorf("prints %q, want %q", got, text)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := drawDisruption(t)
		got, err := ParseDisruption(d.String())
		if err != nil || got != d {
			t.Fatalf("%q parses to %+v, %v; want %+v", d, got, err, d)
		}
	})
	for text, at := range map[string]int64{"5s": 5e9, "1.5ms": 15e5, "10us": 1e4, "7ns": 7, "-0.25ms": -25e4, "1.000000001s": 1e9 + 1} {
		if d, err := ParseDisruption("kill process 1 at " + text); err != nil || d.When.At != at {
			t.Errorf("%s is %d ns, %v; want %d", text, d.When.At, err, at)
		}
	}
	for _, text := range []string{
		"", "explode process 1 at 1ms", "kill process", "kill process -1", "kill process 1 at 5", "kill process 1 at 1.ms", "kill process 1 at 1.5ns", "kill process 1 at 1.0000001ms", "kill process 1 at 1.-5ms", "kill process 1 at xms",
		"kill process 1 at 9223372036854775807s", "kill process 1 often yes", "kill process 1 nth -1", "rot process 1 bytes 1-2",
	} {
		if d, err := ParseDisruption(text); !errors.Is(err, ErrDisruption) {
			t.Errorf("%q parses to %+v, %v", text, d, err)
		}
	}
}

// Every kind has a name of its own, and a row of bounds if it has an amount.
func TestEveryKindIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		name := k.String()
		if name == "unknown" || seen[name] {
			t.Errorf("kind %d is called %q", k, name)
		}
		seen[name] = true
		var back Kind
		if err := back.UnmarshalText([]byte(name)); err != nil || back != k {
			t.Errorf("%q parses to %s, %v", name, back, err)
		}
		if err := within("amount of "+name, 1); k.shape().amount && err != nil {
			t.Error(err)
		}
	}
}

// The largest and the smallest value of each bound is allowed, the next one not.
func TestBoundsAreWhatIsChecked(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range Bounds() {
		if seen[b.Name] || b.Reason == "" || b.Low > b.High {
			t.Errorf("row %+v", b)
		}
		seen[b.Name] = true
		for v, ok := range map[int64]bool{b.Low: true, b.High: true, b.Low - 1: false, b.High + 1: false} {
			if err := within(b.Name, v); (err == nil) != ok {
				t.Errorf("%s = %d: %v", b.Name, v, err)
			}
		}
	}
	if err := within("colour", 0); err == nil {
		t.Error("what has no row is within its bound")
	}
	for section, profile := range map[string]any{"disk.": disk.Profile{}, "network.": network.Profile{}} {
		data, err := json.Marshal(profile)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]int64
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			if !seen[section+name] {
				t.Errorf("%s%s has no bound", section, name)
			}
		}
	}
}
