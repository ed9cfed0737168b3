package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/harness/campaign"
)

const (
	threeTenants = "../../core/desired/testdata/three-tenants.json"
	threeShards  = "../../core/desired/testdata/three-shards.json"
)

// written writes a file with one thing replaced.
func written(t *testing.T, from, old, with string) string {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %s", from, old)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(from))
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), old, with, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTenantsCheck(t *testing.T) {
	check := func(args ...string) []string { return append([]string{"tenants", "check"}, args...) }
	misspelt := written(t, threeTenants, `"burst"`, `"brust"`)
	elsewhere := written(t, threeTenants, `"shards": [1]`, `"shards": [9]`)
	drops := written(t, threeTenants, `"tenants": [`, `"drop": ["8", "9"], "tenants": [`)
	broken := written(t, threeShards, `"replicas": [3, 4, 5]`, `"replicas": [3, 4, 1]`)
	settled := written(t, threeShards, "]}\n  ]", `]}
  ], "tenants": [
    {"id": "1", "version": 4, "limits": {"rate": 1000}, "shards": [1]},
    {"id": "3", "version": 1, "limits": {"rate": 200}, "residency": ["us-east"], "shards": [3]},
    {"id": "7", "version": 1, "limits": {"rate": 200}, "shards": [3]},
    {"id": "8", "version": 1, "limits": {"rate": 200}, "shards": [3]}
  ]`)
	large := filepath.Join(t.TempDir(), "large.json")
	if err := os.WriteFile(large, bytes.Repeat([]byte(" "), desired.MaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"alone", check(threeTenants), campaign.ExitHeld, threeTenants + ": valid: 3 tenants, 0 to drop\n", ""},
		{"for a cluster without tenants", check(threeTenants, "--cluster", threeShards), campaign.ExitHeld,
			"create-tenant tenant 1 version 1 limits {1000 0 0 0} residency [] in shards [1]\n" +
				"create-tenant tenant 2 version 1 limits {5000 20000 1000000 0} residency [eu-west] in shards [2 2 2 1]\n" +
				"create-tenant tenant 3 version 1 limits {200 0 0 1000000000} residency [us-east] in shards [3]\n" +
				threeTenants + ": valid: 3 tenants, 0 to drop; " + threeShards + " needs 3 commands\n", ""},
		{"for a cluster with tenants", check(drops, "--cluster="+settled), campaign.ExitHeld,
			"create-tenant tenant 2 version 1 limits {5000 20000 1000000 0} residency [eu-west] in shards [2 2 2 1]\n" +
				"configure base 1 tenant 3 version 2 limits {200 0 0 1000000000} residency [us-east]\n" +
				"drop-tenant tenant 8 base 1\n" +
				drops + ": valid: 3 tenants, 2 to drop; " + settled + " needs 3 commands\n", ""},
		{"a key that is misspelt", check(misspelt), campaign.ExitUsage, "",
			"simrun: " + misspelt + `: invalid desired state: line 10, column 32: tenants[1].limits: unknown key "brust"; did you mean "burst"?` + "\n"},
		{"a shard that only a cluster can tell to be wrong", check(elsewhere), campaign.ExitHeld, elsewhere + ": valid: 3 tenants, 0 to drop\n", ""},
		{"a shard that the cluster has not", check(elsewhere, "--cluster", threeShards), campaign.ExitUsage, "",
			"simrun: " + elsewhere + ": invalid desired state: line 6, column 18: tenants[0].shards[0]: 9 is no shard's id\n"},
		{"a cluster that is wrong", check(threeTenants, "--cluster", broken), campaign.ExitUsage, "",
			"simrun: " + broken + `: invalid cluster: line 14, column 55: shards[2].replicas[2]: node 1 is in region "eu-west", the shard in "us-east"` + "\n"},
		{"no such file", check("nowhere.json"), campaign.ExitUsage, "", "simrun: open nowhere.json: no such file or directory\n"},
		{"no such cluster", check(threeTenants, "--cluster", "nowhere.json"), campaign.ExitUsage, "", "simrun: open nowhere.json: no such file or directory\n"},
		{"a file that is too large", check(large), campaign.ExitUsage, "", "simrun: " + large + ": cannot be understood: more than 16777216 bytes\n"},
		{"a directory", check("."), campaign.ExitUsage, "", "simrun: cannot be understood: read .: is a directory\n"},
		{"no file", check(), campaign.ExitUsage, "", "simrun: accepts 1 arg(s), received 0\n"},
		{"another command", []string{"tenants", "apply", threeTenants}, campaign.ExitUsage, "", "simrun: unknown command \"apply\" for \"simrun tenants\"; there are check\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := simrun(t, c.args...)
			if diff := cmp.Diff([]string{c.stdout, c.stderr}, []string{stdout, stderr}); code != c.code || diff != "" {
				t.Errorf("exit %d, want %d (-want +got):\n%s", code, c.code, diff)
			}
		})
	}
}

