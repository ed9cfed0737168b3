// Package group is one shard on one node: the node's role, the progress of the other replicas, the
// commit index of each log, and the answers that are safe to send. Package replica keeps the logs.
// Package control decides the leader and the members.
//
// Replication is primary-backup (PacificA; Vertical Paxos). The leader of an epoch orders all
// writes to every log of the shard and ships the records. A record is committed when it is durable
// on every in-sync member, at least min of them, and on every member that is about to join. So
// every member that can be promoted has every committed record. Below min nothing is committed.
//
// The one rule to remember: a node sends nothing in an epoch before the epoch is durable on it, and
// then rejects every lower epoch.
package group

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/quorum"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Patience holds the time bounds of a group.
type Patience struct {
	// Silence: the leader removes a member that has not answered for this long.
	Silence env.Duration `json:"silence_ns"`
	// Slow: the leader removes a member that lacks a record for this long, if enough others are
	// left.
	Slow env.Duration `json:"slow_ns"`
	// Repeat: the node repeats a request without an answer after this time.
	Repeat env.Duration `json:"repeat_ns"`
}

// DefaultPatience fits one region.
var DefaultPatience = Patience{Silence: 300 * env.Millisecond, Slow: 600 * env.Millisecond, Repeat: 40 * env.Millisecond}

// Owner is the node that hosts the group.
type Owner interface {
	// Answer is called when a change can be answered: it is in the log for good, or it was refused.
	Answer(p *replica.Pending)
	// AnswerRead is called when a read can be answered from the current state, or with a code when
	// it is refused.
	AnswerRead(slot int, r *Read, code wire.Code)
	// Verify requests a read of the meta log that begins now: does this process still lead the
	// shard in the epoch? If so, the node calls Verified with the round.
	Verify(shard lineage.Shard, epoch lineage.ShardEpoch, round peer.Round)
	// Number returns the slot's number on the node, -1 if the slot is not there.
	Number(id tenant.ID, s lineage.Slot) int
}

// kept is the number of rounds of confirmations that a leader remembers.
const kept = 64

// Role is the node's role in the shard.
type Role uint8

// The roles.
const (
	Following Role = iota
	Gathering      // elected to lead a set without a promotable member; it collects the members' logs first
	Leading
)

var roleNames = [...]string{"following", "gathering", "leading"}

// String returns the name of r.
func (r Role) String() string { return roleNames[r] }

// Group is one shard on one node. Use New.
//
// Invariants: epoch is durable on this node. The node leads only in epoch, and only if the control
// plane named this incarnation. The progress of a peer belongs to peer.incarnation and was made in
// epoch.
type Group struct {
	self     control.Member
	owner    Owner
	patience Patience
	key      uint16 // first key kind of its messages; add peer.Kind

	known  control.Shard // the newest configuration; Index 0: none
	epoch  lineage.ShardEpoch
	wanted lineage.ShardEpoch // the highest epoch heard of
	led    lineage.ShardEpoch // the last epoch in which the node led
	role   Role
	leader env.ID // leader of epoch, if knows
	knows  bool   // leader is known
	before env.ID // if succeeds: the last leader known before epoch

	succeeds bool

	slots    []slot
	numbers  []int      // number of each slot on the node, ascending
	progress []progress // by index in slots, then by peer
	peers    []other
	changes  uint64   // changes to the set of logs
	drains   []env.ID // nodes that are being drained
	placed   uint64   // the meta log entry that placed the shard here

	// restless holds the logs to inspect at the next tick. Every change adds its log; a tick with
	// nothing to do for a log removes it.
	restless set
	allLead  bool // the node leads every log that it can lead

	joining wish // the member that is joining: it counts for commits already
	asked   wish // any other pending proposal

	reads  reads
	rounds [kept]env.Time // leading: when each round of confirmations began, by number modulo kept
	sole   env.Time       // leading, if isSole: no node led in a higher epoch at this time
	isSole bool
	named  env.Time // when the control plane named this node leader in known.Epoch
	deaf   bool     // the node has not heard the meta log recently
	// ledDeaf: deaf was set while the node led.
	ledDeaf bool
	echo    peer.Round // following: the last round that the leader asked for
	ticks   uint32
	beat    env.Time // when to ask the members for confirmations next
	gather  gathering

	quorum []quorum.Acceptor // scratch: the acceptors of one log
	out    []byte
	ends   []lineage.End // scratch: the lineage ends of one log, for a request
}

