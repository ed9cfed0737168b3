package campaign

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/harness"
)

// Kind groups the findings of one fingerprint. A frequent bug shows in hundreds of seeds, and
// hundreds of reports are not read.
type Kind struct {
	Fingerprint string   `json:"fingerprint"`
	Checker     string   `json:"checker"`
	Count       int      `json:"count"` // seeds and regressions
	First       []string `json:"first"` // the first three, as replay takes them

	finding *Finding // of the first
}

// firstOfKind is how many seeds of a kind are named.
const firstOfKind = 3

// kind counts a finding among those of its fingerprint.
func (s *Summary) kind(f *Finding) {
	i := slices.IndexFunc(s.Kinds, func(k *Kind) bool { return k.Fingerprint == f.Fingerprint })
	if i < 0 {
		i = len(s.Kinds)
		s.Kinds = append(s.Kinds, &Kind{Fingerprint: f.Fingerprint, Checker: f.Checker, finding: f})
	}
	k := s.Kinds[i]
	k.Count++
	if len(k.First) < firstOfKind {
		k.First = append(k.First, f.name())
	}
}

// name is the argument with which replay repeats the run.
func (f *Finding) name() string {
	if f.Regression != "" {
		return f.Regression
	}
	return harness.Name(f.Scenario, f.Seed)
}

// String tells the kind in a line.
func (k *Kind) String() string {
	if k.Count <= len(k.First) {
		return fmt.Sprintf("%s: %s", k.Fingerprint, strings.Join(k.First, ", "))
	}
	return fmt.Sprintf("%s: %d times, first in %s", k.Fingerprint, k.Count, strings.Join(k.First, ", "))
}

// Stops tells, a line each, which scenarios have stopped, and after how many seeds.
func (s *Summary) Stops() (lines []string) {
	for i := range s.Scenarios {
		if p := &s.Scenarios[i]; p.Stopped {
			lines = append(lines, fmt.Sprintf("%s stopped after %d seeds, as %d of them were violated; --max-violated 0 goes on", p.Name, p.Seeds, p.Violated))
		}
	}
	return lines
}
