package wal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sources is the tests of one package: the names of its test functions, and all strings, because
// subtests are named by strings, and their table may be outside of the function.
type sources struct {
	tests   map[string]bool
	strings map[string]bool
}

func testsOf(t *testing.T, dir string) sources {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s has no tests: %v", dir, err)
	}
	s := sources{tests: map[string]bool{}, strings: map[string]bool{}}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				s.tests[n.Name.Name] = n.Recv == nil && (strings.HasPrefix(n.Name.Name, "Test") || strings.HasPrefix(n.Name.Name, "Fuzz"))
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil {
					s.strings[text] = true
				}
			}
			return true
		})
	}
	return s
}

// computed has the names of subtests that are computed when the test runs.
var computed = map[string]bool{"sync, input/output error": true, "sync-directory, input/output error": true}

var proof = regexp.MustCompile("`(wal|replica)\\.(\\w+)(?:/([^`]+))?`")

// Every case that other logs' tests demand has a row in docs/wal-cases.md: our
// answer, and tests that exist, or a reason why it does not apply.
func TestEveryCaseHasAnAnswer(t *testing.T) {
	doc, err := os.ReadFile("../../docs/wal-cases.md")
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]sources{"wal": testsOf(t, "."), "replica": testsOf(t, "../replica")}
	number := 0
	for row := range strings.Lines(string(doc)) {
		cells := strings.Split(strings.Trim(row, "| \n"), " | ")
		n, err := strconv.Atoi(cells[0])
		if err != nil || !strings.HasPrefix(row, "|") {
			continue
		}
		if number++; n != number || len(cells) < 3 {
			t.Fatalf("row %q: number %d in %d cells, want number %d in 3 or 4", row, n, len(cells), number)
		}
		proofs := proof.FindAllStringSubmatch(row, -1)
		if waived := strings.HasPrefix(cells[2], "waived: "); waived == (len(proofs) > 0) {
			t.Errorf("case %d is waived: %v, and has %d tests; want one or the other", n, waived, len(proofs))
		}
		for _, p := range proofs {
			s, name, sub := packages[p[1]], p[2], p[3]
			if !s.tests[name] || sub != "" && !s.strings[sub] && !computed[sub] {
				t.Errorf("case %d: there is no test %s", n, p[0])
			}
		}
		if got := strings.Count(row, "`wal.Test") + strings.Count(row, "`wal.Fuzz") + strings.Count(row, "`replica."); got != len(proofs) {
			t.Errorf("case %d: of %d tests %d can be read", n, got, len(proofs))
		}
	}
	if number != 72 {
		t.Errorf("there are %d cases, want 72", number)
	}
}
