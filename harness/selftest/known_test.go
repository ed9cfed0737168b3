package selftest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A mistake that names a missing checker would survive for ever, or be found by chance.
var subject = Subject{
	Lists: "simrun list", Checkers: []string{"no-loss", "rate"},
	Scenario: func(name string) error {
		if name != "failover" {
			return fmt.Errorf("no scenario or group %q", name)
		}
		return nil
	},
}

func TestAMistakeNamesWhatThereIs(t *testing.T) {
	for _, c := range []struct {
		m    Mistake
		says string // "": nothing is wrong
	}{
		{Mistake{Name: "a", Expected: "any"}, ""},
		{Mistake{Name: "a", Expected: "no-loss, determinism", Scenario: "failover"}, ""},
		{Mistake{Name: "a", Where: "core/a.go", Expected: "no-los"}, `core/a.go: bad file of a mistake: a: no checker is called "no-los"; did you mean no-loss?; simrun list checkers names them`},
		{Mistake{Name: "a", Expected: "any", Scenario: "failovers"}, `no scenario or group "failovers"`},
	} {
		err := subject.known([]Mistake{c.m})
		if (err != nil) != (c.says != "") || err != nil && (!errors.Is(err, ErrMistake) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v: %v, want %s", c.m, err, c.says)
		}
	}
}
