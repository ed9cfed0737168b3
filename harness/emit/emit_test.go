package emit

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/harness/counter"
)

// The emitted test compiles, and passes when the plan holds. That one of a plan that
// fails does not is a test of cmd/simrun.
func TestEmittedTests(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	inTree, path, binary := filepath.Join(root, "harness", "emit", "emitted", "emitted_test.go"), filepath.Join(t.TempDir(), "emitted_test.go"), filepath.Join(t.TempDir(), "emitted.test")
	text, err := Test(counter.Draw(counter.Smoke, 1), []string{"a replica loses power"}, From{Import: "github.com/tidaldb/tidalsim/harness/counter", Suite: "counter.Suite"}, inTree)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "test", "-C", root, "-vet=off", "-c", "-o", binary, "-overlay", overlay(t, inTree, path), "./harness/emit/emitted")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(binary).CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("a test of a plan that holds: %v\n%s", err, out)
	}
}

// overlay lets the go command see a file of the tree that is not there.
func overlay(t *testing.T, path, file string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: file}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
