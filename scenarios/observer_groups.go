package scenarios

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim/disk"
)

// The observer of replica groups notes the records that every replica writes, cuts and replaces,
// and the messages between nodes.

// noteReplica notes a fault point of one replica.
func (o *observer) noteReplica(id env.ID, p env.Point, key env.Key) {
	t, slot, seq := tenant.ID(key.A), lineage.Slot(key.Kind), lineage.Seq(key.B)
	c, node, now := &o.run.Copies, uint32(id), o.world.Time()
	switch p {
	case fault.SlotCreating:
		c.Created(node, t, slot)
	case fault.RecoverySyncing:
		c.Recovered(node, t, slot, seq, now)
	case fault.LogCutting:
		c.Cutting(node, t, slot, seq, now)
	case fault.LogCut:
		c.Cut(node, t, slot, seq)
		if !o.isCut(id, t, slot, seq) {
			c.Undone(node, t, slot, seq, now)
		}
	case fault.SlotRefetching:
		c.Refetching(node, t, slot)
	case fault.SlotFollowing:
		if c.Replaces(node, t, slot) {
			c.Refetched(node, t, slot, o.snapshotAt(id, t, slot, seq))
		}
	}
}

// isCut reports whether a power failure would leave nothing of a node's log of a slot behind a
// record: of each segment the bytes that the node sees, and no removed segment that began later. No
// operation of the log is running when a cut is over.
func (o *observer) isCut(id env.ID, t tenant.ID, slot lineage.Slot, seq lineage.Seq) bool {
	d := o.world.Disk(id)
	for i := range o.files[id].All() {
		f := &o.files[id].All()[i]
		of, its, name, ok := wal.SlotOfPath(f.path)
		if !ok || of != t || its != slot {
			continue
		}
		_, first, _ := wal.ParseSegmentName(name)
		switch size, left := d.Size(f.path), int64(len(d.Platter(f.path))); {
		case size >= 0 && (left != size || !d.Durable(f.path, 0, size)), size < 0 && left > 0 && first > seq:
			return false
		}
	}
	return true
}

// noteEpoch notes a fault point of an epoch.
func (o *observer) noteEpoch(id env.ID, p env.Point, key env.Key) {
	t, slot := tenant.ID(key.A), lineage.Slot(key.Kind)
	claim := observe.Claim{By: o.process(id), At: o.world.Time(), Tenant: t, Slot: slot, Seq: lineage.Seq(key.B)}
	switch p {
	case fault.EpochAdopted:
		o.run.Claims.Note(observe.Claim{Kind: observe.Adopts, By: claim.By, At: claim.At, Shard: lineage.Shard(key.A), Epoch: lineage.ShardEpoch(key.B)})
		return
	case fault.SlotLeading:
		led := o.groups.voiceOf(id, o.groups.shardOf(t, slot))
		led.leads = lineage.ShardEpoch(key.Attempt)
		o.claims(&observe.Claim{Kind: observe.Leads, By: claim.By, At: claim.At, Shard: led.shard, Epoch: led.leads, What: fault.Name(p)})
		return
	case fault.RecordAppended, fault.ChangeAppended:
		claim.Kind = observe.Sequences
	case fault.RecordReceived:
		claim.Kind = observe.Takes
	default:
		return
	}
	voice := o.groups.voiceOf(id, o.groups.shardOf(t, slot))
	if claim.Shard, claim.Epoch = voice.shard, voice.leads; claim.Kind == observe.Takes {
		claim.Epoch = voice.heard
	}
	o.claims(&claim)
}

// claims notes a claim that is news.
func (o *observer) claims(c *observe.Claim) {
	if o.run.Claims.Repeats(c) {
		return
	}
	if c.Kind == observe.Says {
		v := o.groups.voiceOf(env.ID(c.By.Node), c.Shard)
		if v.life != c.By.Incarnation || v.durable < c.Epoch {
			v.life, v.durable = c.By.Incarnation, durableEpoch(o.world.Disk(env.ID(c.By.Node)).Platter("node"), c.Shard)
		}
		c.Durable = v.durable
	}
	o.run.Claims.Note(*c)
}

func (o *observer) process(id env.ID) observe.Process {
	return observe.Process{Node: uint32(id), Incarnation: uint64(o.boots[id].incarnation)}
}

