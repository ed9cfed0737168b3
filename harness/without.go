package harness

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/internal/nearest"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// SingleLinks is the family of all cuts, and slow spells, of the link between two processes. A
// node that is cut off from all others is not of it.
const SingleLinks = "single-links"

// Families returns the names of the families of faults that Without leaves out: the kinds of
// disruptions, the deviations of chance, and SingleLinks.
func Families() (names []string) {
	for _, k := range plan.Kinds() {
		names = append(names, k.String())
	}
	for site := range chance.Deviations {
		names = append(names, site.String())
	}
	return append(names, SingleLinks)
}

// Without returns a plan without some families of faults, so that one can see what only they
// show.
func Without(p Plan, families []string) (Plan, error) {
	known := Families()
	for _, name := range families {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%w: --without %s: want one of %s%s", plan.ErrInvalid, name, strings.Join(known, ", "), didYouMean(name, known))
		}
	}
	changed := p.Clone()
	w := changed.Parts().World
	w.Disruptions = slices.DeleteFunc(w.Disruptions, func(f plan.Disruption) bool {
		single := f.Kind.OfLinks() && f.Peer >= 0
		return slices.Contains(families, f.Kind.String()) || single && slices.Contains(families, SingleLinks)
	})
	for _, name := range families {
		if site, ok := chance.ParseSite(name); ok {
			w.Rates[site] = 0
		}
	}
	return changed, nil
}

// didYouMean suggests the nearest name; its text follows the text of an error.
func didYouMean(name string, known []string) string {
	if near := nearest.Name(name, known); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return ""
}
