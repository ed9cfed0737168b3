package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

const nameHealth = "health-truth"

// judgeHealth compares the nodes' reports on the health of the cluster with the truth. A figure of
// age A, reported at T, is right if it was true at some instant between T-A and T. Ages are of
// clocks that may run slower than true time. Its rules:
//
//	wrong-use         a slot's entities and bytes differ from the fold of its log at that seq
//	old-use           a change that was acknowledged, or read, before is not counted
//	early-use         a record is counted that no node had appended
//	wrong-sum         a shard's entities and bytes are not those of all its slots
//	wrong-refusals    there were more, or fewer, refusals for a quota
//	wrong-throughput  there were more, or fewer, signals in the window, or it was another one
//	wrong-lag         a replica was further behind, or less far
//	wrong-disk        the files took more or less, or more or less was free
//	old-index         the control state lacks an entry that was applied before
//	wrong-object      a decision about a node, a shard or a tenant is reported otherwise
//	wrong-silence     a node was silent for longer, or less long
//	wrong-watch       the reporting node has not been there for so long
//	wrong-region      a region's status or counts do not follow from the figures
//	wrong-compliance  a tenant is, or is not, where it may be
//	wrong-leader      the node that is called the coordinator never led the meta log
//	unheard           a figure is about a node that had not been heard of since
//	unconfirmed       a figure of a leader is younger than some member's confirmation that it leads
//	no-age            a figure has no age
func judgeHealth(run *observe.Run, o Options) Report {
	v, s := newVerdict(nameHealth), o.scratch()
	if len(run.Ops()) == 0 {
		v.cannotTell("nothing was asked")
		return v.done()
	}
	x := &s.health
	x.reset(run)
	x.sortTracks(run)
	for i := range run.Health.Tellings {
		j := telling{verdict: v, truth: x, run: run, t: &run.Health.Tellings[i], place: int32(i)}
		j.control()
		j.nodes()
		j.shards()
		j.tenants()
		j.regions()
	}
	x.recount(v, run, &s.recount)
	if n := run.Health.More; n > 0 {
		v.leftOut("%d tellings of nodes were not kept", n)
	}
	if v.report.Checked == 0 {
		v.cannotTell("no node told anything of the health of the cluster")
	}
	return v.done()
}

// truth holds the facts to compare the figures with, as far as the run does not list them.
type truth struct {
	logs     []toldLog // as the run has them
	instants []int64   // of all of them
	uses     []use
	sums     []sum   // by shard of the telling under judgement
	current  []int32 // the newest decided state of each object
	decided  int     // states that were looked at
	tracks   []int32 // in the run's list, by shard and then as they stand there
}

// sortTracks orders the tracks by shard.
func (x *truth) sortTracks(run *observe.Run) {
	all := run.Health.Tracks.All()
	x.tracks = x.tracks[:0]
	for i := range all {
		x.tracks = append(x.tracks, int32(i))
	}
	slices.SortStableFunc(x.tracks, func(a, b int32) int { return cmp.Compare(all[a].Shard, all[b].Shard) })
}

// tracksOf returns the tracks of the logs of a shard, wherever they are, by their place in
// the run's list.
func (j *telling) tracksOf(shard lineage.Shard) []int32 {
	all := j.run.Health.Tracks.All()
	of := func(i int32, shard lineage.Shard) int { return cmp.Compare(all[i].Shard, shard) }
	from, _ := slices.BinarySearchFunc(j.truth.tracks, shard, of)
	to, _ := slices.BinarySearchFunc(j.truth.tracks[from:], shard+1, of)
	return j.truth.tracks[from : from+to]
}

// telling is one telling under judgement.
type telling struct {
	*verdict
	truth *truth
	run   *observe.Run
	t     *observe.Telling
	place int32
}

// since returns the first instant at which a figure of an age may have been so.
func (j *telling) since(age uint64) int64 {
	const most = 1 << 40 // ms
	return j.t.At - slowest(int64(min(age, most))*1_000_000, j.run.SlowPPM)
}

// wrong adds a finding about a figure of an age.
func (j *telling) wrong(rule string, age uint64, format string, operands ...any) {
	if len(j.report.Findings) == MaxFindings {
		j.report.More++
		return
	}
	j.find(rule, j.t.At, nil, "node %d told at %s, as at most %d ms old: %s", j.t.By.Node, instant(j.t.At), age, fmt.Sprintf(format, operands...))
}

// says adds a finding about a report as of now.
func (j *telling) says(rule, format string, operands ...any) {
	if len(j.report.Findings) == MaxFindings {
		j.report.More++
		return
	}
	j.find(rule, j.t.At, nil, "node %d told at %s: %s", j.t.By.Node, instant(j.t.At), fmt.Sprintf(format, operands...))
}

// aged counts a figure that is known, and reports whether it is and has an age; what and
// id name it.
func (j *telling) aged(f, age observe.Figure, what string, id uint64) bool {
	if !f.Known {
		return false
	}
	j.report.Checked++
	if !age.Known {
		j.says("no-age", "%s %d: %d, and not how old that is", what, id, f.Value)
	}
	return age.Known
}
