package scenarios

import (
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The scenarios in which the disks of replica groups fail in the ways of real disks.

// slowFile lets single files be slow, or stand still, while the others of their disk go on: the
// write that was submitted first becomes durable last.
var slowFile = &Scenario{
	Name:   "slow-file",
	Story:  "one file, or one directory, of a node is slow or stands still while the others go on, so that what was written first is durable last, and power fails amid that; nothing is told of before it is durable, and nothing that was told is lost",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+2*int(d.between("two more nodes", 0, 0, 1)))
		p.World.Rates = crashRates(d)
		if d.oneIn(2, "small files", 0) {
			c := &p.Cluster.Constants
			c.SnapshotEvery, c.SegmentSize = d.log("small snapshots", 0, 1024, 4096), d.log("small segments", 0, 512, 2048)
		}
		for i := range int(d.between("slow files", 0, 1, 4)) {
			d.slowFile(p, i)
		}
	},
}

// slowFile draws a slow file, and in half of the cases a crash of its node, or of another one,
// amid that.
func (d *draw) slowFile(p *Plan, i int) {
	f := plan.Disruption{
		Kind: plan.Stall, Process: d.node(p, "slow file of", i), Files: d.file(p, "slow file", i),
		When: d.amid(p, "slow file", i), For: d.log("file slow for", i, 4*millisecond, 2048*millisecond),
	}
	if d.oneIn(2, "file slow", i) {
		f.Kind, f.Amount = plan.SlowDisk, d.log("file slower", i, 8, 512)
	}
	p.World.Disruptions = append(p.World.Disruptions, f)
	if !d.oneIn(2, "crash amid a slow file", i) {
		return
	}
	crash := plan.Disruption{Kind: plan.Power, Process: f.Process, When: f.When, For: d.log("slow file down", i, millisecond, 512*millisecond)}
	if d.oneIn(3, "another one", i) {
		crash.Process = (f.Process + 1) % uint32(p.Cluster.Nodes)
		crash.When.Of = 0
		if f.When.Point != "" {
			crash.When.Of = plan.Other(f.Process)
		}
	}
	crash.When.After += d.between("within a slow file", i, 0, f.For)
	if crash.When.By > 0 {
		crash.When.By += f.For
	}
	p.World.Disruptions = append(p.World.Disruptions, crash)
}

// file draws at which files of a node a fault is aimed: the log of one slot, with its
// directory or without it, the meta log, the node's own file, or all of one kind.
func (d *draw) file(p *Plan, name string, i int) string {
	t := &p.Cluster.Tenants[d.between(name+" tenant", i, 0, int64(len(p.Cluster.Tenants)-1))]
	slot := lineage.Slot(d.between(name+" slot", i, 0, int64(max(1, t.Slots)-1)))
	switch d.between(name+" kind", i, 0, 7) {
	case 0, 1, 2:
		return slotDir(t.Config.ID, slot) + "/"
	case 3, 4:
		return core.MetaFile
	case 5:
		return ".seg"
	case 6:
		return ".tmp" // snapshots and the node file, before they get their names
	}
	return "node.tmp"
}

// failingDisk lets everything fail that a disk can refuse, on one node at a time.
var failingDisk = &Scenario{
	Name:   "failing-disk",
	Story:  "reads, writes, syncs, opens, renames and new directories fail on a node, of single files or of all, for want of space or for no reason, its disk is full, or what is durable on it rots; it leaves the sets that count on it or ends and starts again, and nothing acknowledged is lost",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+2*int(d.between("two more nodes", 0, 0, 1)))
		p.World.Rates = crashRates(d)
		c := &p.Cluster.Constants
		if d.oneIn(2, "small files", 0) {
			c.SnapshotEvery, c.SegmentSize = d.log("small snapshots", 0, 1024, 4096), d.log("small segments", 0, 512, 2048)
		}
		for i := range int(d.between("disk faults", 0, 1, 3)) {
			f := d.diskFault(p, "disk fault", i)
			p.World.Disruptions = append(p.World.Disruptions, f)
			if d.oneIn(2, "restart amid a disk fault", i) { // operations fail at a start, or a start finds their traces
				d.restartAmid(p, i, f)
			}
		}
		// If the budget vetoes the fault, or no operation meets it, the seed still has this crash.
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: plan.Power, Process: d.node(p, "crash node", 0), When: plan.Anchor{At: span(p)/2 + d.between("crash", 0, 0, span(p)/4)}, For: d.log("crash down", 0, millisecond, 256*millisecond),
		})
	},
}

