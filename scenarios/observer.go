package scenarios

import (
	"fmt"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim"
)

// observer is the omniscient bystander: it reads the bytes that nodes put on their disks and into
// the network, and notes them for the checkers. It trusts bytes and keys, never a node's own
// account.
type observer struct {
	world *sim.World
	run   *observe.Run
	nodes int
	story *story // nil: no story is told

	boots      []boot             // by node
	registered []registered       // likewise
	arrivals   [][recent]arrival  // by client, by frame modulo recent
	local      env.Time           // the clock of the node that refused last, when it did
	files      []keyed.List[file] // segments that were written, by node, and then by path
	writes     keyed.List[slotWrites]
	groups     *groupsView
	health     healthView // of shards that are shared
	seed       uint64     // of the draws in this file
	damage     damageView // of logs that are opened, and of their files
	looks      []look     // that are due when the Step under way has ended
	beliefs    []look     // likewise, of the logs that a leader counts
	counted    []group.Counted
	residency  residencyView
	state      []byte // of the replica looked at last
	record     record.Record
	names      []string      // of a directory that is looked at
	segments   []segmentFile // likewise
	answer     wire.Message
}

type boot struct {
	incarnation env.Incarnation
	local       env.Time
	given       env.Incarnation // that was seen to be durable in the directory
	wipes       int             // how often the disk had been lost until then
}

// file is how long a segment is once everything submitted to it is done.
type file struct {
	path string
	size int64
	// Of a log that is shared: its tenant, slot and shard, and whether it is being removed.
	tenant tenant.ID
	slot   lineage.Slot
	shard  lineage.Shard
	gone   bool
	placed uint64 // the entry that had placed the shard on the node, as the node knew it when the file was made; 0: none
}

// slotWrites is where the records of a slot were put.
//
// Invariant: places ascends in seq, and holds no record that a recovery did not find.
type slotWrites struct {
	node     env.ID
	tenant   tenant.ID
	slot     lineage.Slot
	places   []place
	batch    uint32
	durable  lineage.Seq // records up to here were seen to be durable
	passed   int         // so many places, from the front, are of records up to durable
	snapshot string      // newest one with a final name, "" if none
	covers   lineage.Seq // the last record that it covers

	// If others share the slot: the node's clock when its last record came, and the durable end of
	// the log when each earlier incarnation ended, whatever became of the disk since.
	received env.Time
	deaths   []death // the last of them, oldest first
	// refetching: its files are being replaced by those of another replica.
	refetching bool
	// lost: the disk was lost, and the log has not been begun anew.
	lost bool
	// The durable records of the disk that was lost last, beyond those that had been announced
	// then, and the node's incarnation at the loss.
	gone   []lineage.Position
	goneIn env.Incarnation
	// cutting: its end is being cut. letGo: the node gives it up.
	cutting, letGo bool
	// reborn: the process has started since the last record was written, and has not announced the
	// end of its log.
	reborn bool
	begun  int64 // when it was begun, true time, ns
	// renewed: when it was begun or fetched anew, and the rotted files were gone.
	renewed int64

	acks     acknowledged
	believed believed
}

// death is the durable end of a log when an incarnation of its node ended.
type death struct {
	in  env.Incarnation
	had lineage.Seq
}

// maxDeaths is how many deaths of a node are remembered: a set may name an incarnation for as long
// as its leader has not heard of the next ones.
const maxDeaths = 4

func (w *slotWrites) dies(d death) {
	if len(w.deaths) == maxDeaths {
		w.deaths = slices.Delete(w.deaths, 0, 1)
	}
	w.deaths = append(w.deaths, d)
}

// hadThen reports whether an earlier incarnation of the node had a record when it ended.
func (w *slotWrites) hadThen(in env.Incarnation, seq lineage.Seq) bool {
	return slices.ContainsFunc(w.deaths, func(d death) bool { return d.in == in && d.had >= seq })
}

// place is where one record stands. Records of one batch stand side by side.
type place struct {
	seq      lineage.Seq
	epoch    lineage.ShardEpoch
	chain    lineage.Chain
	batch    uint32
	path     string
	from, to int64
}