// voice is how a node last spoke, or was spoken to, about a shard.
type voice struct {
	shard lineage.Shard
	leads lineage.ShardEpoch // the epoch in which it led last
	heard lineage.ShardEpoch // of the message with records that it was handed last

	// durable is the highest epoch that was seen on its disk, in its present incarnation.
	life    uint64
	durable lineage.ShardEpoch
}

func (v *groupsView) voiceOf(id env.ID, shard lineage.Shard) *voice {
	key := keyed.Key{A: uint64(id), B: uint64(shard)}
	if s := v.voices.Find(key); s != nil {
		return s
	}
	s := v.voices.Add(key)
	*s = voice{shard: shard}
	return s
}

// told is the last announcement that a change of a shard is in the log.
type told struct {
	epoch lineage.ShardEpoch
	by    env.ID
	at    int64 // true time, ns
}

// tells notes such an announcement. The first one of a higher epoch ends a pause.
func (o *observer) tells(from env.ID, shard lineage.Shard, epoch lineage.ShardEpoch) {
	now := o.world.Time()
	t := o.groups.tellers.Find(keyed.Key{A: uint64(shard)})
	if t == nil {
		t = o.groups.tellers.Add(keyed.Key{A: uint64(shard)})
		*t = told{epoch, from, now}
	}
	if epoch > t.epoch {
		o.run.Availability.Pauses = append(o.run.Availability.Pauses, observe.Pause{Shard: shard, Epoch: epoch, Old: uint32(t.by), From: t.at, To: now})
		t.epoch, t.by = epoch, from
	}
	if a := &o.run.Availability; now-t.at > 3*a.Silence {
		a.Gaps = append(a.Gaps, observe.Gap{Shard: shard, From: t.at, To: now})
	}
	t.at = now
}

// durableEpoch returns the epoch of a shard in the bytes of a node's file, 0 if it is
// not there. It reads them by itself, as they are drawn in core/catalog.go.
func durableEpoch(file []byte, shard lineage.Shard) lineage.ShardEpoch {
	const head, each = 52, 12
	if _, err := core.DecodeCatalog(file); err != nil {
		return 0
	}
	le := binary.LittleEndian
	for i := range int(le.Uint32(file[8:])) {
		if b := file[head+i*each:]; le.Uint32(b) == uint32(shard) {
			return lineage.ShardEpoch(le.Uint64(b[4:]))
		}
	}
	return 0
}

// said notes a node's message to another one about a shard.
func (o *observer) said(from, to env.ID, payload []byte) {
	m, err := o.groups.inbox.View(payload)
	if err != nil || !o.isNode(from) {
		return
	}
	switch m := m.(type) {
	case peer.ShardMessage:
		o.saidOfShard(from, to, m)
	case peer.ControlMessage:
		o.saidOfControl(from, m)
	}
}

// saidOfControl notes a message about the control plane.
func (o *observer) saidOfControl(from env.ID, m peer.ControlMessage) {
	switch m := m.(type) {
	case *peer.Configs:
		o.run.Availability.Coordinates(uint32(from), o.world.Time())
		o.run.Availability.HoldsOn(uint32(from), o.groups.metaAsked[from], o.world.Time())
		o.tellsChanges(m)
	case *peer.Propose:
		o.proposes(m)
	case *peer.Proposed:
		o.carriedOut(from, m)
	case *peer.Verify:
		o.claims(&observe.Claim{Kind: observe.Says, By: o.process(from), Shard: m.Shard, Epoch: m.Epoch, What: m.Kind().String(), At: o.world.Time()})
	// A member of the meta log that reports its read of an epoch does not speak in that epoch.
	case *peer.Verified:
	case *peer.Heartbeat, *peer.Poll, *peer.Report, *peer.Register, *peer.Registered:
	}
}

// saidOfShard notes a message about a shard.
func (o *observer) saidOfShard(from, to env.ID, m peer.ShardMessage) {
	by, now, of := o.process(from), o.world.Time(), m.OfShard()
	c := observe.Claim{Kind: observe.Says, By: by, Shard: of.Shard, Epoch: of.Epoch, What: m.Kind().String(), At: now}
	o.claims(&c)
	if log := bytesOf(m); log != nil {
		o.run.Residency.Shipped(log.Tenant, log.Slot, by.Node, uint32(to), c.What, now)
	}
	switch m := m.(type) {
	case *peer.Confirm:
		o.health.asksFor(from, m.Shard, m.Round, now)
		o.leadsBy(c)
	case *peer.Survey:
		o.leadsBy(c)
	case *peer.Append:
		o.run.Copies.Announced(by, m.Tenant, m.Slot, m.Commit, now)
		o.tellsOf(from, m.Tenant, m.Slot, m.Commit, observe.AtCommit)
	case *peer.Index:
		o.tellsOf(from, m.Tenant, m.Slot, m.At.Seq, observe.AtCommit)
	case *peer.Appended:
		if m.Anew {
			return
		}
		o.durableThere(from, m)
		o.acknowledges(from, m)
		o.run.Copies.Applied(by, m.Tenant, m.Slot, m.Applied, now)
	case *peer.Pull, *peer.Chunk, *peer.Confirmed, *peer.Surveyed, *peer.Outdated, *peer.AskIndex:
	}
}

