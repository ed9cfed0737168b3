package scenarios

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/sim/disk"
)

// The observer of openings notes the logs that nodes open and the changes that nodes make to their
// files, beside the contents of the files and the injuries by the world.

// damageView is the state of that observer.
type damageView struct {
	opening []observe.Opening // recoveries under way, Outcome not known yet
	rotted  []rotted
	terms   bool // the plan has terms, which make operations fail
}

type rotted struct {
	node env.ID
	path string
	at   int64 // true time, ns
}

func (v *damageView) reset(terms bool) {
	*v = damageView{opening: v.opening[:0], rotted: v.rotted[:0], terms: terms}
}

// slotDir returns the directory of a slot's log, without a slash at its end.
func slotDir(t tenant.ID, slot lineage.Slot) string {
	return wal.Identity{Tenant: t, Slot: slot, Placement: 1}.Dir()
}

// rots notes that durable bytes of a file are about to be damaged.
func (o *observer) rots(id env.ID, path string) {
	o.damage.rotted = append(o.damage.rotted, rotted{id, path, o.world.Time()})
}

// hasRotted reports whether a file of a log was damaged since the log was begun, or fetched anew.
// The node need not have read it since.
func (o *observer) hasRotted(w *slotWrites) bool {
	dir := slotDir(w.tenant, w.slot) + "/"
	return slices.ContainsFunc(o.damage.rotted, func(r rotted) bool {
		return r.node == w.node && r.at >= w.renewed && strings.HasPrefix(r.path, dir)
	})
}

// harmTo returns the injuries by the world to a node's disk that may hurt a slot's log.
func (o *observer) harmTo(id env.ID, t tenant.ID, slot lineage.Slot) (harm observe.Harm) {
	d, dir := o.world.Disk(id), slotDir(t, slot)
	if d.Wipes() > 0 {
		harm |= observe.Wiped
	}
	if o.damage.terms {
		harm |= observe.Injected
	}
	for _, f := range d.Failures() {
		switch concerns := strings.HasPrefix(f.Path, dir) || strings.HasPrefix(dir, f.Path); {
		case concerns && (f.Kind == disk.SyncFault || f.Kind == disk.SpaceFault):
			harm |= observe.SyncFailed
		case concerns:
			harm |= observe.WriteFailed
		}
	}
	for _, r := range o.damage.rotted {
		if r.node == id && strings.HasPrefix(r.path, dir+"/") {
			harm |= observe.Rotted
		}
	}
	return harm
}

// noteOpening notes a fault point of a log that is opened.
func (o *observer) noteOpening(id env.ID, p env.Point, key env.Key) {
	t, slot := tenant.ID(key.A), lineage.Slot(key.Kind)
	switch p {
	case fault.RecoveryReading:
		x := o.openingOf(id, t, slot)
		if i := o.opens(id, t, slot); i >= 0 {
			o.damage.opening[i] = x
		} else {
			o.damage.opening = append(o.damage.opening, x)
		}
	case fault.SlotCreating:
		began := o.openingOf(id, t, slot)
		began.Outcome = observe.BeganEmpty
		o.run.Openings.Opened(began)
		w := o.writesOf(id, t, slot)
		w.letGo, w.cutting, w.begun, w.renewed = false, false, o.world.Time(), o.world.Time()
	case fault.RecoverySyncing:
		if i := o.opens(id, t, slot); i >= 0 {
			ended := o.damage.opening[i]
			ended.Outcome, ended.End, ended.At = observe.FoundEnd, lineage.Seq(key.B), o.world.Time()
			if ended.Kept, _ = o.held(id, t, slot); o.harmTo(id, t, slot)&observe.Rotted != 0 {
				ended.Kept = ended.End // it may have rotted since it was read
			}
			o.run.Openings.Opened(ended)
			o.damage.opening = slices.Delete(o.damage.opening, i, i+1)
		}
	case fault.SlotRefetching:
		w := o.writesOf(id, t, slot)
		w.cutting, w.renewed = false, o.world.Time() // a cut that was under way has failed, and the log with it
		o.refetches(id, t, slot)
	case fault.LogCutting:
		o.writesOf(id, t, slot).cutting = true
	case fault.LogCut:
		o.writesOf(id, t, slot).cutting = false
		if held, _ := o.held(id, t, slot); held > lineage.Seq(key.B) {
			o.run.Openings.Hazard(observe.Hazard{
				Process: o.process(id), Deed: observe.CutLeft, Tenant: t, Slot: slot, Seq: lineage.Seq(key.B), Last: held, At: o.world.Time(),
			})
		}
	}
}

