package control

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// Seen is the coordinator's view of the nodes that are alive. The coordinator is the process that
// leads the meta log; all times are of its own monotonic clock.
type Seen struct {
	Now env.Time
	// Since is when the process began to lead the meta log. Nodes did not report to it before, so
	// no node counts as silent for longer than since then.
	Since env.Time
	// Nodes has one sighting for each of Plane.Nodes, in that order. The coordinator always hears
	// its own node.
	Nodes []Sighting
	// Troubles lists the shards whose leaders reported recently that they may be unable to serve.
	Troubles []Trouble
}

// Sighting is when the coordinator heard a node last. A heartbeat echoes the coordinator's last
// message and counts from when that was sent, so a node that hears nothing is not heard either.
type Sighting struct {
	Node        env.ID
	Incarnation env.Incarnation // the highest incarnation heard
	At          env.Time        // when it was heard in that incarnation last
	Known       bool            // the node was heard at all; otherwise both are void
}

// Trouble is a leader's report about its shard in the last heartbeat.
type Trouble struct {
	Shard       lineage.Shard
	Epoch       lineage.ShardEpoch
	Leader      Member
	Unconfirmed env.Duration // time since all members last confirmed the leader
	Unsynced    env.Duration // time since its disk made something durable, while records wait
}

// Patience is how long a silence lasts before the coordinator acts. All are positive.
type Patience struct {
	Silence env.Duration // until it replaces a leader
	Replace env.Duration // until it assigns the replica to another node
	Slow    env.Duration // until it replaces a leader with a stalled disk
}

// Unconfirmed is how long a leader may lack a confirmation of all members. A leader that misses one
// member needs Silence to notice and a commit of the meta log to remove it; it keeps its shard for
// that long.
func (p *Patience) Unconfirmed() env.Duration { return 2 * p.Silence }

// Step is a command to propose.
type Step struct {
	Command Command
	Why     Reason
}

// Wait is an action that a shard needs and that the coordinator postpones.
type Wait struct {
	Shard lineage.Shard
	Why   Reason // Why.Member is the member that the shard waits for
}

// Decide appends to steps the commands to propose, at most one for each node and each shard, and to
// waits the actions that it postpones. It is a pure function: two coordinators with the same view
// propose the same. If their views differ, Apply refuses the outdated one.
//
// For each shard, the first line that applies:
//
//	all its logs are lost, and none is eligible      wait for an operator
//	no member can lead, the eligible one is alive    Elect it
//	none can be promoted, a member has restarted     Reform, once all are heard
//	leader alive and whole, set being reformed       wait for the members' logs
//	leader alive, hears no member or cannot write    Elect another one, if the set is above min
//	leader alive and whole, its node is drained      Elect another one, if there is one
//	leader alive and whole, a replica is gone        Assign
//	leader restarted, silent or excluded             Elect one that is alive and whole
//
// A restart counts at once, a silence after patience.
//
// Only the leader removes members. The coordinator cannot know whether the leader still lives. If
// the leader and its disk are gone, a member that has restarted may be the only one with every
// record, and must stay in the set to be asked for its logs.
func Decide(p *Plane, seen *Seen, patience *Patience, steps []Step, waits []Wait) ([]Step, []Wait) {
	assert.That(len(seen.Nodes) == len(p.nodes), "%d sightings of %d nodes", len(seen.Nodes), len(p.nodes))
	d := &decision{Plane: p, seen: seen, patience: patience, steps: steps, waits: waits}
	for i := range p.nodes {
		d.node(i)
	}
	for i := range p.shards {
		d.shard(&p.shards[i])
	}
	return d.steps, d.waits
}

// decision is a call of Decide in progress.
type decision struct {
	*Plane
	seen     *Seen
	patience *Patience
	steps    []Step
	waits    []Wait
}

func (d *decision) propose(c Command, why Reason) { d.steps = append(d.steps, Step{c, why}) }

func (d *decision) wait(s *Shard, because Because, l look) {
	d.waits = append(d.waits, Wait{s.ID, d.reason(because, l)})
}

