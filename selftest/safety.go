// Package selftest proves that the judges are awake: it takes one safety rule at
// a time away from the core, builds the command with the source so changed (the
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
// are in the table of mistakes.go.
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
	Rule     string `json:"rule"`     // what holds while it is not broken
	Expected string `json:"expected"` // the checker that must object
	Scenario string `json:"scenario"` // in which it does
	Where    string `json:"where"`    // file, slash-separated, below the module's root
	Line     int    `json:"line,omitempty"`
	Operator string `json:"operator"` // drop, negate, true, false, swap, or edit

	edits []replacement
	// also: the rule is kept in more than one place, and is broken in all of them.
	also []Mistake
}

// Files returns the sources that the mistake changes, by their paths below root, with the
// mistake in them.
func (m *Mistake) Files(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, part := range append([]Mistake{*m}, m.also...) {
		path := filepath.Join(root, filepath.FromSlash(part.Where))
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		part.Name, part.Operator = m.Name, m.Operator
		if files[path], err = part.Break(source); err != nil {
			return nil, err
		}
		if bytes.Equal(files[path], source) {
			return nil, fmt.Errorf("%w: %s changes nothing in %s", ErrDirective, m.Name, part.Where)
		}
	}
	return files, nil
}

// replacement is a change of text that occurs once in its file.
type replacement struct{ old, new string }

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

// Lines returns the safety lines of the packages below root/core, in the order of
// their files.
func Lines(root string) ([]Mistake, error) {
	var found []Mistake
	err := filepath.WalkDir(filepath.Join(root, "core"), func(path string, d fs.DirEntry, err error) error {
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

// Break returns the source of the mistake's file with the mistake in it. Lines
// keep their numbers.
func (m *Mistake) Break(source []byte) ([]byte, error) {
	if m.Operator == edit {
		text := string(source)
		for _, r := range m.edits {
			if n := strings.Count(text, r.old); n != 1 {
				return nil, fmt.Errorf("%w: %s: %q occurs %d times in %s, want once", ErrDirective, m.Name, r.old, n, m.Where)
			}
			text = strings.Replace(text, r.old, r.new, 1)
		}
		return []byte(text), nil
	}
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
