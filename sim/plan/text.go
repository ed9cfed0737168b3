package plan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrDisruption is wrapped by the errors of ParseDisruption.
var ErrDisruption = errors.New("not a disruption")

// String tells the disruption in one line, a kind followed by pairs of a word and a value. Reports
// print this line, and ParseDisruption reads it:
//
//	power process 1 when batch.submitting nth 3 from 2ms after 0.01ms for 5ms
//	cut-hold process 0 peer all at 7ms for 20ms
//	kill process 0 when slot.refetching of 2 after 1ms for 512ms
//	rot process 2 files .seg bytes 0..4096 at 30ms
func (d Disruption) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s process %d", d.Kind, d.Process)
	switch {
	case d.Peer == -1:
		b.WriteString(" peer all")
	case d.Kind.OfLinks() || d.Peer != 0:
		fmt.Fprintf(&b, " peer %d", d.Peer)
	}
	if d.Files != "" {
		b.WriteString(" files " + d.Files)
	}
	if d.FromByte != 0 || d.ToByte != 0 {
		fmt.Fprintf(&b, " bytes %d..%d", d.FromByte, d.ToByte)
	}
	b.WriteString(" " + d.When.String())
	if d.For != 0 {
		b.WriteString(" for " + spanText(d.For))
	}
	if d.Amount != 0 {
		fmt.Fprintf(&b, " amount %d", d.Amount)
	}
	return b.String()
}

// String returns the anchor as pairs of a word and a value.
func (a Anchor) String() string {
	s := ""
	switch {
	case a.Point != "":
		s = "when " + a.Point
	case a.Unsynced:
		s = "when " + unsynced
	default:
		s = "at " + spanText(a.At)
	}
	if a.Of != 0 {
		s += fmt.Sprintf(" of %d", a.Of.Or(0))
	}
	if a.Nth != 0 {
		s += fmt.Sprintf(" nth %d", a.Nth)
	}
	if a.Incarnation != 0 {
		s += fmt.Sprintf(" incarnation %d", a.Incarnation)
	}
	if a.At != 0 && (a.Point != "" || a.Unsynced) {
		s += " from " + spanText(a.At)
	}
	if a.After != 0 {
		s += " after " + spanText(a.After)
	}
	if a.By != 0 {
		s += " by " + spanText(a.By)
	}
	return s
}

// unsynced stands in the place of a fault point; no point has such a name.
const unsynced = "(unsynced)"

// units are the units that a plan may have; plans are written in ms.
var units = [...]struct {
	name string
	ns   int64
}{{"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"s", 1e9}} // "s" last: the others end with it too

// spanText is exact: milliseconds, with as many decimals as it takes.
func spanText(ns int64) string {
	sign := ""
	if ns < 0 {
		sign, ns = "-", -ns
	}
	text := fmt.Sprintf("%s%d.%06d", sign, ns/1e6, ns%1e6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + "ms"
}

func parseSpan(text string) (int64, error) {
	for _, u := range units {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			if n, ok := parseUnits(number, u.ns); ok {
				return n, nil
			}
			break
		}
	}
	return 0, fmt.Errorf("%q is not a span like 5ms", text)
}

// parseUnits reads a decimal number of units of so many ns; it is false for a number that is no
// whole number of ns, or too large.
func parseUnits(number string, unit int64) (int64, bool) {
	whole, fraction, point := strings.Cut(number, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > 1<<62/unit || n < -1<<62/unit || point && fraction == "" {
		return 0, false
	}
	n *= unit
	for _, digit := range fraction {
		if unit /= 10; digit < '0' || digit > '9' || unit == 0 {
			return 0, false
		}
		if part := int64(digit-'0') * unit; strings.HasPrefix(whole, "-") {
			n -= part
		} else {
			n += part
		}
	}
	return n, true
}

// ParseDisruption is the inverse of String. The result need not be valid in any
// world: see Plan.Validate.
func ParseDisruption(text string) (Disruption, error) {
	var d Disruption
	words := strings.Fields(text)
	if len(words)%2 == 0 {
		return d, fmt.Errorf("%w: %q: want a kind and pairs of a word and a value", ErrDisruption, text)
	}
	if err := d.Kind.UnmarshalText([]byte(words[0])); err != nil {
		return d, fmt.Errorf("%w: %w", ErrDisruption, err)
	}
	for i := 1; i < len(words); i += 2 {
		if err := d.set(words[i], words[i+1]); err != nil {
			return d, fmt.Errorf("%w: %q: %s: %w", ErrDisruption, text, words[i], err)
		}
	}
	return d, nil
}

// set sets the field that word stands for.
func (d *Disruption) set(word, value string) (err error) {
	var n uint64
	switch word {
	case "process":
		n, err = strconv.ParseUint(value, 10, 32)
		d.Process = uint32(n)
	case "of":
		n, err = strconv.ParseUint(value, 10, 31)
		d.When.Of = Other(uint32(n))
	case "nth":
		n, err = strconv.ParseUint(value, 10, 32)
		d.When.Nth = uint32(n)
	case "incarnation":
		n, err = strconv.ParseUint(value, 10, 32)
		d.When.Incarnation = uint32(n)
	case "peer":
		d.Peer = -1
		if value != "all" {
			d.Peer, err = strconv.ParseInt(value, 10, 64)
		}
	case "amount":
		d.Amount, err = strconv.ParseInt(value, 10, 64)
	case "files":
		d.Files = value
	case "bytes":
		_, err = fmt.Sscanf(value, "%d..%d", &d.FromByte, &d.ToByte)
	case "when":
		d.When.Unsynced = value == unsynced
		if !d.When.Unsynced {
			d.When.Point = value
		}
	case "at", "from":
		d.When.At, err = parseSpan(value)
	case "after":
		d.When.After, err = parseSpan(value)
	case "by":
		d.When.By, err = parseSpan(value)
	case "for":
		d.For, err = parseSpan(value)
	default:
		err = errors.New("unknown word")
	}
	return err
}
