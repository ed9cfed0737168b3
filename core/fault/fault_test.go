package fault_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
)

// Every point has a name of its own, in the form that plans are written with.
func TestNamesAreUniqueAndComplete(t *testing.T) {
	if got := len(fault.Names()); got != int(fault.Points) {
		t.Fatalf("%d names for %d points", got, fault.Points)
	}
	seen := map[string]env.Point{}
	for p := range fault.Points {
		name := fault.Name(p)
		if !regexp.MustCompile(`^[a-z]+(\.[a-z]+)+$`).MatchString(name) {
			t.Errorf("point %d is called %q, want words with dots between them", p, name)
		}
		if first, twice := seen[name]; twice {
			t.Errorf("points %d and %d are both called %s", first, p, name)
		}
		seen[name] = p
	}
}

// A point's name is its identifier, so that a plan can be read beside the code.
func TestNamesAreTheIdentifiers(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Comment == nil || spec.Names[0].Name == "Points" {
			return true
		}
		if strings.TrimSpace(spec.Comment.Text()) == "" {
			t.Errorf("%s has no comment that says when it is passed", spec.Names[0].Name)
		}
		words := regexp.MustCompile(`[A-Z][a-z]*`).FindAllString(spec.Names[0].Name, -1)
		want = append(want, strings.ToLower(strings.Join(words, ".")))
		return true
	})
	if diff := cmp.Diff(want, fault.Names()); diff != "" {
		t.Errorf("names (-identifiers +names):\n%s", diff)
	}
}
