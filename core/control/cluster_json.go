package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/tenant"
)

// DecodeCluster reads a cluster from JSON and validates it. It is strict, because
// what a file means and what it says must not differ: a key that is unknown, written
// in another case, there twice or missing is an error, and so is null. Every error is
// a *FieldError with line and column.
func DecodeCluster(data []byte) (*Cluster, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, syntax(data, err)
	}
	r := &reader{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
	if err := r.value("", clusterShape()); err != nil {
		return nil, err
	}
	c := new(Cluster)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, r.unfit(err)
	}
	if err := c.Validate(); err != nil {
		return nil, r.locate(err)
	}
	return c, nil
}

// shape is what may stand at a place in JSON.
type shape struct {
	is      byte   // object, list, number, text or id
	keys    []key  // of an object
	element *shape // of a list
}

const (
	object byte = '{'
	list   byte = '['
	number byte = '0'
	text   byte = '"'
	id     byte = 't' // a text that is a tenant's ID
)

type key struct {
	name     string
	optional bool
	of       shape
}

func listOf(s shape) shape { return shape{is: list, element: &s} }

func clusterShape() shape {
	num, str := shape{is: number}, shape{is: text}
	node := shape{is: object, keys: []key{{name: "id", of: num}, {name: "region", of: str}}}
	shard := shape{is: object, keys: []key{{name: "id", of: num}, {name: "region", of: str}, {name: "replicas", of: listOf(num)}}}
	limits := shape{is: object, keys: []key{
		{name: "rate", of: num}, {name: "burst", optional: true, of: num},
		{name: "entities", optional: true, of: num}, {name: "bytes", optional: true, of: num},
	}}
	tenant := shape{is: object, keys: []key{
		{name: "id", of: shape{is: id}}, {name: "version", of: num}, {name: "limits", of: limits},
		{name: "residency", optional: true, of: listOf(str)}, {name: "shards", of: listOf(num)},
	}}
	return shape{is: object, keys: []key{
		{name: "meta", of: listOf(num)}, {name: "nodes", of: listOf(node)},
		{name: "shards", of: listOf(shard)}, {name: "tenants", optional: true, of: listOf(tenant)},
	}}
}

// reader walks over JSON whose syntax is right, and compares it with a shape.
type reader struct {
	data   []byte
	dec    *json.Decoder
	places []place // of all values so far, ascending by offset
}

type place struct {
	path   string
	offset int64
}

// next returns the offset of the next token.
func (r *reader) next() int64 {
	at := r.dec.InputOffset()
	for at < int64(len(r.data)) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	return at
}

// token takes the next one. The syntax is right, so there is one.
func (r *reader) token() json.Token {
	t, err := r.dec.Token()
	if err != nil {
		return nil
	}
	return t
}

func (r *reader) value(path string, s shape) error {
	at := r.next()
	r.places = append(r.places, place{path, at})
	switch t := r.token().(type) {
	case json.Delim:
		switch {
		case byte(t) == object && s.is == object:
			return r.object(path, s.keys, at)
		case byte(t) == list && s.is == list:
			return r.list(path, *s.element)
		}
	case json.Number:
		if s.is == number {
			return nil
		}
	case string:
		if s.is == text {
			return nil
		}
		if s.is == id {
			if _, err := tenant.ParseID(t); err != nil {
				return r.wrong(path, at, err, "%v", err)
			}
			return nil
		}
	}
	return r.wrong(path, at, nil, "want %s", s)
}

// String tells what may stand there.
func (s shape) String() string {
	switch s.is {
	case object:
		return "an object with the keys " + strings.Join(names(s.keys), ", ")
	case list:
		return "a list"
	case number:
		return "a number"
	case id:
		return "a tenant ID: a decimal number in quotes"
	}
	return "a text in quotes"
}

func names(keys []key) (all []string) {
	for _, k := range keys {
		all = append(all, fmt.Sprintf("%q", k.name))
	}
	return all
}

func (r *reader) list(path string, element shape) error {
	for i := 0; r.dec.More(); i++ {
		if err := r.value(fmt.Sprintf("%s[%d]", path, i), element); err != nil {
			return err
		}
	}
	r.token()
	return nil
}

func (r *reader) object(path string, keys []key, begin int64) error {
	seen := make([]bool, len(keys))
	for r.dec.More() {
		at := r.next()
		name, _ := r.token().(string)
		below := strings.TrimPrefix(path+"."+name, ".")
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
		switch {
		case i < 0:
			return r.wrong(path, at, nil, "unknown key %q; %s", name, suggest(name, keys))
		case seen[i]:
			return r.wrong(below, at, nil, "the key is there twice")
		}
		seen[i] = true
		if err := r.value(below, keys[i].of); err != nil {
			return err
		}
	}
	r.token()
	for i, k := range keys {
		if !seen[i] && !k.optional {
			return r.wrong(path, begin, nil, "the key %q is missing", k.name)
		}
	}
	return nil
}

// suggest names the nearest known key, or all of them if none is near.
func suggest(name string, keys []key) string {
	best, least := "", len(name)/2+1
	for _, k := range keys {
		if n := distance(strings.ToLower(name), k.name); n <= least {
			best, least = k.name, n-1
		}
	}
	if best == "" {
		return "want one of " + strings.Join(names(keys), ", ")
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance returns how many bytes must be put in, taken out or changed to make b of
// a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func (r *reader) wrong(path string, at int64, cause error, format string, operands ...any) error {
	return positioned(r.data, at, &FieldError{Path: path, What: fmt.Sprintf(format, operands...), Err: cause})
}

// positioned gives an error its line and column, which count from 1.
func positioned(data []byte, at int64, e *FieldError) *FieldError {
	before := data[:min(max(at, 0), int64(len(data)))]
	e.Line = bytes.Count(before, []byte("\n")) + 1
	e.Column = len(before) - bytes.LastIndexByte(before, '\n')
	return e
}

// syntax is the error about bytes that are no JSON.
func syntax(data []byte, err error) error {
	var e *json.SyntaxError
	at := int64(len(data))
	if errors.As(err, &e) && e.Offset < at || e != nil && !strings.Contains(e.Error(), "unexpected end") {
		at = e.Offset - 1 // what was read last is what is wrong
	}
	return positioned(data, at, &FieldError{What: err.Error(), Err: err})
}

// unfit is the error about a number that its field cannot hold.
func (r *reader) unfit(err error) error {
	var e *json.UnmarshalTypeError
	if !errors.As(err, &e) {
		return &FieldError{What: err.Error(), Err: err}
	}
	i, _ := slices.BinarySearchFunc(r.places, e.Offset, func(p place, offset int64) int {
		if p.offset < offset {
			return -1
		}
		return 1
	})
	p := r.places[max(i-1, 0)]
	return r.wrong(p.path, p.offset, err, "%s is not a legal value here: want a whole number of %d bits", e.Value, e.Type.Bits())
}

// locate gives an error of Validate the place of its field, or of the nearest that is
// there.
func (r *reader) locate(err error) error {
	var e *FieldError
	if !errors.As(err, &e) {
		return err
	}
	for path := e.Path; ; {
		if i := slices.IndexFunc(r.places, func(p place) bool { return p.path == path }); i >= 0 {
			return positioned(r.data, r.places[i].offset, e)
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}
