package scenarios

import (
	"math"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// The observer of figures notes the truth about the figures that nodes report: from bytes, keys and
// instants, and the decisions from the meta log. The reports themselves are in told.go.

// healthView is the state of that observer.
type healthView struct {
	since     []int64 // by process: when its present incarnation began, true time
	sights    []sight // by receiving node, then by heard node
	confirmed keyed.List[confirmed]
	rounds    keyed.List[round]  // by shard and leader
	snapshots []keyed.List[file] // by node, and then by path
	left      []file             // some of them are forgotten
	noted     uint64             // the last entry of the meta log with noted decisions
	changes   []control.Change
}

// sight is the last heartbeat of a node that reached another one.
type sight struct {
	life env.Incarnation
	at   int64 // true time, ns; 0: none in the present incarnation of the receiving node
}

// confirmed is when a node's confirmation reached the leader of a shard.
type confirmed struct {
	epoch lineage.ShardEpoch
	at    int64 // true time, ns
	asked int64 // when the last round that it confirmed in time was asked for first; 0: none
}

// round is the last round of confirmations that a leader asked for, and when it did so first.
type round struct {
	number peer.Round
	at     int64 // true time, ns
}

func (h *healthView) reset(nodes, processes int) {
	*h = healthView{
		since: append(h.since[:0], make([]int64, processes)...), sights: append(h.sights[:0], make([]sight, nodes*nodes)...),
		confirmed: h.confirmed, rounds: h.rounds, snapshots: h.snapshots, left: h.left, changes: h.changes[:0],
	}
	h.confirmed.Reset()
	h.rounds.Reset()
	for len(h.snapshots) < nodes {
		h.snapshots = append(h.snapshots, keyed.List[file]{})
	}
}

// hitHealth notes a fault point of a node's figures.
func (o *observer) hitHealth(id env.ID, p env.Point, key env.Key, local env.Time) {
	h, now := &o.run.Health, o.world.Time()
	seq := lineage.Seq(key.B)
	switch p {
	case fault.RecordAppended, fault.ChangeAppended:
		o.trackOf(id, key).Append(seq, now)
	case fault.BatchDurable, fault.SlotFollowing:
		o.trackOf(id, key).Persist(seq, now)
	case fault.RecoverySyncing:
		o.trackOf(id, key).Persist(seq, now)
		o.takeStock(id, tenant.ID(key.A), lineage.Slot(key.Kind))
	case fault.LogCutting:
		k := o.trackOf(id, key)
		_, durable := observe.Within(k.Durable, now, now)
		k.Persist(min(seq, durable), now)
	case fault.SlotCreating:
		o.trackOf(id, key).Create(now)
	case fault.SlotRefetching:
		o.trackOf(id, key).Persist(0, now)
	case fault.SlotLeading:
		o.trackOf(id, key).Lead(lineage.ShardEpoch(key.Attempt), seq, now)
	case fault.SlotServing:
		o.trackOf(id, key).Serve(now)
	case fault.QuotaRefused:
		o.trackOf(id, key).Refuse(uint8(key.B), now)
	case fault.ReportMaking:
		o.reports(h.AddReport(o.process(id), key.B, now, int64(local)), id)
	case fault.MetaLeading:
		h.LedBy(uint32(id))
	case fault.TenantRemoving:
		o.letGo(id, tenant.ID(key.A))
	}
}

// trackOf returns the track of the log that the key of a fault point names.
func (o *observer) trackOf(id env.ID, key env.Key) *observe.Track {
	t, slot := tenant.ID(key.A), lineage.Slot(key.Kind)
	if k := o.run.Health.TrackOf(uint32(id), t, slot); k != nil {
		return k
	}
	return o.run.Health.Track(uint32(id), t, slot, o.groups.shardOf(t, slot))
}

// bootHealth notes that a process has forgotten the heartbeats that it received, and that its disk
// has lost unsynced bytes.
func (o *observer) bootHealth(id env.ID) {
	h := &o.health
	h.since[id] = o.world.Time()
	if !o.isNode(id) {
		return
	}
	clear(h.sights[int(id)*o.nodes : (int(id)+1)*o.nodes])
	h.snapshots[id].Reset()
	if o.world.Disk(id).Content("node") == nil {
		for i := range o.run.Health.Tracks.All() {
			if k := &o.run.Health.Tracks.All()[i]; k.Node == uint32(id) {
				k.Persist(0, o.world.Time())
			}
		}
	}
}

// takeStock notes the files of a log as a recovery has left them.
func (o *observer) takeStock(id env.ID, t tenant.ID, slot lineage.Slot) {
	dir := wal.Identity{Tenant: t, Slot: slot, Placement: 1}.Dir() + "/"
	for _, name := range o.world.Disk(id).List(dir) {
		if isSegment(name) {
			o.fileOf(id, dir+name).gone = false
		} else if _, ok := wal.ParseSnapshotName(name); ok {
			o.hasSnapshot(id, dir+name, o.world.Disk(id).Size(dir+name))
		}
	}
}

// hasSnapshot notes that a snapshot has its name.
func (o *observer) hasSnapshot(id env.ID, path string, size int64) {
	snapshots, key := &o.health.snapshots[id], fileKey(path)
	if f := snapshots.Find(key); f != nil {
		f.size, f.gone, f.placed = size, false, o.placedOn(id, f.shard)
		return
	}
	*snapshots.Add(key) = o.newFile(id, path, size)
}

// newFile returns the entry of a file of a log.
func (o *observer) newFile(id env.ID, path string, size int64) file {
	f := file{path: path, size: size}
	if t, slot, _, ok := wal.SlotOfPath(path); ok {
		f.tenant, f.slot, f.shard = t, slot, o.groups.shardOf(t, slot)
		f.placed = o.placedOn(id, f.shard)
	}
	return f
}

// placedOn returns the entry that placed a shard on a node, as far as the node knows; 0 if it
// knows of none.
func (o *observer) placedOn(id env.ID, shard lineage.Shard) uint64 {
	if !o.isNode(id) || o.groups.lives[id] == nil {
		return 0
	}
	return o.groups.lives[id].Placed(shard)
}

// placedBy returns the entry that placed a shard on a node; 0 if the shard is not there.
func placedBy(plane *control.Plane, shard lineage.Shard, node env.ID) uint64 {
	if s := plane.Shard(shard); s != nil {
		if i := slices.Index(s.Replicas, node); i >= 0 {
			return s.Since[i]
		}
	}
	return 0
}

// changesFiles notes a file of a log that is made, named or removed.
func (o *observer) changesFiles(id env.ID, op *env.Op, path string) {
	switch op.Kind {
	case env.OpCreate:
		if isSegment(path) {
			o.rotates(id, path)
		}
	case env.OpRename:
		_, _, name, ok := wal.SlotOfPath(op.To)
		if _, is := wal.ParseSnapshotName(name); ok && is {
			o.hasSnapshot(id, op.To, o.world.Disk(id).Size(path))
		}
	case env.OpRemove:
		if isSegment(path) {
			o.fileOf(id, path).gone = true
			return
		}
		if f := o.health.snapshots[id].Find(fileKey(path)); f != nil {
			f.gone = true
		}
	}
}

// rotates notes a segment that is made. No operation on the one before it is running. If the disk
// had no room, that segment is shorter than the bytes that were on their way.
func (o *observer) rotates(id env.ID, path string) {
	made := o.fileOf(id, path)
	made.gone, made.placed = false, o.placedOn(id, made.shard)
	files := o.files[id].All()
	for i := len(files) - 1; i >= 0; i-- {
		if f := &files[i]; f != made && f.tenant == made.tenant && f.slot == made.slot && !f.gone {
			f.size = max(0, o.world.Disk(id).Size(f.path))
			return
		}
	}
}

// refetches forgets the files of a log that the node asked for and the disk never made, when
// the node is about to replace the log.
func (o *observer) refetches(id env.ID, t tenant.ID, slot lineage.Slot) {
	files := o.files[id].All()
	for i := range files {
		if f := &files[i]; f.tenant == t && f.slot == slot && o.world.Disk(id).Size(f.path) < 0 {
			f.gone = true
		}
	}
}

// letGo notes that a node's files of a tenant are about to be removed.
func (o *observer) letGo(id env.ID, t tenant.ID) {
	for _, files := range [...][]file{o.files[id].All(), o.health.snapshots[id].All()} {
		for i := range files {
			if f := &files[i]; f.tenant == t {
				f.gone = true
			}
		}
	}
}

// reports notes the size of a node's files when the node reports it.
func (o *observer) reports(r *observe.Report, id env.ID) {
	r.Free = uint64(max(0, o.world.Disk(id).Free()))
	plane, _ := o.groups.plane()
	gone, last, waits := 0, file{}, false
	failed := len(o.world.Disk(id).Failures()) > 0
	for kind, files := range [...][]file{o.files[id].All(), o.health.snapshots[id].All()} {
		isSnapshot := kind == 1
		for i := range files {
			f := &files[i]
			if failed && isSnapshot && o.world.Disk(id).Size(f.path) < 0 { // it did not get its name, or not yet
				continue
			}
			if f.gone {
				gone++
				continue
			}
			if last.path == "" || f.tenant != last.tenant || f.shard != last.shard {
				last, waits = *f, !holds(plane, f, id)
			}
			if c := r.Copy(f.shard); waits {
				c.Waits += uint64(f.size)
			} else {
				c.Bytes += uint64(f.size)
			}
		}
	}
	if gone > maxGone {
		o.forgetGone(id)
	}
}

// forgetGone forgets the segments of a node that nothing brings back.
func (o *observer) forgetGone(id env.ID) {
	h, files := &o.health, &o.files[id]
	h.left = append(h.left[:0], files.All()...)
	files.Reset()
	for i := range h.left {
		if f := &h.left[i]; !o.isGone(id, f) {
			*files.Add(fileKey(f.path)) = *f
		}
	}
}

// maxGone is how many files of a node are removed before some are forgotten.
const maxGone = 16

// isGone reports whether nothing brings a file back.
func (o *observer) isGone(id env.ID, f *file) bool {
	d := o.world.Disk(id)
	return f.gone && d.Size(f.path) < 0 && d.Platter(f.path) == nil
}

// holds reports whether a node is to have a file, by the last decision. A file of an earlier
// placement goes before the node makes anything for the next one.
func holds(plane *control.Plane, f *file, node env.ID) bool {
	placed := placedBy(plane, f.shard, node)
	return placed > 0 && placed == f.placed && plane.Tenant(f.tenant) != nil
}

// heardOf notes that a heartbeat of a node reaches another one.
func (o *observer) heardOf(to, from env.ID, m *peer.Heartbeat) {
	if s := &o.health.sights[int(to)*o.nodes+int(from)]; m.From >= s.life && !o.knowsLater(to, from, m.From) {
		*s = sight{m.From, o.world.Time()}
	}
}

// reportedTo notes that a node is handed the figures of another one.
func (o *observer) reportedTo(to, from env.ID, m *peer.Report) {
	by := observe.Process{Node: uint32(from), Incarnation: o.startOf(control.Member{Node: from, Incarnation: m.From})}
	o.run.Health.Delivered(o.process(to), by, uint64(m.Number), o.world.Time())
}

// knowsLater reports whether a node has applied an entry by which another node has a later
// incarnation than this one, so that a message of this incarnation comes late.
func (o *observer) knowsLater(by, of env.ID, life env.Incarnation) bool {
	n := o.groups.lives[by]
	if n == nil {
		return false
	}
	plane, _ := n.Plane()
	return plane != nil && plane.Node(of) != nil && life < plane.Node(of).Incarnation
}

// confirms notes that a node has confirmed the leader of a shard.
func (h *healthView) confirms(leader, by env.ID, m *peer.Confirmed, at int64) {
	key := confirmedKey(leader, m.Shard, by)
	c := h.confirmed.Find(key)
	if c == nil {
		c = h.confirmed.Add(key)
		*c = confirmed{}
	}
	c.epoch, c.at = max(c.epoch, m.Epoch), at
	if r := h.rounds.Find(roundKey(leader, m.Shard)); r != nil && r.number == m.Round {
		c.asked = r.at
	}
}

func roundKey(leader env.ID, shard lineage.Shard) keyed.Key {
	return keyed.Key{A: uint64(shard), B: uint64(leader)}
}

// asksFor notes that a leader asks for a round of confirmations.
func (h *healthView) asksFor(leader env.ID, shard lineage.Shard, number peer.Round, at int64) {
	k := roundKey(leader, shard)
	r := h.rounds.Find(k)
	if r == nil {
		r = h.rounds.Add(k)
		*r = round{}
	}
	if r.number != number {
		*r = round{number, at}
	}
}

func confirmedKey(leader env.ID, shard lineage.Shard, by env.ID) keyed.Key {
	return keyed.Key{A: uint64(shard), B: uint64(leader)<<32 | uint64(by)}
}

// answeredSince returns when the last round was asked for that a replica confirmed before the
// next one; 0 if there is none.
func (h *healthView) answeredSince(leader env.ID, shard lineage.Shard, by env.ID) int64 {
	if c := h.confirmed.Find(confirmedKey(leader, shard, by)); c != nil {
		return c.asked
	}
	return 0
}

// confirmedAt returns when a replica confirmed last that a node leads a shard in an epoch; 0 if it
// never did. A confirmation of a later epoch replaces it.
func (h *healthView) confirmedAt(leader env.ID, shard lineage.Shard, by env.ID, epoch lineage.ShardEpoch) int64 {
	switch c := h.confirmed.Find(confirmedKey(leader, shard, by)); {
	case c == nil:
	case c.epoch == epoch:
		return c.at
	case c.epoch > epoch:
		return math.MaxInt64
	}
	return 0
}

// decides notes the decisions since the last look.
func (o *observer) decides() {
	h, v := &o.run.Health, &o.health
	plane, _ := o.groups.plane()
	h.Reached(plane.Index(), o.world.Time())
	if plane.Index() <= v.noted {
		return
	}
	if v.noted == 0 {
		o.founds(plane)
	}
	v.changes = plane.Since(v.noted, v.changes[:0])
	for i := range v.changes {
		o.notes(&v.changes[i])
	}
	v.noted = plane.Index()
}

// founds notes the founding decisions, as far as nothing has changed since.
func (o *observer) founds(plane *control.Plane) {
	for i := range plane.Nodes() {
		if n := &plane.Nodes()[i]; n.Index <= 1 {
			o.notes(&control.Change{Index: n.Index, Node: n})
		}
	}
	for i := range plane.Shards() {
		if s := &plane.Shards()[i]; s.Index <= 1 {
			o.notes(&control.Change{Index: s.Index, Shard: s})
		}
	}
	for i := range plane.Tenants() {
		if t := &plane.Tenants()[i]; t.Index <= 1 {
			o.notes(&control.Change{Index: t.Index, Tenant: t})
		}
	}
}

// notes notes an object as it is now.
func (o *observer) notes(c *control.Change) {
	list := &o.run.Health.Decided
	var x *observe.Object
	switch {
	case c.Node != nil:
		x = observe.AddObject(list, observe.NodeObject, uint64(c.Node.ID))
		x.Numbers = append(x.Numbers, uint64(c.Node.Incarnation), number(c.Node.Draining))
	case c.Shard != nil:
		x = observe.AddObject(list, observe.ShardObject, uint64(c.Shard.ID))
		x.Numbers = shardNumbers(x.Numbers, c.Shard)
	case c.Tenant != nil:
		x = observe.AddObject(list, observe.TenantObject, uint64(c.Tenant.Config.ID))
		x.Numbers = tenantNumbers(x.Numbers, c.Tenant)
	default:
		x = observe.AddObject(list, observe.TenantObject, uint64(c.Dropped.Tenant))
		x.Gone = true
	}
	x.Index, x.At = c.Index, o.world.Time()
}

func number(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

func shardNumbers(n []uint64, s *control.Shard) []uint64 {
	n = append(n, uint64(s.Epoch), s.Version, uint64(s.Leader.Node), uint64(s.Leader.Incarnation), uint64(len(s.Excluded)), uint64(len(s.InSync)))
	for _, m := range s.InSync {
		n = append(n, uint64(m.Node), uint64(m.Incarnation))
	}
	for _, id := range s.Replicas {
		n = append(n, uint64(id))
	}
	return n
}

func tenantNumbers(n []uint64, t *control.Tenant) []uint64 {
	l := &t.Config.Limits
	n = append(n, t.Config.Version, number(t.Dropping), l.Rate, l.EffectiveBurst(), l.EffectiveEntities(), l.EffectiveBytes(), residencyNumber(t.Config.Residency))
	for i := range t.Slots {
		g := &t.Slots[i].Grant
		n = append(n, uint64(t.Shards[i]), g[quota.Rate], g[quota.Burst], g[quota.LiveEntities], g[quota.Bytes])
	}
	return n
}

// residencyNumber makes one number of the names of regions, in order.
func residencyNumber(r tenant.Residency) (n uint64) {
	const prime = 0x100000001b3
	for _, region := range r {
		for i := range len(region) {
			n = (n ^ uint64(region[i])) * prime
		}
		n = (n ^ ',') * prime
	}
	return n
}
