package selftest

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/internal/nearest"
)

// known returns an error for a mistake that names a checker or a scenario that does not exist:
// the self-test could never find it.
func (s *Subject) known(all []Mistake) error {
	checkers := append([]string{Any, determinism}, s.Checkers...)
	for i := range all {
		m := &all[i]
		for _, c := range m.checkers() {
			if !slices.Contains(checkers, c) {
				return fmt.Errorf("%s: %w: %s: no checker is called %q%s; %s checkers names them", m.Where, ErrMistake, m.Name, c, meantBy(c, checkers), s.Lists)
			}
		}
		if m.Scenario == "" {
			continue
		}
		if err := s.Scenario(m.Scenario); err != nil {
			return fmt.Errorf("%s: %w: %s: %w", m.Where, ErrMistake, m.Name, err)
		}
	}
	return nil
}

// meantBy suggests a name, to follow an error's text; "" if nothing is near.
func meantBy(name string, names []string) string {
	if near := nearest.Name(name, names); near != "" {
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