// opensSlot notes that a node is about to look for the files of a log.
func (o *observer) opensSlot(id env.ID, path string) {
	t, slot, _, ok := wal.SlotOfPath(path + "/")
	if ok && o.opens(id, t, slot) < 0 {
		o.damage.opening = append(o.damage.opening, o.openingOf(id, t, slot))
	}
}

// opens returns where in opening a log is, or -1.
func (o *observer) opens(id env.ID, t tenant.ID, slot lineage.Slot) int {
	return slices.IndexFunc(o.damage.opening, func(x observe.Opening) bool {
		return x.Node == uint32(id) && x.Tenant == t && x.Slot == slot
	})
}

// openingOf describes the files of a log that a node is about to read or to begin.
func (o *observer) openingOf(id env.ID, t tenant.ID, slot lineage.Slot) observe.Opening {
	w := o.writesOf(id, t, slot)
	x := observe.Opening{
		Process: o.process(id), Tenant: t, Slot: slot, At: o.world.Time(), Harm: o.harmTo(id, t, slot),
		Manifest: o.world.Disk(id).Content(slotDir(t, slot)+"/"+wal.ManifestName) != nil,
	}
	x.Held, x.Other = o.held(id, t, slot)
	if w.refetching {
		x.Harm |= observe.Replaced
	}
	if !w.refetching && !w.letGo { // else the records there were to go
		x.Durable = w.durable
	} else {
		x.Other = 0
	}
	return x
}

// held returns the last record that the files of a log hold: from the newest snapshot on, each
// record that continues the one before it. other is the first of them that differs from the known
// durable record in its place, 0 if none does.
func (o *observer) held(id env.ID, t tenant.ID, slot lineage.Slot) (last, other lineage.Seq) {
	w := o.writesOf(id, t, slot)
	_, last = o.walk(id, t, slot, func(p place) {
		if known, seen := w.chainAt(p.seq); seen && known != p.chain && p.seq <= w.durable && other == 0 {
			other = p.seq
		}
	})
	return last, other
}

// walk follows the records that the files of a log hold, in order. It returns where the first of
// them begins, or where the snapshot ends that has all of them, and the last record that the files
// hold.
func (o *observer) walk(id env.ID, t tenant.ID, slot lineage.Slot, each func(place)) (from lineage.Position, last lineage.Seq) {
	d, dir := o.world.Disk(id), slotDir(t, slot)+"/"
	var base lineage.Position
	o.names = d.AppendList(o.names[:0], dir)
	if path := newestSnapshot(o.names, dir); path != "" {
		_, at, _, err := wal.DecodeSnapshot(d.Content(path))
		if err != nil {
			return base, 0
		}
		base = at
	}
	segments := o.segments[:0]
	for _, name := range o.names {
		if _, first, ok := wal.ParseSegmentName(name); ok {
			segments = append(segments, segmentFile{first, dir + name})
		}
	}
	o.segments = segments
	slices.SortFunc(segments, func(a, b segmentFile) int { return cmp.Compare(a.first, b.first) })
	for len(segments) > 1 && segments[1].first <= base.Seq+1 {
		segments = segments[1:]
	}
	from = base
	at := base
	for i, s := range segments {
		h, err := wal.DecodeHeader(d.Content(s.path))
		switch {
		case err != nil || h.Tenant != t || h.Slot != slot || h.First != s.first || s.first > at.Seq+1: // old blocks, or torn
			return from, max(base.Seq, at.Seq)
		case i == 0 && s.first <= base.Seq:
			at = lineage.Position{Seq: s.first - 1, Chain: h.Before}
			from = at
		case h.Before != at.Chain:
			return from, max(base.Seq, at.Seq)
		}
		whole := false
		if at, whole = walkSegment(s.path, &h.Identity, d.Content(s.path), at, each); !whole {
			break
		}
	}
	return from, max(base.Seq, at.Seq)
}