// The contract that scripts rely on.
func TestTenantsCheckJSON(t *testing.T) {
	objects := func(args ...string) (code int, all []map[string]any) {
		code, stdout, _ := simrun(t, append([]string{"tenants", "check", "--json"}, args...)...)
		for line := range strings.Lines(stdout) {
			var o map[string]any
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			all = append(all, o)
		}
		return code, all
	}
	code, got := objects(written(t, threeTenants, `"tenants": [`, `"drop": ["9"], "tenants": [`), "--cluster",
		written(t, threeShards, "]}\n  ]", `]}
  ], "tenants": [
    {"id": "3", "version": 6, "limits": {"rate": 200}, "shards": [3]},
    {"id": "9", "version": 1, "limits": {"rate": 200}, "shards": [3]}
  ]`))
	if code != campaign.ExitHeld || len(got) != 5 {
		t.Fatalf("exit %d, %v", code, got)
	}
	delete(got[4], "file")
	delete(got[4], "cluster")
	if diff := cmp.Diff([]map[string]any{
		{"schema": 1.0, "type": "command", "kind": "create-tenant", "tenant": "1", "version": 1.0, "limits": map[string]any{"rate": 1000.0}, "shards": []any{1.0}},
		{"schema": 1.0, "type": "command", "kind": "create-tenant", "tenant": "2", "version": 1.0,
			"limits": map[string]any{"rate": 5000.0, "burst": 20000.0, "entities": 1000000.0}, "residency": []any{"eu-west"}, "shards": []any{2.0, 2.0, 2.0, 1.0}},
		{"schema": 1.0, "type": "command", "kind": "configure", "tenant": "3", "base": 6.0, "version": 7.0,
			"limits": map[string]any{"rate": 200.0, "bytes": 1000000000.0}, "residency": []any{"us-east"}},
		{"schema": 1.0, "type": "command", "kind": "drop-tenant", "tenant": "9", "base": 1.0},
		{"schema": 1.0, "type": "tenants", "valid": true, "tenants": 3.0, "drop": 1.0, "commands": 4.0, "exit": 0.0},
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		args []string
		in   int // which of args
		want map[string]any
	}{
		{[]string{written(t, threeTenants, `"us-east"`, `"us-eats"`), "--cluster", threeShards}, 0, map[string]any{
			"path": "tenants[2].residency", "line": 17.0, "column": 20.0, "what": "no shard is in a region of [us-eats]; there are shards in [eu-west us-east]", "instead": `["us-east"]`,
		}},
		{[]string{threeTenants, "--cluster", written(t, threeShards, `"id": 2, "region": "eu-west", "r`, `"id": 1, "region": "eu-west", "r`)}, 2, map[string]any{
			"path": "shards[1].id", "line": 13.0, "column": 12.0, "what": "1 follows 1; want them ascending, each once",
		}},
	} {
		code, got := objects(c.args...)
		if code != campaign.ExitUsage || len(got) != 1 {
			t.Fatalf("exit %d, %v", code, got)
		}
		for name, value := range map[string]any{
			"schema": 1.0, "type": "tenants", "valid": false, "tenants": 3.0, "drop": 0.0, "commands": 0.0, "exit": 2.0,
			"file": c.args[0], "cluster": c.args[2], "in": c.args[c.in],
		} {
			c.want[name] = value
		}
		if diff := cmp.Diff(c.want, got[0]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestALostTenantsCheckIsAnError(t *testing.T) {
	for _, args := range [][]string{{threeTenants}, {threeTenants, "--json"}, {threeTenants, "--cluster", threeShards}, {threeShards, "--json"}} {
		var complaint bytes.Buffer
		if code := execute(context.Background(), append([]string{"tenants", "check"}, args...), nil, full{}, &complaint); code != campaign.ExitInternal || !strings.Contains(complaint.String(), "no space left") {
			t.Errorf("%v: exit %d: %s", args, code, &complaint)
		}
	}
}