// leadsBy notes that a node claims to lead, by a message that only a leader sends.
func (o *observer) leadsBy(c observe.Claim) {
	c.Kind = observe.Leads
	o.claims(&c)
}

// members is the last announced set of a shard.
type members struct {
	version  uint64
	epoch    lineage.ShardEpoch
	reformed bool // and no member knows which records are committed
	inSync   []control.Member
}

// tellsChanges notes announcements of nodes' duties, and the members that leave a set.
func (o *observer) tellsChanges(m *peer.Configs) {
	const nothing = 8 // after which entry
	if len(m.Changes) <= nothing {
		return
	}
	_, changes, err := control.DecodeChanges(m.Changes)
	if err != nil {
		return
	}
	for i := range changes {
		if c := &changes[i]; c.Node != nil {
			o.registers(c.Node)
		}
		if c := &changes[i]; c.Node != nil && c.Node.Incarnation > 0 {
			o.run.Configurations.Registered(observe.Registration{Process: processOfMember(control.Member{Node: c.Node.ID, Incarnation: c.Node.Incarnation}), Index: c.Index})
		}
		switch c := &changes[i]; {
		case c.Node != nil && (c.Node.Draining || len(o.run.Budget.Duties) > 0):
			o.run.Budget.Told(observe.Duties{Node: uint32(c.Node.ID), Index: c.Index, Drain: c.Node.Draining, At: o.world.Time()})
		case c.Shard != nil:
			o.leaves(c.Shard)
		case c.Tenant != nil:
			o.tellsTenant(c.Tenant)
		case c.Dropped != nil:
			o.tellsEnd(c.Dropped)
		}
	}
	o.reviewEntries()
}

// registers notes that a start of a node was registered. A node that has registered more often
// than it has started is a finding.
func (o *observer) registers(n *control.Node) {
	b := &o.registered[n.ID]
	if n.Registered <= b.last {
		return
	}
	b.last = n.Registered
	if b.count++; b.count > uint64(o.boots[n.ID].incarnation) {
		o.run.Configurations.Unstarted = append(o.run.Configurations.Unstarted, observe.Registration{
			Process: processOfMember(control.Member{Node: n.ID, Incarnation: n.Registered}), Index: n.Index,
		})
	}
}

// registered is the last start of a node that was registered, and how many there were.
type registered struct {
	last  env.Incarnation
	count uint64
}

// leaves compares a shard's set with the one before it, if that was announced too.
func (o *observer) leaves(s *control.Shard) {
	k := keyed.Key{A: uint64(s.ID)}
	last := o.groups.members.Find(k)
	if last == nil {
		last = o.groups.members.Add(k)
		*last = members{inSync: last.inSync[:0]}
	}
	if s.Version <= last.version {
		return
	}
	if s.Version == last.version+1 {
		plane, _ := o.groups.plane()
		for _, m := range last.inSync {
			if !slices.ContainsFunc(s.InSync, func(x control.Member) bool { return x.Node == m.Node }) {
				o.run.Budget.Left(observe.Leave{
					Shard: s.ID, Version: s.Version, Index: s.Index, Node: uint32(m.Node), Left: len(s.InSync), Min: s.Min, At: o.world.Time(),
					Restarted: restartedBy(plane, m, s.Index),
				})
			}
		}
	}
	o.run.Availability.Sets = append(o.run.Availability.Sets, observe.Set{Shard: s.ID, Size: len(s.InSync), Min: s.Min, At: o.world.Time()})
	if last.reformed && !s.Reformed && last.epoch == s.Epoch {
		o.reformEnds(s, last.inSync)
	}
	if s.Reformed && s.Version == last.version+1 {
		o.reformBegins(s, last.inSync)
	}
	last.epoch, last.reformed = s.Epoch, s.Reformed
	last.version, last.inSync = s.Version, append(last.inSync[:0], s.InSync...)
	o.configured(s)
}

