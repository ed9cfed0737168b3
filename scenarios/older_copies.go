package scenarios

import "github.com/tidaldb/tidalsim/sim/plan"

// olderCopies replaces a disk by an older copy of itself while the nodes that could tell are away.
//
// The other nodes take a copy for the original only before a node that knows better speaks. Drawn
// apart, the three faults that this takes hardly ever meet.
var olderCopies = &Scenario{
	Name:   "older-copies",
	Story:  "an older copy takes the place of a disk while the nodes that know better are away: the disk of a member of the meta log, when another member lacks the same entries, or of the member that left a set last, when nobody else can lead; nobody counts on what the copy has forgotten, and nothing that was told is lost",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		if d.oneIn(2, "eligible copy", 0) {
			d.eligibleCopy(p)
			return
		}
		d.copyOfMember(p)
	},
}

// copyOfMember hurts the three members of a meta log: one is away while the others commit entries.
// Then one of these becomes an older copy, and the other one is away while the first is back.
func (d *draw) copyOfMember(p *Plan) {
	d.unhurried(p, 3)
	silence := d.log("silence", 0, 100*millisecond, 300*millisecond)
	p.Cluster.Silence = silence
	behind := uint32(d.between("behind", 0, 0, 2))
	copied := (behind + 1 + uint32(d.between("copied", 0, 0, 1))) % 3
	knows := 3 - behind - copied
	if d.oneIn(2, "copied later", 0) { // then the copy is of a later start
		d.restarts(p, copied, d.between("restarts at", 0, foundedBy, settledBy))
	}
	start := d.between("behind at", 0, 2*settledBy, 2*settledBy+span(p)/4)
	at := start + silence + d.between("copied after", 0, silence/4, 2*silence)
	down := d.log("copied down", 0, millisecond, 128*millisecond)
	d.away(p, 0, behind, start, at-start+d.between("behind back", 0, 0, silence))
	d.restores(p, copied, at, down)
	gone := at + d.between("knows gone", 0, 0, down)
	d.away(p, 1, knows, gone, 3*silence+d.between("knows for", 0, 0, 6*silence))
	if d.oneIn(2, "copied starts twice", 0) {
		d.restarts(p, copied, at+down+d.between("starts again", 0, millisecond, 2*silence))
	}
}

// eligibleCopy lets a set shrink to one member, as below-min does. The member that left last is an
// older copy when it comes back, and the one that stayed is away by then.
func (d *draw) eligibleCopy(p *Plan) {
	d.unhurried(p, 5)
	d.onThree(p)
	silence := d.log("silence", 0, 100*millisecond, 300*millisecond)
	p.Cluster.Silence = silence
	first := uint32(d.between("first", 0, 0, 2))
	second := (first + 1 + uint32(d.between("second", 0, 0, 1))) % 3
	last := 3 - first - second
	start := d.between("first at", 0, settledBy, settledBy+span(p)/4)
	gone := start + silence + d.between("second after", 0, silence/8, 2*silence)
	at := gone + silence + d.between("last after", 0, silence/4, 2*silence)
	d.away(p, 0, first, start, at-start+d.between("first back", 0, silence, 8*silence))
	d.restores(p, second, gone, at-gone+d.between("second back", 0, -silence/8, 2*silence))
	d.away(p, 1, last, at, 3*silence+d.between("last for", 0, 0, 6*silence))
}

// restores replaces a node's disk by an older copy.
func (d *draw) restores(p *Plan, node uint32, at, down int64) {
	p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{Kind: plan.Restore, Process: node, When: plan.Anchor{At: at}, For: down})
}

// restarts kills a node and starts it again at once.
func (d *draw) restarts(p *Plan, node uint32, at int64) {
	p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{Kind: plan.Kill, Process: node, When: plan.Anchor{At: at}, For: millisecond})
}
