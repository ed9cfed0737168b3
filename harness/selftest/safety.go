// Package selftest proves that the judges are awake: it takes one safety rule at
// a time away from the source, builds the command with the source so changed (the
// tree itself is untouched), runs seeds, and expects the checker that the rule
// names to object.
//
// A safety line is a statement with a directive above it:
//
//	//safety:NAME [OPERATOR] by=CHECKER on=SCENARIO
//
// Without an operator the mistake is the statement's absence. The operators
// negate, true and false change the condition of an if, and swap exchanges the
// statement with the next one. Mistakes that are not the change of one statement
// are files; mistakes.go draws them.
//
// The one rule to remember: a line whose loss nobody notices is either no safety
// line, or shows a hole in the checkers.
package selftest

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mistake is one rule that is broken on purpose.
type Mistake struct {
	Name     string `json:"name"`
	Rule     string `json:"rule"`               // what holds while it is not broken
	Kind     string `json:"kind,omitempty"`     // of a mistake with a file: its directory
	Expected string `json:"expected"`           // the checkers of which one must object, with commas between; or Any
	Scenario string `json:"scenario,omitempty"` // in which it does; "": one of those that run by default
	Where    string `json:"where"`              // file, slash-separated, below the module's root
	Line     int    `json:"line,omitempty"`
	Operator string `json:"operator"`            // drop, negate, true, false, swap, or edit
	NotFound string `json:"not_found,omitempty"` // why seeds do not find it; it is not run unless it is named

	changes []change // of a mistake with a file
	file    string   // which is here, slash-separated, below the module's root
}

// expects returns the checker among those that object by which the mistake was to be found.
func (m *Mistake) expects(checkers []string) (string, bool) {
	for _, c := range checkers {
		if m.Expected == Any || slices.Contains(m.checkers(), c) {
			return c, true
		}
	}
	return "", false
}

// isLine reports whether the mistake is the loss of a safety line: the checker that the
// line names has to object. Of other mistakes every objection counts.
func (m *Mistake) isLine() bool { return m.Kind == "" }

// checkers returns the checkers of which one must object.
func (m *Mistake) checkers() []string {
	return strings.FieldsFunc(m.Expected, func(r rune) bool { return r == ',' || r == ' ' })
}

// Files returns the sources that the mistake changes, by their paths below root, with the
// mistake in them.
func (m *Mistake) Files(root string) (map[string][]byte, error) {
	changes := m.changes
	if len(changes) == 0 {
		changes = []change{{where: m.Where}}
	}
	files := map[string][]byte{}
	for _, c := range changes {
		path := filepath.Join(root, filepath.FromSlash(c.where))
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if _, twice := files[path]; twice {
			return nil, fmt.Errorf("%w: %s: %s stands twice", ErrMistake, m.Name, c.where)
		}
		if m.Operator == edit {
			files[path], err = c.apply(m.Name, source)
		} else {
			files[path], err = m.Break(source)
		}
		if err != nil {
			return nil, err
		}
		if bytes.Equal(files[path], source) {
			return nil, fmt.Errorf("%w: %s changes nothing in %s", ErrDirective, m.Name, c.where)
		}
	}
	return files, nil
}

// The operators.
const (
	drop   = "drop"
	negate = "negate"
	toTrue = "true"
	never  = "false"
	swap   = "swap"
	edit   = "edit"
)

// ErrDirective is wrapped by the errors about a directive that cannot be obeyed.
var ErrDirective = errors.New("bad safety directive")

const prefix = "//safety:"

// safetyLines returns the safety lines of the packages in which they may be, in the order
// of their files.
func (s *Subject) safetyLines(root string) ([]Mistake, error) {
	var found []Mistake
	err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(s.Lines)), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		lines, err := linesOf(filepath.ToSlash(relative), source)
		found = append(found, lines...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, distinct(found)
}

func distinct(mistakes []Mistake) error {
	seen := map[string]string{}
	for _, m := range mistakes {
		if other, twice := seen[m.Name]; twice {
			return fmt.Errorf("%w: %s is in %s and in %s", ErrDirective, m.Name, other, m.Where)
		}
		seen[m.Name] = m.Where
	}
	return nil
}

