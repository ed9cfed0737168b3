package checker

import (
	"github.com/tidaldb/tidalsim/checker/observe"
)

const nameDamage = "damage"

// judgeDamage compares the logs that nodes find on opening with the files, the durable records, and
// the world's injuries to their disks. Self-healing hides a recovery that loses records: here each
// recovery answers for itself. Its rules:
//
//	cut-too-far          a recovery ended before a whole record that its files hold
//	beyond-the-files     a recovery ended behind all that its files hold
//	repaired-otherwise   a recovery left files that do not end where it said
//	another-record       files hold another record in the place of a durable one, and nothing
//	                     harmed the disk
//	lost-durable         files do not hold a record that was durable, and nothing harmed the disk
//	begun-anew           a node began an empty log in a directory that has a manifest
//	corrupt-for-nothing  a node found its log corrupt, and nothing harmed the disk
//	stopped-for-nothing  a node could not open its log, and nothing harmed the disk
//	excluded-for-nothing a replica was to be excluded from a slot, and nothing harmed its disk
//	claimed-early        a frame or a header said of a record that it is durable, and it was not
//	removed-uncovered    a file with durable records was removed that no durable snapshot covers
//	not-cut              a cut was over, and whole records stood behind it
//	cut-unordered        a cut removed a segment while a power failure would have kept a later one
func judgeDamage(run *observe.Run, _ Options) Report {
	v, d := newVerdict(nameDamage), &run.Openings
	v.report.Checked = len(d.List) + d.Claims
	for i := range d.List {
		opened(v, &d.List[i])
	}
	for i := range d.Hazards {
		hazardous(v, &d.Hazards[i])
	}
	v.report.More += d.More
	switch {
	case len(run.Ops()) == 0 && v.report.Checked == 0:
		v.cannotTell("nothing was asked")
	case len(d.List) == 0:
		v.cannotTell("no log was opened")
	}
	return v.done()
}

func opened(v *verdict, o *observe.Opening) {
	where := slotPlace{o.Tenant, o.Slot}
	switch {
	case o.Outcome == observe.FoundEnd && o.End < o.Held:
		v.find("cut-too-far", o.At, nil, "%s on node %d: at %s its recovery ended at seq %d, and its files hold whole records up to seq %d",
			where, o.Node, instant(o.At), o.End, o.Held)
	case o.Outcome == observe.FoundEnd && o.End > o.Held:
		v.find("beyond-the-files", o.At, nil, "%s on node %d: at %s its recovery ended at seq %d, and its files hold whole records up to seq %d only",
			where, o.Node, instant(o.At), o.End, o.Held)
	case o.Outcome == observe.FoundEnd && o.End != o.Kept:
		v.find("repaired-otherwise", o.At, nil, "%s on node %d: at %s its recovery ended at seq %d, and left files that hold whole records up to seq %d",
			where, o.Node, instant(o.At), o.End, o.Kept)
	case o.Outcome == observe.BeganEmpty && o.Manifest:
		v.find("begun-anew", o.At, nil, "%s on node %d: at %s it began an empty log in a directory that has a manifest", where, o.Node, instant(o.At))
	case o.Harm != 0:
	case o.Outcome == observe.FoundCorrupt:
		v.find("corrupt-for-nothing", o.At, nil, "%s on node %d: at %s it found its log corrupt, and nothing had harmed its disk: %s", where, o.Node, instant(o.At), o.Text)
	case o.Outcome == observe.NotOpened:
		v.find("stopped-for-nothing", o.At, nil, "%s on node %d: at %s it could not open its log, and nothing had harmed its disk: %s", where, o.Node, instant(o.At), o.Text)
	case o.Other > 0:
		v.find("another-record", o.At, nil, "%s on node %d: at %s its files hold another record at seq %d than was durable there, and nothing had harmed its disk",
			where, o.Node, instant(o.At), o.Other)
	case o.Held < o.Durable:
		v.find("lost-durable", o.At, nil, "%s on node %d: at %s its files hold records up to seq %d; seq %d was durable there, and nothing had harmed its disk",
			where, o.Node, instant(o.At), o.Held, o.Durable)
	}
}

func hazardous(v *verdict, h *observe.Hazard) {
	where := slotPlace{h.Tenant, h.Slot}
	switch h.Deed {
	case observe.ClaimedEarly:
		v.find("claimed-early", h.At, nil, "%s on node %d: at %s it wrote into %s that seq %d is durable, where seq %d was the last",
			where, h.Node, instant(h.At), h.Path, h.Seq, h.Last)
	case observe.RemovedUncovered:
		v.find("removed-uncovered", h.At, nil, "%s on node %d: at %s it removed %s, which holds what is needed up to seq %d; durable snapshots cover records up to seq %d",
			where, h.Node, instant(h.At), h.Path, h.Seq, h.Last)
	case observe.CutLeft:
		v.find("not-cut", h.At, nil, "%s on node %d: at %s its log had been cut behind seq %d, and its files hold whole records up to seq %d",
			where, h.Node, instant(h.At), h.Seq, h.Last)
	case observe.CutUnordered:
		v.find("cut-unordered", h.At, nil, "%s on node %d: at %s, amid a cut, it removed %s, and a power failure would have kept the segment that begins with seq %d",
			where, h.Node, instant(h.At), h.Path, h.Last)
	case observe.ExcludedUnhurt:
		v.find("excluded-for-nothing", h.At, nil, "%s: at %s node %d was to be excluded for a log that failed, and nothing had harmed its disk",
			where, instant(h.At), h.Node)
	}
}