// walkSegment follows the records of a segment of a log, and reports whether it is whole.
func walkSegment(path string, of *wal.Identity, data []byte, at lineage.Position, each func(place)) (lineage.Position, bool) {
	var rec record.Record
	for begin := int64(wal.HeaderSize); begin < int64(len(data)); {
		size, _, chain, err := wal.DecodeFrame(data[begin:], &rec)
		if err != nil || rec.Tenant != of.Tenant || rec.Slot != of.Slot || rec.Seq != at.Seq+1 || rec.Prev != at.Chain {
			return at, false
		}
		end := begin + int64(size)
		each(place{seq: rec.Seq, epoch: rec.Epoch, chain: chain, path: path, from: begin, to: end})
		at, begin = lineage.Position{Seq: rec.Seq, Chain: chain}, end
	}
	return at, true
}

// bootDamage forgets the unfinished work of a process that has died.
func (o *observer) bootDamage(id env.ID) {
	o.damage.opening = slices.DeleteFunc(o.damage.opening, func(x observe.Opening) bool { return x.Node == uint32(id) })
	for i := range o.writes.All() {
		if w := &o.writes.All()[i]; w.node == id {
			w.cutting = false
		}
	}
}

// recoveries looks at the logs that are being opened, when a Step has ended: a recovery that stops
// passes no fault point.
func (r *Runner) recoveries() {
	v := &r.observer.damage
	for i := 0; i < len(v.opening); i++ {
		x := &v.opening[i]
		n := r.node(int(x.Node))
		if n == nil {
			continue
		}
		phase, failure := n.Phase(x.Tenant, x.Slot)
		switch {
		case phase == replica.Making || phase == replica.Creating || phase == replica.Reading || phase == replica.Repairing:
			continue
		case phase == replica.Stopped && !errors.Is(failure, replica.ErrDropped):
			x.Outcome, x.Text, x.At = observe.NotOpened, failure.Error(), r.world.Time()
			x.Harm |= r.observer.harmTo(env.ID(x.Node), x.Tenant, x.Slot) // also the later injuries
			if errors.Is(failure, wal.ErrCorrupt) {
				x.Outcome = observe.FoundCorrupt
			}
			r.run.Openings.Opened(*x)
		}
		v.opening = slices.Delete(v.opening, i, i+1)
		i--
	}
}

// claimed looks whether the records that a frame or a header calls durable are on the platter.
func (o *observer) claimed(id env.ID, t tenant.ID, slot lineage.Slot, synced lineage.Seq, path string) {
	w := o.writesOf(id, t, slot)
	o.run.Openings.Claims++
	if synced > w.durable && o.missing(id, w, synced) != "" {
		o.run.Openings.Hazard(observe.Hazard{
			Process: o.process(id), Deed: observe.ClaimedEarly, Tenant: t, Slot: slot, Seq: synced, Last: w.durable, At: o.world.Time(), Path: path,
		})
	}
}

// removes looks whether a file of a log may go.
func (o *observer) removes(id env.ID, path string) {
	t, slot, name, ok := wal.SlotOfPath(path)
	if !ok {
		return
	}
	w := o.writesOf(id, t, slot)
	if w.refetching || w.letGo || o.mayLetGo(id, w) {
		return
	}
	d, dir := o.world.Disk(id), dirOf(path)
	h := observe.Hazard{Process: o.process(id), Deed: observe.RemovedUncovered, Tenant: t, Slot: slot, At: o.world.Time(), Path: path}
	if seq, is := wal.ParseSnapshotName(name); is {
		h.Seq = seq
	} else if _, first, is := wal.ParseSegmentName(name); is {
		h.Seq = w.lastDurableIn(path)
		o.cuts(w, id, first, path)
	}
	o.run.Openings.Claims++
	if h.Seq == 0 {
		return
	}
	o.names = d.AppendList(o.names[:0], dir)
	if h.Last = coveredWithout(d, o.names, dir, path); h.Last < h.Seq {
		o.run.Openings.Hazard(h)
	}
}

