package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The scenarios of tenants with several slots in replica groups, which share one tenant's limits,
// and of tenants that come and go there.

// multiSlot lets demand wander between the slots of tenants with tight limits.
var multiSlot = &Scenario{
	Name:  "multi-slot",
	Story: "tenants with two to four slots in three shards, limits that all of them share, demand that differs between them, no faults; shares go where they are needed, and no window, no cap of a tenant is ever exceeded",
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3)
		d.shares(p)
		p.World.Disruptions = []plan.Disruption{}
	},
}

// sharesUnderFire hurts nodes while shares move.
var sharesUnderFire = &Scenario{
	Name:   "shares-under-fire",
	Story:  "shares of tight limits move between the slots of tenants, and operators change the limits, while nodes crash and are cut off at every step of that; no window, no cap of a tenant is ever exceeded",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3)
		d.shares(p)
		if d.oneIn(2, "limits", 0) {
			p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: d.limits(p)})
			d.pauses(p)
		}
		p.World.Rates = crashRates(d)
		for i := range int(d.between("faults", 0, 1, 3)) {
			if d.oneIn(3, "cut", i) {
				d.cut(p, i)
				continue
			}
			f := plan.Disruption{Kind: plan.Kill, Process: d.node(p, "crash node", i), When: d.amidShares(p, i), For: d.log("down", i, millisecond, 1024*millisecond)}
			if d.oneIn(2, "power", i) {
				f.Kind = plan.Power
			}
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
	},
}

// shares gives tenants several slots and tight limits. The first is never in need, so that
// a seed has enough to show.
func (d *draw) shares(p *Plan) {
	s := &p.Cluster.Topology
	for i := range p.Cluster.Tenants {
		t := &p.Cluster.Tenants[i]
		t.Slots = int(d.between("several slots", i, 2, 4))
		t.Shards = t.Shards[:0]
		for slot := range t.Slots {
			t.Shards = append(t.Shards, lineage.Shard((i+slot)%len(s.Shards)))
		}
		if i == 0 {
			t.Config.Limits = tenant.Limits{Rate: 100_000}
			continue
		}
		slots := uint64(t.Slots)
		t.Config.Limits = tenant.Limits{Rate: uint64(d.log("shared rate", i, 50, 1600)), Burst: slots * uint64(d.between("shared burst", i, 1, 12))}
		if d.oneIn(2, "shared entities", i) {
			t.Config.Limits.Entities = uint64(d.between("shared entity cap", i, 1, 8))
		}
		if d.oneIn(2, "shared bytes", i) {
			t.Config.Limits.Bytes = tenant.MinBytes * uint64(d.log("shared byte cap", i, 1, 64))
		}
	}
	w := &p.Workload
	w.Entities = d.between("entities of many", 0, 4, 16)
	w.ReadPermille = d.between("fewer reads", 0, 100, 300)
	w.DeletePermille = d.log("deletes of many", 0, 20, 320)
	w.Operations = w.Operations * 3 / 2
}

// limits draws an operator's changes of limits that slots share.
func (d *draw) limits(p *Plan) (commands []CommandPlan) {
	for i := range int(d.between("limit changes", 0, 1, 6)) {
		place := int(d.between("limited", i, 1, int64(len(p.Cluster.Tenants)-1)))
		c := CommandPlan{Kind: "configure", Tenant: place, Step: 1}
		slots := uint64(p.Cluster.Tenants[place].Slots)
		c.Limits = tenant.Limits{
			Rate: max(slots, uint64(d.log("new rate", i, 4, 4096))), Burst: slots * uint64(d.between("new burst", i, 1, 12)),
			Entities: uint64(d.between("new entities", i, 0, 8)), Bytes: tenant.MinBytes * uint64(d.between("new bytes", i, 0, 64)),
		}
		if d.oneIn(8, "too small", i) { // a slot would have no burst
			c.Limits.Burst = slots - 1
		}
		commands = append(commands, c)
	}
	return commands
}

// amidShares draws when a disruption strikes while shares move: mostly at a moment of that.
func (d *draw) amidShares(p *Plan, i int) plan.Anchor {
	if d.oneIn(3, "amid", i) {
		return d.amid(p, "share fault", i)
	}
	points := []env.Point{fault.ConfigAppended, fault.ConfigAppended, fault.SlotReporting, fault.ReportMaking, fault.QuotaRefused}
	a := plan.Anchor{
		At: foundedBy, Point: fault.Name(points[d.between("share point", i, 0, int64(len(points)-1))]), Nth: uint32(d.log("share nth", i, 1, 16)),
		After: d.log("share after", i, microsecond, 4096*microsecond),
	}
	if i == 0 {
		a.By = max(foundedBy, span(p)/2)
	}
	return a
}