// restartAmid lets a node start while a fault of its disk is in force.
func (d *draw) restartAmid(p *Plan, i int, f plan.Disruption) {
	crash := plan.Disruption{Kind: plan.Kill, Process: f.Process, When: f.When, For: d.log("fault down", i, millisecond, 64*millisecond)}
	if d.oneIn(2, "fault power", i) {
		crash.Kind = plan.Power
	}
	delay := d.between("within the fault", i, 0, max(f.For/2, 32*millisecond))
	crash.When.After += delay
	if crash.When.By > 0 {
		crash.When.By += delay
	}
	p.World.Disruptions = append(p.World.Disruptions, crash)
}

// diskFault draws a fault of a disk.
func (d *draw) diskFault(p *Plan, name string, i int) plan.Disruption {
	victim := 0 // mostly one node: the copies of the others are whole
	if d.oneIn(3, name+" elsewhere", i) {
		victim = i
	}
	f := plan.Disruption{
		Process: d.node(p, name+" node", victim), Files: d.file(p, name, i), When: d.amidDisk(p, name, i),
		For: d.log(name+" for", i, 4*millisecond, 512*millisecond), Amount: d.between(name+" amount", i, 0, 3),
	}
	if d.oneIn(4, name+" of all files", i) {
		f.Files = ""
	}
	kind := d.between(name+" kind of fault", i, 0, 9)
	if i == 0 { // it is sure to be met
		kind, f.For, f.Files = min(kind, 7), max(f.For, 256*millisecond), ""
		if kind > 2 && kind < 6 {
			kind = 1
		}
	}
	switch kind {
	case 0, 1:
		f.Kind = plan.SyncFail
	case 2:
		f.Kind = plan.WriteFail
	case 3:
		f.Kind = plan.ReadFail
	case 4, 5:
		f.Kind = plan.EntryFail
	case 6, 7:
		f.Kind = plan.NoSpace
	case 8:
		f.Kind, f.Files, f.Amount = plan.DiskFull, "", 0
	default:
		f.Kind, f.For = plan.Rot, 0
		f.Files = []string{".seg", ".seg", ".snap"}[d.between(name+" rots", i, 0, 2)]
		f.When = plan.Anchor{At: span(p)/2 + d.between(name+" rots at", i, 0, span(p)/4)}
	}
	return f
}

// settledBy is a time at which the members of the meta log mostly have the entries that the others
// lack if a disk fails.
const settledBy = 8 * foundedBy

// amidDisk draws when a disk fails: at a moment with disk operations soon after it.
func (d *draw) amidDisk(p *Plan, name string, i int) plan.Anchor {
	if d.oneIn(2, name+" amid", i) {
		a := d.amid(p, name, i)
		a.At = max(a.At, settledBy)
		return a
	}
	points := []env.Point{
		fault.NodeStarted, fault.EpochPersisted, fault.RecoveryReading, fault.RecoverySyncing, fault.BatchSubmitting, fault.SegmentRotating,
		fault.SnapshotWriting, fault.SnapshotRenaming, fault.SegmentRemoving, fault.LogCutting, fault.SlotRefetching, fault.EpochAdopted, fault.MetaLeading,
	}
	a := plan.Anchor{At: settledBy, Point: fault.Name(points[d.between(name+" disk point", i, 0, int64(len(points)-1))]), Nth: uint32(d.log(name+" disk nth", i, 1, 4))}
	if i == 0 {
		a.By = max(settledBy, span(p)/2)
	}
	return a
}
