package metalog_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// tracesOnly makes the test binary print the hashes of its runs and nothing else.
const tracesOnly = "METALOG_TRACES_ONLY"

// elsewhere begins the same storms in another process, and returns a function that waits for the
// hashes of their traces, a line each.
func elsewhere(t *testing.T) func() string {
	args := []string{"-test.run=^TestStorm$"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	other := exec.Command(os.Args[0], args...)
	other.Env = append(os.Environ(), tracesOnly+"=1")
	var out strings.Builder
	other.Stdout = &out
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	return func() string {
		if err := other.Wait(); err != nil {
			t.Fatalf("the other process: %v", err)
		}
		return out.String()
	}
}

// same compares the hashes of two processes. The trace covers every event, ask and
// draw, so equal hashes are equal runs, although raft draws numbers from the operating
// system in both.
func same(t *testing.T, here, there string) {
	t.Helper()
	b := strings.Split(there, "\n")
	for i, line := range strings.Split(strings.TrimSpace(here), "\n") {
		if i >= len(b) || line != b[i] {
			t.Fatalf("seed and trace here: %s; in the other process it differs", line)
		}
	}
}
