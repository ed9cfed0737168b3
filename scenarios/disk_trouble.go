package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// diskTrouble lets disks fail in every way, alone and together: syncs and writes fail, operations
// are slow or stand still, durable bytes rot, and sometimes there is no room either.
var diskTrouble = &Scenario{
	Name:   "disk-trouble",
	Story:  "syncs and writes fail, disks are slow or stand still, durable bytes rot; an operator restarts what stopped, nothing acknowledged is lost, and what is damaged is never served",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		d.homes(p)
		p.World.Rates = crashRates(d)
		failing, writes := !d.oneIn(4, "no failing syncs", 0), d.oneIn(2, "failing writes", 0)
		pace, rot := d.oneIn(2, "pace", 0), d.oneIn(3, "rot", 0)
		if !failing && !writes && !rot {
			pace = true
		}
		if failing {
			for i := range int(d.between("failing syncs", 0, 1, 3)) {
				d.failingSync(p, i)
			}
		}
		if writes {
			d.failingWrite(p)
		}
		if pace {
			d.pace(p)
		}
		if d.oneIn(4, "full too", 0) {
			d.fullDisk(p, len(p.World.Disruptions))
		}
		if rot {
			d.rot(p)
		}
	},
}

// homes lets tenants live together on some nodes, in half of the seeds.
func (d *draw) homes(p *Plan) {
	if d.oneIn(2, "homes apart", 0) {
		return
	}
	for i := range p.Cluster.Tenants {
		p.Cluster.Tenants[i].Node = env.ID(d.node(p, "home", i))
	}
}

// inhabited draws a node that some tenant lives on.
func (d *draw) inhabited(p *Plan, name string, i int) uint32 {
	return uint32(p.Cluster.Tenants[d.between(name, i, 0, int64(len(p.Cluster.Tenants)-1))].Node)
}

// trouble is a failing disk operation: its files, and the moments after which it is soon running.
type trouble struct {
	files  string
	points []env.Point // none: while the disk has unsynced writes
}

// failingSyncs are the syncs of a node, by the files that they make durable.
func failingSyncs() []trouble {
	starts := []env.Point{fault.NodeStarted}
	return []trouble{
		{".seg", []env.Point{fault.BatchSubmitting}},
		{".seg", []env.Point{fault.BatchSubmitting, fault.SegmentRotating}},
		{"-1", []env.Point{fault.SegmentRotating, fault.RecoverySyncing, fault.SlotCreating}}, // slots' directories
		{"-1", []env.Point{fault.SnapshotRenaming}},
		{".tmp", []env.Point{fault.SnapshotWriting, fault.RecoveryReading, fault.SlotCreating, fault.NodeStarted}},
		{"node.tmp", starts},
		{"wal", []env.Point{fault.EpochPersisted}},
		{"tenants", []env.Point{fault.EpochPersisted}},
		{"", []env.Point{fault.NodeStarted, fault.EpochPersisted, fault.SlotServing, fault.BatchSubmitting, fault.RecoverySyncing}},
	}
}

// failingSync lets syncs fail for a while. An operator restarts the nodes that stopped because of
// it, and in half of the cases the power goes then: bytes that recovery took from the page cache
// must be on the platter by then.
func (d *draw) failingSync(p *Plan, i int) {
	all := failingSyncs()
	t := all[d.between("sync", i, 0, int64(len(all)-1))]
	f := plan.Disruption{
		Kind: plan.SyncFail, Process: d.inhabited(p, "sync node", i), Files: t.files,
		When: d.soon(p, "sync", i, t.points), For: d.log("sync for", i, millisecond, 32*millisecond),
		Amount: d.between("sync amount", i, 0, 2),
	}
	if t.points[0] == fault.SnapshotRenaming {
		p.Cluster.Constants.SnapshotEvery = min(p.Cluster.Constants.SnapshotEvery, 2048)
	}
	f.For = max(f.For, 4*p.World.Disk.Sync)
	p.World.Disruptions = append(p.World.Disruptions, f)
	d.operator(p, "sync", i, f)
}