// wish is a pending proposal: a command that the group wants in the meta log.
type wish struct {
	on      bool
	command control.Command
}

// slot is a log of the shard.
type slot struct {
	place  int32 // index in Group.slots
	slot   lineage.Slot
	tenant tenant.ID
	r      *replica.Replica
	marks  marks       // leading: append times of the records that a replica may lack
	acked  lineage.Seq // following: the seq last acknowledged to the leader
	pull   pull
	// vain is the shard version at which the control plane rejected our Exclude: do not retry
	// before it changes.
	vain uint64
	// life is the generation of the log here: firstLife, then one more each time the log begins
	// empty.
	life    peer.Life
	fresh   env.Time
	isFresh bool // the log is applied through everything that was committed at fresh
	failed  bool // the log has stopped, and the control plane must be told
	ends    bool // the tenant is being dropped: no node begins to lead the log
	yields  bool // eligible: the missing records come as a snapshot that would replace the log here
	blocked bool // no member has a whole log, and this one lacks records: do not lead it
}

// progress is the leader's knowledge of one other replica of a log.
type progress struct {
	acked lineage.Seq // highest seq that is durable there and equals the leader's log
	life  peer.Life   // generation of that log; acknowledgements of an earlier one do not count
	at    peer.Round  // acked was true after this round of confirmations began; 0: unknown
	told  lineage.Seq // the replica knows that records up to here are committed
	since env.Time    // acked has been behind the end of the log since this time
}

// other is another node that holds, or is to hold, a replica of the shard.
type other struct {
	node        env.ID
	placed      uint64          // the meta log entry that placed it
	incarnation env.Incarnation // the incarnation heard last
	heard       env.Time        // when it was heard last
	answered    env.Time        // when it last proved that it hears this node
	spoke       bool            // it was heard in this epoch
	round       peer.Round      // the last round that it confirmed
}

// New returns a group that knows only the epoch that is durable on the node.
func New(self control.Member, shard lineage.Shard, epoch lineage.ShardEpoch, p Patience, key uint16, owner Owner) *Group {
	return &Group{self: self, owner: owner, patience: p, key: key, known: control.Shard{ID: shard}, epoch: epoch, wanted: epoch}
}

// Shard returns the shard's id.
func (g *Group) Shard() lineage.Shard { return g.known.ID }

// Known returns the newest configuration that the node has heard of. It belongs to the group.
func (g *Group) Known() *control.Shard { return &g.known }

// Placed returns the meta log entry that placed the shard on this node last, 0 if the node knows
// none.
func (g *Group) Placed() uint64 { return g.placed }

// Epoch returns the epoch that is durable here.
func (g *Group) Epoch() lineage.ShardEpoch { return g.epoch }

// Role returns the node's role in the shard.
func (g *Group) Role() Role { return g.role }

// Leader returns the leader of the shard, as far as this node knows.
func (g *Group) Leader() (env.ID, bool) {
	if g.known.Epoch >= g.epoch && g.known.Index > 0 {
		return g.known.Leader.Node, true
	}
	return g.leader, g.knows
}

// AddSlot adds a log of the shard under its number on the node.
func (g *Group) AddSlot(number int, r *replica.Replica) {
	id, place := r.Identity(), len(g.slots)
	if place > 0 {
		assert.That(g.numbers[place-1] < number, "log %d of the node is added behind log %d", number, g.numbers[place-1])
	}
	if g.gather.chosen { // its tenant was created after the choice: no member has records
		g.gather.sources, g.gather.targets = append(g.gather.sources, g.self.Node), append(g.gather.targets, lineage.Position{})
	}
	g.changes++
	if place == cap(g.slots) { // most shards keep about as many logs as they begin with
		g.slots = slices.Grow(g.slots, 4+place/8)
	}
	g.slots = append(g.slots, slot{place: int32(place), tenant: id.Tenant, slot: id.Slot, r: r, life: firstLife(g.placed)})
	g.progress = append(g.progress, make([]progress, len(g.peers))...)
	g.numbers = append(g.numbers, number)
	g.restless.add(place)
	g.allLead = false
}

