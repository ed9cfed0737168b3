package metalog

import (
	"go.etcd.io/raft/v3/tracker"

	"github.com/tidaldb/tidalsim/core/env"
)

// A leader whose disk stands still keeps its term: its heartbeats go out, and the followers
// make entries durable without it. But it applies nothing that is not on its own disk, so that
// nothing is decided. It lets another member lead, and does not stand for election before its
// disk moves.

// stalled reports whether the member waits for its disk for too long.
func (l *Log) stalled(e env.Env) bool {
	return l.config.Stall > 0 && l.disk.work != idle && e.Now().Sub(l.disk.since) > l.config.Stall
}

// yield lets the follower lead that has the most of the log, if the disk here stands still.
// It is asked again with every tick: a transfer may come to nothing.
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

// Answers reports whether the log leads and the member at an address, another one, takes what it
// is sent: it could lead soon.
func (l *Log) Answers(at env.ID) bool {
	if l.phase != serving || at == l.member.Address() {
		return false
	}
	member, known := memberAt(l.Members(), at)
	return known && answers(l.raft.Status().Progress[uint64(member)])
}

// answers reports whether a member takes what its leader sends. Who does not lead knows of nobody.
func answers(p tracker.Progress) bool { return p.RecentActive && p.State == tracker.StateReplicate }
