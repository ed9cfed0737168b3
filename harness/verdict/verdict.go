// Package verdict holds the words in which judges speak of a run: that it held, that
// it was violated and by what, or that they cannot tell. It imports nothing, so that
// the judges of a real cluster and the harness share it.
//
// The one rule to remember: Undecided is not a pass.
package verdict

import (
	"fmt"
	"strings"
)

// Verdict is the verdict of a judge.
type Verdict uint8

// The verdicts.
const (
	Held Verdict = iota + 1
	Violated
	Undecided
)

var names = [...]string{"", "held", "violated", "undecided"}

// String returns the name of v.
func (v Verdict) String() string {
	if v >= Held && v <= Undecided {
		return names[v]
	}
	return fmt.Sprintf("verdict-%d", uint8(v))
}

// Finding is one violation.
type Finding struct {
	Checker string
	Rule    string
	Text    string // which operation, and when, in words
	Ops     []int  // indexes in the history of the operations at fault
	At      int64  // true time, ns; 0 if it was found when the run had ended
}

// Fingerprint names what kind of finding f is: equal mistakes in different runs
// have equal fingerprints.
func (f *Finding) Fingerprint() string { return f.Checker + "/" + f.Rule }

// Panic is the checker of findings that a panic of the code under test makes.
const Panic = "panic"

// AtTheEnd reports whether the finding was made when the run had ended, and so has no
// instant. A panic always has one, which may be 0.
func (f *Finding) AtTheEnd() bool { return f.At == 0 && f.Checker != Panic }

// Instant writes true time, ns, in milliseconds: 12.345678 ms. All texts of all reports write
// instants this way, without trailing zeros, so that a text search for an instant finds it
// everywhere. Plans write 12.345678ms, without the space.
func Instant(ns int64) string {
	sign := ""
	if ns < 0 {
		sign, ns = "-", -ns
	}
	text := fmt.Sprintf("%s%d.%06d", sign, ns/1e6, ns%1e6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " ms"
}
