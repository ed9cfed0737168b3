package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/harness/campaign"
)

// The error for a mistyped name has the nearest existing one. The error for an impossible value
// has the flag, the value and the values that the flag takes.
func TestMistypedWords(t *testing.T) {
	for _, c := range []struct{ line, says string }{
		{"rnu", `unknown command "rnu" for "simrun"; did you mean run?`},
		{"frobnicate", `unknown command "frobnicate" for "simrun"; there are bench, completion, diff, `},
		{"completion bsh", `unknown command "bsh" for "simrun completion"; did you mean bash?`},
		{"tenants chekc x", `unknown command "chekc" for "simrun tenants"; did you mean check?`},
		{"run --sedes 3", "unknown flag: --sedes; did you mean --seeds?"},
		{"run -seeds=3", "unknown shorthand flag: 's' in -seeds=3; did you mean --seeds?"},
		{"replay smoke:1 --jsno", "unknown flag: --jsno; did you mean --json?"},
		{"run smoek", `no scenario or group "smoek"; did you mean smoke? simrun list scenarios names them`},
		{"run defautl", `no scenario or group "defautl"; did you mean default?`},
		{"run no-loss", `no scenario or group "no-loss": that is a checker, and checkers judge every scenario`},
		{"run everything", `no scenario or group "everything"; there are smoke, calm,`},
		{"replay failvoer:3", `no scenario or group "failvoer"; did you mean failover?`},
		{"list chekers", `unknown list "chekers"; did you mean checkers?; there are scenarios,`},
		{"selftest --only ack-afer-sync", `no such mistake: "ack-afer-sync"; did you mean ack-after-sync?; simrun list safety names them`},
		{"selftest --kind epoch", `no such mistake: kind "epoch"; did you mean epochs?; want one of counting,`},
		{"run smoke --out= --regressions= --set workload.operation=5", `unknown field "operation"; did you mean workload.operations?`},
		{"run storm --out= --regressions= --without suspnd", `--without suspnd: want one of kill, power,`},
		{"run --workers -1", "--workers -1: want a number from 1 on, or 0 for one per CPU"},
		{"run --workers many", "--workers many: want a whole number"},
		{"run --seeds -3", "--seeds -3: want N from 1 on, for the seeds 1 to N, or A-B for those from A to B;"},
		{"run --seeds 9-3", "--seeds 9-3: want N from 1 on,"},
		{"run --seeds many", "--seeds many: want N from 1 on,"},
		{"run --max-violated -1", "--max-violated -1: want a number from 1 on, or 0 for no bound"},
		{"run --for 10", "--for 10: want a time like 500ms, 30s or 2m"},
		{"run --for -1s", "--for -1s: want a time like 30s, or 0 for the seeds of --seeds"},
		{"run --shard 4/3", "--shard 4/3: want k/n with 1 <= k <= n"},
		{"run --porcupine 7", "--porcupine 7: want a share from 0% to 100%"},
		{"run --fail-fast=perhaps", "--fail-fast perhaps: want true or false"},
		{"bench --workers -1", "--workers -1: want a number from 1 on, or 0 for one per CPU"},
		{"bench --seeds -3", "--seeds -3: want a number from 1 on"},
		{"bench --for -1s", "--for -1s: want a time like 5s, more than 0"},
		{"selftest --workers -2", "--workers -2: want a number from 1 on, or 0 for one per CPU"},
		{"selftest --share 101", "--share 101: want a share of 0 to 100, in per cent"},
		{"live --rounds=-1", "--rounds -1: want 1..1000000"},
		{"live --seed=-1", "--seed -1: want a whole number from 0 on"},
		{"serve --rate -1", "--rate -1: want a number of signals per second, 0..10000"},
		{"serve --for -1s", "--for -1s: want a time like 30s, or 0 for no end"},
	} {
		code, stdout, stderr := simrun(t, strings.Fields(c.line)...)
		if code != campaign.ExitUsage || !strings.HasPrefix(stderr, "simrun: ") || !strings.Contains(stderr, c.says) || stdout != "" {
			t.Errorf("simrun %s: exit %d, want %d and\n%s\ngot\n%s%s", c.line, code, campaign.ExitUsage, c.says, stdout, stderr)
		}
	}
}

// A SIMRUN_ variable that sets no flag is an error.
func TestUnknownVariables(t *testing.T) {
	for _, c := range []struct{ name, says string }{
		{"SIMRUN_SEDES", "simrun: unknown variable SIMRUN_SEDES=7: no command has a flag --sedes; did you mean SIMRUN_SEEDS?\n"},
		{"SIMRUN_MAX_VIOLATE", "simrun: unknown variable SIMRUN_MAX_VIOLATE=7: no command has a flag --max-violate; did you mean SIMRUN_MAX_VIOLATED?\n"},
		{"SIMRUN_COLOUR", "simrun: unknown variable SIMRUN_COLOUR=7: no command has a flag --colour; unset it\n"},
		{"SIMRUN_BUDGET", ""}, // of another command
		{"SIMRUN_ACTIVE_HELP", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(c.name, "7")
			code, _, stderr := simrun(t, "version")
			if stderr != c.says || (code == campaign.ExitUsage) != (c.says != "") {
				t.Errorf("exit %d: %s", code, stderr)
			}
		})
	}
}

// The line of progress never wraps: the next one would not remove a wrapped line.
func TestProgressIsNoWiderThanTheTerminal(t *testing.T) {
	for _, width := range []int{1, 20, 40, 80, 300} {
		var out bytes.Buffer
		s := &screen{w: &out, terminal: true, width: func() int { return width }}
		s.show(campaign.Progress{Scenario: "rejoin-after-long-absence", Done: 1234, Total: 5600, Violated: 20, Undecided: 3, Elapsed: time.Hour})
		line := strings.TrimPrefix(out.String(), "\r\x1b[K")
		if len(line) >= max(width, 2) || width > 100 && !strings.HasSuffix(line, "1h0m0s") {
			t.Errorf("%d columns: %q has %d", width, line, len(line))
		}
	}
}

// An artifact that cannot be written does not change the verdict.
func TestAnArtifactThatIsLostIsNoVerdict(t *testing.T) {
	dir := t.TempDir()
	var out, complaint bytes.Buffer
	taken := make(chan struct{})
	go func() { // as soon as the run has its directory, a directory is where junit.xml is to be
		defer close(taken)
		for range 2000 {
			if latest, err := filepath.EvalSymlinks(filepath.Join(dir, "latest")); err == nil && os.Mkdir(filepath.Join(latest, "junit.xml"), 0o755) == nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	args := []string{"run", "smoke", "--for=300ms", "--regressions=", "--out=" + dir}
	code := execute(context.Background(), args, nil, &out, &complaint)
	<-taken
	if code != campaign.ExitInternal || !strings.Contains(out.String(), "\nHELD: ") || strings.Contains(out.String(), "FAILED") || !strings.Contains(complaint.String(), "simrun: an artifact could not be written: open ") {
		t.Errorf("exit %d:\n%s%s", code, &out, &complaint)
	}
}
