package harness

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// Events renders a trace, one line per entry, so that traces of different
// processes can be compared as text. Equal entries have equal lines, and
// different ones different lines. points names the fault points.
func Events(entries []trace.Entry, points []string) []string {
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = fmt.Sprintf("%12d ns  process %d  %-9s %s", e.At, e.Process, e.What, detail(&e, points))
	}
	return lines
}

// detail names the numbers of an entry that have names.
func detail(e *trace.Entry, points []string) string {
	a := e.Args
	switch e.What {
	case trace.Step:
		return fmt.Sprintf("%s detail %x data %x backlog %d", env.EventKind(a[0]), a[1], a[2], a[3])
	case trace.Submit:
		return fmt.Sprintf("%s operation %x key %x data %x", env.OpKind(a[0]), a[1], a[2], a[3])
	case trace.Send:
		return fmt.Sprintf("to %d key %x payload %x leaves %x", a[0], a[1], a[2], a[3])
	case trace.Hit:
		return fmt.Sprintf("%s key %x action %s", points[a[0]], a[1], env.Action(a[2]))
	case trace.Deviation:
		return fmt.Sprintf("%s scope %x key %x value %x", chance.Site(a[0]), a[1], a[2], a[3])
	}
	return fmt.Sprintf("%x %x %x %x", a[0], a[1], a[2], a[3])
}