// about returns a command about a member, decided on the shard as it is.
func (s *Shard) about(kind Kind, m Member) Command {
	return Command{Kind: kind, Shard: s.ID, Epoch: s.Epoch, Version: s.Version, Member: m}
}

// node proposes that an incarnation that was heard becomes current for its node.
func (d *decision) node(i int) {
	n, s := &d.nodes[i], &d.seen.Nodes[i]
	assert.That(s.Node == n.ID, "sighting %d is of node %d, want %d", i, s.Node, n.ID)
	if s.Known && s.Incarnation > n.Incarnation && s.Incarnation >= n.Registered {
		m := Member{n.ID, s.Incarnation}
		d.propose(Command{Kind: Appear, Member: m}, Reason{Because: Heard, Member: m})
	}
}

func (d *decision) shard(s *Shard) {
	leader := d.look(s.Leader)
	switch {
	case d.IsStuck(s) && !s.LossAccepted:
		d.wait(s, LossUnaccepted, d.look(s.InSync[slices.IndexFunc(s.InSync, d.isLost)]))
	case len(s.Eligible) > 0 && d.look(d.current(s.Eligible[0].Node)).life == unregistered:
		// The registration of this member may end its eligibility.
		d.await(s, OnlyHope, d.look(d.current(s.Eligible[0].Node)))
	case d.overruled(s):
		d.lead(Elect, s, d.reason(NobodyLeft, leader))
	case d.reformable(s):
		d.reform(s)
	case leader.life == alive && !s.IsExcluded(s.Leader) && s.Reformed:
		d.awaitLogs(s)
	case leader.life == alive && !s.IsExcluded(s.Leader) && d.relieve(s, leader):
	case leader.life == alive && !s.IsExcluded(s.Leader) && d.IsDraining(s.Leader.Node):
		d.handOver(s, leader)
	case leader.life == alive && !s.IsExcluded(s.Leader):
		d.replace(s)
	case leader.life == unheard || leader.life == unregistered:
		d.await(s, JustBegan, leader)
	default:
		d.elect(s, leader)
	}
}

// overruled reports whether the eligible member must lead: it is alive, and no living member of the
// set is whole. It returns false while a member may still be heard.
func (d *decision) overruled(s *Shard) bool {
	if len(s.Eligible) == 0 || d.look(d.current(s.Eligible[0].Node)).life != alive {
		return false
	}
	for _, m := range s.InSync {
		switch l := d.look(m); {
		case l.life == restarted, l.life == silent, l.life == alive && s.IsExcluded(m):
		default:
			return false
		}
	}
	return true
}

// life is the coordinator's knowledge of a member's process.
type life uint8

const (
	alive        life = iota // it was heard within the patience
	restarted                // a later process of its node is registered
	unregistered             // a later process of its node was heard
	unheard                  // it was not heard, but it is too early to call it silent
	silent                   // it was not heard for the whole patience
)

// look is the coordinator's knowledge of a member.
type look struct {
	Member
	life  life
	quiet env.Duration // time since it was heard, or since Seen.Since
}

func (d *decision) look(m Member) look {
	i, _ := d.findNode(m.Node)
	s := &d.seen.Nodes[i]
	l, last := look{Member: m}, d.seen.Since
	heard := s.Known && s.Incarnation == m.Incarnation
	if heard {
		last = max(last, s.At)
	}
	l.quiet = d.seen.Now.Sub(last)
	switch {
	case d.hasRestarted(m):
		l.life = restarted
	case s.Known && s.Incarnation > m.Incarnation:
		l.life = unregistered
	case heard && d.seen.Now.Sub(s.At) < d.patience.Silence:
		l.life = alive
	case l.quiet < d.patience.Silence:
		l.life = unheard
	default:
		l.life = silent
	}
	return l
}

// await records that a shard waits for a member, with a more exact reason if there is one.
func (d *decision) await(s *Shard, because Because, l look) {
	switch l.life {
	case unregistered:
		because = Unregistered
	case unheard:
		because = JustBegan
	}
	d.wait(s, because, l)
}

