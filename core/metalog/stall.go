package metalog

import (
	"go.etcd.io/raft/v3/tracker"

	"github.com/tidaldb/tidalsim/core/env"
)

// A leader with a stalled disk keeps its term: its heartbeats still go out, and followers make
// entries durable without it. But it applies only entries on its own disk, so the control plane
// decides nothing. Such a leader transfers its leadership, and does not stand for election until
// its disk works again.

// stalled reports whether the member has waited too long for its disk.
func (l *Log) stalled(e env.Env) bool {
	return l.config.Stall > 0 && l.disk.work != idle && e.Now().Sub(l.disk.since) > l.config.Stall
}

// yield transfers leadership to the follower with most of the log, if the disk here has stalled. It
// repeats this every tick, because a transfer may fail.
func (l *Log) yield(e env.Env) {
	//safety:stalled-coordinator-yields true by=availability on=gray-failure
	if !l.stalled(e) {
		return
	}
	best, match := MemberID(0), uint64(0)
	progress := l.raft.Status().Progress
	for _, m := range l.Members() {
		if p := progress[uint64(m)]; m != l.member && answers(p) && p.Match > match {
			best, match = m, p.Match
		}
	}
	if best != 0 {
		l.raft.TransferLeader(uint64(best))
	}
}

// Answers reports whether this log leads and the other member at an address accepts its messages,
// so that it could lead soon.
func (l *Log) Answers(at env.ID) bool {
	if l.phase != serving || at == l.member.Address() {
		return false
	}
	member, known := memberAt(l.Members(), at)
	return known && answers(l.raft.Status().Progress[uint64(member)])
}

// answers reports whether a member accepts its leader's messages. Only a leader has such progress.
func answers(p tracker.Progress) bool { return p.RecentActive && p.State == tracker.StateReplicate }