// restartedBy reports whether a later start of a member's node was registered by an entry of the
// meta log or before it. An incarnation is the entry that registered it.
func restartedBy(plane *control.Plane, m control.Member, index uint64) bool {
	n := plane.Node(m.Node)
	return n.Registered > m.Incarnation && uint64(n.Registered) <= index
}

// knownDuties notes which nodes are drained where most of the meta log has been applied. A drain
// that is taken back and soon asked for again may never be announced in between.
func (o *observer) knownDuties() {
	plane, _ := o.groups.plane()
	for i := range plane.Nodes() {
		if n := &plane.Nodes()[i]; n.Draining || len(o.run.Budget.Duties) > 0 {
			o.run.Budget.Told(observe.Duties{Node: uint32(n.ID), Index: n.Index, Drain: n.Draining, At: o.world.Time()})
		}
	}
}

// configured notes a configuration that was not seen before.
func (o *observer) configured(s *control.Shard) {
	o.knownDuties()
	if o.story != nil {
		o.story.configured(s)
	}
	c := observe.Configuration{
		Shard: s.ID, Version: s.Version, Index: s.Index, Epoch: s.Epoch, Leader: processOfMember(s.Leader), Min: s.Min, Reformed: s.Reformed,
		At: o.world.Time(),
	}
	for _, m := range s.InSync {
		c.InSync = append(c.InSync, processOfMember(m))
		if o.present(m) && !o.isGiven(m) {
			c.Ungiven = append(c.Ungiven, processOfMember(m))
		}
	}
	for _, m := range s.Eligible {
		c.Eligible = append(c.Eligible, processOfMember(m))
	}
	for _, id := range s.Replicas {
		c.Replicas = append(c.Replicas, uint32(id))
	}
	for _, x := range s.Excluded {
		c.Excluded = append(c.Excluded, observe.SlotExclusion{Member: processOfMember(x.Member), Tenant: x.Tenant, Slot: x.Slot})
	}
	o.run.Configurations.Told(c)
}

// isGiven reports whether a member's directory knows durably of an incarnation, or a later one.
func (o *observer) isGiven(m control.Member) bool {
	b := &o.boots[m.Node]
	if b.given < m.Incarnation {
		if catalog, err := core.DecodeCatalog(o.world.Disk(m.Node).Platter("node")); err == nil {
			b.given = catalog.Given
		}
	}
	return b.given >= m.Incarnation
}

func processOfMember(m control.Member) observe.Process {
	return observe.Process{Node: uint32(m.Node), Incarnation: uint64(m.Incarnation)}
}

// decided is a command about a shard that a client of the meta log has asked for last.
type decided struct {
	number  uint64
	shard   lineage.Shard
	version uint64
	kind    control.Kind
}

// drainAsked is a node that an operator wants to be drained.
type drainAsked struct {
	operator env.ID
	request  uint64
	node     env.ID
}

// asksForDrain notes an operator's command to drain a node.
func (o *observer) asksForDrain(from env.ID, payload []byte) {
	if wire.Decode(payload, &o.answer) != nil {
		return
	}
	c, err := control.DecodeCommand(o.answer.Tail)
	asked := drainAsked{from, o.answer.Request, c.Node}
	if err == nil && c.Kind == control.Drain && !slices.Contains(o.groups.drains, asked) {
		o.groups.drains = append(o.groups.drains, asked)
	}
}

// drainAnswered looks whether a node has no duties when an operator receives the answer that it is
// drained.
func (o *observer) drainAnswered(from, to env.ID, request uint64) {
	i := slices.IndexFunc(o.groups.drains, func(d drainAsked) bool { return d.operator == to && d.request == request })
	if i < 0 {
		return
	}
	node := o.groups.drains[i].node
	a := observe.DrainAnswer{By: uint32(from), Node: uint32(node), At: o.world.Time()}
	plane, _ := o.groups.plane()
	for i := range plane.Shards() {
		s := &plane.Shards()[i]
		in := slices.ContainsFunc(s.InSync, func(m control.Member) bool { return m.Node == node })
		if in && plane.IsDraining(node) { // another operator may have taken it back
			a.Shard, a.Busy = s.ID, true
		}
	}
	o.run.Budget.Answered(a)
}

