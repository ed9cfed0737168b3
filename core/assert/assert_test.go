package assert_test

import (
	"errors"
	"testing"

	"github.com/tidaldb/tidalsim/core/assert"
)

func failure(f func()) (failed assert.Failure, ok bool) {
	defer func() { failed, ok = recover().(assert.Failure) }()
	f()
	return
}

func TestABrokenInvariantPanicsWithItsOperands(t *testing.T) {
	for name, f := range map[string]func(){
		"That": func() { assert.That(1 > 2, "durable %d <= end %d", 2, 1) },
		"Fail": func() { assert.Fail("durable %d <= end %d", 2, 1) },
	} {
		got, ok := failure(f)
		if want := "durable 2 <= end 1"; !ok || got.Text != want {
			t.Errorf("%s: panicked with a Failure: %t, text %q; want %q", name, ok, got.Text, want)
		}
	}
}

func TestAnInvariantThatHoldsIsSilent(t *testing.T) {
	if got, failed := failure(func() { assert.That(1 < 2, "durable %d <= end %d", 1, 2) }); failed {
		t.Error(got)
	}
}

// A host reports a Failure as an error, and tells it from any other panic.
func TestAFailureIsAnError(t *testing.T) {
	var err error = assert.Failure{Text: "a <= b"}
	var f assert.Failure
	if !errors.As(err, &f) || err.Error() != "assertion failed: a <= b" {
		t.Errorf("%v", err)
	}
}
