package scenarios

import (
	"strings"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// The observer of states takes samples of replicas: of some as they are in memory when a Step has
// ended, of each snapshot as its bytes go to the disk.

// oneIn is how many of the records are drawn after which a replica is looked at.
const oneIn = 16

// look is a replica that is to be looked at when the Step under way has ended.
type look struct {
	node   env.ID
	tenant tenant.ID
	slot   lineage.Slot
	moment observe.Moment
}

// lookAt notes that a fault point calls for a look at a replica.
func (o *observer) lookAt(id env.ID, p env.Point, key env.Key) {
	t, slot := tenant.ID(key.A), lineage.Slot(key.Kind)
	switch p {
	case fault.BatchDurable, fault.AckSending:
		if chance.Hash(o.seed, chance.Draw, uint64(slot), env.Key{A: key.A, B: key.B})%oneIn == 0 {
			o.wants(id, t, slot, observe.Drawn)
		}
	case fault.SlotServing:
		o.wants(id, t, slot, observe.Served)
	case fault.SlotFollowing:
		o.wants(id, t, slot, observe.Opened)
	case fault.SlotLeading:
		o.wants(id, t, slot, observe.Led)
	case fault.LogCut:
		o.wants(id, t, slot, observe.AfterCut)
	}
}

func (o *observer) wants(id env.ID, t tenant.ID, slot lineage.Slot, moment observe.Moment) {
	for i := range o.looks {
		if l := &o.looks[i]; l.node == id && l.tenant == t && l.slot == slot {
			l.moment = max(l.moment, moment)
			return
		}
	}
	o.looks = append(o.looks, look{id, t, slot, moment})
}

// sample looks at the replicas that the last Step called for. A process that has died in the Step
// has no state any more.
func (r *Runner) sample() {
	o := &r.observer
	for i := range o.looks {
		r.sampleOf(&o.looks[i])
	}
	o.looks = o.looks[:0]
}

func (r *Runner) sampleOf(l *look) {
	o, n := &r.observer, r.node(int(l.node))
	if n == nil {
		return
	}
	bytes, open := n.AppendState(o.state[:0], l.tenant, l.slot)
	if o.state = bytes; !open {
		return
	}
	r.run.States.Add(o.sampleFrom(l.node, l.tenant, l.slot, l.moment), bytes)
}

func (o *observer) sampleFrom(id env.ID, t tenant.ID, slot lineage.Slot, moment observe.Moment) observe.Sample {
	return observe.Sample{Process: o.process(id), Tenant: t, Slot: slot, At: o.world.Time(), Moment: moment}
}

// sampleAll looks at every replica at the end of the run.
func (r *Runner) sampleAll() {
	for i := range r.run.Dumps {
		d := &r.run.Dumps[i]
		r.sampleOf(&look{env.ID(d.Node), d.Tenant, d.Slot, observe.Ended})
	}
}

// snapshotWritten notes the state in a snapshot on its way to a disk, whoever made it.
func (o *observer) snapshotWritten(id env.ID, path string, data []byte) {
	if !strings.HasSuffix(path, ".snap"+wal.TempSuffix) {
		return
	}
	if identity, _, encoded, err := wal.DecodeSnapshot(data); err == nil {
		o.run.States.Add(o.sampleFrom(id, identity.Tenant, identity.Slot, observe.InSnapshot), encoded)
	}
}