func (d *decision) reason(because Because, l look) Reason {
	r := Reason{Because: because, Member: l.Member, Quiet: l.quiet}
	switch because {
	case LeaderSilent, JustBegan, NobodyLeft:
		r.Bound = d.patience.Silence
	case LeaderStalled:
		r.Bound = d.patience.Slow
	case LeaderUnconfirmed:
		r.Bound = d.patience.Unconfirmed()
	case ReplicaGone, NoLegalNode:
		r.Bound = d.patience.Replace
	}
	return r
}

// reform proposes a Reform once it hears the processes of the whole set: each may hold the only
// copy of a record.
func (d *decision) reform(s *Shard) {
	complete := true
	for _, m := range s.InSync {
		if d.isLost(m) && d.leavesWhole(s) { // its logs are lost
			continue
		}
		if l := d.look(d.current(m.Node)); l.life != alive {
			d.await(s, ReformIncomplete, l)
			complete = false
		}
	}
	if !complete {
		return
	}
	because, about := NobodyWhole, s.Leader
	if s.Reformed {
		because = MemberBack
		about = s.InSync[slices.IndexFunc(s.InSync, d.hasRestarted)]
	}
	d.lead(Reform, s, d.reason(because, d.look(about)))
}

// lead proposes that a replica leads, one that is alive and that Apply would accept, and reports
// whether there is one.
func (d *decision) lead(kind Kind, s *Shard, why Reason) bool {
	var best Command
	for _, id := range s.Replicas {
		c := s.about(kind, d.current(id))
		if d.Judge(&c) != Done || d.look(c.Member).life != alive {
			continue
		}
		// Skip the leader, which is to be replaced, and the eligible member while a member of the
		// set can lead.
		if kind == Elect && (c.Member == s.Leader || !s.IsInSync(c.Member) && why.Because != NobodyLeft) {
			continue
		}
		if best.Kind == 0 || d.better(s, id, best.Member.Node) {
			best = c
		}
	}
	if best.Kind == 0 {
		return false
	}
	d.propose(best, why)
	return true
}

// better reports whether a node should lead a shard rather than another node. Nodes with a stalled
// disk, and then nodes that are being drained, come last.
func (d *decision) better(s *Shard, id, than env.ID) bool {
	if stalled := d.inTrouble(d.current(id)); stalled != d.inTrouble(d.current(than)) {
		return !stalled
	}
	if drains := d.IsDraining(id); drains != d.IsDraining(than) {
		return !drains
	}
	return s.rank(id) > s.rank(than)
}

// handOver proposes another leader in place of one on a node that is being drained.
func (d *decision) handOver(s *Shard, leader look) {
	for _, m := range s.InSync {
		if !d.IsDraining(m.Node) && d.promotable(s, m) && d.look(m).life == alive {
			d.lead(Elect, s, d.reason(LeaderDrains, leader))
			return
		}
	}
	d.wait(s, NobodyElse, leader)
}

// relieve proposes another leader in place of one that is alive but cannot serve, and reports
// whether it does. A set at min keeps its leader: the next one would need the same members.
func (d *decision) relieve(s *Shard, leader look) bool {
	because, quiet := d.trouble(s)
	if because == 0 || len(s.InSync) <= s.Min {
		return false
	}
	for _, m := range s.InSync {
		if m == s.Leader || d.inTrouble(m) || !d.promotable(s, m) || d.look(m).life != alive {
			continue
		}
		leader.quiet = quiet
		return d.lead(Elect, s, d.reason(because, leader))
	}
	return false
}

// trouble returns the reason to replace a leader that is alive, and for how long it has held; 0 if
// there is none.
func (d *decision) trouble(s *Shard) (Because, env.Duration) {
	for i := range d.seen.Troubles {
		t := &d.seen.Troubles[i]
		if t.Shard != s.ID || t.Epoch != s.Epoch || t.Leader != s.Leader {
			continue
		}
		// A leader with a stalled disk acknowledges nothing, although its process still speaks.
		//safety:stalled-leader-replaced false by=availability on=gray-failure
		if t.Unsynced >= d.patience.Slow {
			return LeaderStalled, t.Unsynced
		}
		// A leader without confirmations of its members can serve neither writes nor reads.
		//safety:unconfirmed-leader-replaced false by=availability on=gray-failure
		if t.Unconfirmed >= d.patience.Unconfirmed() {
			return LeaderUnconfirmed, t.Unconfirmed
		}
	}
	return 0, 0
}