// remove takes a log out of all lists.
func (g *Group) remove(place int) {
	g.slots, g.numbers = slices.Delete(g.slots, place, place+1), slices.Delete(g.numbers, place, place+1)
	g.progress = slices.Delete(g.progress, place*len(g.peers), (place+1)*len(g.peers))
	for i := range g.slots {
		g.slots[i].place = int32(i)
	}
	g.restless = nil
	g.disturb()
}

// number returns the log's number on the node.
func (g *Group) number(s *slot) int { return g.numbers[s.place] }

// progressOf returns the progress of the other replicas of a log, by peer.
func (g *Group) progressOf(s *slot) []progress {
	n := len(g.peers)
	return g.progress[int(s.place)*n : (int(s.place)+1)*n]
}

// disturb marks every log for inspection at the next tick.
func (g *Group) disturb() {
	for i := range g.slots {
		g.restless.add(i)
	}
}

// Release ends the node's part in the shard: the node no longer holds a replica.
func (g *Group) Release(e env.Env) {
	g.stepDown(e)
	g.refuseReads(wire.Moved)
}

// find returns the index of a log, -1 if the shard has no such log here. It marks the log for
// inspection, because the caller is about to change it.
func (g *Group) find(id tenant.ID, s lineage.Slot) int {
	i, found := slices.BinarySearch(g.numbers, g.owner.Number(id, s))
	if !found {
		return -1
	}
	g.restless.add(i)
	return i
}

// at returns the log with this number on the node, nil if there is none. It marks the log for
// inspection, because the caller is about to change it.
func (g *Group) at(number int) *slot {
	i, found := slices.BinarySearch(g.numbers, number)
	if !found {
		return nil
	}
	g.restless.add(i)
	return &g.slots[i]
}

// Configure applies a configuration of the shard. It ignores one that is not newer: the message may
// be delayed.
func (g *Group) Configure(e env.Env, s *control.Shard) {
	// Apply only a configuration with a higher index, in whatever order they arrive.
	if s.Index <= g.known.Index {
		return
	}
	if s.Leader == g.self && (g.known.Leader != g.self || s.Epoch != g.known.Epoch) {
		g.named = e.Now()
	}
	g.known = s.Clone()
	g.bar()
	g.disturb()
	g.wanted = max(g.wanted, s.Epoch)
	g.renewPeers()
	// A command decided on another version or epoch is refused: drop it.
	if g.joining.on && (s.Version != g.joining.command.Version || s.Epoch != g.joining.command.Epoch) {
		g.joining = wish{}
	}
	if g.asked.on && (s.Version != g.asked.command.Version || s.Epoch != g.asked.command.Epoch) {
		g.asked = wish{}
	}
	g.takeRole(e)
	if g.role == Leading {
		g.advanceAll(e)
		g.confirmed(e)
	}
}

// bar drops the acknowledgements that a log gave in a generation that failed. The log's lag is
// unknown from here on, even after the exclusion ends.
func (g *Group) bar() {
	for _, x := range g.known.Excluded {
		i, j := g.peerOf(x.Member.Node), g.find(x.Tenant, x.Slot)
		if i < 0 || j < 0 {
			continue
		}
		if p := &g.progressOf(&g.slots[j])[i]; g.barred(i, &g.slots[j], p.life) {
			p.acked, p.at = 0, 0
		}
	}
}

// barred reports whether the configuration excludes this generation of a peer's log. The leader may
// learn of the exclusion together with its leadership, while acknowledgements of that generation
// are still on their way.
func (g *Group) barred(i int, s *slot, life peer.Life) bool {
	for j := range g.known.Excluded {
		// Otherwise the leader would readmit the member at once, because of a log that has stopped.
		if x := &g.known.Excluded[j]; x.Member == g.peers[i].member() && x.Tenant == s.tenant && x.Slot == s.slot {
			return uint64(life) <= x.Life
		}
	}
	return false
}

