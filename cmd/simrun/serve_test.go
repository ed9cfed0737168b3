package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/harness/campaign"
)

// asked calls f with the probes of a cluster as soon as they are printed, and keeps the rest.
type asked struct {
	strings.Builder
	f func(probes []string)
}

func (a *asked) Write(p []byte) (int, error) {
	var told probes
	if json.Unmarshal(p, &told) == nil && told.Type == "serving" {
		a.f(told.Probes)
	}
	return a.Builder.Write(p)
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tenants.json")
	if err := os.WriteFile(file, []byte(`{"tenants": [{"id": "9", "limits": {"rate": 50}, "slots": 3}], "drop": ["3"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := &asked{f: func(probes []string) {
		for _, url := range probes {
			r, err := http.Get(url + "/health")
			if err != nil {
				t.Error(err)
				return
			}
			body, _ := io.ReadAll(r.Body)
			if r.Body.Close(); r.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "{\n  \"schema\": 1,") {
				t.Errorf("%s/health: %s: %s", url, r.Status, body)
			}
		}
		if len(probes) != 3 {
			t.Errorf("%d probes, want those of 3 nodes", len(probes))
		}
	}}
	var stderr strings.Builder
	code := execute(t.Context(), []string{"serve", "--json", "--for", "1s", "--rate", "200", "--tenants", file, "--dir", filepath.Join(dir, "nodes")}, strings.NewReader(""), out, &stderr)
	if code != campaign.ExitHeld {
		t.Fatalf("exit code %d: %s%s", code, out, stderr.String())
	}
	var last served
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Type != "served" || last.Acked == 0 {
		t.Errorf("in the end: %v, %s", err, lines[len(lines)-1])
	}
	for _, want := range []string{`"type":"ready","coordinator":`, `"kind":"create-tenant","tenant":"9"`, `"kind":"drop-tenant","tenant":"3"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "nodes", "2", "data")); err != nil {
		t.Errorf("the directory that was named does not stay: %v", err)
	}
}

// typist types lines as soon as the output since the last ones has a text in it, and ends the
// command after them.
type typist struct {
	strings.Builder
	steps []typed
	seen  int // bytes in which a text was found
	lines chan string
	end   func()
}

// typed is a line to type when a text was printed.
type typed struct{ when, line string }

func newTypist(end func(), steps ...typed) (*typist, io.Reader) {
	in, out := io.Pipe()
	t := &typist{steps: steps, lines: make(chan string, len(steps)), end: end}
	go func() {
		for line := range t.lines {
			if _, err := io.WriteString(out, line); err != nil {
				return
			}
		}
	}()
	return t, in
}

func (t *typist) Write(p []byte) (int, error) {
	n, err := t.Builder.Write(p)
	for len(t.steps) > 0 {
		at := strings.Index(t.String()[t.seen:], t.steps[0].when)
		if at < 0 {
			break
		}
		t.seen += at + len(t.steps[0].when)
		if line := t.steps[0].line; line != "" {
			t.lines <- line
		} else {
			t.end()
		}
		t.steps = t.steps[1:]
	}
	return n, err
}

