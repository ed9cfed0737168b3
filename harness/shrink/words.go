package shrink

import (
	"fmt"
	"strings"

	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Disruptions tells the disruptions of a world, a line each.
func Disruptions(w *plan.Plan) (lines []string) {
	for i := range w.Disruptions {
		lines = append(lines, fmt.Sprintf("fault %d: %s", i, w.Disruptions[i]))
	}
	return lines
}

// Circumstances tells the clocks, fault points and deviations of a world, a line each.
func Circumstances(w *plan.Plan) (lines []string) {
	for _, k := range w.Clocks {
		lines = append(lines, fmt.Sprintf("clock of process %d: %+d ppm, wall clock off by %s", k.Process, k.DriftPPM, verdict.Instant(k.Wall)))
	}
	for _, t := range w.Terms {
		lines = append(lines, fmt.Sprintf("fault point %s of process %d: %s", t.Point, t.Process, t.Term))
	}
	for i := range w.Deviations {
		d := &w.Deviations[i]
		if from, to, link := Ends(d); link {
			lines = append(lines, fmt.Sprintf("%s from process %d to %d, message %d/%x/%x/%d", d.Site, from, to, d.Key.Kind, d.Key.A, d.Key.B, d.Key.Attempt))
		} else {
			lines = append(lines, fmt.Sprintf("%s on process %d, operation %d/%x/%x/%d", d.Site, to, d.Key.Kind, d.Key.A, d.Key.B, d.Key.Attempt))
		}
	}
	return lines
}

// maxWords bounds the printed entries of a plan if its suite tells no run.
const maxWords = 20

// words tells the entries of the world and the finding, for suites that do not tell a run.
func (r *Result) words() (lines []string) {
	w := r.Plan.Parts().World
	all := append(Disruptions(w), Circumstances(w)...)
	for i, entry := range all {
		if i == maxWords {
			lines = append(lines, fmt.Sprintf("  ... and %d more entries", len(all)-i))
			break
		}
		lines = append(lines, "  "+entry)
	}
	text, _, _ := strings.Cut(strings.TrimSpace(r.Finding.Text), "\n")
	return append(lines, fmt.Sprintf("  %s: %s", r.Fingerprint, text))
}