// linesOf returns the safety lines of one file.
func linesOf(where string, source []byte) ([]Mistake, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, where, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var found []Mistake
	for _, group := range file.Comments {
		for i, c := range group.List {
			text, ok := strings.CutPrefix(c.Text, prefix)
			if !ok {
				continue
			}
			m := Mistake{Where: where, Line: fset.Position(c.Pos()).Line, Operator: drop}
			if err := m.parse(text); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", where, m.Line, err)
			}
			m.Rule = ruleOf(group.List[:i], m.Name)
			found = append(found, m)
		}
	}
	return found, nil
}

// parse reads what follows the prefix.
func (m *Mistake) parse(text string) error {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return fmt.Errorf("%w: it has no name", ErrDirective)
	}
	m.Name = fields[0]
	for _, field := range fields[1:] {
		key, value, assigned := strings.Cut(field, "=")
		switch {
		case assigned && key == "by":
			m.Expected = value
		case assigned && key == "on":
			m.Scenario = value
		case !assigned && slices.Contains([]string{negate, toTrue, never, swap}, field):
			m.Operator = field
		default:
			return fmt.Errorf("%w: %s: %q is neither by=CHECKER, on=SCENARIO, nor an operator (negate, true, false, swap)", ErrDirective, m.Name, field)
		}
	}
	if m.Expected == "" || m.Scenario == "" {
		return fmt.Errorf("%w: %s: want by=CHECKER and on=SCENARIO", ErrDirective, m.Name)
	}
	return nil
}

// ruleOf takes the rule from the comment above the directive, else from its name.
func ruleOf(above []*ast.Comment, name string) string {
	var words []string
	for _, c := range above {
		if !strings.HasPrefix(c.Text, prefix) {
			words = append(words, strings.Fields(strings.TrimPrefix(c.Text, "//"))...)
		}
	}
	if len(words) == 0 {
		return strings.ReplaceAll(name, "-", " ")
	}
	return strings.Join(words, " ")
}

// Break returns the source of a safety line's file with the mistake in it. Lines
// keep their numbers.
func (m *Mistake) Break(source []byte) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, m.Where, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	stmt, next := statement(fset, file, m.Line+1)
	if stmt == nil {
		return nil, fmt.Errorf("%w: %s:%d: %s: no statement begins on the next line", ErrDirective, m.Where, m.Line, m.Name)
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	return m.apply(source, stmt, next, at)
}

// statement returns the outermost statement that begins on a line, and the one
// that follows it in its block.
func statement(fset *token.FileSet, file *ast.File, line int) (found, next ast.Stmt) {
	ast.Inspect(file, func(n ast.Node) bool {
		var list []ast.Stmt
		switch n := n.(type) {
		case *ast.BlockStmt:
			list = n.List
		case *ast.CaseClause:
			list = n.Body
		}
		for i, s := range list {
			if found == nil && fset.Position(s.Pos()).Line == line {
				found = s
				if i+1 < len(list) {
					next = list[i+1]
				}
			}
		}
		return found == nil
	})
	return found, next
}

// apply changes the source. What is dropped stays in the text, in a branch that
// is never taken, so that nothing it uses becomes unused.
func (m *Mistake) apply(source []byte, stmt, next ast.Stmt, at func(token.Pos) int) ([]byte, error) {
	from, to := at(stmt.Pos()), at(stmt.End())
	text := string(source[from:to])
	replace := func(from, to int, by string) []byte {
		return slices.Concat(source[:from], []byte(by), source[to:])
	}
	switch m.Operator {
	case drop:
		return replace(from, to, "if false { "+text+" }"), nil
	case swap:
		if next == nil {
			return nil, fmt.Errorf("%w: %s: no statement follows it", ErrDirective, m.Name)
		}
		until := at(next.End())
		between := string(source[to:at(next.Pos())])
		return replace(from, until, string(source[at(next.Pos()):until])+between+text), nil
	}
	branch, ok := stmt.(*ast.IfStmt)
	if !ok {
		return nil, fmt.Errorf("%w: %s: %s needs an if", ErrDirective, m.Name, m.Operator)
	}
	from, to = at(branch.Cond.Pos()), at(branch.Cond.End())
	condition := "(" + string(source[from:to]) + ")"
	switch m.Operator {
	case negate:
		return replace(from, to, "!"+condition), nil
	case toTrue:
		return replace(from, to, condition+" || true"), nil
	}
	return replace(from, to, condition+" && false"), nil
}
