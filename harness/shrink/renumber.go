package shrink

import (
	"slices"

	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Renumber changes a world for the processes that are kept, which get the numbers
// 0, 1, ...; faults of the others go.
func Renumber(w *plan.Plan, processes []int) {
	gone := func(process uint32) bool { return !slices.Contains(processes, int(process)) }
	number := func(process uint32) uint32 { return uint32(slices.Index(processes, int(process))) }
	w.Clocks = slices.DeleteFunc(w.Clocks, func(c plan.Clock) bool { return gone(c.Process) })
	for i := range w.Clocks {
		w.Clocks[i].Process = number(w.Clocks[i].Process)
	}
	w.Links = slices.DeleteFunc(w.Links, func(l network.LinkProfile) bool { return gone(l.From) || gone(l.To) })
	for i := range w.Links {
		w.Links[i].From, w.Links[i].To = number(w.Links[i].From), number(w.Links[i].To)
	}
	w.Terms = slices.DeleteFunc(w.Terms, func(t plan.Term) bool { return gone(t.Process) })
	for i := range w.Terms {
		w.Terms[i].Process = number(w.Terms[i].Process)
	}
	w.Disruptions = slices.DeleteFunc(w.Disruptions, func(d plan.Disruption) bool {
		return gone(d.Process) || gone(d.Waits()) || d.Kind.OfLinks() && d.Peer >= 0 && gone(uint32(d.Peer))
	})
	for i := range w.Disruptions {
		d := &w.Disruptions[i]
		d.Process = number(d.Process)
		if d.When.Of != 0 {
			d.When.Of = plan.Other(number(d.When.Of.Or(0)))
		}
		if d.Kind.OfLinks() && d.Peer >= 0 {
			d.Peer = int64(number(uint32(d.Peer)))
		}
	}
	w.Deviations = slices.DeleteFunc(w.Deviations, func(d plan.Deviation) bool {
		from, to, link := Ends(&d)
		return gone(to) || link && gone(from)
	})
	for i := range w.Deviations {
		d := &w.Deviations[i]
		from, to, link := Ends(d)
		d.Scope = uint64(number(to))
		if link {
			d.Scope |= uint64(number(from)) << 32
		}
	}
}

// Ends returns the processes that the scope of a deviation names: those of a link,
// or the one of a disk.
func Ends(d *plan.Deviation) (from, to uint32, link bool) {
	return uint32(d.Scope >> 32), uint32(d.Scope), d.Site.OfLink()
}
