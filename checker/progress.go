package checker

import "github.com/tidaldb/tidalsim/checker/observe"

const nameProgress = "progress"

// judgeProgress compares the records that nodes count on with the messages that they got. A leader
// counts on a replica for a record because the replica acknowledged it: in the epoch of the leader,
// and in the present generation of the log, not in one that failed and began anew. The judge
// durable-ack checks that an acknowledged record was durable. The observer looks when a batch is
// durable, when a log was cut, when an epoch begins, and at an acknowledgement of another
// generation of a log. The rules:
//
//	unacknowledged  a leader counts on a replica for a record that the replica has not
//	                acknowledged in the epoch of the leader
//	earlier-life    a leader counts an acknowledgement of a log that it has let begin anew since
//	beyond-the-log  a replica takes records for committed that are not in its log
func judgeProgress(run *observe.Run, _ Options) Report {
	v, p := newVerdict(nameProgress), &run.Progress
	v.report.Checked = p.Count
	for i := range p.Wrong {
		b := &p.Wrong[i]
		at := place(b.Tenant, b.Slot)
		switch b.Kind {
		case observe.Unacknowledged:
			v.find("unacknowledged", b.At, nil, "%s: at %s node %d, which leads in epoch %d, counts on node %d for seq %d, and node %d has acknowledged up to seq %d in this epoch",
				at, instant(b.At), b.Node, b.Epoch, b.Of, b.Seq, b.Of, b.Last)
		case observe.OfAnEarlierLife:
			v.find("earlier-life", b.At, nil, "%s: at %s node %d, which leads in epoch %d, counts on node %d for seq %d, which was acknowledged of a log that it has let begin anew since",
				at, instant(b.At), b.Node, b.Epoch, b.Of, b.Seq)
		case observe.BeyondTheLog:
			v.find("beyond-the-log", b.At, nil, "%s: at %s node %d takes seq %d for committed, and its log ends at seq %d", at, instant(b.At), b.Node, b.Seq, b.Last)
		}
	}
	v.report.More += p.More
	ofGroups(v, run, "nobody counted on any replica")
	return v.done()
}