// coveredWithout returns the last record that the durable snapshots of a log cover, but for one
// file.
func coveredWithout(d *disk.Disk, names []string, dir, path string) (covered lineage.Seq) {
	for _, name := range names {
		seq, ok := wal.ParseSnapshotName(name)
		if !ok || seq <= covered || name == path[len(dir):] {
			continue
		}
		if isDurable(d, dir+name) {
			covered = seq
		}
	}
	return covered
}

// lastDurableIn returns the last record that is known to be durable in a file, 0 if there
// is none.
func (w *slotWrites) lastDurableIn(path string) (last lineage.Seq) {
	for i := range w.places {
		if p := &w.places[i]; p.path == path && p.seq <= w.durable {
			last = p.seq
		}
	}
	return last
}

// cuts looks whether a segment goes amid a cut before a later one is durably gone: a power
// failure would leave a hole.
func (o *observer) cuts(w *slotWrites, id env.ID, first lineage.Seq, path string) {
	if !w.cutting {
		return
	}
	d := o.world.Disk(id)
	for i := range o.files[id].All() {
		f := &o.files[id].All()[i]
		t, slot, name, ok := wal.SlotOfPath(f.path)
		if !ok || t != w.tenant || slot != w.slot {
			continue
		}
		if _, later, _ := wal.ParseSegmentName(name); later > first && d.Platter(f.path) != nil {
			o.run.Openings.Hazard(observe.Hazard{
				Process: o.process(id), Deed: observe.CutUnordered, Tenant: t, Slot: slot, Last: later, At: o.world.Time(), Path: path,
			})
			return
		}
	}
}

// mayLetGo reports whether a node received the order to give up a replica, and notes it: a
// configuration without the node came after the log was begun there.
func (o *observer) mayLetGo(id env.ID, w *slotWrites) bool {
	shard := o.groups.shardOf(w.tenant, w.slot)
	for i := range o.run.Configurations.List {
		if c := &o.run.Configurations.List[i]; c.Shard == shard && c.At >= w.begun && !slices.Contains(c.Replicas, uint32(id)) {
			w.letGo = true
		}
	}
	// The coordinator itself lets go before it has announced the change.
	plane, _ := o.groups.plane()
	if s := plane.Shard(shard); s != nil && !slices.Contains(s.Replicas, id) {
		w.letGo = true
	}
	return w.letGo
}

// letsGo notes that a node is about to give up all logs of a tenant.
func (o *observer) letsGo(id env.ID, path string) {
	t, ok := wal.TenantOfPath(path)
	if !ok || path != wal.WALDir(t) {
		return
	}
	for i := range o.writes.All() {
		if w := &o.writes.All()[i]; w.node == id && w.tenant == t {
			w.letGo = true
		}
	}
}

// excludes looks whether a replica that is to be excluded from a slot has a reason.
func (o *observer) excludes(c *control.Command) {
	if c.Kind != control.Exclude {
		return
	}
	if o.harmTo(c.Member.Node, c.Tenant, c.Slot) != 0 {
		// No leader counts its records, even if it has them. A request that is repeated after it was
		// decided says nothing of the log, which may have been fetched anew since.
		plane, _ := o.groups.plane()
		s := plane.Shard(c.Shard)
		if k := o.run.Health.TrackOf(uint32(c.Member.Node), c.Tenant, c.Slot); k != nil && s != nil && s.Version == c.Version {
			k.Persist(0, o.world.Time())
		}
		return
	}
	o.run.Openings.Hazard(observe.Hazard{
		Process: processOfMember(c.Member), Deed: observe.ExcludedUnhurt, Tenant: c.Tenant, Slot: c.Slot, At: o.world.Time(),
	})
}
