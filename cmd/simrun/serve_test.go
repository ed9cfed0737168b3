package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/campaign"
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

// until keeps what is printed, and calls end with a text in it.
type until struct {
	strings.Builder
	text string
	end  func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.Builder.Write(p)
	if strings.Contains(u.String(), u.text) {
		u.end()
	}
	return n, err
}

// Who types commands is told how each ended.
func TestServeHeedsLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tenants.json")
	if err := os.WriteFile(file, []byte(`{"tenants": [{"id": "1", "limits": {"rate": 77}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := "drain 1\n\nundrain 1\ndrain 3\nstop 1\ndrain\naccept-loss 1\naccept-loss 9\naccept-loss one\ntenants none.json\ntenants " + file + "\n"
	ctx, interrupt := context.WithCancel(t.Context())
	out := &until{text: "tenants " + file + ": done\n", end: interrupt}
	var stderr strings.Builder
	if code := execute(ctx, []string{"serve", "--rate", "0"}, strings.NewReader(lines), out, &stderr); code != campaign.ExitHeld {
		t.Fatalf("exit code %d: %s%s", code, out, &stderr)
	}
	_, got, _ := strings.Cut(out.String(), "knows all figures\n")
	want := `drain 1: done
undrain 1: done
drain 3: "3" is no node, want 0..2
stop 1: want "drain NODE", "undrain NODE", "accept-loss SHARD" or "tenants FILE"
drain: want "drain NODE", "undrain NODE", "accept-loss SHARD" or "tenants FILE"
accept-loss 1: done
accept-loss 9: accept-loss shard 9: invalid: the request is malformed; see the limits of signals
accept-loss one: "one" is no shard, want its number
tenants none.json: open none.json: no such file or directory
configure base 1 tenant 1 version 2 limits {77 0 0 0} residency []
tenants ` + file + `: done
signals: 0 acked, 0 refused, 0 unknown
`
	if got != want {
		t.Errorf("it told\n%s\nwant\n%s", got, want)
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
