package checker

import (
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
)

const nameAvailability = "availability"

// SessionDeadline is how long a session read takes at most, ns, while one replica of
// three is hurt: what its client has seen is on another one, or soon will be.
const SessionDeadline = 1_000_000_000

// ReadDeadline is how long any other read takes at most then, ns. If the node led both
// the shard and the meta log: two silences until another one leads the meta log, and one
// until that one takes the node for lost; then two entries of the meta log, a change of
// the epoch, and the way of the client from replica to replica, a second for all.
func ReadDeadline(silence int64) int64 { return 3*silence + SessionDeadline }

// judgeAvailability looks whether reads are answered while at most one node is hurt.
// Its rules:
//
//	late        a read was answered after its deadline
//	unanswered  a read was refused or given up
//
// A read is judged if, from its beginning to its deadline, at most one node was down, or
// did not run, or had been so within ReadDeadline before: it has to come back, and into
// the in-sync set. Cuts, slow or lost disks, and two nodes at once, put off what is judged
// until as long after they are over. Where messages are lost for no disruption's sake
// nothing is judged; nor is a read of a tenant before its creation was answered, or from
// when its drop was asked for.
func judgeAvailability(run *observe.Run, _ Options) Report {
	v, a := newVerdict(nameAvailability), &run.Availability
	ops := run.Ops()
	if run.Shared && !a.Lossy {
		lives := livesOf(run)
		for i := range ops {
			op := &ops[i]
			if op.Kind == history.Read && op.Outcome != history.Open && isThere(lifeOf(lives, op.Tenant), op) {
				answeredInTime(v, a, ops, i)
			}
		}
	}
	switch {
	case len(ops) == 0:
		v.cannotTell("nothing was asked")
	case !run.Shared:
		v.leftOut("no shard is a replica group")
	case v.report.Checked == 0:
		v.leftOut("no read began while at most one node was hurt")
	}
	return v.done()
}

// isThere reports whether a tenant was to be served while an operation was under way. One
// that nothing is known of was there from the beginning.
func isThere(l *life, op *history.Op) bool {
	return l == nil || l.there && l.since <= op.InvokeAt && op.ReturnAt < l.doomed
}

func answeredInTime(v *verdict, a *observe.Availability, ops []history.Op, i int) {
	op := &ops[i]
	deadline := ReadDeadline(a.Silence)
	if op.Level == history.Session {
		deadline = SessionDeadline
	}
	if !calm(a, op.InvokeAt, op.InvokeAt+deadline) {
		return
	}
	v.report.Checked++
	switch took := op.ReturnAt - op.InvokeAt; {
	case op.Outcome != history.Acked:
		v.find("unanswered", op.ReturnAt, []int{i}, "%s, at level %s, began at %s and ended %s (%s) %s later, although at most one node was hurt",
			describe(ops, i), op.Level, instant(op.InvokeAt), op.Outcome, op.Reason, instant(took))
	case took > deadline:
		v.find("late", op.ReturnAt, []int{i}, "%s, at level %s, began at %s and was answered %s later, although at most one node was hurt; its deadline is %s",
			describe(ops, i), op.Level, instant(op.InvokeAt), instant(took), instant(deadline))
	}
}

// calm reports whether at most one node was hurt in a time, and by nothing else than
// that it did not run.
func calm(a *observe.Availability, from, to int64) bool {
	hurt, one := uint32(0), false
	for i := range a.Outages {
		o := &a.Outages[i]
		if o.From > to || o.To+ReadDeadline(a.Silence) < from {
			continue
		}
		if !o.Alone || one && o.Node != hurt {
			return false
		}
		hurt, one = o.Node, true
	}
	return true
}
