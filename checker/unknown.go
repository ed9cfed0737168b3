package checker

import (
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
)

const nameUnknown = "unknown"

// judgeUnknown looks for the cause of every outcome that a client does not know, and of
// refusals that a leader has no reason for. Its rules:
//
//	unknown-in-peace     an outcome is unknown, and no fault was in reach: no disruption of
//	                     the client, of a node that may serve the slot, or of the links
//	                     between, from shortly before the call until its end, no deviation in
//	                     the run, and no operator that moved duties between nodes
//	expired-in-vain      a client got the answer that its session was evicted, and no record of
//	                     the slot's log, not even one that was cut off, evicts it
//	superseded-in-vain   a client got the answer that its request is older than the session's
//	                     floor, and an honest client never raises the floor above a request
//	                     that it still waits for
//	denied-by-its-leader a node refused a request because another node leads, or because the
//	                     slot is being opened, between two acknowledgements that it sent of
//	                     that slot in one epoch
//
// Refusals for a quota are judged by rate and caps; a token that is said to be lost is
// never right, and refusals says so.
func judgeUnknown(run *observe.Run, o Options) Report {
	v, s, ops := newVerdict(nameUnknown), o.scratch(), run.Ops()
	s.indexDumps(run)
	for i := range ops {
		op := &ops[i]
		v.report.Checked++
		if op.Outcome == history.Unknown {
			needsCause(v, s, run, i)
		}
	}
	for i := range run.Causes.Denials {
		d := &run.Causes.Denials[i]
		v.find("denied-by-its-leader", d.At, nil, "%s: node %d refused a request at %s (%s), and in epoch %d it acknowledged changes at %s and at %s",
			place(d.Tenant, d.Slot), d.Node, instant(d.At), d.Reason, d.Epoch, instant(d.Before), instant(d.After))
	}
	v.report.More += run.Causes.More
	if len(ops) == 0 {
		v.cannotTell("nothing was asked")
	}
	return v.done()
}

func needsCause(v *verdict, s *Scratch, run *observe.Run, i int) {
	op := &run.Ops()[i]
	rule := ""
	switch op.Reason {
	case "session-expired":
		if !evicted(run, op) {
			rule = "expired-in-vain"
		}
	case "superseded":
		rule = "superseded-in-vain"
	case "unknown-tenant":
		if !comesOrGoes(run, op) && !run.Causes.Deviated && !hurtInReach(run, op) {
			rule = "unknown-in-peace"
		}
	default:
		if !run.Causes.Deviated && !hurtInReach(run, op) && !dutiesMove(run, op) {
			rule = "unknown-in-peace"
		}
	}
	if rule != "" {
		v.find(rule, op.ReturnAt, []int{i}, "%s was given up at %s (%s), asked at %s", describe(run.Ops(), i), instant(op.ReturnAt), op.Reason, instant(op.InvokeAt))
	}
}

// comesOrGoes reports whether an operator created or drops the tenant of an operation: a node
// may not know it yet, or not any more.
func comesOrGoes(run *observe.Run, op *history.Op) bool {
	return !slices.Contains(run.Founded, op.Tenant) || run.MayBeDropped(op.Tenant)
}

// dutiesMove reports whether an operator moves duties from one node to another meanwhile: a
// replaced leader may never answer requests that were on their way.
func dutiesMove(run *observe.Run, op *history.Op) bool {
	return slices.ContainsFunc(run.Commands, func(c observe.Command) bool {
		moves := c.Kind == observe.Drain || c.Kind == observe.Undrain
		ended := c.Outcome != history.Open && c.EndedAt+aftermath < op.InvokeAt
		return moves && c.AskedAt <= op.ReturnAt && !ended
	})
}

// aftermath is the time after the end of a disruption, ns, in which its effects may still cause an
// unknown outcome: nodes start, and leaders are replaced.
const aftermath = 5_000_000_000

// hurtInReach reports whether a disruption may have been the cause of an unknown outcome. Where one
// node serves the slot for ever, only a disruption of that node, of the client, or of a member of
// the meta log, which lets the node serve, is a cause.
func hurtInReach(run *observe.Run, op *history.Op) bool {
	node, sole := run.Causes.SoleNode(op.Tenant, op.Slot)
	matters := func(process int64) bool {
		return !sole || process == int64(node) || process == int64(op.Client) ||
			process >= 0 && slices.Contains(run.Causes.Meta, uint32(process))
	}
	for i := range run.Causes.Hurt {
		h := &run.Causes.Hurt[i]
		if h.From > op.ReturnAt || h.To+aftermath < op.InvokeAt {
			continue
		}
		if matters(int64(h.Process)) || matters(h.Peer) {
			return true
		}
	}
	return false
}

// evicted reports whether a record evicts the session of a change.
func evicted(run *observe.Run, op *history.Op) bool {
	at := run.Find(op.Tenant, op.Slot)
	if at < 0 {
		return false
	}
	l := run.Logs[at]
	for _, entries := range [...][]observe.Entry{l.Entries, l.Cut} {
		for i := range entries {
			if rec := &entries[i].Record; rec.Kind == record.Session && rec.Session.Evicted == op.Op.Session {
				return true
			}
		}
	}
	return false
}
