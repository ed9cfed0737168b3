package tidalsim_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// faceless is the highest number of faceless subjects in the comments of each package: "what is
// committed", "who was deposed", "nobody". A comment is understood at first reading if its
// subject is a named role: leader, follower, coordinator, client, operator, disk, checker.
//
// The numbers may only fall. A change that makes a package plainer lowers its row. A package
// without a row may have none.
var faceless = map[string]int{
	"bench": 12,

	"checker":         14,
	"checker/history": 0,
	"checker/observe": 6,

	"cmd/simrun": 1,

	"core":         0,
	"core/assert":  1,
	"core/control": 6,
	"core/fault":   1,
	"core/group":   3,
	"core/health":  2,
	"core/keyed":   1,
	"core/metalog": 5,
	"core/peer":    5,
	"core/quorum":  1,
	"core/replica": 3,
	"core/route":   1,
	"core/signal":  0,
	"core/strict":  11,
	"core/tenant":  0,
	"core/wire":    4,

	"harness":             6,
	"harness/artifacts":   0,
	"harness/campaign":    4,
	"harness/counter":     6,
	"harness/page":        0,
	"harness/regressions": 1,
	"harness/replay":      4,
	"harness/runner":      4,
	"harness/selftest":    8,
	"harness/shrink":      12,
	"harness/verdict":     0,

	"host":         0,
	"host/disk":    0,
	"host/frame":   0,
	"host/live":    0,
	"host/local":   0,
	"host/meter":   0,
	"host/network": 0,
	"host/probe":   0,

	"internal/golden":  1,
	"internal/nearest": 3,

	"report": 0,

	"scenarios":       4,
	"scenarios/brief": 0,
	"scenarios/shape": 0,

	"selftest": 1,

	"sim":         1,
	"sim/chance":  0,
	"sim/clock":   0,
	"sim/disk":    0,
	"sim/network": 0,
	"sim/plan":    1,
	"sim/queue":   0,
	"sim/trace":   0,
}

// facelessSubject finds subjects that name no role.
var facelessSubject = []*regexp.Regexp{
	regexp.MustCompile(`\b[Ww]hat (?:is|was|are|were|has|have|had|they|it|he|one|a|the|somebody|nobody|others?|each|every)\b`),
	regexp.MustCompile(`\b(?:[Ww]ho|[Ww]hose|[Ww]hom|[Nn]obody|[Ss]omebody)\b`),
}

// sighting is one faceless subject.
type sighting struct {
	pos  token.Position
	text string
}

// directive matches comments that are for tools, not for readers.
var directive = regexp.MustCompile(`^//(?:go|safety):`)

// facelessIn returns the faceless subjects in the comments of one file, in order. A subject may
// span two lines of one comment. Generated files have none: nobody edits them.
func facelessIn(fset *token.FileSet, file *ast.File) (seen []sighting) {
	if ast.IsGenerated(file) {
		return nil
	}
	for _, group := range file.Comments {
		joined, starts := prose(fset, group)
		for _, subject := range facelessSubject {
			for _, at := range subject.FindAllStringIndex(joined, -1) {
				line, _ := slices.BinarySearchFunc(starts, at[0], func(l line, offset int) int {
					return cmp.Compare(l.offset, offset+1)
				})
				seen = append(seen, sighting{starts[line-1].pos, joined[at[0]:at[1]]})
			}
		}
	}
	slices.SortStableFunc(seen, func(a, b sighting) int { return cmp.Compare(a.pos.Line, b.pos.Line) })
	return seen
}

// line is where a line of a comment begins: in the joined text, and in its file.
type line struct {
	offset int
	pos    token.Position
}

// prose joins the lines of a comment with spaces, directives left out.
func prose(fset *token.FileSet, group *ast.CommentGroup) (string, []line) {
	var text strings.Builder
	var starts []line
	for _, c := range group.List {
		if directive.MatchString(c.Text) {
			continue
		}
		pos := fset.Position(c.Pos())
		for i, l := range strings.Split(c.Text, "\n") {
			at := pos
			at.Line += i
			starts = append(starts, line{text.Len(), at})
			text.WriteString(strings.Trim(l, "/* \t") + " ")
		}
	}
	return text.String(), starts
}

// facelessOfTheTree returns the faceless subjects of each package, tests left out.
func facelessOfTheTree(t *testing.T) map[string][]sighting {
	t.Helper()
	found := map[string][]sighting{}
	walk(t, ".", ".go", func(path string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		if strings.HasSuffix(path, "_test.go") || slices.Contains(strings.Split(dir, "/"), "testdata") {
			return
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		found[dir] = append(found[dir], facelessIn(fset, file)...)
	})
	return found
}

func TestCommentsNameTheirSubjects(t *testing.T) {
	found := facelessOfTheTree(t)
	if len(found) < 50 {
		t.Fatalf("only %d packages are looked at", len(found))
	}
	for _, dir := range slices.Sorted(maps.Keys(found)) {
		for _, complaint := range judgeProse(dir, found[dir], faceless[dir]) {
			t.Error(complaint)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(faceless)) {
		if _, exists := found[dir]; !exists {
			t.Errorf("faceless has a row for %s, which is no package; delete the row", dir)
		}
	}
}

// judgeProse compares the faceless subjects of a package with its row.
func judgeProse(dir string, seen []sighting, row int) (complaints []string) {
	switch {
	case len(seen) > row:
		complaints = append(complaints, fmt.Sprintf(
			"%s has %d faceless subjects in its comments, want at most %d: name the role (leader, client, disk)",
			dir, len(seen), row))
		for _, s := range seen {
			complaints = append(complaints, fmt.Sprintf("%s:%d: %q", s.pos.Filename, s.pos.Line, s.text))
		}
	case len(seen) < row:
		complaints = append(complaints, fmt.Sprintf(
			"%s has %d faceless subjects in its comments, its row in prose_test.go says %d: lower the table to %d",
			dir, len(seen), row, len(seen)))
	}
	return complaints
}

func TestFacelessSubjectsAreCounted(t *testing.T) {
	const source = `// Package p tells what the leader
// does. Somebody reads it.
package p

//go:generate echo who
//safety:NAME by=who on=nobody
var x = "what is text" // whoever; whose

/* A leader
   acks what
   is durable. */
var y int // what follows is plain
`
	for _, tt := range []struct {
		name, source string
		want         []string
	}{
		{"comments", source, []string{"1 what the", "2 Somebody", "7 whose", "10 what is"}},
		{"generated", "// Code generated by who. DO NOT EDIT.\n\n" + source, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, "p.go", tt.source, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range facelessIn(fset, file) {
				got = append(got, fmt.Sprintf("%d %s", s.pos.Line, s.text))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheTableOfProseMayOnlyFall(t *testing.T) {
	seen := []sighting{
		{token.Position{Filename: "p/a.go", Line: 3}, "who"},
		{token.Position{Filename: "p/b.go", Line: 5}, "what is"},
	}
	for _, tt := range []struct {
		row  int
		want string
	}{
		{1, "p has 2 faceless subjects in its comments, want at most 1: name the role (leader, client, disk)\n" +
			"p/a.go:3: \"who\"\np/b.go:5: \"what is\""},
		{2, ""},
		{3, "p has 2 faceless subjects in its comments, its row in prose_test.go says 3: lower the table to 2"},
	} {
		if got := strings.Join(judgeProse("p", seen, tt.row), "\n"); got != tt.want {
			t.Errorf("row %d: got %s, want %s", tt.row, got, tt.want)
		}
	}
}