func (o *observer) reset(world *sim.World, run *observe.Run, nodes, processes int, story *story, groups *groupsView) {
	o.health.reset(nodes, processes)
	*o = observer{
		groups: groups, health: o.health,
		world: world, run: run, nodes: nodes, story: story, boots: append(o.boots[:0], make([]boot, processes)...),
		registered: append(o.registered[:0], make([]registered, nodes)...),
		arrivals:   o.arrivals[:0], files: o.files, writes: o.writes, names: o.names[:0], segments: o.segments[:0],
		looks: o.looks[:0], beliefs: o.beliefs[:0], counted: o.counted[:0], state: o.state, damage: o.damage,
	}
	for len(o.files) < nodes {
		o.files = append(o.files, keyed.List[file]{})
	}
	o.writes.Reset()
}

func (o *observer) isNode(id env.ID) bool { return int(id) < o.nodes }

// memberOf returns a node in its present incarnation, or, while it is down or has not started yet,
// in its last one.
func (o *observer) memberOf(id env.ID) control.Member {
	if !o.isNode(id) || o.groups.lives[id] == nil {
		return control.Member{Node: id}
	}
	return o.groups.lives[id].Member()
}

// Booted implements sim.Observer.
func (o *observer) Booted(id env.ID, incarnation env.Incarnation, local env.Time) {
	for i := range o.writes.All() {
		if w := &o.writes.All()[i]; w.node == id {
			w.received, w.reborn = local, true
			w.dies(death{o.memberOf(id).Incarnation, w.durable})
		}
	}
	if o.isNode(id) {
		o.groups.starts = append(o.groups.starts, start{o.memberOf(id), uint64(o.boots[id].incarnation), o.boots[id].wipes})
	}
	lost := o.world.Disk(id).Wipes() > o.boots[id].wipes
	o.boots[id] = boot{incarnation, local, 0, o.world.Disk(id).Wipes()}
	o.emptied(id, lost)
	if lost && o.isNode(id) {
		o.copied(id)
	}
	o.bootDamage(id)
	if o.isNode(id) {
		o.looksAtRest(id)
	}
	if o.isNode(id) { // the files after a crash are looked up anew
		o.files[id].Reset()
	}
	o.bootHealth(id)
}

// startsAt notes the clock of a process in its first Step, from which on its buckets go on: it may
// have been paused since it was started.
func (o *observer) startsAt(id env.ID, local env.Time) {
	o.boots[id].local = local
	for i := range o.writes.All() {
		if w := &o.writes.All()[i]; w.node == id && w.reborn {
			w.received = local
		}
	}
}

// Hit implements sim.Observer. The key of a slot's points is {slot, tenant, seq}.
func (o *observer) Hit(id env.ID, p env.Point, key env.Key, local env.Time) {
	t, slot, seq := tenant.ID(key.A), lineage.Slot(key.Kind), lineage.Seq(key.B)
	if p == fault.NodeStarted {
		o.startsAt(id, local)
	}
	b := o.boots[id]
	if o.story != nil {
		o.story.hit(id, p, key)
	}
	o.lookAt(id, p, key)
	o.reckonsAt(id, p, key)
	o.noteOpening(id, p, key)
	if o.hitGroup(id, p, key, local) {
		return
	}
	switch p {
	case fault.RecordAppended:
		o.run.Admitted(t, slot, seq, o.world.Time(), int64(local), uint64(b.incarnation))
	case fault.ChangeAdmitted:
		o.run.Taken(t, slot, o.world.Time(), int64(local), uint64(b.incarnation))
	case fault.ChangeAppended:
		o.run.Placed(t, slot, seq)
	case fault.QuotaRefused: // its key names the resource
		o.local = local
		if quota.Resource(key.B) == quota.SignalsPerSecond {
			o.run.Refused(t, slot, o.world.Time(), int64(local), uint64(b.incarnation))
		}
	case fault.RecoverySyncing:
		o.recovered(id, t, slot, seq)
		o.run.Recovered(t, slot, seq, o.world.Time(), int64(b.local), uint64(b.incarnation))
	}
}

