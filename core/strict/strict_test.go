package strict_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/strict"
)

var (
	errShelf = errors.New("no shelf")
	errShort = errors.New("too short")
)

type book struct {
	Title string `json:"title"`
	Code  string `json:"code"`
	Pages uint16 `json:"pages"`
}

type shelf struct {
	Books []book `json:"books"`
}

func shape() strict.Shape {
	code := strict.TextOf("a code: digits in quotes", func(s string) error {
		if len(s) < 3 {
			return fmt.Errorf("%q is %w", s, errShort)
		}
		return nil
	})
	return strict.Object(strict.Required("books", strict.List(strict.Object(
		strict.Required("title", strict.Text()), strict.Optional("code", code), strict.Optional("pages", strict.Number()),
	))))
}

const good = `{
 "books": [
  {"title": "Ulysses", "code": "1922"},
  {"title": "Emma", "pages": 474}
 ]
}`

func TestReads(t *testing.T) {
	var got shelf
	d, err := strict.Decode([]byte(good), errShelf, shape(), &got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(shelf{[]book{{"Ulysses", "1922", 0}, {"Emma", "", 474}}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, c := range []struct{ path, want string }{
		{"books[1].pages", "no shelf: line 4, column 30: books[1].pages: thin"},
		{"books[0].pages", "no shelf: line 3, column 3: books[0].pages: thin"},   // it is not there; the book is
		{"books[0].titles", "no shelf: line 3, column 3: books[0].titles: thin"}, // not that of the title
		{"books[7].code", "no shelf: line 2, column 11: books[7].code: thin"},
		{"lamp", "no shelf: line 1, column 1: lamp: thin"},
		{"", "no shelf: line 1, column 1: thin"},
	} {
		found := &strict.Error{Of: errShelf, Path: c.path, What: "thin"}
		if got := d.Locate(found); got.Error() != c.want || found.Line != 0 {
			t.Errorf("%s: %v, want %s; the error that was located is now %v", c.path, got, c.want, found)
		}
	}
	if got := d.Locate(errShort); got != errShort {
		t.Errorf("an error without a path becomes %v", got)
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, `line 1, column 1: unexpected end of JSON input`},
		{"{\n", `line 2, column 1: unexpected end of JSON input`},
		{`{"books": [}`, `line 1, column 12: invalid character '}' looking for beginning of value`},
		{`null`, `line 1, column 1: want an object with the keys "books"`},
		{`{"books": null}`, `line 1, column 11: books: want a list`},
		{`{}`, `line 1, column 1: the key "books" is missing`},
		{`{"boks": []}`, `line 1, column 2: unknown key "boks"; did you mean "books"?`},
		{`{"Books": []}`, `line 1, column 2: unknown key "Books"; did you mean "books"?`},
		{`{"books": [{"author": ""}]}`, `line 1, column 13: books[0]: unknown key "author"; want one of "title", "code", "pages"`},
		{"{\"books\": [],\n\"books\": []}", `line 2, column 1: books: the key is there twice`},
		{`{"books": [{"title": 7}]}`, `line 1, column 22: books[0].title: want a text in quotes`},
		{`{"books": [{"title": "", "code": 1922}]}`, `line 1, column 34: books[0].code: want a code: digits in quotes; did you mean "1922"?`},
		{`{"books": [{"title": "", "code": 19}]}`, `line 1, column 34: books[0].code: want a code: digits in quotes`},
		{`{"books": [{"title": "", "code": "19"}]}`, `line 1, column 34: books[0].code: "19" is too short`},
		{`{"books": [{"title": "", "pages": "474"}]}`, `line 1, column 35: books[0].pages: want a number; did you mean 474?`},
		{`{"books": [{"title": "", "pages": "047"}]}`, `line 1, column 35: books[0].pages: want a number`},
		{`{"books": [{"title": "", "pages": 65536}]}`, `line 1, column 35: books[0].pages: number 65536 is not a legal value here: want a whole number of 16 bits`},
		{`{"books": [{"title": ""}, {"title": "", "pages": 4e-1}]}`, `line 1, column 50: books[1].pages: number 4e-1 is not a legal value here: want a whole number of 16 bits`},
		{`{"books": []} []`, `line 1, column 15: invalid character '[' after top-level value`},
	} {
		_, err := strict.Decode([]byte(c.text), errShelf, shape(), new(shelf))
		var e *strict.Error
		if !errors.As(err, &e) || !errors.Is(err, errShelf) {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if diff := cmp.Diff("no shelf: "+c.want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestCausesAreWrapped(t *testing.T) {
	_, err := strict.Decode([]byte(`{"books": [{"title": "", "code": "1"}]}`), errShelf, shape(), new(shelf))
	if !errors.Is(err, errShort) {
		t.Errorf("%v", err)
	}
	var unfit *json.UnmarshalTypeError
	if _, err := strict.Decode([]byte(`{"books": [{"title": "", "pages": -1}]}`), errShelf, shape(), new(shelf)); !errors.As(err, &unfit) {
		t.Errorf("%v", err)
	}
}

// A zero Shape is no permission.
func TestTheZeroShapePermitsNothing(t *testing.T) {
	for _, text := range []string{`1`, `""`, `[]`, `{}`, `true`, `null`} {
		if _, err := strict.Decode([]byte(text), errShelf, strict.Shape{}, new(any)); err == nil || err.Error() != "no shelf: line 1, column 1: want nothing" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Whatever is read has a place for every value; what is not has a line.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"books": [{"title": "", "pages": "474"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got shelf
		d, err := strict.Decode(data, errShelf, shape(), &got)
		var e *strict.Error
		if err != nil {
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 {
				t.Fatalf("%v", err)
			}
			return
		}
		for i := range got.Books {
			path := fmt.Sprintf("books[%d].title", i)
			located := d.Locate(&strict.Error{Of: errShelf, Path: path})
			if !errors.As(located, &e) || lineFrom(data, e.Line, e.Column)[0] != '"' {
				t.Fatalf("%s is at %v of %s", path, located, data)
			}
		}
	})
}

// lineFrom returns what stands at a line and column.
func lineFrom(data []byte, line, column int) []byte {
	for ; line > 1; line-- {
		for data[0] != '\n' {
			data = data[1:]
		}
		data = data[1:]
	}
	return data[column-1:]
}
