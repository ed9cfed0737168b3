package observe

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Outage is a disruption that had an effect.
type Outage struct {
	Node uint32
	// Peer is the other node, if the link between two was hurt; -1: all others.
	Peer int64
	// Alone says that the node was down, or did not run, and that this was all.
	Alone bool
	// Disk says that its disk was slow, stood still, was full or failed, so that the node
	// spoke all the while.
	Disk bool
	// Still says that its disk finished nothing, of any file.
	Still bool
	// Deaf says that it heard no other node.
	Deaf bool
	// Partial says that it did not hear, or was not heard by, some nodes, and others did.
	Partial bool
	// Unbounded says that nothing bounds the time to notice: a clock was changed, or a client was
	// disrupted.
	Unbounded bool
	// Away says that the node's member of the meta log stops, until an operator helps: it is hurt
	// to the meta log beyond To.
	Away     bool
	From, To int64 // true time, ns
}

// Over reports whether an outage had ended for so long at an instant, the meta log included.
func (o *Outage) Over(at, long int64) bool { return !o.Away && o.To+long < at }

// Gap is a time in which no change of a shard was acknowledged while a client waited for one.
type Gap struct {
	Shard    lineage.Shard
	From, To int64 // true time, ns: from the acknowledgement before, or when a client began to wait, to the next one
}

// Set is how many members a shard's in-sync set had from an instant on.
type Set struct {
	Shard lineage.Shard
	Size  int
	Min   int // that are needed to acknowledge
	At    int64
}

// Home says in which shard a slot is.
type Home struct {
	Tenant tenant.ID
	Slot   lineage.Slot
	Shard  lineage.Shard
}

// Coordinator is a node that began to send the control plane's decisions to the others.
type Coordinator struct {
	Node uint32
	At   int64
}

// Hold is a time in which a node coordinated and its meta log asked nothing new of its disk:
// the log has one operation under way at a time.
type Hold struct {
	Node  uint32
	Asked int64 // when the log last asked the disk for an operation, true time, ns
	Spoke int64 // when the node spoke last as the coordinator, true time, ns
}

// Pause is the time during which no client received an acknowledgement of a change of a shard,
// because its leader was replaced.
type Pause struct {
	Shard lineage.Shard
	Epoch lineage.ShardEpoch // of the first leader that acknowledged again
	Old   uint32             // node that led before
	// From is when the last change before was acknowledged, or when a disruption hit
	// the old leader after that, or when the first change was asked for after both.
	From, To int64 // true time, ns
	// Single says that no node but one was hurt meanwhile, or had been within Silence
	// before.
	Single bool
}

// Availability holds the interruptions of service of a run.
type Availability struct {
	Outages []Outage
	Pauses  []Pause
	Gaps    []Gap // longer than three times Silence
	// Sets and Coordinators ascend in time.
	Sets         []Set
	Coordinators []Coordinator
	Holds        []Hold // longer than Stall
	// Homes says in which shards slots are.
	Homes []Home
	// Silence is how long a node may say nothing until it is replaced, ns; 0: it never is.
	Silence int64
	// Slow is how long a node's disk may make nothing durable until it is replaced, ns.
	Slow int64
	// Stall is how long an operation of the coordinator's disk may last until the coordinator
	// hands over, ns.
	Stall int64
	// Lossy says that chance lost, delayed or damaged messages, beside the disruptions.
	Lossy bool
	// Unjudged counts gaps in which several nodes were hurt, or the set was at min.
	Unjudged int
}

func (a *Availability) reset() {
	*a = Availability{Outages: a.Outages[:0], Pauses: a.Pauses[:0], Gaps: a.Gaps[:0], Sets: a.Sets[:0], Homes: a.Homes[:0], Coordinators: a.Coordinators[:0], Holds: a.Holds[:0]}
}

// Hit lets every pause begin no earlier than the disruption that led to it, and notes
// whether one node only was hurt.
func (a *Availability) Hit() {
	for i := range a.Pauses {
		p := &a.Pauses[i]
		from := p.From
		for _, o := range a.Outages {
			if o.Node == p.Old && o.From > from && o.From < p.To {
				p.From = o.From
				break
			}
		}
		p.Single = a.single(p)
	}
}

// single reports whether one node only was hurt during a pause and shortly before it.
func (a *Availability) single(p *Pause) bool {
	hurt := 0
	node := uint32(0)
	for _, o := range a.Outages {
		if o.From > p.To || o.Over(p.From, a.Silence) || hurt > 0 && o.Node == node {
			continue
		}
		hurt, node = hurt+1, o.Node
	}
	return hurt == 1
}

// SetAt returns the set of a shard as it was announced last until an instant.
func (a *Availability) SetAt(shard lineage.Shard, at int64) (last Set) {
	for i := range a.Sets {
		if s := &a.Sets[i]; s.Shard == shard && s.At <= at {
			last = *s
		}
	}
	return last
}

// AtMin reports whether the in-sync set of a slot's shard, in the last configuration announced by
// an instant, had no more members than its minimum.
func (a *Availability) AtMin(t tenant.ID, slot lineage.Slot, at int64) bool {
	for _, h := range a.Homes {
		if h.Tenant == t && h.Slot == slot {
			set := a.SetAt(h.Shard, at)
			return set.Min > 0 && set.Size <= set.Min
		}
	}
	return false
}

// CoordinatorAt returns the node that coordinated last until an instant; false if none did.
func (a *Availability) CoordinatorAt(at int64) (node uint32, known bool) {
	for i := range a.Coordinators {
		if c := &a.Coordinators[i]; c.At <= at {
			node, known = c.Node, true
		}
	}
	return node, known
}

// Coordinates notes that a node spoke as the coordinator.
func (a *Availability) Coordinates(node uint32, at int64) {
	if n := len(a.Coordinators); n == 0 || a.Coordinators[n-1].Node != node {
		a.Coordinators = append(a.Coordinators, Coordinator{node, at})
	}
}

// HoldsOn notes that a node spoke as the coordinator, and when its meta log last asked its disk for
// an operation.
func (a *Availability) HoldsOn(node uint32, asked, at int64) {
	if at-asked <= a.Stall {
		return
	}
	if n := len(a.Holds); n > 0 && a.Holds[n-1].Node == node && a.Holds[n-1].Asked == asked {
		a.Holds[n-1].Spoke = at
		return
	}
	a.Holds = append(a.Holds, Hold{node, asked, at})
}