// inTrouble reports whether the disk of a member's node has stalled, as far as the node reports it
// for shards that it leads.
func (d *decision) inTrouble(m Member) bool {
	return slices.ContainsFunc(d.seen.Troubles, func(t Trouble) bool { return t.Leader == m && t.Unsynced >= d.patience.Slow })
}

// current returns the node's current process, according to the meta log.
func (d *decision) current(id env.ID) Member { return Member{id, d.Node(id).Incarnation} }

// awaitLogs records the members of a reformed set that keep its leader waiting.
func (d *decision) awaitLogs(s *Shard) {
	for _, m := range s.InSync {
		if l := d.look(m); l.life != alive {
			d.await(s, LogsOutstanding, l)
		}
	}
}

// elect proposes a new leader, or records the members that the shard waits for.
func (d *decision) elect(s *Shard, old look) {
	because := LeaderExcluded
	switch old.life {
	case restarted:
		because = LeaderRestarted
	case silent:
		because = LeaderSilent
	}
	if d.lead(Elect, s, d.reason(because, old)) {
		return
	}
	waits := len(d.waits)
	for _, m := range s.InSync {
		switch l := d.look(m); {
		case s.IsExcluded(m) && l.life == alive:
			d.wait(s, OnlyExcluded, l)
		case l.life != alive && l.life != restarted:
			d.await(s, OnlyHope, l)
		}
	}
	if len(d.waits) == waits && len(s.Eligible) > 0 { // all members lost their disks
		d.await(s, OnlyHope, d.look(d.current(s.Eligible[0].Node)))
	}
}

// replace proposes another node for the first replica that is out of the set and whose node is
// gone.
func (d *decision) replace(s *Shard) {
	for _, id := range s.Replicas {
		l := look{Member: d.current(id), quiet: d.quiet(id)}
		if _, holds := s.holder(id); holds || s.IsEligible(id) || l.quiet < d.patience.Replace {
			continue
		}
		in := d.substitute(s)
		if in == nil {
			d.wait(s, NoLegalNode, l)
			continue
		}
		c := s.about(Assign, Member{})
		c.Node, c.In = id, in.ID
		d.propose(c, d.reason(ReplicaGone, l))
		return
	}
}

// quiet returns how long a node was not heard, in whatever incarnation.
func (d *decision) quiet(id env.ID) env.Duration {
	last := d.seen.Since
	i, _ := d.findNode(id)
	if s := &d.seen.Nodes[i]; s.Known {
		last = max(last, s.At)
	}
	return d.seen.Now.Sub(last)
}

// substitute returns the node for a new replica of a shard: alive, allowed, and with the fewest
// replicas; nil if there is none. Every node in the shard's region satisfies the residency of the
// tenants that it hosts.
func (d *decision) substitute(s *Shard) *Node {
	var best *Node
	var least int
	for i := range d.nodes {
		n := &d.nodes[i]
		if n.Region != s.Region || n.Draining || slices.Contains(s.Replicas, n.ID) || d.look(d.current(n.ID)).life != alive {
			continue
		}
		load := d.load(n.ID)
		if best == nil || load < least || load == least && s.rank(n.ID) > s.rank(best.ID) {
			best, least = n, load
		}
	}
	return best
}

// load returns how many replicas a node has, proposed ones included.
func (d *decision) load(id env.ID) int {
	n := 0
	for i := range d.shards {
		if slices.Contains(d.shards[i].Replicas, id) {
			n++
		}
	}
	for i := range d.steps {
		if c := &d.steps[i].Command; c.Kind == Assign && c.In == id {
			n++
		}
	}
	return n
}

// rank orders nodes by a hash that differs between shards and epochs, so that the shards of a lost
// node spread over the others. It is part of no format.
func (s *Shard) rank(id env.ID) uint64 {
	return mix(mix(uint64(s.ID)<<32|uint64(id)) ^ uint64(s.Epoch))
}

// mix is the finalizer of SplitMix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