// renewPeers makes the list of peers match the configuration. A node that was removed and placed
// again starts with no progress, even if both changes arrive at once: it has deleted its logs.
func (g *Group) renewPeers() {
	old, before := g.peers, g.progress
	g.peers = make([]other, 0, len(g.known.Replicas))
	for i, id := range g.known.Replicas {
		placed := g.known.Since[i]
		if id == g.self.Node {
			g.placedSince(placed)
			continue
		}
		o := other{node: id, placed: placed}
		if j := slices.IndexFunc(old, o.isSame); j >= 0 {
			o = old[j]
		}
		g.peers = append(g.peers, o)
	}
	g.progress = make([]progress, 0, len(g.slots)*len(g.peers))
	for s := range g.slots {
		for i := range g.peers {
			o := &g.peers[i]
			p := progress{life: firstLife(o.placed)}
			if j := slices.IndexFunc(old, o.isSame); j >= 0 {
				p = before[s*len(old)+j]
			}
			g.progress = append(g.progress, p)
		}
	}
}

// isSame reports whether two peers are the same node, placed by the same entry.
func (o *other) isSame(another other) bool {
	return another.node == o.node && another.placed == o.placed
}

// firstLife returns the first generation of a log on a node that was placed by this meta log entry.
// A placement has fewer than 1<<16 generations.
func firstLife(placed uint64) peer.Life { return peer.Life(placed << 16) }

// placedSince restarts the generations of the logs here if another entry has placed the node.
func (g *Group) placedSince(placed uint64) {
	if g.placed == placed {
		return
	}
	g.placed = placed
	for i := range g.slots {
		g.slots[i].life = firstLife(placed)
	}
}

func (g *Group) peerOf(node env.ID) int {
	for i := range g.peers {
		if g.peers[i].node == node {
			return i
		}
	}
	return -1
}

// Wants returns the epoch that the node must make durable, and whether there is one.
func (g *Group) Wants() (lineage.ShardEpoch, bool) { return g.wanted, g.wanted > g.epoch }

// hear records an epoch that another node knows. A leader of a lower epoch steps down.
func (g *Group) hear(e env.Env, epoch lineage.ShardEpoch) {
	if epoch > g.wanted {
		g.wanted = epoch
	}
	if g.wanted > g.epoch {
		g.stepDown(e)
	}
}

// Adopt begins an epoch that is durable on the node.
func (g *Group) Adopt(e env.Env, epoch lineage.ShardEpoch) {
	if epoch <= g.epoch {
		return
	}
	if g.knows {
		g.before, g.succeeds = g.leader, true
	}
	g.stepDown(e)
	g.epoch, g.knows, g.echo = epoch, false, 0
	fault.Hit(e, fault.EpochAdopted, env.Key{A: uint64(g.known.ID), B: uint64(epoch)})
	for i := range g.peers {
		g.peers[i].spoke, g.peers[i].round = false, 0
	}
	g.disturb()
	g.allLead = false
	for i := range g.slots {
		s := &g.slots[i]
		s.r.Follow()
		s.acked, s.pull, s.isFresh = 0, pull{}, false
		for j := range g.peers {
			g.progressOf(s)[j] = progress{life: firstLife(g.peers[j].placed), since: e.Now()}
		}
	}
	g.takeRole(e)
	if g.role == Following && g.known.Epoch == g.epoch {
		g.leader, g.knows = g.known.Leader.Node, true
		for i := range g.slots {
			g.ask(e, &g.slots[i])
		}
	}
}

