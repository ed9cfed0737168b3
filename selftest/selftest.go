// Package selftest says what the self-test of the tenants' judges breaks: the safety lines
// of core, and the mistakes in the directory beside this file. Package selftest of the
// harness plants them, one at a time.
//
// The one rule to remember: a mistake names a checker and a scenario that there are.
package selftest

import (
	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/harness/selftest"
	"github.com/tidaldb/tidalsim/scenarios"
)

// Dir is the directory of the mistakes, below the module's root, slash-separated.
const Dir = "selftest/mistakes"

// Kinds returns the kinds of mistakes, as directories of Dir: the rule that is broken is
// about this.
func Kinds() []string {
	return []string{"counting", "epochs", "reads", "recovery", "snapshots", "duplicates", "quotas", "lifecycle", "determinism", "hearing"}
}

// Subject returns the module under test.
func Subject() selftest.Subject {
	return selftest.Subject{
		Module: "github.com/tidaldb/tidalsim", Command: "cmd/simrun", Lists: "simrun list",
		Lines: "core", Dir: Dir, Kinds: Kinds(), Checkers: checkers(), Scenario: isScenario,
	}
}

func checkers() (names []string) {
	for _, c := range checker.All() {
		names = append(names, c.Name)
	}
	return names
}

func isScenario(name string) error {
	_, err := scenarios.Find(name)
	return err
}

// All returns every mistake that can be planted in the source at root, safety lines first.
func All(root string) ([]selftest.Mistake, error) {
	s := Subject()
	return s.All(root)
}