// Submitted implements sim.Observer.
func (o *observer) Submitted(id env.ID, op *env.Op, path string) {
	ofPath, hasPath := wal.TenantOfPath(path)
	ofKey, hasKey := tenant.ID(op.Key.A), tenant.ID(op.Key.A) != tenant.Reserved
	if o.story != nil {
		o.story.submitted(id, op, path)
	}
	if op.Kind != env.OpClose || path != "" { // a handle that is not bound is no file's
		o.run.Islands.Touched(path, ofPath, hasPath, ofKey, hasKey, o.world.Time())
	}
	o.noteResidency()
	if hasPath {
		o.run.Residency.Touched(ofPath, uint32(id), path, o.world.Time())
	}
	o.changesFiles(id, op, path)
	if isMeta(path) {
		o.groups.metaAsked[id] = o.world.Time()
	}
	switch op.Kind {
	case env.OpCreate:
		if isSegment(path) {
			o.fileOf(id, path).size = 0
		}
	case env.OpAppend:
		if isSegment(path) {
			o.appended(id, path, op.Data)
		} else {
			o.snapshotWritten(id, path, op.Data)
		}
	case env.OpTruncate:
		if isSegment(path) {
			o.fileOf(id, path).size = op.Length
		}
	case env.OpRename:
		o.renamed(id, op.To)
		o.letsGo(id, op.Path)
	case env.OpRemove:
		o.removes(id, path)
	case env.OpMkdir:
		o.opensSlot(id, path)
	}
}

func isSegment(path string) bool {
	const suffix = ".seg"
	return len(path) > len(suffix) && path[len(path)-len(suffix):] == suffix
}

// fileKey names a file among those of its node.
func fileKey(path string) keyed.Key { return keyed.Key{A: xxh3.HashString(path)} }

// fileOf returns the entry of a segment. At its first use in an incarnation
// nothing is in flight to it, so the disk knows its size.
func (o *observer) fileOf(id env.ID, path string) *file {
	files, key := &o.files[id], fileKey(path)
	f := files.Find(key)
	if f == nil {
		f = files.Add(key)
		*f = o.newFile(id, path, max(0, o.world.Disk(id).Size(path)))
	}
	if f.path != path { // asking for it as an assertion would cost memory every time
		assert.Fail("%s and %s have one hash", f.path, path)
	}
	return f
}

// appended notes the records in bytes on their way to a segment.
func (o *observer) appended(id env.ID, path string, data []byte) {
	f := o.fileOf(id, path)
	from := f.size
	f.size += int64(len(data))
	if wal.IsHeader(data) {
		if h, err := wal.DecodeHeader(data); err == nil {
			o.claimed(id, h.Tenant, h.Slot, h.Synced, path)
		}
		return
	}
	r := &o.record
	for first := true; len(data) > 0; first = false {
		size, synced, chain, err := wal.DecodeFrame(data, r)
		if err != nil {
			return // not a frame; the record in it will be missing
		}
		data = data[size:]
		o.claimed(id, r.Tenant, r.Slot, synced, path)
		o.run.AppendedBy(o.leads(id, r.Tenant, r.Slot), r, chain, o.world.Time(), uint64(o.boots[id].incarnation))
		o.run.Copies.Wrote(uint32(id), r, chain, o.world.Time())
		if r.Kind == record.Config {
			o.groups.grantWritten(r, chain)
		}
		w := o.writesOf(id, r.Tenant, r.Slot)
		if first {
			w.batch++
			switch again := w.forgetFrom(r.Seq); again.path { // there was no room for it before
			case "":
			case path:
				f.size -= from - again.from
				from = again.from
			default: // it is in the next segment now
				o.fileOf(id, again.path).size = again.from
				f = o.fileOf(id, path)
			}
		}
		n := len(w.places)
		w.places = slices.Grow(w.places, 1)[:n+1]
		p := &w.places[n]
		p.seq, p.epoch, p.chain, p.batch, p.path, p.from, p.to = r.Seq, r.Epoch, chain, w.batch, path, from, from+int64(size)
		from += int64(size)
	}
}

// recovered forgets the places of records that a recovery did not find.
func (o *observer) recovered(id env.ID, t tenant.ID, slot lineage.Slot, tail lineage.Seq) {
	w := o.writesOf(id, t, slot)
	w.forgetFrom(tail + 1)
	w.durable, w.reborn = min(w.durable, tail), false
}

// forgetFrom forgets the places of records from seq on, and returns the first of
// them; the zero place if there is none.
func (w *slotWrites) forgetFrom(seq lineage.Seq) (first place) {
	for len(w.places) > 0 && w.places[len(w.places)-1].seq >= seq {
		first = w.places[len(w.places)-1]
		w.places = w.places[:len(w.places)-1]
	}
	w.passed = min(w.passed, len(w.places))
	return first
}

