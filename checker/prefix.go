package checker

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

const namePrefix = "prefix"

// judgePrefix looks whether all replicas of a log are prefixes of one. Its rules, of
// everything that was ever written:
//
//	two-records   one epoch has two records in one place
//	hole          a node wrote a record, and the one before it is not in its log
//	unlinked      a node wrote a record that does not continue the one before it there
//	overwritten   a node wrote another record in the place of an uncut one
//	cut-undone    a node's cut was over, and a power failure would have undone it
//	came-back     a node found records that it had never written, or had replaced
//
// and, when everything has ended:
//
//	end-differs     two replicas end at different records
//	state-differs   they hold different states
//	record-differs  they have different records in one place
//	files-differ    the files of a replica are no log that ends where it says
//
// The files of a slot that was damaged are not looked at, and the end of a run that
// never settled is for liveness.
func judgePrefix(run *observe.Run, o Options) Report {
	v, s, c := newVerdict(namePrefix), o.scratch(), &run.Copies
	for i := range c.Slots() {
		v.report.Checked += c.Slots()[i].Written
	}
	for i := range c.Forks {
		f := &c.Forks[i]
		v.find("two-records", f.Second.At, nil, "%s: in shard epoch %d node %d wrote a record with chain %016x at seq %d, at %s, and node %d one with chain %016x, at %s",
			place(f.Tenant, f.Slot), f.First.Epoch, f.First.Node, uint64(f.First.Chain), f.Seq, instant(f.First.At),
			f.Second.Node, uint64(f.Second.Chain), instant(f.Second.At))
	}
	for i := range c.Faults {
		discontinuous(v, &c.Faults[i])
	}
	if len(run.Stalls) == 0 {
		s.indexDumps(run)
		replicasAgree(v, s, run)
		filesAgree(v, s, run)
	}
	v.report.More += c.More
	ofGroups(v, run, "no record was seen on its way to a disk")
	return v.done()
}

// ofGroups ends the judgement of a promise about several replicas: a run of shards with one replica
// each shows nothing against it.
func ofGroups(v *verdict, run *observe.Run, nothing string) {
	switch {
	case len(run.Ops()) == 0 && v.report.Checked == 0:
		v.cannotTell("nothing was asked")
	case v.report.Checked == 0 && soleCopies(run):
		v.leftOut("no shard has more than one replica")
	case v.report.Checked == 0:
		v.cannotTell("%s", nothing)
	}
}

// soleCopies reports whether every shard is known to have one replica, so that no copy can
// disagree.
func soleCopies(run *observe.Run) bool {
	sets := run.Availability.Sets
	return len(sets) > 0 && !slices.ContainsFunc(sets, func(s observe.Set) bool { return s.Size > 1 })
}

func discontinuous(v *verdict, f *observe.Fault) {
	where := fmt.Sprintf("%s on node %d", place(f.Tenant, f.Slot), f.Node)
	switch f.Flaw {
	case observe.Hole:
		v.find("hole", f.At, nil, "%s: seq %d was written at %s, where the log ends at seq %d", where, f.Seq, instant(f.At), f.Last)
	case observe.Unlinked:
		v.find("unlinked", f.At, nil, "%s: seq %d, written at %s, does not continue what is at seq %d there", where, f.Seq, instant(f.At), f.Last)
	case observe.Overwritten:
		v.find("overwritten", f.At, nil, "%s: another record was written at seq %d, at %s, where the log goes on to seq %d", where, f.Seq, instant(f.At), f.Last)
	case observe.CutUndone:
		v.find("cut-undone", f.At, nil, "%s: at %s the log had been cut behind seq %d, and a power failure would have brought back what follows", where, instant(f.At), f.Seq)
	case observe.CameBack:
		v.find("came-back", f.At, nil, "%s: at %s a recovery found records up to seq %d, where the log had ended at seq %d", where, instant(f.At), f.Seq, f.Last)
	}
}

