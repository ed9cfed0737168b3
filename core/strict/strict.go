// Package strict reads JSON that people write. What a document means and what it says
// must not differ: a key that is unknown, written in another case, there twice or
// missing is an error, and so is null. It knows nothing of what a document is about,
// and writes none.
//
// The one rule to remember: every error has a place. Decode gives it line and column;
// Locate gives them to mistakes that are found later.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Error is a mistake at one place of a document.
type Error struct {
	// Of is the sentinel of the kind of document: errors.Is finds it, and its text comes first.
	Of           error
	Path         string // as in JSON: "shards[2].replicas[1]"; "" is the whole
	Line, Column int    // in the file, from 1; 0 if there was none. Columns count bytes
	What         string // what is wrong there, with the values, and what is legal
	Instead      string // what was meant, probably, as JSON has it: `"region"`; "" if nothing is near
	Err          error  // the cause; nil if What says it all
}

// Error tells the place, the mistake and the likely meaning.
func (e *Error) Error() string {
	text := e.Of.Error()
	if e.Line > 0 {
		text += fmt.Sprintf(": line %d, column %d", e.Line, e.Column)
	}
	if e.Path != "" {
		text += ": " + e.Path
	}
	text += ": " + e.What
	if e.Instead != "" {
		text += fmt.Sprintf("; did you mean %s?", e.Instead)
	}
	return text
}

// Is makes errors.Is(e, e.Of) true.
func (e *Error) Is(target error) bool { return target == e.Of }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Document is JSON that was read, and finds where in it a value is.
type Document struct {
	of    error
	data  []byte
	shape Shape // that data has
}

// Decode reads a document of the given shape into v, as json.Unmarshal does. Any other document
// is an *Error of the given sentinel, with line and column, and leaves v as it may be.
// The fields of v must be able to hold all that the shape permits, but for numbers:
// their ranges are those of the fields.
func Decode(data []byte, of error, s Shape, v any) (*Document, error) {
	d := &Document{of, data, s}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, d.syntax(err)
	}
	if err := d.walk(func(string, int64) {}); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return nil, d.unfit(err)
	}
	return d, nil
}

// Locate adds line and column to an *Error: those of its Path, or of the nearest enclosing value
// that the document has. Other errors stay as they are.
func (d *Document) Locate(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	place := int64(0)
	d.walk(func(path string, offset int64) {
		if isAbove(path, e.Path) {
			place = offset // the last one is the nearest: what is above comes first
		}
	})
	located := *e
	return d.at(place, &located)
}

// isAbove reports whether a path is another one, or leads to it.
func isAbove(path, other string) bool {
	rest, ok := strings.CutPrefix(other, path)
	return ok && (path == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// at gives an error its line and column, which count from 1.
func (d *Document) at(offset int64, e *Error) *Error {
	before := d.data[:min(max(offset, 0), int64(len(d.data)))]
	e.Line = bytes.Count(before, []byte("\n")) + 1
	e.Column = len(before) - bytes.LastIndexByte(before, '\n')
	return e
}

// syntax is the error about bytes that are no JSON.
func (d *Document) syntax(err error) error {
	var e *json.SyntaxError
	at := int64(len(d.data))
	if errors.As(err, &e) && e.Offset < at || e != nil && !strings.Contains(e.Error(), "unexpected end") {
		at = e.Offset - 1 // what was read last is what is wrong
	}
	return d.at(at, &Error{Of: d.of, What: err.Error(), Err: err})
}

// unfit is the error about a number that its field cannot hold.
func (d *Document) unfit(err error) error {
	var e *json.UnmarshalTypeError
	if !errors.As(err, &e) {
		return d.at(0, &Error{Of: d.of, What: err.Error(), Err: err})
	}
	unfit := &Error{
		Of: d.of, Err: err,
		What: fmt.Sprintf("%s is not a legal value here: want a whole number of %d bits", e.Value, e.Type.Bits()),
	}
	place := int64(0)
	d.walk(func(path string, offset int64) {
		if offset < e.Offset { // where the decoder had come to: behind the number
			unfit.Path, place = path, offset
		}
	})
	return d.at(place, unfit)
}
