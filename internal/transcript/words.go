package transcript

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
)

// Pair is the name of a field and its value, as a script writes them.
type Pair struct{ Name, Value string }

// pairs cuts "name value name value".
func pairs(text string) (list []Pair, err error) {
	words := strings.Fields(text)
	for len(words) > 1 {
		list = append(list, Pair{words[0], words[1]})
		words = words[2:]
	}
	if len(words) > 0 {
		return nil, fmt.Errorf("%s has no value", words[0])
	}
	return list, nil
}

// Value returns the value of a field that a script names; false if it names none.
func Value(named []Pair, field string) (string, bool) {
	for _, p := range named {
		if p.Name == field {
			return p.Value, true
		}
	}
	return "", false
}

// Assign sets the fields that the pairs of a text name.
func Assign(text string, setters map[string]func(string) error) error {
	list, err := pairs(text)
	if err != nil {
		return err
	}
	for _, pair := range list {
		set, ok := setters[pair.Name]
		if !ok {
			return fmt.Errorf("%s is unknown here", pair.Name)
		}
		if err := set(pair.Value); err != nil {
			return err
		}
	}
	return nil
}

type integer interface {
	~int | ~int32 | ~int64 | ~uint8 | ~uint32 | ~uint64
}

// NumberInto reads a number.
func NumberInto[T integer](p *T) func(string) error {
	return func(word string) error {
		n, err := strconv.ParseUint(word, 10, 64)
		*p = T(n)
		return err
	}
}

// DurationInto reads a duration.
func DurationInto(p *env.Duration) func(string) error {
	return func(word string) error {
		d, err := time.ParseDuration(word)
		*p = env.Duration(d)
		return err
	}
}

// Span writes a duration.
func Span(d env.Duration) string { return time.Duration(d).String() }

// Instant writes an instant.
func Instant(t env.Time) string {
	if t == env.Never {
		return "off"
	}
	return "at " + Span(env.Duration(t))
}
