package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// diskFull lets disks run full for a while, or gives them so little room that they fill up by
// themselves. Before the calm part an operator puts larger ones in.
var diskFull = &Scenario{
	Name:   "disk-full",
	Story:  "disks are full for a while, or too small, and nodes crash meanwhile; writes wait or are refused definitely, each that is answered was charged once, reads go on, and with room again everything does",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		d.homes(p)
		d.tightLimits(p)
		p.World.Rates = crashRates(d)
		if d.oneIn(3, "small disk", 0) {
			d.smallDisk(p)
		}
		for i := range int(d.between("full spans", 0, 1, 4)) {
			d.fullDisk(p, i)
		}
	},
}

// tightLimits gives some tenants so few tokens that one which is not given back is
// missed.
func (d *draw) tightLimits(p *Plan) {
	for i := range p.Cluster.Tenants {
		if !d.oneIn(3, "few tokens", i) {
			continue
		}
		l := &p.Cluster.Tenants[i].Config.Limits
		l.Rate, l.Burst = uint64(d.log("few tokens rate", i, 100, 400)), uint64(d.between("few tokens burst", i, 20, 60))
	}
}

// smallDisk draws a disk that may fill up for good. Clients then wait until the calm
// part, which had better be soon.
func (d *draw) smallDisk(p *Plan) {
	each := p.Cluster.Constants.SegmentSize + p.Cluster.Constants.SnapshotEvery
	p.World.Disk.Capacity = d.log("capacity", 0, 4096, max(4096, min(2*each, 32768)))
	p.World.Duration = 2 * second
}

// fullDisk fills a disk for a while, from a moment on at which it is about to be written to. In
// half of the cases the node crashes meanwhile, and half of the crashes come at a moment that has
// to do with room.
func (d *draw) fullDisk(p *Plan, i int) {
	points := []env.Point{
		fault.BatchSubmitting, fault.BatchSubmitting, fault.SegmentRotating, fault.SnapshotWriting, fault.SnapshotRenaming,
		fault.SegmentRemoving, fault.NodeStarted, fault.EpochPersisted, fault.SlotCreating, fault.RecoveryReading, fault.RecoverySyncing,
	}
	f := plan.Disruption{
		Kind: plan.DiskFull, Process: d.inhabited(p, "full node", i),
		When: d.soon(p, "full", i, points), For: d.log("full for", i, millisecond, 128*millisecond),
	}
	f.When.After = d.between("full after", i, 0, 1) * d.between("full within", i, 0, p.World.Disk.Sync)
	p.World.Disruptions = append(p.World.Disruptions, f)
	if !d.oneIn(2, "crash while full", i) {
		return
	}
	crash := plan.Disruption{Kind: plan.Kill, Process: f.Process, When: f.When, For: d.log("full down", i, millisecond, 32*millisecond)}
	if d.oneIn(2, "power while full", i) {
		crash.Kind = plan.Power
	}
	if d.oneIn(2, "crash at", i) {
		crash.When = d.soon(p, "full crash", i, points)
		crash.When.By = 0
	}
	crash.When.After += d.between("crash within", i, 0, f.For)
	p.World.Disruptions = append(p.World.Disruptions, crash)
}
