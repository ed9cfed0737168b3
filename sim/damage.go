package sim

import (
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// This file damages the contents of disks, within the budget that the world's owner sets: damage
// beyond the failures that machines promise to survive shows nothing.

// place is a part of a file that may be damaged: at most one sector.
type place struct {
	path     string
	from, to int64
}

// mayDamage asks the owner of the world.
func (w *World) mayDamage(p *process, path string, from, to int64) bool {
	return w.config.MayDamage != nil && w.config.MayDamage(p.id, path, from, to)
}

// mayWipe reports whether everything on the disk may be damaged by disruption i, a wipe or a
// restore.
func (w *World) mayWipe(i int, p *process) bool {
	may, restores := true, w.plan.Disruptions[i].Kind == plan.Restore && w.config.MayRestore != nil
	if restores {
		may = w.config.MayRestore(p.id)
	} else if w.config.MayWipe != nil {
		may = w.config.MayWipe(p.id)
	} else {
		may = !slices.ContainsFunc(p.disk.Files(), func(f disk.File) bool { return !w.mayDamage(p, f.Path, 0, f.Size) })
	}
	if !may {
		w.forbidden(i)
	}
	return may && (w.config.MayDamage != nil || w.config.MayWipe != nil || restores)
}

// failing returns the state of disruption i, which lets operations on a disk fail.
func (w *World) failing(i int, p *process) state {
	if w.config.MayFail != nil && !w.config.MayFail(p.id) {
		w.forbidden(i)
		return void
	}
	return active
}

// Failing reports whether a disruption lets operations on the disk of a process fail now.
func (w *World) Failing(id env.ID) bool {
	for i := range w.armed {
		if w.armed[i].state == active && w.plan.Disruptions[i].Process == uint32(id) && faultKinds[w.plan.Disruptions[i].Kind] != 0 {
			return true
		}
	}
	return false
}

// lost notifies the owner of the world that everything on the disk is lost, or that an older copy
// takes its place.
func (w *World) lost(p *process, restored bool) {
	if w.config.Wiped != nil {
		w.config.Wiped(p.id, restored)
	}
}

// forbidden notifies the owner of the world that disruption i comes to nothing by its budget.
func (w *World) forbidden(i int) {
	if w.config.Forbidden != nil {
		w.config.Forbidden(i)
	}
}

// rot lets disruption i damage one of the places that it is aimed at and that may
// be damaged, and reports whether there is one.
func (w *World) rot(i int, p *process) bool {
	d := &w.plan.Disruptions[i]
	var places []place
	aimed := false
	for _, f := range p.disk.Files() {
		if strings.HasSuffix(f.Path, d.Files) {
			places = w.places(p, f, d, places)
			aimed = aimed || f.Size > d.FromByte
		}
	}
	if len(places) == 0 {
		if aimed {
			w.forbidden(i)
		}
		return false
	}
	name := xxh3.HashString(d.String()) // draws stay when other disruptions are left out of the plan
	draw := func(what uint64) uint64 {
		return w.decider.Uniform(chance.DiskRot, uint64(p.id), env.Key{A: name, B: what, Attempt: w.sameBefore(i)})
	}
	at := places[chance.Below(draw(0), uint64(len(places)))]
	if w.config.Damaged != nil {
		w.config.Damaged(p.id, at.path)
	}
	if d.Amount == 0 {
		offset := at.from + int64(chance.Below(draw(1), uint64(at.to-at.from)))
		p.disk.Damage(at.path, offset, []byte{1 << (draw(2) % 8)})
		return true
	}
	mask := make([]byte, at.to-at.from)
	switch d.Amount {
	case plan.StaleSector:
		stale(mask, p.disk.Content(at.path)[at.from:at.to], draw(1))
	case plan.MisdirectedWrite:
		misdirect(mask, p.disk.Content(at.path)[at.from:at.to], w.donor(p, at, draw(1), draw(2)))
	default:
		for k := range mask {
			mask[k] = byte(draw(3+uint64(k))) | 1 // no byte stays as it was
		}
	}
	p.disk.Damage(at.path, at.from, mask)
	return true
}

// stale lets a sector be as it was when less of it had been written: from some byte on it
// holds zeros.
func stale(mask, content []byte, draw uint64) {
	cut := chance.Below(draw, uint64(len(content)))
	copy(mask[cut:], content[cut:])
}

// misdirect lets a sector hold bytes that were written for another one.
func misdirect(mask, content, other []byte) {
	for k := range mask {
		mask[k] = content[k]
		if k < len(other) {
			mask[k] ^= other[k]
		}
	}
}

// donor returns the bytes that a misdirected write leaves at a place: those of a sector of the
// disk, which the draws which and where choose.
func (w *World) donor(p *process, at place, which, where uint64) []byte {
	files := p.disk.Files()
	f := files[chance.Below(which, uint64(len(files)))]
	sectors := (f.Size + p.disk.Sector() - 1) / p.disk.Sector()
	from := int64(chance.Below(where, uint64(max(1, sectors)))) * p.disk.Sector()
	return p.disk.Content(f.Path)[from:min(f.Size, from+at.to-at.from)]
}

// places appends the sectors of f that d is aimed at and that may be damaged.
func (w *World) places(p *process, f disk.File, d *plan.Disruption, list []place) []place {
	sector, end := p.disk.Sector(), f.Size
	if d.ToByte > 0 {
		end = min(end, d.ToByte)
	}
	for from := d.FromByte; from < end; {
		to := min(end, (from/sector+1)*sector)
		if w.mayDamage(p, f.Path, from, to) {
			list = append(list, place{f.Path, from, to})
		}
		from = to
	}
	return list
}

// sameBefore is the number of equal disruptions before disruption i: they damage
// other places.
func (w *World) sameBefore(i int) (n uint32) {
	for _, d := range w.plan.Disruptions[:i] {
		if d == w.plan.Disruptions[i] {
			n++
		}
	}
	return n
}
