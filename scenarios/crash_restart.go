package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// crashRestart aims crashes at every step that touches the disk, recovery
// included.
var crashRestart = &Scenario{
	Name:   "crash-restart",
	Story:  "nodes are killed and lose power at the worst moments, also while they recover; nothing acknowledged is lost",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		d.slots(p)
		p.World.Rates = crashRates(d)
		for i := range int(d.between("crashes", 0, 1, 5)) {
			d.crash(p, i)
		}
	},
}

// crashPoints are the moments at which a crash may find a gap.
func crashPoints() []env.Point {
	points := make([]env.Point, 0, fault.Points)
	for point := env.Point(0); point < fault.SlotFollowing; point++ { // those of shards that are not shared
		points = append(points, point)
	}
	return points
}

// gap is a pair of crashes that is aimed at one promise of the disk: a kill leaves unsynced bytes
// in the page cache, and a loss of power, while the node recovers or has just begun to serve, takes
// them back.
type gap struct {
	kill  env.Point   // the kill comes while the operations behind this point are running
	power []env.Point // then the power goes at one of these, or soon after
}

func gaps() []gap {
	return []gap{
		{fault.BatchSubmitting, []env.Point{
			fault.NodeStarted, fault.EpochPersisted, fault.RecoveryReading, fault.RecoverySyncing,
			fault.SlotServing, fault.SlotServing, fault.AckSending, fault.DuplicateAnswer, fault.BatchSubmitting,
		}},
		{fault.SegmentRotating, []env.Point{fault.RecoverySyncing, fault.SlotServing, fault.AckSending, fault.BatchDurable}},
		{fault.SnapshotRenaming, []env.Point{fault.RecoverySyncing, fault.RecoverySyncing, fault.SlotServing}},
		{fault.SnapshotDurable, []env.Point{fault.RecoverySyncing, fault.SlotServing, fault.AckSending}},
	}
}

// crash adds a crash; in half of the cases a pair, and half of the pairs are aimed at a gap. If its
// moment does not come, the first crash of a plan strikes all the same.
func (d *draw) crash(p *Plan, i int) {
	first := plan.Disruption{
		Kind: plan.Power, Process: d.node(p, "crash node", i),
		When: d.moment(p, "crash", i, crashPoints()),
		For:  d.log("down", i, millisecond, 128*millisecond),
	}
	pair := d.oneIn(2, "pair", i)
	if pair || d.oneIn(2, "kill", i) {
		first.Kind = plan.Kill
	}
	all := gaps()
	target := all[0]
	aimed := pair && d.oneIn(2, "aimed", i)
	if aimed {
		target = all[d.between("gap", i, 0, int64(len(all)-1))]
		d.aim(p, i, &target, &first)
	}
	if i == 0 {
		first.When.By = span(p) / 2
	}
	p.World.Disruptions = append(p.World.Disruptions, first)
	if !pair {
		return
	}
	second := plan.Disruption{
		Kind: plan.Power, Process: first.Process, For: first.For,
		When: plan.Anchor{Incarnation: 2, Nth: 1},
	}
	second.When.Point = fault.Name(target.power[d.between("second point", i, 0, int64(len(target.power)-1))])
	switch {
	case aimed:
		second.When.After = d.between("second soon", i, 0, 2*p.World.Disk.Sync)
	case d.oneIn(2, "second late", i):
		second.When.After = d.log("second after", i, 10*microsecond, 2560*microsecond)
		second.When.Nth = uint32(d.between("second nth", i, 1, 2))
	}
	p.World.Disruptions = append(p.World.Disruptions, second)
}

// aim makes a kill strike within the few operations that follow the gap's point,
// and the world such that the point is passed often and the gap is wide.
func (d *draw) aim(p *Plan, i int, target *gap, kill *plan.Disruption) {
	p.World.Rates[chance.DiskEntry] = max(p.World.Rates[chance.DiskEntry], 300_000)
	switch target.kill {
	case fault.SnapshotRenaming, fault.SnapshotDurable:
		p.Cluster.Constants.SnapshotEvery = min(p.Cluster.Constants.SnapshotEvery, 2048)
	case fault.SegmentRotating:
		// Large batches: a record that does not fit leaves room for the small record that a
		// recovery begins with.
		p.Cluster.Constants.SegmentSize = min(p.Cluster.Constants.SegmentSize, 2048)
		p.Workload.Concurrency, p.Workload.Think = 8, min(p.Workload.Think, 100*microsecond)
	}
	operations := p.World.Disk.Sync + 3*p.World.Disk.Meta + p.World.Disk.Write
	if target.kill == fault.SegmentRotating { // between the file and its header
		p.World.Disk.Write = p.World.Disk.Meta
		operations = 3 * p.World.Disk.Meta
	}
	kill.When = plan.Anchor{
		Point: fault.Name(target.kill), Nth: uint32(d.log("aimed nth", i, 1, 4)),
		After: d.between("aimed after", i, 0, operations),
	}
}

// crashRates draws how a power failure treats unsynced bytes. These decisions are taken at crashes
// only, so their rates are high.
func crashRates(d *draw) (r plan.Rates) {
	for _, site := range []chance.Site{chance.DiskLost, chance.DiskEntry, chance.DiskInFlight} {
		r[site] = d.swarm(site, 100_000, 800_000)
	}
	// A tear needs a write that is not synced, and is the hardest to come by.
	if !d.oneIn(4, "no tears", 0) {
		r[chance.DiskTorn] = uint32(d.log("tears", 0, 200_000, 800_000))
	}
	if d.oneIn(2, "old blocks", 0) {
		r[chance.DiskOld] = uint32(d.log("old blocks rate", 0, 100_000, 800_000))
	}
	if d.oneIn(2, "zeros ahead", 0) {
		r[chance.DiskAhead] = uint32(d.log("zeros ahead rate", 0, 100_000, 800_000))
	}
	return r
}