// takeRole begins to lead if the control plane names this incarnation leader of the epoch that is
// durable here.
func (g *Group) takeRole(e env.Env) {
	if g.known.Epoch > g.epoch {
		g.stepDown(e)
	}
	if g.known.Epoch != g.epoch || g.known.Leader.Node != g.self.Node || g.led >= g.epoch || g.wanted > g.epoch {
		return
	}
	// A leader that has restarted in its epoch has forgotten the records that it sent.
	//safety:no-leading-again-in-an-epoch false by=one-sequencer on=all-members-restart
	if g.known.Leader.Incarnation != g.self.Incarnation {
		return
	}
	g.led = g.epoch
	g.leader, g.knows = g.self.Node, true
	g.refuseReads(wire.NotYet) // they wait for the index of another leader
	for i := range g.peers {
		// A node that did not lead heard little from the others: it gives them a whole Silence. The
		// previous leader did send; if it has been silent for long, it gets no second wait.
		o := &g.peers[i]
		if !g.succeeds || o.node != g.before || o.heard == 0 {
			o.heard = e.Now()
		}
		o.answered = o.heard
		// The previous leader was heard, but that does not prove that it hears. The coordinator
		// mostly replaces a leader because it is deaf, and has waited for it already.
		//safety:deaf-leader-waited-for-once false by=availability on=gray-failure
		if g.succeeds && o.node == g.before && len(g.known.InSync) > g.known.Min {
			o.answered = min(o.answered, e.Now().Add(-g.patience.Silence/2))
		}
	}
	if g.known.Reformed {
		g.startGathering(e)
		return
	}
	g.role, g.isSole = Leading, false
	g.leadSlots(e)
}

// leadSlots begins to lead every log that is ready.
func (g *Group) leadSlots(e env.Env) {
	if g.allLead {
		return
	}
	g.allLead = true
	for i := range g.slots {
		s := &g.slots[i]
		if s.ends || s.r.Leads() {
			continue
		}
		if s.blocked {
			continue
		}
		if s.r.Phase() != replica.Following || s.r.Busy() {
			g.allLead = false
			continue
		}
		g.restless.add(i)
		s.r.Lead(e, g.epoch)
		s.marks.begin(e.Now())
		g.shipped(e, s)
		g.advance(e, s)
	}
}

// stepDown ends leading or gathering. It refuses changes that have no record yet; clients of other
// pending changes get no answer.
func (g *Group) stepDown(e env.Env) {
	if g.role == Following {
		return
	}
	g.role, g.joining, g.asked = Following, wish{}, wish{}
	g.gather = gathering{}
	g.knows = false
	g.disturb()
	g.allLead = false
	for i := range g.slots {
		s := &g.slots[i]
		refused := s.r.Follow()
		for j := range refused {
			g.owner.Answer(&refused[j])
		}
		s.acked, s.blocked = 0, false
	}
	g.refuseReads(wire.Moved)
}

// view returns the set as the node knows it, for the rules of package quorum.
func (g *Group) view() quorum.View {
	v := quorum.View{Shard: &g.known}
	if g.joining.on {
		v.Joining = &g.joining.command
	}
	if g.asked.on {
		v.Asked = &g.asked.command
	}
	return v
}

// counts reports whether a peer counts for commits: it is in sync or about to join.
func (g *Group) counts(o *other) bool { return g.view().Counts(o.member()) }

// lacks reports whether a member is certainly excluded from a log.
func (g *Group) lacks(m control.Member, s *slot) bool { return g.view().Lacks(m, s.tenant, s.slot) }

// excluded reports whether the configuration excludes a member from a log.
func (g *Group) excluded(m control.Member, s *slot) bool {
	return g.view().Excludes(m, s.tenant, s.slot)
}

// belowMin reports whether the in-sync set is smaller than min. The control plane may then make the
// eligible member leader without consent of the set.
func (g *Group) belowMin() bool { return len(g.known.InSync) < g.known.Min }

// acceptors returns the replicas that must have a record of this log, each with its durable seq.
// The list is valid until the next call.
func (g *Group) acceptors(s *slot) []quorum.Acceptor {
	g.quorum = g.view().Acceptors(g.quorum[:0], s.tenant, s.slot)
	for i := range g.quorum {
		a := &g.quorum[i]
		if a.Has = g.ackedBy(s, a.Member); a.Member.Node == g.self.Node {
			a.Has = s.r.Durable().Seq
		}
	}
	return g.quorum
}

