package checker

import (
	"cmp"
	"iter"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// nodes looks at how long each node was silent, and at its disk.
func (j *telling) nodes() {
	t := j.t
	if t.Watched.Known {
		j.report.Checked++
		if _, most := j.spans(t.At - t.Boot); t.Watched.Value > most {
			j.says("wrong-watch", "it has been told who lives for %d ms, and it runs since %s", t.Watched.Value, instant(t.Boot))
		}
	}
	for i := range t.Nodes {
		n := &t.Nodes[i]
		j.silence(n)
		if j.aged(n.Disk.Free, n.Disk.Age, "bytes free on node", uint64(n.ID)) {
			j.nodeDisk(n)
		}
	}
}

// spans returns the least and the most milliseconds that a clock may show for a span of true time,
// rounded up as reports are.
func (j *telling) spans(ns int64) (least, most uint64) {
	const million = 1_000_000
	up := func(ns int64) uint64 { return uint64(max(0, ns)+million-1) / million }
	return up(ns - ns/million*j.run.SlowPPM - j.run.SlowPPM), up(ns + ns/million*j.run.DriftPPM + j.run.DriftPPM)
}

func (j *telling) silence(n *observe.ToldNode) {
	if n.ID == j.t.By.Node {
		if n.Silent.Known && n.Silent.Value != 0 {
			j.says("wrong-silence", "it has been silent for %d ms itself", n.Silent.Value)
		}
		return
	}
	switch {
	case !n.Silent.Known && n.Heard > 0 && j.t.Member && j.run.SlowPPM < 1_000_000:
		j.says("wrong-silence", "node %d was never heard, and it was at %s", n.ID, instant(n.Heard))
	case !n.Silent.Known:
	case n.Heard == 0:
		j.says("unheard", "node %d has been silent for %d ms, and it was never heard", n.ID, n.Silent.Value)
	default:
		j.report.Checked++
		if least, most := j.spans(j.t.At - n.Heard); n.Silent.Value < least || n.Silent.Value > most {
			j.says("wrong-silence", "node %d has been silent for %d ms, and it was heard last at %s", n.ID, n.Silent.Value, instant(n.Heard))
		}
	}
}

// nodeDisk compares a node's used and free bytes with the truth at the time of its own report.
func (j *telling) nodeDisk(n *observe.ToldNode) {
	used, free := n.Disk.Used, n.Disk.Free.Value
	was, last := j.inReport(n.ID, n.Disk.Age.Value, func(r *observe.Report) bool {
		bytes, waits := uint64(0), uint64(0)
		for _, c := range r.Copies {
			bytes, waits = bytes+c.Bytes, waits+c.Waits
		}
		return free == r.Free && (!used.Known || bytes <= used.Value && used.Value <= bytes+waits)
	})
	if !was {
		j.notInReport(n.Disk.Age.Value, last, "node %d has %d bytes free, and its shards take %d (known: %v)", n.ID, free, used.Value, used.Known)
	}
}

// replicaDisk does the same for the bytes of a replica.
func (j *telling) replicaDisk(s *observe.ToldShard, p *observe.ToldReplica) {
	used := p.Disk.Used.Value
	was, last := j.inReport(p.Node, p.Disk.Age.Value, func(r *observe.Report) bool {
		c := r.Of(s.ID)
		return c.Bytes <= used && used <= c.Bytes+c.Waits
	})
	if !was {
		j.notInReport(p.Disk.Age.Value, last, "shard %d takes %d bytes on node %d", s.ID, used, p.Node)
	}
}

// inReport reports whether so holds for one of a node's reports that were made since an instant and
// had arrived. Else last is the newest of those reports, nil if there was none.
func (j *telling) inReport(node uint32, age uint64, so func(*observe.Report) bool) (was bool, last *observe.Report) {
	since := j.since(age)
	for _, r := range j.reports(node) {
		switch {
		case r.At < since:
			return false, last
		case so(r):
			return true, r
		case last == nil:
			last = r
		}
	}
	return false, last
}

func (j *telling) notInReport(age uint64, last *observe.Report, format string, operands ...any) {
	since := instant(j.since(age))
	if last == nil {
		j.wrong("unheard", age, format+"; nothing that this node told of itself since %s had come", append(operands, since)...)
		return
	}
	j.wrong("wrong-disk", age, format+"; that was not so when it told of itself since %s; at %s %d bytes were free, and its shards took %+v",
		append(operands, since, instant(last.At), last.Free, last.Copies)...)
}

// reports goes through the reports of a node that had arrived at the time of the report under
// judgement, the last one first.
func (j *telling) reports(node uint32) iter.Seq2[int, *observe.Report] {
	return func(yield func(int, *observe.Report) bool) {
		list := j.run.Health.Reports
		after, _ := slices.BinarySearchFunc(list, j.t.At+1, func(r observe.Report, at int64) int { return cmp.Compare(r.At, at) })
		for i := after - 1; i >= 0; i-- {
			if r := &list[i]; r.By.Node == node && j.has(i, r) && !yield(i, r) {
				return
			}
		}
	}
}

// has reports whether a node's report had reached the reporting node.
func (j *telling) has(place int, r *observe.Report) bool {
	if r.By == j.t.By {
		return true
	}
	list := j.run.Health.Deliveries
	for i := len(list) - 1; i >= 0 && list[i].At >= r.At; i-- {
		if d := &list[i]; d.Report == int32(place) && d.To == j.t.By && d.At <= j.t.At {
			return true
		}
	}
	return false
}

// isHeard reports whether a leader's report since an instant had reached the reporting node.
func (j *telling) isHeard(by observe.Process, since int64) bool {
	for _, r := range j.reports(by.Node) {
		if r.At < since || r.By == by {
			return r.At >= since
		}
	}
	return false
}

// led goes through the logs of a shard that its leader sequenced at the time of the report, in the
// reported epoch.
func (j *telling) led(s *observe.ToldShard) iter.Seq2[*observe.Track, *observe.Lead] {
	return func(yield func(*observe.Track, *observe.Lead) bool) {
		for _, i := range j.tracksOf(s.ID) {
			k := &j.run.Health.Tracks.All()[i]
			if k.Node != s.Leader.Node {
				continue
			}
			if lead := k.LeadOf(s.Epoch); lead != nil && lead.At <= j.t.At && !yield(k, lead) {
				return
			}
		}
	}
}

// firstAt returns when a leader gave a record its place, or began to lead, if the record was there
// before; never if the leader had none at the time of the report.
func (j *telling) firstAt(k *observe.Track, lead *observe.Lead, seq lineage.Seq) int64 {
	if seq <= lead.Seq {
		return lead.At
	}
	from, _ := slices.BinarySearchFunc(k.Ends, lead.At, func(e observe.Extent, at int64) int { return cmp.Compare(e.At, at) })
	for _, e := range k.Ends[from:] {
		if e.At > j.t.At {
			break
		}
		if e.Seq >= seq {
			return e.At
		}
	}
	return never
}
