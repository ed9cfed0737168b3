package tidalsim_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	requirements = "docs/requirements.md"
	places       = "docs/where.md"
)

var (
	requirementHeading = regexp.MustCompile(`(?m)^### (R[0-9]+)$`)
	requirementName    = regexp.MustCompile(`\bR[1-9][0-9]?\b`)
)

// TestRequirementsExist: each R-number that a document, the code or a test mentions has its
// paragraph, and there are R1 to R29.
func TestRequirementsExist(t *testing.T) {
	told := map[string]bool{}
	for _, heading := range requirementHeading.FindAllStringSubmatch(text(t, requirements), -1) {
		if told[heading[1]] {
			t.Errorf("%s tells %s twice", requirements, heading[1])
		}
		told[heading[1]] = true
	}
	if len(told) != 29 {
		t.Errorf("%s tells %d requirements, want 29", requirements, len(told))
	}
	mentions := 0
	for _, suffix := range []string{".md", ".go"} {
		walk(t, ".", suffix, func(path string) {
			for _, name := range requirementName.FindAllString(text(t, path), -1) {
				if mentions++; !told[name] {
					t.Errorf("%s mentions %s, which %s does not tell", path, name, requirements)
				}
			}
		})
	}
	if mentions < 2*29 {
		t.Errorf("%d mentions of requirements were found; the pattern must be wrong", mentions)
	}
}

// TestPlacesExist: the function that a moment names is in the file that it names.
func TestPlacesExist(t *testing.T) {
	table := rows(section(t, places, "Where is"))
	if len(table) < 20 {
		t.Errorf("%s has %d moments, want at least 20", places, len(table))
	}
	for _, row := range table {
		file, function := codes(row[1])[0], codes(row[2])[0]
		if !functionsOf(t, file)[function] {
			t.Errorf("%s: %s: %s has no function %s", places, row[0], file, function)
		}
	}
}

// functionsOf returns the functions of a file: "Decide", "Group.takeRole".
func functionsOf(t *testing.T, path string) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, declared := range file.Decls {
		f, ok := declared.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			name = receiver(f.Recv.List[0].Type) + "." + name
		}
		names[name] = true
	}
	return names
}

// receiver returns the name of the type of a method.
func receiver(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if name, ok := e.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// TestTranscriptsSayWhatTheyShow: a transcript begins with a comment for its reader.
func TestTranscriptsSayWhatTheyShow(t *testing.T) {
	files, err := filepath.Glob("core/*/testdata/transcripts/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Glob("core/testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 || len(own) == 0 {
		t.Fatalf("%d transcripts of packages, %d of the node, %v", len(files), len(own), err)
	}
	for _, path := range append(files, own...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), "# ") {
			t.Errorf("%s does not begin with a comment that says what it shows", path)
		}
	}
}
