package observe

import (
	"github.com/tidaldb/tidalsim/core/lineage"
)

// Duties says that a node received the order to have no duties, or to have some again, by an entry
// of the control plane's log.
type Duties struct {
	Node  uint32
	Index uint64
	Drain bool
	At    int64 // when that was first seen on a wire, true time, ns
}

// Leave says that a member of a set left it.
type Leave struct {
	Shard   lineage.Shard
	Version uint64 // of the configuration without it
	Index   uint64 // of the entry that made it
	Node    uint32
	Left    int // members that are left
	Min     int // that the shard needs
	// Restarted: a later start of the node was registered by then, so that the member was gone.
	Restarted bool
	At        int64
}

// Budget holds the nodes' duties of a run, and the drains and removals that took them away.
type Budget struct {
	Duties   []Duties
	Leaves   []Leave
	Answers  []DrainAnswer
	Removals []Removal
}

// Removal says that a leader asked for the removal of a member in its present incarnation.
type Removal struct {
	Shard    lineage.Shard
	By, Node uint32
	Set, Min int   // members in sync then, and how many the shard needs
	Answered int64 // when the last round was asked for that the member confirmed, true time, ns; 0: none
	At       int64 // true time, ns
}

// DrainAnswer is an answer to an operator that a node is drained.
type DrainAnswer struct {
	By, Node uint32
	// Shard is a shard with a duty for the node then, by the newest configurations.
	Shard lineage.Shard
	Busy  bool  // there is such a shard
	At    int64 // true time, ns
}

func (b *Budget) reset() {
	*b = Budget{Duties: b.Duties[:0], Leaves: b.Leaves[:0], Answers: b.Answers[:0], Removals: b.Removals[:0]}
}

// Removes notes a leader's request to remove a member.
func (b *Budget) Removes(r Removal) { b.Removals = append(b.Removals, r) }

// Answered notes an answer to an operator that a node is drained.
func (b *Budget) Answered(a DrainAnswer) { b.Answers = append(b.Answers, a) }

// Told notes a report of a node's duties, unless it is known.
func (b *Budget) Told(d Duties) {
	for i := len(b.Duties) - 1; i >= 0; i-- {
		if known := &b.Duties[i]; known.Node == d.Node && known.Index == d.Index {
			return
		}
	}
	b.Duties = append(b.Duties, d)
}

// Left notes that a member left a set.
func (b *Budget) Left(l Leave) { b.Leaves = append(b.Leaves, l) }
