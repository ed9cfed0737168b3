package checker

import "github.com/tidaldb/tidalsim/checker/observe"

const nameResidency = "residency"

// arrived are the rules for messages that arrive in the wrong place, by their way.
var arrived = [...]string{observe.Delivered: "delivered-outside", observe.Queued: "queued-outside"}

// judgeResidency looks at every disk operation and every message between nodes, when it is made, and
// at the files on every disk, of nodes that are down too, when a residency changes, when a node
// starts and at the end. The residency that counts is the one in force at that instant. The rules:
//
//	stored-outside     a file of a tenant was touched in a region where it may not be
//	kept-outside       a file of a tenant was on a disk in such a region
//	sent-outside       records or a snapshot of a tenant were sent to such a region
//	delivered-outside  such a message was handed to a node there, however long it had waited
//	queued-outside     a client's change of the tenant was handed to such a node
//	answered-outside   such a node answered a client with the state of an entity
//	told-not-in-force  an operator was told of a residency that is not in force
//	undone             an older configuration of a tenant took the place of a newer one
//
// Every message is looked at when it is sent and again when it is handed over, so that a message
// that waits in a link or in an input queue counts where it arrives.
func judgeResidency(run *observe.Run, _ Options) Report {
	v, r := newVerdict(nameResidency), &run.Residency
	v.report.Checked = r.Count
	for i := range r.Strays {
		s := &r.Strays[i]
		switch s.Way {
		case observe.Stored:
			v.find("stored-outside", s.At, nil, "tenant %s: at %s node %d in region %q, where it may not be, touched %q",
				s.Tenant, instant(s.At), s.Node, s.Region, s.What)
		case observe.Kept:
			v.find("kept-outside", s.At, nil, "tenant %s: at %s the disk of node %d in region %q, where it may not be, has %q",
				s.Tenant, instant(s.At), s.Node, s.Region, s.What)
		case observe.Sent:
			v.find("sent-outside", s.At, nil, "%s: at %s node %d sent %s to node %d in region %q, where tenant %s may not be",
				place(s.Tenant, s.Slot), instant(s.At), s.From, s.What, s.Node, s.Region, s.Tenant)
		case observe.Answered:
			v.find("answered-outside", s.At, nil, "%s: at %s node %d in region %q, where tenant %s may not be, answered process %d with %s",
				place(s.Tenant, s.Slot), instant(s.At), s.Node, s.Region, s.Tenant, s.From, s.What)
		default:
			v.find(arrived[s.Way], s.At, nil, "%s: at %s node %d in region %q, where tenant %s may not be, was handed %s of process %d",
				place(s.Tenant, s.Slot), instant(s.At), s.Node, s.Region, s.Tenant, s.What, s.From)
		}
	}
	judgeUnkept(v, r)
	v.report.More += r.More
	switch {
	case len(run.Ops()) == 0 && r.Count == 0:
		v.cannotTell("nothing was asked")
	case !r.Limited():
		v.leftOut("every tenant may be anywhere")
	case r.Count == 0:
		v.cannotTell("nothing of a tenant that may not be everywhere was stored or sent")
	}
	return v.done()
}

// judgeUnkept judges the residencies that were decided, and those that operators were told of.
func judgeUnkept(v *verdict, r *observe.Residency) {
	for i := range r.Unkept {
		switch u := &r.Unkept[i]; {
		case !u.Told:
			v.find("undone", u.At, nil, "tenant %s: the residency of version %d was in force, and at %s that of version %d takes its place",
				u.Tenant, u.Version, instant(u.At), u.Now)
		case u.Decided:
			v.find("told-not-in-force", u.At, nil, "tenant %s: at %s an operator was told of another residency of version %d, and the configuration in force is of version %d",
				u.Tenant, instant(u.At), u.Version, u.Now)
		default:
			v.find("told-not-in-force", u.At, nil, "tenant %s: at %s an operator was told that the residency of version %d is in force, and the one in force is of version %d",
				u.Tenant, instant(u.At), u.Version, u.Now)
		}
	}
}
