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
		p.World.Rates = crashRates(d)
		for i := range int(d.between("crashes", 0, 1, 5)) {
			d.crash(p, i)
		}
	},
}

// crashPoints are the moments at which a crash may find a gap.
func crashPoints() []env.Point {
	points := make([]env.Point, 0, fault.Points)
	for point := env.Point(0); point < fault.Points; point++ {
		points = append(points, point)
	}
	return points
}

// gap is a pair of crashes that is aimed at one promise of the disk: a kill
// leaves in the page cache what is not durable, and a loss of power, while the
// node recovers or has just begun to serve, takes it back.
type gap struct {
	kill  env.Point   // the kill comes while what follows this point is under way
	power []env.Point // then the power goes at one of these
}

func gaps() []gap {
	recovered := []env.Point{
		fault.NodeStarted, fault.EpochPersisted, fault.RecoveryReading, fault.RecoverySyncing,
		fault.SlotServing, fault.SlotServing, fault.AckSending, fault.DuplicateAnswer, fault.BatchSubmitting,
	}
	serving := []env.Point{fault.RecoverySyncing, fault.SlotServing, fault.SlotServing, fault.AckSending, fault.BatchDurable}
	return []gap{
		{kill: fault.BatchSubmitting, power: recovered},
		{kill: fault.SegmentRotating, power: serving},
		{kill: fault.SnapshotRenaming, power: serving},
		{kill: fault.SnapshotDurable, power: serving},
	}
}

// crash adds a crash; in half of the cases a pair.
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
	aimed := all[d.between("gap", i, 0, int64(len(all)-1))]
	if pair && i > 0 && d.oneIn(2, "aimed", i) { // the first crash of a plan is sure to come, these are not
		// Within a few operations of the point, one of which may be a sync.
		io := p.World.Disk.Sync + 3*p.World.Disk.Meta + p.World.Disk.Write
		first.When = plan.Anchor{
			Point: fault.Name(aimed.kill), Nth: uint32(d.log("aimed nth", i, 1, 4)),
			After: d.between("aimed after", i, 0, io),
		}
	}
	p.World.Disruptions = append(p.World.Disruptions, first)
	if !pair {
		return
	}
	point := aimed.power[d.between("second point", i, 0, int64(len(aimed.power)-1))]
	second := plan.Disruption{
		Kind: plan.Power, Process: first.Process, For: first.For,
		When: plan.Anchor{Point: fault.Name(point), At: first.When.At, Nth: uint32(d.between("second nth", i, 1, 2))},
	}
	if d.oneIn(2, "second late", i) {
		second.When.After = d.log("second after", i, 10*microsecond, 2560*microsecond)
	}
	p.World.Disruptions = append(p.World.Disruptions, second)
}

// crashRates draws what a power failure does to what is not synced. These
// decisions are taken at crashes only, so their rates are high.
func crashRates(d *draw) (r plan.Rates) {
	for _, site := range []chance.Site{chance.DiskLost, chance.DiskEntry, chance.DiskInFlight} {
		r[site] = d.swarm(site, 100_000, 800_000)
	}
	// A tear needs a write that is not synced, and is the hardest to come by.
	if !d.oneIn(4, "no tears", 0) {
		r[chance.DiskTorn] = uint32(d.log("tears", 0, 200_000, 800_000))
	}
	return r
}
