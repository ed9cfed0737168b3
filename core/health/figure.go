package health

import "github.com/tidaldb/tidalsim/core/env"

// Maybe is a number that may be unknown. The zero value is unknown, which is null in
// JSON and never 0.
type Maybe[T ~uint32 | ~uint64] struct {
	Known bool
	Value T // 0 if not known
}

// Figure is a count, or a number of bytes or milliseconds, that may be unknown.
type Figure = Maybe[uint64]

// Of returns a known number.
func Of[T ~uint32 | ~uint64](value T) Maybe[T] { return Maybe[T]{Known: true, Value: value} }

// Figure returns m as a plain number.
func (m Maybe[T]) Figure() Figure { return Figure{m.Known, uint64(m.Value)} }

// Millis returns a span in milliseconds, rounded up, so that an age stays an upper bound. A
// negative span comes from a clock that stepped back, and is unknown.
func Millis(d env.Duration) Figure {
	if d < 0 {
		return Figure{}
	}
	ms := uint64(d / env.Millisecond)
	if d%env.Millisecond != 0 {
		ms++
	}
	return Of(ms)
}

// Truth is yes, no or unknown. The zero value is unknown.
type Truth uint8

// The values of a Truth.
const (
	Unknown Truth = iota
	No
	Yes
)

// True returns Yes or No.
func True(is bool) Truth {
	if is {
		return Yes
	}
	return No
}

// Figure returns 1 for Yes and 0 for No.
func (t Truth) Figure() Figure { return Figure{t != Unknown, uint64(max(t, No) - No)} }

// total computes the sum and the maximum of figures.
type total struct {
	added, highest uint64
	some, lacks    bool // it has a figure; a figure is unknown
}

func (t *total) add(f Figure) {
	t.added += f.Value
	t.highest = max(t.highest, f.Value)
	t.some = true
	t.lacks = t.lacks || !f.Known
}

// sum returns the sum; unknown without figures, or if one is unknown.
func (t *total) sum() Figure { return t.all(t.added) }

// most returns the maximum; unknown when sum is.
func (t *total) most() Figure { return t.all(t.highest) }

func (t *total) all(value uint64) Figure {
	if !t.some || t.lacks {
		return Figure{}
	}
	return Of(value)
}
