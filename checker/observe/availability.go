package observe

import (
	"github.com/tidaldb/tidalsim/core/lineage"
)

// Outage is a disruption that had an effect.
type Outage struct {
	Node uint32
	// Alone says that the node was down, or did not run, and that this was all.
	Alone    bool
	From, To int64 // true time, ns
}

// Pause is how long nobody was told that a change of a shard is in the log, because
// its leader was replaced.
type Pause struct {
	Shard lineage.Shard
	Epoch lineage.ShardEpoch // of the one that was the first to tell again
	Old   uint32             // node that led before
	// From is when the last change before was acknowledged, or when a disruption hit
	// the old leader after that, or when the first change was asked for after both.
	From, To int64 // true time, ns
	// Single says that no node but one was hurt meanwhile, or had been within Silence
	// before.
	Single bool
}

// Availability is what a run shows of how long it did not serve.
type Availability struct {
	Outages []Outage
	Pauses  []Pause
	// Silence is how long a node may say nothing until it is replaced, ns; 0: it never is.
	Silence int64
	// Lossy says that messages were lost, late or damaged for no disruption's sake.
	Lossy bool
}

func (a *Availability) reset() {
	*a = Availability{Outages: a.Outages[:0], Pauses: a.Pauses[:0]}
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
		if o.From > p.To || o.To+a.Silence < p.From || hurt > 0 && o.Node == node {
			continue
		}
		hurt, node = hurt+1, o.Node
	}
	return hurt == 1
}