// replicasAgree compares the final dumps of every slot with its first.
func replicasAgree(v *verdict, s *Scratch, run *observe.Run) {
	for i := range run.Dumps {
		d := &run.Dumps[i]
		first := s.dumps.items[s.dumps.first(slotKey(d.Tenant, d.Slot))].value
		if int(first) < i {
			v.report.Checked++
			sameDump(v, &run.Dumps[first], d)
		}
	}
}

func sameDump(v *verdict, one, other *observe.Dump) {
	where := place(one.Tenant, one.Slot)
	if one.Position != other.Position {
		v.find("end-differs", 0, nil, "%s: in the end node %d is at seq %d with chain %016x, and node %d at seq %d with chain %016x", where,
			one.Node, one.Position.Seq, uint64(one.Position.Chain), other.Node, other.Position.Seq, uint64(other.Position.Chain))
		return
	}
	switch {
	case one.Counts != other.Counts:
		v.find("state-differs", 0, nil, "%s: at seq %d node %d counts %+v, and node %d %+v", where, one.Position.Seq, one.Node, one.Counts, other.Node, other.Counts)
	case len(one.Entities) != len(other.Entities):
		v.find("state-differs", 0, nil, "%s: at seq %d node %d has %d entities, and node %d has %d", where,
			one.Position.Seq, one.Node, len(one.Entities), other.Node, len(other.Entities))
	default:
		for i := range one.Entities {
			if a, b := &one.Entities[i], &other.Entities[i]; *a != *b {
				v.find("state-differs", 0, nil, "%s: at seq %d node %d holds entity %d and node %d entity %d: of the second, %s", where,
					one.Position.Seq, one.Node, a.Entity, other.Node, b.Entity, difference(&b.State, &a.State))
				return
			}
		}
	}
}

// filesAgree compares the final disks: of every slot, each node's log with the log of the first
// node that has the slot.
func filesAgree(v *verdict, s *Scratch, run *observe.Run) {
	all := run.Copies.Retained
	s.kept.reset(len(all))
	for i := range all {
		r := &all[i]
		s.kept.add(slotKey(r.Tenant, r.Slot), int32(i))
		v.report.Checked += len(r.Chains)
		if run.Damaged(r.Tenant, r.Slot) {
			continue
		}
		if r.Damage != "" {
			v.find("files-differ", 0, nil, "%s on node %d: %s", place(r.Tenant, r.Slot), r.Node, r.Damage)
		}
		if d := dumpOn(s, run, r); d != nil && len(r.Chains) > 0 {
			last := lineage.Position{Seq: r.First + lineage.Seq(len(r.Chains)) - 1, Chain: r.Chains[len(r.Chains)-1]}
			if last != d.Position {
				v.find("files-differ", 0, nil, "%s on node %d: its files end at seq %d with chain %016x, and it says that it is at seq %d with chain %016x",
					place(r.Tenant, r.Slot), r.Node, last.Seq, uint64(last.Chain), d.Position.Seq, uint64(d.Position.Chain))
			}
		}
		for j := s.kept.first(slotKey(r.Tenant, r.Slot)); s.kept.items[j].value < int32(i); j = s.kept.items[j].next {
			sameRecords(v, &all[s.kept.items[j].value], r)
		}
	}
}

func dumpOn(s *Scratch, run *observe.Run, r *observe.Retained) *observe.Dump {
	for i := s.dumps.first(slotKey(r.Tenant, r.Slot)); i != none; i = s.dumps.items[i].next {
		if d := &run.Dumps[s.dumps.items[i].value]; d.Node == r.Node {
			return d
		}
	}
	return nil
}

// sameRecords finds the first record in which two replicas differ.
func sameRecords(v *verdict, one, other *observe.Retained) {
	from := max(one.First, other.First)
	to := min(one.First+lineage.Seq(len(one.Chains)), other.First+lineage.Seq(len(other.Chains)))
	for seq := from; seq < to; seq++ {
		if a, b := one.Chains[seq-one.First], other.Chains[seq-other.First]; a != b {
			v.find("record-differs", 0, nil, "%s: on the disks of nodes %d and %d the records at seq %d have chains %016x and %016x",
				place(one.Tenant, one.Slot), one.Node, other.Node, seq, uint64(a), uint64(b))
			return
		}
	}
}
