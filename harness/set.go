package harness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/internal/nearest"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Set returns a plan with values replaced, as decode, a Suite's, reads it. Each assignment
// is path=value: a path in the plan's JSON, elements joined by dots and places in lists as
// numbers, and a JSON value, or text that needs no quotes.
func Set(p Plan, decode func([]byte) (Plan, error), assignments []string) (Plan, error) {
	tree, err := decodeExactly(p.Encode())
	if err != nil {
		return nil, err
	}
	for _, a := range assignments {
		path, text, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("%w: --set %s: want path=value", plan.ErrInvalid, a)
		}
		value, err := decodeExactly([]byte(text))
		if err != nil {
			value = text
		}
		if err := assign(tree, path, value); err != nil {
			return nil, fmt.Errorf("%w: --set %s: %w", plan.ErrInvalid, a, err)
		}
	}
	data, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	changed, err := decode(data)
	if err != nil { // not the file's fault
		return nil, fmt.Errorf("%w: --set %s: %v%s", plan.ErrInvalid, strings.Join(assignments, " "), err, meant(p, assignments))
	}
	return changed, nil
}

// meant names the key of the plan that is nearest to the last key of an assignment, if the plan
// lacks the latter. Its text follows the text of an error.
func meant(p Plan, assignments []string) string {
	tree, err := decodeExactly(p.Encode())
	if err != nil {
		return ""
	}
	for _, a := range assignments {
		path, _, _ := strings.Cut(a, "=")
		parent, key := "", path
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			parent, key = path[:i+1], path[i+1:]
		}
		object, _ := below(tree, strings.TrimSuffix(parent, ".")).(map[string]any)
		if near := nearest.Name(key, slices.Sorted(maps.Keys(object))); near != "" && near != key {
			return fmt.Sprintf("; did you mean %s%s?", parent, near)
		}
	}
	return ""
}

// below returns the value at a path of plain keys, nil if there is none.
func below(node any, path string) any {
	for path != "" {
		key, rest, _ := strings.Cut(path, ".")
		object, _ := node.(map[string]any)
		node, path = object[key], rest
	}
	return node
}

// decodeExactly reads JSON and leaves numbers as they are written.
func decodeExactly(data []byte) (value any, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err = dec.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the value")
	}
	return value, nil
}

// assign puts value at path below node. Of an object's keys the longest that the
// path begins with counts, because names of fault families have dots.
func assign(node any, path string, value any) error {
	switch node := node.(type) {
	case map[string]any:
		head, rest := path, ""
		for !known(node, head) && strings.Contains(head, ".") {
			head = head[:strings.LastIndexByte(head, '.')]
		}
		if !known(node, head) {
			head = path // a key that the encoding leaves out; the decoder knows whether it exists
		}
		rest = strings.TrimPrefix(path[len(head):], ".")
		if rest == "" {
			node[head] = value
			return nil
		}
		return assign(node[head], rest, value)
	case []any:
		head, rest, deeper := strings.Cut(path, ".")
		i, err := strconv.Atoi(head)
		if err != nil || i < 0 || i >= len(node) {
			return fmt.Errorf("%q is no place in a list of %d", head, len(node))
		}
		if !deeper {
			node[i] = value
			return nil
		}
		return assign(node[i], rest, value)
	}
	return fmt.Errorf("there is nothing below %q", path)
}

func known(object map[string]any, key string) bool {
	_, ok := object[key]
	return ok
}
