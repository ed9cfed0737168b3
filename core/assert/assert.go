// Package assert states what must be true of our own code. It is the only
// package below the hosts that panics; errors of the outside world (a disk, a
// network, a client) are never asserted. Assertions stay on in production.
package assert

import "fmt"

// Failure is what a failed assertion panics with, so that a host or a simulator
// can tell a broken invariant from any other panic.
type Failure struct {
	// Text says which invariant does not hold, with the operands.
	Text string
}

// Error returns the text; a Failure can be reported as an error.
func (f Failure) Error() string { return "assertion failed: " + f.Text }

// AssertionFailed tells whoever recovers from a panic, without knowing this package, that it is a
// Failure.
func (f Failure) AssertionFailed() {}

// That panics with a Failure unless ok. On hot paths prefer an if around Fail,
// so that the operands are not boxed when the invariant holds.
func That(ok bool, format string, operands ...any) {
	if !ok {
		Fail(format, operands...)
	}
}

// Fail panics with a Failure that prints the operands.
func Fail(format string, operands ...any) {
	panic(Failure{Text: fmt.Sprintf(format, operands...)})
}