// proposes notes on which configuration a command was decided. Each client of the meta
// log asks for one at a time.
func (o *observer) proposes(m *peer.Propose) {
	c, err := control.DecodeCommand(m.Command)
	if err == nil {
		o.excludes(&c)
	}
	if err == nil && c.Kind == control.Remove {
		o.asksToRemove(&c)
	}
	if err != nil || c.Version == 0 { // it is about no shard
		return
	}
	d := o.groups.decided.Find(keyed.Key{A: m.Client})
	if d == nil {
		d = o.groups.decided.Add(keyed.Key{A: m.Client})
	}
	*d = decided{m.Number, c.Shard, c.Version, c.Kind}
	o.asksToCount(m, &c)
}

// asksToRemove looks whether a leader asks for the removal of a member that answers it, from a set
// that has no more members than it needs. A leader repeats its requests, and one that coordinates
// asks itself. So only the first request, on a wire, is looked at.
func (o *observer) asksToRemove(c *control.Command) {
	plane, _ := o.groups.plane()
	s := plane.Shard(c.Shard)
	asked := removalAsked{c.Shard, c.Version, c.Member.Node}
	if s == nil || s.Version != c.Version || slices.Contains(o.groups.removals, asked) {
		return
	}
	o.groups.removals = append(o.groups.removals, asked)
	coordinated := slices.Contains(o.run.Health.Led, uint32(c.By.Node))
	if current := plane.Node(c.Member.Node); coordinated || current == nil || current.Incarnation != c.Member.Incarnation || !o.present(c.Member) {
		return
	}
	o.run.Budget.Removes(observe.Removal{
		Shard: c.Shard, By: uint32(c.By.Node), Node: uint32(c.Member.Node), Set: len(s.InSync), Min: s.Min,
		Answered: o.health.answeredSince(c.By.Node, c.Shard, c.Member.Node), At: o.world.Time(),
	})
}

// removalAsked is a removal that a leader asked for.
type removalAsked struct {
	shard   lineage.Shard
	version uint64
	node    env.ID
}

// carriedOut notes which configuration a command has made.
func (o *observer) carriedOut(from env.ID, m *peer.Proposed) {
	r, err := control.DecodeResult(m.Result)
	if err != nil {
		return
	}
	o.forgetPending(m.Client, m.Number)
	if r.Refusal != control.Done {
		return
	}
	if d := o.groups.decided.Find(keyed.Key{A: m.Client}); d != nil && d.number == m.Number {
		o.run.Claims.Note(observe.Claim{
			Kind: observe.Changes, By: o.process(from), Shard: d.shard, Epoch: r.Epoch, What: d.kind.String(),
			Based: d.version, Version: r.Version, At: o.world.Time(),
		})
	}
}

// bytesOf returns the log whose records, or part of a snapshot, a message carries; nil if it
// carries nothing of a tenant. A Pull has epochs and seqs only.
func bytesOf(m peer.ShardMessage) *peer.LogHeader {
	switch m := m.(type) {
	case *peer.Append:
		if len(m.Records) > 0 {
			return &m.LogHeader
		}
	case *peer.Chunk:
		if len(m.Data) > 0 {
			return &m.LogHeader
		}
	case *peer.Pull, *peer.Appended, *peer.Confirm, *peer.Confirmed, *peer.Survey, *peer.Surveyed, *peer.Outdated, *peer.AskIndex, *peer.Index:
	}
	return nil
}

// receivedBy notes a message that a node is about to process.
func (o *observer) receivedBy(to, from env.ID, payload []byte) {
	var between peer.Message // nil: it is a client's
	if peer.Is(payload) {
		m, err := o.groups.inbox.View(payload)
		if err != nil {
			return
		}
		between = m
	}
	switch m := between.(type) {
	case peer.ShardMessage:
		o.handed(to, from, m)
	case peer.ControlMessage:
		o.handedOfControl(to, from, m)
	}
	o.arrives(to, from, payload, between)
}

// arrives looks at where a tenant's bytes are handed over, if some tenant may not be everywhere: a
// message may have waited in a link or in the node's input queue.
func (o *observer) arrives(to, from env.ID, payload []byte, between peer.Message) {
	o.noteResidency()
	if !o.run.Residency.Limited() {
		return
	}
	if m, ok := between.(peer.ShardMessage); ok {
		if log := bytesOf(m); log != nil {
			o.run.Residency.Reached(observe.Delivered, log.Tenant, log.Slot, uint32(from), uint32(to), m.Kind().String(), o.world.Time())
		}
		return
	}
	if kind := wire.KindOf(payload); kind.Changes() && wire.Decode(payload, &o.answer) == nil {
		m := &o.answer
		o.run.Residency.Reached(observe.Queued, m.Tenant, m.Slot, uint32(from), uint32(to), kind.String(), o.world.Time())
	}
}

