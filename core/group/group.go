// Package group is one shard on one node: who leads it, what the others have of each
// of its logs, what is committed by that, and what may be told. The logs themselves
// are package replica's; who is a member, and who leads, is the control plane's to say
// (package control).
//
// Replication is primary-backup: the leader of an epoch sequences every log of the
// shard and ships the records; a record is committed when it is durable on all members
// that are in sync, at least min of them, and on those that are about to be (PacificA;
// Vertical Paxos). So every member that can be promoted has all that was ever committed.
// Below min nothing is committed.
//
// The one rule to remember: nothing is said in an epoch before the epoch is durable
// here, and nothing of a lower one is heeded any more.
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

// Patience are the bounds in time of a group.
type Patience struct {
	Silence env.Duration `json:"silence_ns"` // a member that says nothing for so long is removed
	Slow    env.Duration `json:"slow_ns"`    // likewise one that lacks a record for so long, while enough others are left
	Repeat  env.Duration `json:"repeat_ns"`  // what is not answered for so long is asked again
}

// DefaultPatience fits one region.
var DefaultPatience = Patience{Silence: 300 * env.Millisecond, Slow: 600 * env.Millisecond, Repeat: 40 * env.Millisecond}

// Owner is the node that the group is a part of.
type Owner interface {
	// Answer is told of a change that may be answered: it is in the log for good, or it
	// was refused.
	Answer(p *replica.Pending)
	// AnswerRead is told of a read that may be answered, from the state as it is now, or
	// of one that cannot be, with a code.
	AnswerRead(slot int, r *Read, code wire.Code)
	// Verify asks for a read of the meta log that begins now: whether this process still
	// leads the shard in the epoch. If so, Verified is called with the round.
	Verify(shard lineage.Shard, epoch lineage.ShardEpoch, round peer.Round)
	// Number returns the number of a slot on the node, -1 if it is not there.
	Number(id tenant.ID, s lineage.Slot) int
}

// kept is how many rounds of confirmations a leader remembers.
const kept = 64

// Role is what the node is to the shard.
type Role uint8

// The roles.
const (
	Following Role = iota
	Gathering      // it is to lead, and asks those who restarted for their logs
	Leading
)

var roleNames = [...]string{"following", "gathering", "leading"}

// String returns the name of r.
func (r Role) String() string { return roleNames[r] }

// Group is one shard on one node. Use New.
//
// Invariants: epoch is durable on this node; the node leads in no epoch but epoch, and
// in that only if the control plane said so of this incarnation; progress of a peer is
// that of the incarnation in peer.incarnation, made in epoch.
type Group struct {
	self     control.Member
	owner    Owner
	patience Patience
	key      uint16 // first of the kinds of keys of its messages, by peer.Kind

	known  control.Shard // the newest configuration heard of; Index 0: none
	epoch  lineage.ShardEpoch
	wanted lineage.ShardEpoch // the highest epoch heard of
	led    lineage.ShardEpoch // the last epoch in which the node led
	role   Role
	leader env.ID // of epoch, as far as it is known
	knows  bool   // leader is known
	before env.ID // who led before, in the last epoch of which that was known, if succeeds

	succeeds bool

	slots    []slot
	numbers  []int      // by place in slots, ascending
	progress []progress // by place in slots, and then by peer
	peers    []other
	changes  uint64   // of the set of logs
	drains   []env.ID // nodes that are to be in no set
	placed   uint64   // the entry of the meta log that placed the shard here

	// restless has the logs that may need to be looked at with the next tick: whatever
	// touches one puts it in, and the tick that finds nothing to do takes it out.
	restless set
	allLead  bool // every log is led that can be: nobody has followed since

	joining wish // the member that is counted, and asked to be counted by all
	asked   wish // any other command that is wanted

	reads  reads
	rounds [kept]env.Time // leading: when rounds of confirmations began, by number modulo kept
	sole   env.Time       // leading: nobody led in a higher epoch then, if isSole
	isSole bool
	named  env.Time // when the node was told that it leads in known.Epoch
	deaf   bool     // the node has not heard the meta log lately
	// ledDeaf: it was so while the node led.
	ledDeaf bool
	echo    peer.Round // following: the last round that the leader asked for
	ticks   uint32
	beat    env.Time // when members are asked to confirm next
	gather  gathering

	quorum []quorum.Acceptor // of a log that is looked at
	out    []byte
	ends   []lineage.End // of a log that somebody asks for, while it is looked at
}