// told returns the output about the lines. It leaves out all but the first line on the open
// conditions of a drain, since the number of their changes depends on timing.
func told(out string) string {
	_, got, _ := strings.Cut(out, "knows all figures\n")
	var lines []string
	for line := range strings.Lines(got) {
		if name, _, waits := strings.Cut(line, ": waits for "); waits && len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], name+": waits for ") {
			continue
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// An operator that types commands learns how each ended.
func TestServeHeedsLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tenants.json")
	if err := os.WriteFile(file, []byte(`{"tenants": [{"id": "1", "limits": {"rate": 77}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	out, in := newTypist(interrupt, typed{"knows all figures\n", "drain 1\n"}, typed{"drain 1: done\n",
		"\nundrain 1\ndrain 3\nstop 1\ndrain\nundrian 1\naccept-loss 1\naccept-loss 9\naccept-loss one\ntenants none.json\ntenants " + file + "\n"},
		typed{"tenants " + file + ": done\n", ""})
	var stderr strings.Builder
	if code := execute(ctx, []string{"serve", "--rate", "0"}, in, out, &stderr); code != campaign.ExitHeld {
		t.Fatalf("exit code %d: %s%s", code, out, &stderr)
	}
	want := `drain 1: waits for WHAT
drain 1: done
undrain 1: done
drain 3: "3" is no node, want 0..2
stop 1: want "drain NODE", "undrain NODE", "accept-loss SHARD" or "tenants FILE"
drain: want "drain NODE", "undrain NODE", "accept-loss SHARD" or "tenants FILE"
undrian 1: want "drain NODE", "undrain NODE", "accept-loss SHARD" or "tenants FILE"; did you mean undrain?
accept-loss 1: done
accept-loss 9: accept-loss shard 9: invalid: the request is malformed; see the limits of signals
accept-loss one: "one" is no shard, want its number
tenants none.json: open none.json: no such file or directory
configure base 1 tenant 1 version 2 limits {77 0 0 0} residency []
tenants ` + file + `: done
signals: 0 acked, 0 refused, 0 unknown
`
	got := regexp.MustCompile(`waits for (others|the sets).*`).ReplaceAllString(told(out.String()), "waits for WHAT")
	if got != want {
		t.Errorf("it told\n%s\nwant\n%s", got, want)
	}
}

// A drain that waits says so at once. Other lines are carried out meanwhile; one of them may end
// the wait, or may call the drain off.
func TestADrainThatWaits(t *testing.T) {
	for _, c := range []struct {
		name        string
		line, after string // typed while drain 2 waits, and the text that ends the test
		want        string
	}{
		{"for the end of another one", "undrain 1\n", "drain 2: done\n", "undrain 1: done\ndrain 2: done\n"},
		{"and is called off", "undrain 2\n", "undrain 2: done\n", "drain 2: called off by \"undrain 2\"\nundrain 2: done\n"},
		{"and is typed twice", "drain 2\nundrain 2\n", "undrain 2: done\n", "drain 2: node 2 is being drained already\ndrain 2: called off by \"undrain 2\"\nundrain 2: done\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancel(t.Context())
			out, in := newTypist(interrupt, typed{"knows all figures\n", "drain 1\n"}, typed{"drain 1: done\n", "drain 2\n"}, typed{"drain 2: waits for ", c.line}, typed{c.after, ""})
			began := time.Now()
			if code := execute(ctx, []string{"serve", "--rate", "0"}, in, out, io.Discard); code != campaign.ExitHeld {
				t.Fatalf("exit code %d: %s", code, out)
			}
			_, got, _ := strings.Cut(told(out.String()), "drain 1: done\n")
			waits, got, _ := strings.Cut(got, "\n")
			if !strings.HasPrefix(waits, "drain 2: waits for node 1 to have duties again, as one node is drained at a time; ") {
				t.Errorf("it waits for %s", waits)
			}
			got = strings.TrimSuffix(got, "signals: 0 acked, 0 refused, 0 unknown\n")
			if i := strings.Index(got, "drain 2: waits"); i >= 0 { // once node 1 has duties, it waits for less
				rest := got[i:]
				got = got[:i] + rest[strings.IndexByte(rest, '\n')+1:]
			}
			if got != c.want || time.Since(began) > 9*time.Second {
				t.Errorf("after %s it told\n%s\nwant\n%s", time.Since(began), got, c.want)
			}
		})
	}
}

// The same as JSON.
func TestADrainAsJSON(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	out, in := newTypist(interrupt, typed{`"type":"ready"`, "drain 1\n"}, typed{`"type":"heeded"`, ""})
	if code := execute(ctx, []string{"serve", "--rate", "0", "--json"}, in, out, io.Discard); code != campaign.ExitHeld {
		t.Fatalf("exit code %d: %s", code, out)
	}
	for _, want := range []string{
		`{"schema":1,"type":"waiting","line":"drain 1","for":["`,
		`{"schema":1,"type":"heeded","line":"drain 1","done":true}` + "\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

// An interrupt is how it ends as a rule.
func TestServeUntilInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, interrupt := context.WithCancel(t.Context())
	out := &asked{f: func([]string) { interrupt() }}
	if code := execute(ctx, []string{"serve", "--json"}, strings.NewReader(""), out, io.Discard); code != campaign.ExitHeld || !strings.Contains(out.String(), `"type":"served"`) {
		t.Errorf("exit code %d: %s", code, out)
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("temporary directories stay: %v", left)
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	wrong, gap, foreign := filepath.Join(dir, "wrong.json"), filepath.Join(dir, "gap.json"), filepath.Join(dir, "foreign.json")
	for path, text := range map[string]string{
		wrong:   `{"tenants": [{"id": "9", "limits": {"rat": 50}}]}`,
		foreign: `{"tenants": [{"id": "9", "limits": {"rate": 50}, "residency": ["mars"]}]}`,
		gap:     `{"meta": [1, 2, 3], "nodes": [{"id": 1, "region": "a"}, {"id": 2, "region": "a"}, {"id": 3, "region": "a"}], "shards": [{"id": 1, "region": "a", "replicas": [1, 2, 3]}]}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--tenants", wrong}, `wrong.json: invalid desired state: line 1, column 37: tenants[0].limits: unknown key "rat"; did you mean "rate"?`},
		{[]string{"--tenants", foreign}, `foreign.json: invalid desired state: line 1, column 63: tenants[0].residency`},
		{[]string{"--tenants", filepath.Join(dir, "none.json")}, "none.json"},
		{[]string{wrong}, "wrong.json"},
		{[]string{gap}, "the ids 0, 1, ..."},
		{[]string{"--port", "65535"}, "port 65535"},
		{[]string{"--rate", "-1"}, "--rate -1"},
		{[]string{"--for", "-1s"}, "--for -1s"},
		{[]string{"a", "b"}, "accepts at most 1 arg"},
	} {
		code, stdout, stderr := simrun(t, append([]string{"serve"}, c.args...)...)
		if code != campaign.ExitUsage || !strings.Contains(stderr, c.says) {
			t.Errorf("serve %v: exit code %d, want %d and %q\n%s%s", c.args, code, campaign.ExitUsage, c.says, stdout, stderr)
		}
	}
}
