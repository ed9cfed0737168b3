package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/internal/nearest"
)

// Shape is what may stand at a place. The zero Shape permits nothing.
type Shape struct {
	is      byte // object, list, number or text
	keys    []Key
	element *Shape             // of a list
	want    string             // of a text that not every text may be: what it is
	check   func(string) error // the same: why one is none
}

const (
	object byte = '{'
	list   byte = '['
	number byte = '0'
	text   byte = '"'
)

// Key is a key of an object and what stands behind it.
type Key struct {
	name     string
	optional bool
	of       Shape
}

// Required is a key that must be there.
func Required(name string, s Shape) Key { return Key{name: name, of: s} }

// Optional is a key that may be missing.
func Optional(name string, s Shape) Key { return Key{name: name, optional: true, of: s} }

// Object is an object with these keys and no other one.
func Object(keys ...Key) Shape { return Shape{is: object, keys: keys} }

// List is a list of any length.
func List(element Shape) Shape { return Shape{is: list, element: &element} }

// Number is a number; which ones are legal, the field says that takes it.
func Number() Shape { return Shape{is: number} }

// Text is any text.
func Text() Shape { return Shape{is: text} }

// TextOf is a text in which check finds no mistake. Want describes it: "a tenant
// ID: a decimal number in quotes".
func TextOf(want string, check func(string) error) Shape {
	return Shape{is: text, want: want, check: check}
}

// String tells what may stand there.
func (s Shape) String() string {
	switch s.is {
	case object:
		return "an object with the keys " + strings.Join(quoted(s.keys), ", ")
	case list:
		return "a list"
	case number:
		return "a number"
	case text:
		if s.want != "" {
			return s.want
		}
		return "a text in quotes"
	}
	return "nothing"
}

func quoted(keys []Key) (all []string) {
	for _, k := range keys {
		all = append(all, fmt.Sprintf("%q", k.name))
	}
	return all
}

// walk compares the document, whose syntax is right, with its shape. It visits every
// value in order, objects and lists before their elements. It keeps none of them: a large file
// has many values, and one error.
func (d *Document) walk(visit func(path string, offset int64)) error {
	r := &reader{d, json.NewDecoder(bytes.NewReader(d.data)), visit}
	r.dec.UseNumber()
	return r.value("", d.shape)
}

// reader is a walk under way.
type reader struct {
	*Document
	dec   *json.Decoder
	visit func(path string, offset int64)
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

func (r *reader) value(path string, s Shape) error {
	at := r.next()
	r.visit(path, at)
	token := r.token()
	switch t := token.(type) {
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
			return r.text(path, at, t, s)
		}
	}
	return r.at(at, &Error{Of: r.of, Path: path, What: fmt.Sprintf("want %v", s), Instead: s.instead(token)})
}

func (r *reader) text(path string, at int64, t string, s Shape) error {
	if s.check == nil {
		return nil
	}
	if err := s.check(t); err != nil {
		return r.at(at, &Error{Of: r.of, Path: path, What: err.Error(), Err: err})
	}
	return nil
}

// instead guesses that a value needs quotes, or that it needs none.
func (s Shape) instead(got json.Token) string {
	switch t := got.(type) {
	case json.Number:
		if s.is == text && s.check != nil && s.check(t.String()) == nil {
			return fmt.Sprintf("%q", t.String())
		}
	case string:
		if s.is == number && t != "" && strings.Trim(t, "0123456789") == "" && (t[0] != '0' || t == "0") {
			return t
		}
	}
	return ""
}

func (r *reader) list(path string, element Shape) error {
	for i := 0; r.dec.More(); i++ {
		if err := r.value(fmt.Sprintf("%s[%d]", path, i), element); err != nil {
			return err
		}
	}
	r.token()
	return nil
}

func (r *reader) object(path string, keys []Key, begin int64) error {
	seen := make([]bool, len(keys))
	for r.dec.More() {
		at := r.next()
		name, _ := r.token().(string)
		below := strings.TrimPrefix(path+"."+name, ".")
		i := slices.IndexFunc(keys, func(k Key) bool { return k.name == name })
		switch {
		case i < 0:
			return r.at(at, unknown(r.of, path, name, keys))
		case seen[i]:
			return r.at(at, &Error{Of: r.of, Path: below, What: "the key is there twice"})
		}
		seen[i] = true
		if err := r.value(below, keys[i].of); err != nil {
			return err
		}
	}
	r.token()
	for i, k := range keys {
		if !seen[i] && !k.optional {
			return r.at(begin, &Error{Of: r.of, Path: path, What: fmt.Sprintf("the key %q is missing", k.name)})
		}
	}
	return nil
}

// unknown names the nearest known key, or all of them if none is near.
func unknown(of error, path, name string, keys []Key) *Error {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	e := &Error{Of: of, Path: path, What: fmt.Sprintf("unknown key %q", name)}
	if near := nearest.Name(name, names); near != "" {
		e.Instead = fmt.Sprintf("%q", near)
	} else {
		e.What += "; want one of " + strings.Join(quoted(keys), ", ")
	}
	return e
}