func (o *observer) writesOf(id env.ID, t tenant.ID, slot lineage.Slot) *slotWrites {
	key := keyed.Key{A: uint64(t), B: uint64(id)<<32 | uint64(slot)}
	if w := o.writes.Find(key); w != nil {
		return w
	}
	w := o.writes.Add(key)
	*w = slotWrites{node: id, tenant: t, slot: slot, places: w.places[:0], gone: w.gone[:0], deaths: w.deaths[:0], received: o.boots[id].local}
	return w
}

// renamed notes a snapshot that gets its name.
func (o *observer) renamed(id env.ID, to string) {
	t, slot, file, ok := wal.SlotOfPath(to)
	if !ok {
		return
	}
	if seq, ok := wal.ParseSnapshotName(file); ok {
		w := o.writesOf(id, t, slot)
		o.trustSnapshot(id, w)
		w.snapshot, w.covers = to, seq
	}
}

// trustSnapshot takes the records that a durable snapshot covers for durable: the segments with
// these records may be gone.
func (o *observer) trustSnapshot(id env.ID, w *slotWrites) {
	disk := o.world.Disk(id)
	if w.snapshot == "" || w.covers <= w.durable {
		return
	}
	// The snapshot may be renamed, and a power failure would bring back a file that the node does
	// not see.
	if size := disk.Size(w.snapshot); size >= 0 && disk.Durable(w.snapshot, 0, size) {
		w.durable = w.covers
	}
}

// Sent implements sim.Observer.
func (o *observer) Sent(from, to env.ID, _ env.Key, payload []byte) {
	if o.story != nil {
		o.story.sent(from, to, payload)
	}
	o.noteResidency()
	if peer.Is(payload) {
		o.said(from, to, payload)
		return
	}
	kind := wire.KindOf(payload)
	if kind == wire.Control && !o.isNode(from) {
		o.asksForDrain(from, payload)
	}
	if !o.isNode(from) || kind != wire.Ack && kind != wire.State && kind != wire.Refusal && kind != wire.Done || wire.Decode(payload, &o.answer) != nil {
		return
	}
	switch m := &o.answer; {
	case kind == wire.State:
		o.answers(from, to, m)
		l := o.groups.leader(m.Tenant, m.Slot)
		l.told = max(l.told, m.Seq)
		o.tellsOf(from, m.Tenant, m.Slot, m.Seq, observe.AtRead)
		o.tellsToken(from, m)
		if o.run.Residency.Limited() {
			o.run.Residency.Reached(observe.Answered, m.Tenant, m.Slot, uint32(to), uint32(from), "a state", o.world.Time())
		}
	case kind == wire.Ack:
		o.ackedByAll(from, m)
		o.tellsToken(from, m)
		o.leadsOn(from, m)
	case m.Code == wire.Moved || m.Code == wire.NotServing:
		o.denies(from, m)
	case kind == wire.Done:
		o.drainAnswered(from, to, m.Request)
	case m.Code == wire.QuotaExceeded && o.sequences(from, m):
		o.refused(from, to, m)
	}
}

// tellsToken notes the token that an answer carries.
func (o *observer) tellsToken(from env.ID, m *wire.Message) {
	t := o.run.Tokens.Told()
	t.Tenant, t.Slot, t.Seq, t.Epoch, t.Node, t.At = m.Tenant, m.Slot, m.Seq, m.Epoch, uint32(from), o.world.Time()
	if m.Kind == wire.Ack {
		t.Op = operationOf(m)
	}
}

func operationOf(m *wire.Message) signal.Operation {
	return signal.Operation{Session: m.Session, Request: m.Request}
}

// Received implements sim.Observer.
func (o *observer) Received(to, from env.ID, payload []byte, since int64) {
	if !o.isNode(to) {
		return
	}
	o.receivedBy(to, from, payload)
	if frame, ok := wire.FrameOf(payload); ok {
		for int(from) >= len(o.arrivals) {
			o.arrivals = append(o.arrivals, [recent]arrival{})
		}
		if a := &o.arrivals[from][frame%recent]; a.frame != frame { // a copy does not count
			*a = arrival{frame: frame, since: since}
			if wire.KindOf(payload) == wire.Query {
				o.asked(to, a, payload)
			}
		}
	}
}

// asked notes a linearizable read that has reached its node.
func (o *observer) asked(to env.ID, a *arrival, payload []byte) {
	if m := &o.answer; wire.Decode(payload, m) == nil && m.Level == wire.Linearizable {
		a.reads, a.node, a.told = true, to, o.groups.leader(m.Tenant, m.Slot).told
	}
}

