package selftest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A mistake that is not the change of one statement is a file of its own,
// KIND/NAME.txt in the directory of mistakes:
//
//	name: NAME
//	rule: what holds while it is not broken, in one line
//	kind: KIND
//	found by: CHECKER, CHECKER (any of them; "any" for every checker)
//	scenario: SCENARIO (empty: all scenarios that run by default)
//	not found: why seeds do not find it (only if they do not)
//
//	-- path/of/a/file.go --
//	<<<<<<<
//	lines as they are; they stand in the file exactly once
//	=======
//	lines with the mistake in them
//	>>>>>>>
//
// A file may have several changes, and a mistake several files. Lines that begin with a #
// above the first file are comments.

// Any is in place of a checker if every checker's objection counts.
const Any = "any"

// ErrMistake is wrapped by the errors about a file of a mistake.
var ErrMistake = errors.New("bad file of a mistake")

// files returns the mistakes that have files, by kind and name.
func (s *Subject) files(root string) ([]Mistake, error) {
	if s.Dir == "" {
		return nil, nil
	}
	paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(s.Dir), "*", "*"))
	if err != nil {
		return nil, err
	}
	var all []Mistake
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m, err := parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		dir, base := filepath.Split(path)
		if base != m.Name+".txt" || filepath.Base(dir) != m.Kind || !slices.Contains(s.Kinds, m.Kind) {
			return nil, fmt.Errorf("%s: %w: want it at %s/%s/%s.txt, with a kind of %s", path, ErrMistake, s.Dir, m.Kind, m.Name, strings.Join(s.Kinds, ", "))
		}
		m.file = s.Dir + "/" + m.Kind + "/" + base
		all = append(all, m)
	}
	return all, nil
}

// parse reads the file of a mistake.
func parse(text string) (Mistake, error) {
	m := Mistake{Operator: edit}
	head, body, cut := strings.Cut(text, "\n-- ")
	if !cut {
		return m, fmt.Errorf("%w: it changes no file: no line begins with -- ", ErrMistake)
	}
	for line := range strings.Lines(head) {
		if err := m.field(strings.TrimSpace(line)); err != nil {
			return m, err
		}
	}
	if m.Name == "" || m.Rule == "" || m.Kind == "" || m.Expected == "" {
		return m, fmt.Errorf("%w: want name, rule, kind and found by", ErrMistake)
	}
	for part := range strings.SplitSeq(body, "\n-- ") {
		change, err := parseChange(part)
		if err != nil {
			return m, err
		}
		m.changes = append(m.changes, change)
	}
	m.Where = m.changes[0].where
	return m, nil
}

// field takes a line above the first file.
func (m *Mistake) field(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	key, value, _ := strings.Cut(line, ":")
	into := map[string]*string{"name": &m.Name, "rule": &m.Rule, "kind": &m.Kind, "found by": &m.Expected, "scenario": &m.Scenario, "not found": &m.NotFound}[key]
	if into == nil || *into != "" {
		return fmt.Errorf("%w: %q: want name, rule, kind, found by, scenario or not found, each once", ErrMistake, line)
	}
	*into = strings.TrimSpace(value)
	return nil
}

// change is the change by a mistake in one file.
type change struct {
	where string // slash-separated, below the module's root
	edits []replacement
}

// replacement is a change of whole lines that stand once in their file.
type replacement struct{ old, new string }

// The lines around a replacement.
const (
	before = "<<<<<<<\n"
	middle = "=======\n"
	after  = ">>>>>>>\n"
)

// parseChange reads what follows the beginning of a file's line: its path and changes.
func parseChange(text string) (change, error) {
	where, rest, cut := strings.Cut(text, " --\n")
	c := change{where: where}
	if !cut || strings.Contains(where, "\n") {
		return c, fmt.Errorf("%w: %q is not the line of a file, -- path --", ErrMistake, where)
	}
	if !strings.HasSuffix(rest, "\n") { // the line's end went with the next file
		rest += "\n"
	}
	for strings.TrimSpace(rest) != "" {
		body, starts := strings.CutPrefix(strings.TrimLeft(rest, "\n"), before)
		old, body, divided := strings.Cut(body, middle)
		changed, left, ends := strings.Cut(body, after)
		if !starts || !divided || !ends || old == "" || old == changed || strings.Contains(old, before) || strings.Contains(changed, middle) {
			return c, fmt.Errorf("%w: %s: want lines between <<<<<<<, ======= and >>>>>>>, and others in their place", ErrMistake, where)
		}
		c.edits, rest = append(c.edits, replacement{old, changed}), left
	}
	if len(c.edits) == 0 {
		return c, fmt.Errorf("%w: %s: nothing is changed", ErrMistake, where)
	}
	return c, nil
}

// standing returns how often lines stand in a text; they may overlap.
func standing(text, lines string) (n int) {
	for at := strings.Index(text, lines); at >= 0; at = strings.Index(text, lines) {
		n++
		text = text[at+1:]
	}
	return n
}

// apply returns the source with the changes in it.
func (c *change) apply(name string, source []byte) ([]byte, error) {
	text := "\n" + string(source)
	for _, r := range c.edits {
		if n := standing(text, "\n"+r.old); n != 1 {
			return nil, fmt.Errorf("%w: %s: these lines stand %d times in %s, want once:\n%s", ErrMistake, name, n, c.where, r.old)
		}
		text = strings.Replace(text, "\n"+r.old, "\n"+r.new, 1)
	}
	return []byte(text[1:]), nil
}
