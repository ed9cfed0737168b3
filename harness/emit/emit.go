// Package emit writes a plan as a Go test that fails for as long as the plan does.
package emit

import (
	"bytes"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"unicode"

	"github.com/tidaldb/tidalsim/harness"
)

// testFile is a test that fails for as long as the plan does.
var testFile = template.Must(template.New("test").Parse(`package {{.Package}}

import (
	"testing"

	"github.com/tidaldb/tidalsim/harness"
	"{{.Import}}"
)

// {{.Name}} replays a plan that once showed {{.Fingerprint}}:
//
{{range .Words}}//	{{.}}
{{end}}func {{.Name}}(t *testing.T) {
	s := {{.Suite}}()
	p, err := s.Decode([]byte({{.Constant}}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.NewRunner().Run(p, harness.Options{Porcupine: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got.Findings {
		t.Errorf("%s at %d ns: %s", f.Fingerprint(), f.At, f.Text)
	}
	if len(p.Parts().World.Disruptions) > 0 && got.Fired == 0 {
		t.Error("none of the plan's disruptions began: it proves nothing any more, shrink a failing seed again")
	}
}

const {{.Constant}} = {{.Plan}}
`))

// From says where a test finds the suite of its plan.
type From struct {
	Import string // path of a package
	Suite  string // a function of it that returns the *harness.Suite: suite.Tenants
}

// Test returns a Go test for the file at path that replays the plan: it fails
// while the plan fails, and when the plan has become stale. Its package is the
// external test package of the directory; path must end in _test.go. Words tell the plan.
func Test(p harness.Plan, words []string, from From, path string) ([]byte, error) {
	name, err := packageOf(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	parts, fingerprint := p.Parts(), ""
	if parts.Recorded != nil {
		fingerprint = parts.Recorded.Fingerprint
	}
	title := camel(parts.Scenario) + camel(fingerprint) + "Seed" + strconv.FormatUint(uint64(parts.World.Seed), 16)
	text := string(p.Encode())
	quoted := "`" + text + "`"
	if strings.ContainsAny(text, "`\r") {
		quoted = strconv.Quote(text)
	}
	var b bytes.Buffer
	if err := testFile.Execute(&b, map[string]any{
		"Package": name, "Name": "Test" + title, "Constant": "plan" + title,
		"Fingerprint": fingerprint, "Words": words, "Plan": quoted, "Import": from.Import, "Suite": from.Suite,
	}); err != nil {
		return nil, err
	}
	return format.Source(b.Bytes())
}

// packageOf returns the name of the external test package of a directory: after
// the package that is there, or after the directory.
func packageOf(dir string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.PackageClauseOnly)
		if err == nil && file.Name.Name != "documentation" {
			return strings.TrimSuffix(file.Name.Name, "_test") + "_test", nil
		}
	}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	name := strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, filepath.Base(whole))
	if name == "" || !token.IsIdentifier(name) {
		return "", fmt.Errorf("%s: no Go name for a package can be made of the directory's; put a Go file into it first", whole)
	}
	return name + "_test", nil
}

// camel joins the words of a name.
func camel(text string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