// wish is a command that the group wants in the meta log.
type wish struct {
	on      bool
	command control.Command
}

// slot is a log of the shard.
type slot struct {
	place   int32 // in Group.slots
	slot    lineage.Slot
	tenant  tenant.ID
	r       *replica.Replica
	marks   marks       // leading: of the records that a replica may lack
	acked   lineage.Seq // following: what the leader was told last
	pull    pull
	vain    uint64    // the version in which the others were told in vain that the log has failed
	life    peer.Life // of the log here: firstLife, and one more each time that it begins anew with nothing
	fresh   env.Time
	isFresh bool // what was committed at fresh has been applied
	failed  bool // the log has stopped, and the others are to know
	ends    bool // the tenant is being dropped: the log is sequenced by nobody anew
	yields  bool // eligible: what it lacks comes as a snapshot, for which the log here would have to go
	blocked bool // nobody has a whole log, and the one here lacks records: it is not sequenced
}

// progress is what is known of one replica of a log.
type progress struct {
	acked lineage.Seq // durable there, and the leader's
	life  peer.Life   // of that log, which begins anew with each life; what is of an earlier one counts no more
	at    peer.Round  // acked was so after this round of confirmations began; 0: that is not known
	told  lineage.Seq // it knows that records up to here are committed
	since env.Time    // acked has been behind the log's end since
}

// other is another node that has, or is to have, a replica of the shard.
type other struct {
	node        env.ID
	placed      uint64          // the entry of the meta log that placed it
	incarnation env.Incarnation // that was heard last
	heard       env.Time        // when
	answered    env.Time        // when it answered last: it hears this node
	spoke       bool            // in this epoch
	round       peer.Round      // it confirmed last
}

// New returns a group that knows nothing of its shard but the epoch that is durable
// on the node.
func New(self control.Member, shard lineage.Shard, epoch lineage.ShardEpoch, p Patience, key uint16, owner Owner) *Group {
	return &Group{self: self, owner: owner, patience: p, key: key, known: control.Shard{ID: shard}, epoch: epoch, wanted: epoch}
}

// Shard returns which shard it is.
func (g *Group) Shard() lineage.Shard { return g.known.ID }

// Known returns the newest configuration that the node has heard of. It belongs to
// the group.
func (g *Group) Known() *control.Shard { return &g.known }

// Placed returns the entry of the meta log that placed the shard here last, as far as the node
// knows; 0 if it knows of none.
func (g *Group) Placed() uint64 { return g.placed }

// Epoch returns the epoch that is durable here.
func (g *Group) Epoch() lineage.ShardEpoch { return g.epoch }

// Role returns what the node is to the shard.
func (g *Group) Role() Role { return g.role }

// Leader returns who leads the shard, as far as is known here.
func (g *Group) Leader() (env.ID, bool) {
	if g.known.Epoch >= g.epoch && g.known.Index > 0 {
		return g.known.Leader.Node, true
	}
	return g.leader, g.knows
}

