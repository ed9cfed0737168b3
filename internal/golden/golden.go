// Package golden is for tests of formats: what was written once holds for ever.
package golden

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Text compares what today's code writes, line by line, with a file that was written
// when the format was new, and returns that file's text. With rewrite the file is written
// anew first: right only as long as nothing in that format exists anywhere.
func Text(t testing.TB, path, today string, rewrite bool) string {
	t.Helper()
	if rewrite {
		if err := os.WriteFile(path, []byte(today), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(stored), "\n"), strings.Split(today, "\n")); diff != "" {
		t.Errorf("%s (-golden +today); what exists would be read otherwise:\n%s", path, diff)
	}
	return string(stored)
}