// handed notes a message that a node is about to process: the epoch of its records, or its facts
// about the logs of others.
func (o *observer) handed(to, from env.ID, m peer.ShardMessage) {
	switch m := m.(type) {
	case *peer.Append:
		o.groups.voiceOf(to, m.Shard).heard = m.Epoch
	case *peer.Appended:
		o.acknowledgedTo(to, from, m)
	case *peer.Surveyed:
		o.surveyedBy(to, from, m)
	case *peer.Confirmed:
		if o.isNode(from) {
			o.health.confirms(to, from, m, o.world.Time())
		}
	case *peer.Pull, *peer.Chunk, *peer.Confirm, *peer.Survey, *peer.Outdated, *peer.AskIndex, *peer.Index:
	}
}

// handedOfControl notes a message about the control plane that a node is about to take.
func (o *observer) handedOfControl(to, from env.ID, m peer.ControlMessage) {
	if !o.isNode(from) {
		return
	}
	switch m := m.(type) {
	case *peer.Heartbeat:
		o.heardOf(to, from, m)
	case *peer.Report:
		o.reportedTo(to, from, m)
	case *peer.Configs, *peer.Propose, *peer.Proposed, *peer.Poll, *peer.Verify, *peer.Verified, *peer.Register, *peer.Registered:
	}
}

// emptied notes that a node starts without the disk of its last start, from an empty one or
// from an older copy, which may lack all that the node has promised.
func (o *observer) emptied(id env.ID, lost bool) {
	if o.isNode(id) && o.boots[id].incarnation > 1 && (lost || o.world.Disk(id).Content("node") == nil) {
		o.run.Claims.Note(observe.Claim{Kind: observe.Forgets, By: o.process(id), At: o.world.Time()})
	}
}

// snapshotAt returns the position of a node's snapshot at a record; its chain is 0 if
// there is none.
func (o *observer) snapshotAt(id env.ID, t tenant.ID, slot lineage.Slot, seq lineage.Seq) lineage.Position {
	path := wal.Identity{Tenant: t, Slot: slot, Placement: 1}.Dir() + "/" + wal.SnapshotName(seq)
	if _, at, _, err := wal.DecodeSnapshot(o.world.Disk(id).Content(path)); err == nil && at.Seq == seq {
		return at
	}
	return lineage.Position{Seq: seq}
}

// retain notes the records that a node has of a slot on its disk.
func retain(run *observe.Run, d *disk.Disk, node uint32, t tenant.ID, slot lineage.Slot) {
	dir := wal.Identity{Tenant: t, Slot: slot, Placement: 1}.Dir() + "/"
	var segments []segmentFile
	for _, name := range d.List(dir) {
		if _, first, ok := wal.ParseSegmentName(name); ok {
			segments = append(segments, segmentFile{first, dir + name})
		}
	}
	slices.SortFunc(segments, func(a, b segmentFile) int { return cmp.Compare(a.first, b.first) })
	r := run.Copies.AddRetained(node, t, slot)
	for _, s := range segments {
		if r.Damage = readSegment(r, d.Content(s.path)); r.Damage != "" {
			r.Damage = s.path + ": " + r.Damage
			return
		}
	}
}

type segmentFile struct {
	first lineage.Seq
	path  string
}

// readSegment adds the records of a segment, and describes its damage.
func readSegment(r *observe.Retained, data []byte) string {
	h, err := wal.DecodeHeader(data)
	if err != nil {
		return err.Error()
	}
	if next := r.First + lineage.Seq(len(r.Chains)); len(r.Chains) > 0 && h.First != next {
		return fmt.Sprintf("it begins with seq %d, and the one before it ends before seq %d", h.First, next)
	}
	if len(r.Chains) == 0 {
		r.First = h.First
	}
	before := h.Before
	var rec record.Record
	for data = data[wal.HeaderSize:]; len(data) > 0; {
		size, _, chain, err := wal.DecodeFrame(data, &rec)
		if next := r.First + lineage.Seq(len(r.Chains)); err != nil || rec.Seq != next || rec.Prev != before {
			return fmt.Sprintf("what should be seq %d is not, or does not continue what is before it (%v)", next, err)
		}
		r.Chains = append(r.Chains, chain)
		before, data = chain, data[size:]
	}
	return ""
}