// operator restarts the node of a fault that may have stopped slots, when the fault
// is over: in three of four cases the process is killed, so that the page cache
// stays. Power may go some time later.
func (d *draw) operator(p *Plan, name string, i int, f plan.Disruption) {
	restart := plan.Disruption{Kind: plan.Kill, Process: f.Process, When: f.When, For: d.log(name+" down", i, millisecond, 16*millisecond)}
	if d.oneIn(4, name+" power", i) {
		restart.Kind = plan.Power
	}
	delay := f.For + d.log(name+" operator", i, millisecond, 64*millisecond)
	restart.When.After += delay
	if restart.When.By > 0 {
		restart.When.By += delay
	}
	p.World.Disruptions = append(p.World.Disruptions, restart)
	if !d.oneIn(2, name+" then power", i) {
		return
	}
	points := []env.Point{
		fault.RecoverySyncing, fault.RecoverySyncing, fault.SlotServing, fault.SlotServing, fault.AckSending,
		fault.BatchDurable, fault.DuplicateAnswer, fault.NodeStarted,
	}
	p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
		Kind: plan.Power, Process: f.Process, For: restart.For,
		When: plan.Anchor{
			Point:       fault.Name(points[d.between(name+" power point", i, 0, int64(len(points)-1))]),
			Incarnation: 2, Nth: uint32(d.log(name+" power nth", i, 1, 8)), After: d.between(name+" power after", i, 0, 2*p.World.Disk.Sync),
		},
	})
}

// soon is an anchor for a fault that lasts: at one of the points, in an early
// incarnation or a late one. The first of a plan is sure to come.
func (d *draw) soon(p *Plan, name string, i int, points []env.Point) plan.Anchor {
	point := points[d.between(name+" point", i, 0, int64(len(points)-1))]
	a := plan.Anchor{Point: fault.Name(point), Nth: uint32(d.log(name+" nth", i, 1, 8)), By: span(p) / 2}
	switch {
	case point <= fault.SlotCreating && i == 0: // others restart the node later
		a.Nth = 1
	case point < fault.RecordAppended || point >= fault.SnapshotWriting:
		a.Nth = uint32(d.between(name+" nth", i, 1, 2))
	}
	return a
}

// failingWrite lets writes fail or be short for a while.
func (d *draw) failingWrite(p *Plan) {
	all := []trouble{
		{".seg", []env.Point{fault.BatchSubmitting, fault.SegmentRotating}},
		{".tmp", []env.Point{fault.SnapshotWriting, fault.RecoveryReading, fault.NodeStarted}},
		{"node.tmp", []env.Point{fault.NodeStarted}},
		{"", []env.Point{fault.NodeStarted, fault.RecoveryReading, fault.BatchSubmitting, fault.SegmentRotating, fault.SnapshotWriting}},
	}
	t := all[d.between("write", 0, 0, int64(len(all)-1))]
	f := plan.Disruption{
		Kind: plan.WriteFail, Process: d.inhabited(p, "write node", 0), Files: t.files,
		When: d.soon(p, "write", 0, t.points), For: d.log("write for", 0, 4*millisecond, 64*millisecond), Amount: d.between("write amount", 0, 0, 2),
	}
	p.World.Disruptions = append(p.World.Disruptions, f)
	d.operator(p, "write", 0, f)
}

// pace makes disks slow, or lets them stand still.
func (d *draw) pace(p *Plan) {
	for i := range int(d.between("paces", 0, 1, 3)) {
		f := plan.Disruption{
			Kind: plan.SlowDisk, Process: d.inhabited(p, "pace node", i), Amount: d.log("slower", i, 2, 512),
			When: plan.Anchor{At: d.between("pace at", i, 0, span(p)/2)}, For: d.log("pace for", i, millisecond, 256*millisecond),
		}
		if d.oneIn(2, "stall", i) {
			f.Kind, f.Amount = plan.Stall, 0
		}
		p.World.Disruptions = append(p.World.Disruptions, f)
	}
}

// rot damages durable bytes of one slot at most, and lets the node find out by
// starting again. Where, the budget says. The other slots have enough to show, as
// their quotas are not tight.
func (d *draw) rot(p *Plan) {
	for i := range p.Cluster.Tenants {
		p.Cluster.Tenants[i].Config.Limits = tenant.Limits{Rate: 100_000}
	}
	files := []string{".seg", ".seg", ".snap", ""}
	f := plan.Disruption{
		Kind: plan.Rot, Process: d.inhabited(p, "rot node", 0), Files: files[d.between("rot files", 0, 0, int64(len(files)-1))],
		When: plan.Anchor{At: span(p)/2 + d.between("rot at", 0, span(p)/8, span(p)/2)}, Amount: d.between("rot amount", 0, 0, 1),
	}
	found := plan.Disruption{Kind: plan.Kill, Process: f.Process, When: f.When, For: d.log("rot down", 0, millisecond, 16*millisecond)}
	if d.oneIn(2, "rot power", 0) {
		found.Kind = plan.Power
	}
	found.When.At += d.log("rot found", 0, 10*microsecond, 10240*microsecond)
	p.World.Disruptions = append(p.World.Disruptions, f, found)
}