// advance moves the commit index to the seq that every required replica has, and answers the
// clients that wait for it.
func (g *Group) advance(e env.Env, s *slot) {
	if !s.r.Leads() || g.role != Leading {
		return
	}
	acceptors := g.acceptors(s)
	commit, enough := quorum.Committed(s.r.Durable().Seq, acceptors, g.known.Min)
	if !enough {
		return
	}
	told := quorum.Acknowledged(commit, acceptors)
	settled := s.r.Commit(e, commit)
	for i := range settled {
		// A change without a request was begun by another leader.
		if p := &settled[i]; p.Request.Kind != 0 && p.Record.Seq <= told {
			g.owner.Answer(p)
		}
	}
}

// ackedBy returns the durable seq of a member. It is 0 for a member that has restarted: the leader
// waits for it until the configuration removes it.
func (g *Group) ackedBy(s *slot, m control.Member) lineage.Seq {
	if i := g.peerOf(m.Node); i >= 0 && g.peers[i].incarnation == m.Incarnation {
		return g.progressOf(s)[i].acked
	}
	return 0
}

func (g *Group) advanceAll(e env.Env) {
	g.disturb()
	for i := range g.slots {
		g.advance(e, &g.slots[i])
	}
}

// Flush writes the appended records of a log and ships them.
func (g *Group) Flush(e env.Env, number int) {
	s := g.at(number)
	if s == nil {
		return
	}
	s.r.Flush(e)
	g.shipped(e, s)
}

// keepingUp is how many records a replica that does not count for commits may be behind and still
// get new records at once.
const keepingUp = 256

// shipped ships the records that were appended to a log since the last call.
func (g *Group) shipped(e env.Env, s *slot) {
	at, records := s.r.Outbox()
	if len(records) == 0 {
		return
	}
	end := s.r.End().Seq
	// The lag of a replica counts from the append of the first missing record, not from the
	// beginning of the log.
	//safety:lag-since-appended by=health-truth on=slow-follower
	s.marks.add(at.Seq+1, e.Now())
	m := peer.Append{LogHeader: g.logHeader(s), At: at, Commit: s.r.State().Position.Seq, Records: records}
	g.out = m.Encode(g.out[:0])
	key := env.Key{Kind: g.key + uint16(peer.KindAppend), A: uint64(s.tenant), B: uint64(end)}
	for i := range g.peers {
		o := &g.peers[i]
		p := &g.progressOf(s)[i]
		if p.acked >= at.Seq { // it had the whole log until now
			p.since = e.Now()
		}
		if g.counts(o) || o.spoke && p.acked+keepingUp > at.Seq {
			e.Send(o.node, key, g.out)
		}
	}
}

// header returns the header of a message about the shard.
func (g *Group) header() peer.ShardHeader {
	return peer.ShardHeader{From: g.self.Incarnation, Shard: g.known.ID, Epoch: g.epoch}
}

// logHeader returns the header of a message about a log.
func (g *Group) logHeader(s *slot) peer.LogHeader {
	id := s.r.Identity()
	return peer.LogHeader{ShardHeader: g.header(), Tenant: id.Tenant, Slot: id.Slot, Placement: id.Placement}
}

// send sends the message about the shard that is encoded in out; b and attempt tell it apart from
// others of its kind.
func (g *Group) send(e env.Env, to env.ID, out []byte, b uint64, attempt uint32) {
	g.out = out
	e.Send(to, env.Key{Kind: g.key + uint16(peer.KindOf(out)), Attempt: attempt, A: uint64(g.known.ID), B: b}, out)
}

// sendOf sends the message about a log that is encoded in out, like send.
func (g *Group) sendOf(e env.Env, s *slot, to env.ID, out []byte, b uint64, attempt uint32) {
	g.out = out
	a := uint64(s.tenant)<<16 ^ uint64(g.known.ID)
	e.Send(to, env.Key{Kind: g.key + uint16(peer.KindOf(out)), Attempt: attempt, A: a, B: b}, out)
}
