package live_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/live"
)

// asNode makes the test binary a node process; its value names the fault of the node.
const asNode = "LIVE_TEST_AS_NODE"

func TestMain(m *testing.M) {
	kind := os.Getenv(asNode)
	if kind == "" || len(os.Args) != 2 {
		os.Exit(m.Run())
	}
	var decorate func(env.Env, func(env.Env) env.Machine) env.Machine
	switch kind {
	case "lies":
		decorate = newLiar
	case "panics":
		decorate = newPanicker
	}
	if err := live.ServeNode(os.Args[1], os.Stdin, decorate); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run runs with nodes of some kind.
func run(t *testing.T, kind string, o live.Options) *live.Result {
	t.Helper()
	t.Setenv(asNode, kind)
	o.Command, o.Dir = []string{os.Args[0]}, filepath.Join(t.TempDir(), "run")
	if o.Clients == 0 {
		o.Clients = 3
	}
	result, err := live.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", summary(result))
	return result
}

func summary(r *live.Result) string {
	return fmt.Sprintf("%s %q: %d kills, %d with calls under way, %d before any answer; %d acked, %d refused, %d unknown; %d records, %d snapshots; %s",
		r.Verdict, r.Why, r.Kills, r.Struck, r.Unserved, r.Acked, r.Refused, r.Unknown, r.Records, r.Snapshots, r.Elapsed)
}

func TestANodeThatIsKilledLosesAndDoublesNothing(t *testing.T) {
	var r *live.Result
	// How much a round shows hangs on how busy the machine is: a quota is not met on
	// a slow one. Longer rounds show more.
	for round := 150 * time.Millisecond; round <= 600*time.Millisecond; round *= 2 {
		r = run(t, "honest", live.Options{Rounds: 8, Round: round, Seed: 1})
		if r.Verdict != checker.Held {
			t.Errorf("%s, %s: %+v", r.Verdict, r.Why, r.Findings)
		}
		if r.Refused > 0 {
			break
		}
	}
	if r.Kills != 8 || r.Acked < live.MinAcked || r.Refused == 0 || r.Records < r.Acked/3 {
		t.Errorf("it has shown too little: %s", summary(r))
	}
	for _, report := range r.Reports {
		if report.Checked == 0 {
			t.Errorf("%s has checked nothing", report.Checker)
		}
	}
}

// A node that answers before its writes are with the operating system loses them at
// a kill. That it is found shows that the kills strike and the judges see.
func TestANodeThatAnswersTooEarlyIsFound(t *testing.T) {
	var r *live.Result
	// On a busy machine a node has too little time between two kills to answer much.
	for round := 60 * time.Millisecond; round <= 960*time.Millisecond; round *= 2 {
		r = run(t, "lies", live.Options{Rounds: 8, Round: round, Seed: 1})
		if r.Verdict != checker.Undecided {
			break
		}
	}
	if r.Verdict != checker.Violated || r.Findings[0].Fingerprint() != "no-loss/lost-ack" {
		t.Errorf("%s: %+v", r.Verdict, r.Findings)
	}
}

func TestANodeThatEndsByItselfIsAFinding(t *testing.T) {
	r := run(t, "panics", live.Options{Rounds: 8, Round: 200 * time.Millisecond, Seed: 1})
	if r.Verdict != checker.Violated || r.Findings[0].Checker != "panic" || !strings.Contains(r.Findings[0].Text, "planted") {
		t.Errorf("%s: %+v", r.Verdict, r.Findings)
	}
}

func TestARunThatShowsNothingIsUndecided(t *testing.T) {
	r := run(t, "honest", live.Options{Rounds: 1, Round: time.Microsecond, Seed: 1, Clients: 1})
	if r.Verdict != checker.Undecided || r.Why == "" {
		t.Errorf("%s, %q with %d acknowledged", r.Verdict, r.Why, r.Acked)
	}
}

func TestOptions(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := live.Options{Command: []string{"node"}, Rounds: 1, Round: time.Second, Clients: 1, Dir: full + "/new"}
	for name, change := range map[string]func(*live.Options){
		"no command":       func(o *live.Options) { o.Command = nil },
		"no rounds":        func(o *live.Options) { o.Rounds = 0 },
		"too many rounds":  func(o *live.Options) { o.Rounds = live.MaxRounds + 1 },
		"no clients":       func(o *live.Options) { o.Clients = 0 },
		"too many clients": func(o *live.Options) { o.Clients = live.MaxClients + 1 },
		"no time":          func(o *live.Options) { o.Round = 0 },
		"a used directory": func(o *live.Options) { o.Dir = full },
	} {
		o := good
		change(&o)
		if _, err := live.Run(t.Context(), o); !errors.Is(err, live.ErrUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.Setenv(asNode, "honest")
	good.Command = []string{os.Args[0]}
	if _, err := live.Run(ctx, good); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted run: %v", err)
	}
}

// panicker is a node that does not live long.
type panicker struct{ env.Machine }

func newPanicker(e env.Env, program func(env.Env) env.Machine) env.Machine {
	return &panicker{program(e)}
}

func (p *panicker) Step(ev *env.Event) {
	if ev.Kind == env.Message {
		panic("planted")
	}
	p.Machine.Step(ev)
}