// answers looks at a state that answers a read.
func (o *observer) answers(from, to env.ID, m *wire.Message) {
	if int(to) >= len(o.arrivals) {
		return
	}
	if a := &o.arrivals[to][m.Frame%recent]; a.frame == m.Frame && a.reads && a.node == from {
		o.run.ReadIndex.Answered(observe.OldRead{
			Tenant: m.Tenant, Slot: m.Slot, Node: uint32(from), Seq: m.Seq, Told: a.told, Came: a.since, At: o.world.Time(),
		})
	}
}

// recent is how many frames of one client are remembered: more than a client has
// under way.
const recent = 256

// arrival is when a frame of a client reached a node's input queue.
type arrival struct {
	frame uint64
	since int64 // true time, ns
	// Of a linearizable read of a replica group: the node that it reached, and the last record of
	// its slot that any node had announced then.
	reads bool
	node  env.ID
	told  lineage.Seq
}

// refused notes how long a refusal for a quota took, pauses of the node left out, and the figures
// of a refusal for a cap, in the Step that hit it: only there was the node's clock to be seen. For
// the rate, all else was known at the fault point.
func (o *observer) refused(from, to env.ID, m *wire.Message) {
	reply := observe.Reply{Tenant: m.Tenant, Slot: m.Slot, Op: operationOf(m), Left: o.world.Time() + o.world.Charged()}
	if a := &o.arrivals[to][m.Frame%recent]; a.frame == m.Frame {
		reply.Arrived = max(a.since, o.world.Thawed(from))
		o.run.Refusals.Answered(reply)
	}
	told := observe.Refusal{
		Resource: observe.Resource(m.Quota.Resource), Limit: m.Quota.Limit, Used: m.Quota.Used, RetryAfter: int64(m.Quota.RetryAfter), Op: operationOf(m),
	}
	if m.Quota.Resource == quota.SignalsPerSecond {
		o.run.Told(m.Tenant, m.Slot, told)
	} else {
		o.run.Capped(m.Tenant, m.Slot, told, o.world.Time(), int64(o.local), uint64(o.boots[from].incarnation))
	}
}

// torn names the records that a power failure has left in part only, "" if none. The remaining
// bytes are durable, but they may differ from the written ones: they have to be read, until a
// recovery has cut the torn tail.
func (o *observer) torn(id env.ID, w *slotWrites, first, last int) string {
	if o.world.Up(id) && !w.reborn {
		return ""
	}
	platter := o.world.Disk(id).Platter(w.places[first].path)
	if _, err := wal.DecodeHeader(platter); err != nil { // then nothing in the segment can be read
		return fmt.Sprintf("%s, the header, which is torn", w.places[first].path)
	}
	for i := first; i <= last; i++ {
		p := &w.places[i]
		var rec record.Record
		if _, _, chain, err := wal.DecodeFrame(platter[p.from:min(p.to, int64(len(platter)))], &rec); err != nil || chain != p.chain {
			return fmt.Sprintf("%s, bytes %d to %d, which are torn", p.path, p.from, p.to)
		}
	}
	return ""
}

// missing names the records up to seq that are not durable; "" if none.
func (o *observer) missing(id env.ID, w *slotWrites, seq lineage.Seq) string {
	if seq <= w.durable {
		return ""
	}
	disk := o.world.Disk(id)
	o.trustSnapshot(id, w)
	for w.passed < len(w.places) && w.places[w.passed].seq <= w.durable {
		w.passed++
	}
	i := w.passed
	for i < len(w.places) && w.places[i].seq <= seq {
		first, last, wanted := i, i, i
		for ; i < len(w.places) && w.places[i].batch == w.places[first].batch; i++ {
			last = i
			if w.places[i].seq <= seq {
				wanted = i
			}
		}
		path, from := w.places[first].path, w.places[first].from
		if !disk.Durable(path, from, w.places[last].to) {
			last = wanted
			if !disk.Durable(path, from, w.places[last].to) {
				return fmt.Sprintf("%s, bytes %d to %d", path, from, w.places[last].to)
			}
		}
		if torn := o.torn(id, w, first, last); torn != "" {
			return torn
		}
		w.durable = w.places[last].seq
	}
	if w.durable < seq {
		return "the record was never written"
	}
	return ""
}