// AddSlot adds a log of the shard, under the number that it has on the node.
func (g *Group) AddSlot(number int, r *replica.Replica) {
	id, place := r.Identity(), len(g.slots)
	if place > 0 {
		assert.That(g.numbers[place-1] < number, "log %d of the node is added behind log %d", number, g.numbers[place-1])
	}
	if g.gather.chosen { // it is of a tenant that was created since: nobody has any of it
		g.gather.sources, g.gather.targets = append(g.gather.sources, g.self.Node), append(g.gather.targets, lineage.Position{})
	}
	g.changes++
	if place == cap(g.slots) { // most shards never get many more than they begin with
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

// number returns the number of a log on the node.
func (g *Group) number(s *slot) int { return g.numbers[s.place] }

// progressOf returns what is known of the other replicas of a log, by peer.
func (g *Group) progressOf(s *slot) []progress {
	n := len(g.peers)
	return g.progress[int(s.place)*n : (int(s.place)+1)*n]
}

// disturb lets every log be looked at with the next tick.
func (g *Group) disturb() {
	for i := range g.slots {
		g.restless.add(i)
	}
}

// Release ends the node's part in the shard: it holds none of it any more.
func (g *Group) Release(e env.Env) {
	g.stepDown(e)
	g.refuseReads(wire.Moved)
}

// find returns the place of a log, -1 if the shard has no such log here. Who asks is
// about to touch it.
func (g *Group) find(id tenant.ID, s lineage.Slot) int {
	i, found := slices.BinarySearch(g.numbers, g.owner.Number(id, s))
	if !found {
		return -1
	}
	g.restless.add(i)
	return i
}

// at returns the log with a number on the node, nil if the shard has none. Who asks is
// about to touch it.
func (g *Group) at(number int) *slot {
	i, found := slices.BinarySearch(g.numbers, number)
	if !found {
		return nil
	}
	g.restless.add(i)
	return &g.slots[i]
}

// Configure takes a configuration of the shard. One that is not newer than what is
// known changes nothing: it may have been on its way for long.
func (g *Group) Configure(e env.Env, s *control.Shard) {
	// What was decided later counts, in whatever order it arrives.
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
	// A wish that was decided on another version can not come true any more.
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

// bar lets nothing count that a log acknowledged in a life that has failed. How far that log is
// behind is unknown from here on, also when the exclusion is over.
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

// barred reports whether a life of a peer's log is one that has failed, by the exclusion
// that the configuration has. A leader may have been told of the exclusion together with
// its leadership, and acknowledgements of that life may still be on their way.
func (g *Group) barred(i int, s *slot, life peer.Life) bool {
	for j := range g.known.Excluded {
		// Else the member would be readmitted at once, on the strength of a log that has
		// stopped.
		if x := &g.known.Excluded[j]; x.Member == g.peers[i].member() && x.Tenant == s.tenant && x.Slot == s.slot {
			return uint64(life) <= x.Life
		}
	}
	return false
}

// renewPeers makes the list of the others what the configuration says. Of one that was
// replaced and placed again nothing is known, not even if both are told at once: it has
// let go of what it had.
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

// isSame reports whether another is the same node, placed by the same entry.
func (o *other) isSame(another other) bool {
	return another.node == o.node && another.placed == o.placed
}

// firstLife returns the number of the first life of a log on a node that was placed by
// an entry of the meta log. There are less than 1<<16 lives in a placement.
func firstLife(placed uint64) peer.Life { return peer.Life(placed << 16) }

// placedSince begins to count the lives of the logs here anew, if the node was placed by
// another entry than is known.
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

// Wants returns the epoch that has to be made durable on the node, and true, if there
// is one.
func (g *Group) Wants() (lineage.ShardEpoch, bool) { return g.wanted, g.wanted > g.epoch }

// hear takes note of an epoch that somebody knows. Who leads in a lower one does not
// any more.
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

// takeRole begins to lead, if the control plane wants this very process to lead in the
// epoch that is durable here.
func (g *Group) takeRole(e env.Env) {
	if g.known.Epoch > g.epoch {
		g.stepDown(e)
	}
	if g.known.Epoch != g.epoch || g.known.Leader.Node != g.self.Node || g.led >= g.epoch || g.wanted > g.epoch {
		return
	}
	// A process that led in an epoch and has restarted has forgotten what it promised
	// there.
	//safety:no-leading-again-in-an-epoch false by=one-sequencer on=all-members-restart
	if g.known.Leader.Incarnation != g.self.Incarnation {
		return
	}
	g.led = g.epoch
	g.leader, g.knows = g.self.Node, true
	g.refuseReads(wire.NotYet) // they were to be answered by what another leader has said
	for i := range g.peers {
		// Others have said nothing to who did not lead. The leader before has, and need
		// not be waited for once more if it has been silent for long.
		o := &g.peers[i]
		if !g.succeeds || o.node != g.before || o.heard == 0 {
			o.heard = e.Now()
		}
		o.answered = o.heard
		// What it said shows that it speaks, not that it hears. It was mostly replaced
		// because it does not: the coordinator has waited for it already.
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

// leadSlots begins to sequence every log that can be.
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

// stepDown ends the leading, or the preparations for it. Changes that have no place in
// a log are refused; nobody is told of the others.
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

// counts reports whether a peer is a member whose copy counts: in sync, or about to be.
func (g *Group) counts(o *other) bool { return g.view().Counts(o.member()) }

// lacks reports whether a member is excluded from a log for sure.
func (g *Group) lacks(m control.Member, s *slot) bool { return g.view().Lacks(m, s.tenant, s.slot) }

// excluded reports whether the configuration excludes a member from a log.
func (g *Group) excluded(m control.Member, s *slot) bool {
	return g.view().Excludes(m, s.tenant, s.slot)
}

// belowMin reports whether the set is smaller than min: another node may be made the
// leader without any member of it.
func (g *Group) belowMin() bool { return len(g.known.InSync) < g.known.Min }

// acceptors returns the replicas that have a duty for a log, and what each has of it. The list
// is valid until the next call.
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

// advance commits what every replica has that must have it, and tells the clients that wait
// for it.
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

// ackedBy returns up to where a member has a log; nothing is known of one that has
// restarted, and it is waited for until it is known to be no member.
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

// Flush writes what was appended to a log and ships it.
func (g *Group) Flush(e env.Env, number int) {
	s := g.at(number)
	if s == nil {
		return
	}
	s.r.Flush(e)
	g.shipped(e, s)
}

// keepingUp is how many records a replica that does not count may be behind, and
// still be sent what is appended.
const keepingUp = 256

// shipped ships what was appended to a log since the last time.
func (g *Group) shipped(e env.Env, s *slot) {
	at, records := s.r.Outbox()
	if len(records) == 0 {
		return
	}
	end := s.r.End().Seq
	// A replica lags since what it lacks was appended, not since the log began.
	//safety:lag-since-appended by=health-truth on=slow-follower
	s.marks.add(at.Seq+1, e.Now())
	m := peer.Append{LogHeader: g.logHeader(s), At: at, Commit: s.r.State().Position.Seq, Records: records}
	g.out = m.Encode(g.out[:0])
	key := env.Key{Kind: g.key + uint16(peer.KindAppend), A: uint64(s.tenant), B: uint64(end)}
	for i := range g.peers {
		o := &g.peers[i]
		p := &g.progressOf(s)[i]
		if p.acked >= at.Seq { // it had everything until now
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

// send sends a message about the shard, which was encoded in out; b and attempt tell it from
// others of its kind.
func (g *Group) send(e env.Env, to env.ID, out []byte, b uint64, attempt uint32) {
	g.out = out
	e.Send(to, env.Key{Kind: g.key + uint16(peer.KindOf(out)), Attempt: attempt, A: uint64(g.known.ID), B: b}, out)
}

// sendOf sends a message about a log of the shard, likewise.
func (g *Group) sendOf(e env.Env, s *slot, to env.ID, out []byte, b uint64, attempt uint32) {
	g.out = out
	a := uint64(s.tenant)<<16 ^ uint64(g.known.ID)
	e.Send(to, env.Key{Kind: g.key + uint16(peer.KindOf(out)), Attempt: attempt, A: a, B: b}, out)
}
