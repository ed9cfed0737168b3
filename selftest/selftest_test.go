package selftest_test

import (
	"go/parser"
	"go/token"
	"testing"

	"github.com/tidaldb/tidalsim/selftest"
)

// Every mistake can be planted in the source as it is, still parses, and names a checker and
// a scenario that exist.
func TestEveryMistakeCanBePlanted(t *testing.T) {
	all, err := selftest.All("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 15 {
		t.Fatalf("only %d mistakes", len(all))
	}
	for _, m := range all {
		files, err := m.Files("..")
		if err != nil {
			t.Error(err)
			continue
		}
		for path, broken := range files {
			if _, err := parser.ParseFile(token.NewFileSet(), path, broken, 0); err != nil {
				t.Errorf("%s: %v", m.Name, err)
			}
		}
	}
}
