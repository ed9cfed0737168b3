package selftest

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/core/strict"
	"github.com/tidaldb/tidalsim/scenarios"
)

// known returns an error for a mistake that names a checker or a scenario that does not exist:
// the self-test could never find it.
func known(all []Mistake) error {
	checkers := []string{Any, determinism}
	for _, c := range checker.All() {
		checkers = append(checkers, c.Name)
	}
	for i := range all {
		m := &all[i]
		for _, c := range m.checkers() {
			if !slices.Contains(checkers, c) {
				return fmt.Errorf("%s: %w: %s: no checker is called %q%s; simrun list checkers names them", m.Where, ErrMistake, m.Name, c, nearest(c, checkers))
			}
		}
		if m.Scenario == "" {
			continue
		}
		if _, err := scenarios.Find(m.Scenario); err != nil {
			return fmt.Errorf("%s: %w: %s: %w", m.Where, ErrMistake, m.Name, err)
		}
	}
	return nil
}

// nearest names what was meant, to follow an error's text; "" if nothing is near.
func nearest(name string, names []string) string {
	if near := strict.Nearest(name, names); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return ""
}

func namesOf(all []Mistake) (names []string) {
	for i := range all {
		names = append(names, all[i].Name)
	}
	return names
}
