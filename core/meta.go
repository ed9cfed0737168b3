package core

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/peer"
)

// A node's side of the control plane. Every node sends heartbeats to the members of the meta log,
// and the leader of the meta log answers with the changes of the control plane. That leader is the
// coordinator: it compares the desired state with the reports of the nodes, and proposes commands.

// metaDir is the directory of the meta log's member.
const metaDir = "meta"

// IDs reserved for the meta log: timer, message prefix, file handles.
const (
	metaTimer  env.TimerID = 2
	MetaPrefix             = 0x7c        // the first byte of the meta log's messages
	metaFile               = env.File(2) // and the next: the first replica of a node has number 1
)

// planeMachine adapts the control plane to the meta log's state machine.
type planeMachine struct{ *control.Plane }

// Apply implements metalog.StateMachine.
func (p planeMachine) Apply(index metalog.Index, command []byte) ([]byte, error) {
	return p.Plane.Apply(uint64(index), command)
}

// meta is a node's state about the control plane.
type meta struct {
	log    *metalog.Log   // nil: the node is no member
	plane  *control.Plane // of a member: the applied state
	seen   uint64         // of a member: the index of the plane that it handled last
	reader control.Reader // reassembles the change feed

	leader   env.ID // of the meta log, as far as it is known
	located  bool   // the leader is known
	nextBeat env.Time
	hearing  hearing

	leads     bool // the node is the coordinator
	since     env.Time
	polls     polls
	knowledge knowledge
	uses      []tenantUse
	sightings []sighting
	steps     []control.Step
	waits     []control.Wait

	proposals   []proposal
	registering []registration
	count       uint64 // of proposals
	tail        []byte // of a message in the making

	wanted        []verification // to be begun
	verifications []verification // their reads are under way
	verified      uint64         // reads so far
}

// sighting is a node as the coordinator sees it.
type sighting struct {
	control.Sighting
	index uint64   // up to which it knows the changes
	heard env.Time // when this node heard it last, deaf or not; void if not Known
}

// proposal is a command that this node proposes until it knows the outcome.
type proposal struct {
	client, number uint64
	command        control.Command
	sent           env.Time
	group          *group.Group // that wants it; nil: the coordinator does
}

func (m *meta) init(n *Node) {
	c := n.cluster
	if !slices.Contains(c.Control.Meta, n.env.Self()) {
		return
	}
	m.plane = c.founded.Clone()
	m.log = metalog.New(metalog.Config{
		Dir: metaDir, Cluster: c.ID, Addresses: c.Control.Meta, Founders: c.founders(), Machine: planeMachine{m.plane},
		Seat:      metalog.Seat{Prefix: MetaPrefix, Timer: metaTimer, Op: diskops.Name{Purpose: stepMeta}.ID(), File: metaFile, Key: keyMeta, Owner: nobody},
		Constants: c.Meta,
	})
	for i := range m.plane.Nodes() {
		m.sightings = append(m.sightings, sighting{Sighting: control.Sighting{Node: m.plane.Nodes()[i].ID}})
	}
}

func (n *Node) startMeta() {
	if n.log != nil {
		n.log.Open(n.env, n.catalog.Directory)
	}
}

// stepMeta handles an event of the meta log, and reports whether it was one.
func (n *Node) stepMeta(ev *env.Event) bool {
	if n.log == nil || !n.log.Owns(ev) {
		return false
	}
	n.env.Charge(n.cluster.Constants.Costs.Check)
	n.log.Step(n.env, ev)
	n.metaStepped()
	return true
}

// metaStepped acts on the outcomes and the applied entries of the meta log.
func (n *Node) metaStepped() {
	n.outcomes()
	n.lead()
	n.answerRegistrations()
	if n.plane.Index() != n.seen && n.ready && !n.isLeaving() {
		before := n.seen
		n.seen = n.plane.Index()
		n.configureFromPlane()
		n.rebalance(before)
		n.adoptEpochs()
		n.pushAll()
	}
}

// lead notes whether the node leads the meta log.
func (n *Node) lead() {
	status := n.log.Status()
	leads := status.Serving && status.Leader == status.Member
	if leads && !n.leads {
		n.since, n.uses = n.watchedSince(), nil
		n.trustSightings()
		fault.Hit(n.env, fault.MetaLeading, env.Key{A: nobody, B: uint64(status.Term)})
	}
	began := leads && !n.leads
	n.leads = leads
	if leads {
		n.leader, n.located = n.self.Node, true
		// The only member of the meta log has asked itself in vain before it led.
		if began && n.identity.asks && len(n.cluster.Control.Meta) == 1 {
			n.askToRegister()
		}
	} else if status.Serving && status.Leader != 0 {
		n.leader, n.located = status.Leader.Address(), true
	}
}

// watchedSince returns since when a new coordinator would have heard every live node. A node sends
// its heartbeats to every member of the meta log. If this member heard most nodes lately, it heard
// all that live. Otherwise it was cut off, and begins to listen now.
func (n *Node) watchedSince() env.Time {
	now, silence := n.env.Now(), n.cluster.Patience.Silence
	lately := 0
	for i := range n.sightings {
		if s := &n.sightings[i]; s.Node == n.self.Node || s.Known && now.Sub(s.heard) < silence/2 {
			lately++
		}
	}
	if 2*lately <= len(n.sightings) || now.Sub(n.started) < silence {
		return now
	}
	return now.Add(-silence)
}

// configureFromPlane takes the changes from this node's own plane.
func (n *Node) configureFromPlane() {
	if n.plane == nil || n.plane.Index() < uint64(n.self.Incarnation) {
		return
	}
	known, last := n.reader.Index(), n.plane.Index()
	n.changes = n.plane.Since(known, n.changes[:0])
	n.take(n.reader.Take(known, last, last, n.changes))
}

// metaMessage handles a message about the control plane.
func (n *Node) metaMessage(from env.ID, m peer.ControlMessage) {
	switch m := m.(type) {
	case *peer.Heartbeat:
		n.sighted(from, m)
	case *peer.Configs:
		n.told(from, m)
	case *peer.Propose:
		n.propose(from, m)
	case *peer.Proposed:
		n.proposed(m.Client, m.Number, m.Result)
	case *peer.Register:
		n.register(from, m.Challenge, m.Command)
	case *peer.Registered:
		n.answeredRegistration(m)
	case *peer.Poll:
		n.leader, n.located = from, true
		n.tell(from, m.Number)
	case *peer.Verify:
		n.verify(verification{by: control.Member{Node: from, Incarnation: m.From}, shard: m.Shard, epoch: m.Epoch, round: m.Round})
	case *peer.Verified:
		n.isVerified(m.Shard, m.Epoch, m.Round)
	case *peer.Report:
		n.reported(from, m.From, m.Asked, &m.Figures)
	}
}

// sighted takes a heartbeat of a node. The coordinator answers with the changes that the node
// lacks.
func (n *Node) sighted(from env.ID, m *peer.Heartbeat) {
	if n.log == nil {
		return
	}
	if i := n.sightingOf(from); i >= 0 && m.From >= n.sightings[i].Incarnation && m.From >= n.plane.Node(from).Incarnation {
		s, now := &n.sightings[i], n.env.Now()
		if !s.Known || m.From > s.Incarnation { // a new start has had no time to hear the coordinator
			s.At = now
		}
		s.Node, s.Incarnation, s.heard, s.Known = from, m.From, now, true
		s.index = m.Told
		// Count only a node that hears the coordinator as heard.
		at, recent := n.hearing.saidAt(m.Heard)
		if recent {
			s.At = max(s.At, at)
		}
		if n.leads {
			n.notice(control.Member{Node: from, Incarnation: m.From}, m.Troubles)
			n.push(i)
			if m.From > n.plane.Node(from).Incarnation && n.self.Incarnation > 0 {
				n.coordinate()
			}
		}
	}
}

func (n *Node) sightingOf(id env.ID) int {
	return slices.IndexFunc(n.sightings, func(s sighting) bool { return s.Node == id })
}

// pushAll sends all nodes the latest changes, if this node is the coordinator.
func (n *Node) pushAll() {
	if !n.leads {
		return
	}
	for i := range n.sightings {
		if n.sightings[i].Node != n.self.Node && n.sightings[i].Known {
			n.push(i)
		}
	}
}

// maxChanges bounds the changes in one message, in bytes. The rest follows when a heartbeat says
// that the node knows these.
const maxChanges = peer.MaxTail / 2

// push sends a node the changes since the index that its last heartbeat gave.
func (n *Node) push(i int) {
	s := &n.sightings[i]
	m := peer.Configs{ControlHeader: n.says(), Last: n.plane.Index(), Number: n.say()}
	n.changes = n.plane.Since(s.index, n.changes[:0])
	m.Changes, m.Told = control.AppendChanges(n.tail[:0], s.index, n.plane.Index(), n.changes, maxChanges)
	n.tail = m.Changes
	n.sendPeer(s.Node, m.Encode(n.peerOut[:0]), uint64(s.Node), m.Told)
}

// told takes the changes that the coordinator announces.
func (n *Node) told(from env.ID, m *peer.Configs) {
	if !n.ready {
		return
	}
	n.leader, n.located = from, true
	n.heardMeta(from, m.Number)
	// Ignore a state from before this start was registered: the message may have been delayed since
	// then.
	if m.Last < uint64(n.self.Incarnation) {
		return
	}
	if n.isLeaving() { // the coordinator repeats the message
		return
	}
	after, changes, err := control.DecodeChanges(m.Changes)
	if err != nil {
		n.malformed++
		return
	}
	n.take(n.reader.Take(after, m.Told, m.Last, changes))
}

// tickMeta sends heartbeats, lets the coordinator decide, and repeats proposals.
func (n *Node) tickMeta() {
	now := n.env.Now()
	if n.log != nil {
		n.metaStepped()
	}
	if n.leads && n.self.Incarnation > 0 {
		n.coordinate()
		n.poll()
		n.confirmHearing()
	}
	if now >= n.nextBeat && n.ready {
		n.nextBeat = now.Add(min(n.cluster.Heartbeat, n.cluster.Patience.Silence/6))
		n.beat()
	}
	for i := 0; i < len(n.proposals); i++ { // a proposal that is answered at once leaves the list
		if p := &n.proposals[i]; now.Sub(p.sent) >= 4*tickEvery {
			n.sendProposal(p)
		}
	}
}

// beat sends a heartbeat to every member of the meta log, so that the next leader has heard the
// node too.
func (n *Node) beat() {
	if n.log != nil {
		s := &n.sightings[n.sightingOf(n.self.Node)]
		s.Incarnation, s.At, s.Known, s.index = n.self.Incarnation, n.env.Now(), true, n.reader.Index()
		s.heard = s.At
	}
	troubles := n.troubles()
	if n.leads {
		n.notice(n.self, troubles)
	}
	for {
		part := troubles[:min(len(troubles), peer.MaxTroubles)]
		for _, to := range n.cluster.Control.Meta {
			if to != n.self.Node {
				m := peer.Heartbeat{ControlHeader: n.says(), Told: n.reader.Index(), Heard: n.hearing.echo(to), Troubles: part}
				n.sendPeer(to, m.Encode(n.peerOut[:0]), uint64(n.self.Node)<<32|uint64(len(troubles)), uint64(to))
			}
		}
		if troubles = troubles[len(part):]; len(troubles) == 0 {
			return
		}
	}
}

// coordinate proposes the commands that the control plane needs.
func (n *Node) coordinate() {
	seen := control.Seen{Now: n.env.Now(), Since: n.since}
	for i := range n.sightings {
		seen.Nodes = append(seen.Nodes, n.sightings[i].Sighting)
	}
	seen.Troubles = n.hearing.lately(seen.Now, n.cluster.Patience.Silence)
	n.steps, n.waits = control.Decide(n.plane, &seen, &n.cluster.Patience, n.steps[:0], n.waits[:0])
	for i := range n.steps {
		c := &n.steps[i].Command
		n.want(coordinator|(uint64(c.Shard)+uint64(c.Member.Node))%decisions, c, nil)
	}
	n.stepAside()
}

// stepAside hands over the leadership of the meta log in two cases. In the first, the node drains
// and has no other duties left. In the second, the node leads a shard and hears no other member of
// it. Then the node is probably deaf, and a coordinator that hears these members can make one of
// them the leader.
func (n *Node) stepAside() {
	drained := n.plane.IsDraining(n.self.Node) && n.plane.Idle(n.self.Node)
	if !drained && !n.hearsNoMember() {
		return
	}
	for i := range n.sightings {
		s := &n.sightings[i]
		// A live node may have a stopped member of the meta log, which could never take over.
		if n.log.Answers(s.Node) && s.Known && n.env.Now().Sub(s.At) < n.cluster.Patience.Silence/2 {
			n.log.Transfer(n.env, s.Node)
			return
		}
	}
}

// hearsNoMember reports whether the node leads a shard and hears none of its other members, of two
// at least.
func (n *Node) hearsNoMember() bool {
	return slices.ContainsFunc(n.groups, func(g *group.Group) bool { return g.HearsNobody(n.env) })
}

// A client ID of the meta log has the node's address in its upper 32 bits and the sort of proposal
// in its lower 32: a group's wish (no flag), the coordinator's decision, a leader's word about one
// slot (aside), an operator's command (steering), or a registration. The meta log never forgets a
// client, so each sort uses a few fixed IDs. A proposal that finds its client busy waits for the
// next tick.
const (
	coordinator = 1 << 31
	aside       = 1 << 30
	steering    = 1 << 29
	registers   = 1 << 28

	wishes    = 8  // of groups that are under way at once
	decisions = 64 // of a coordinator, likewise
)

// want proposes a command, unless this client has one under way.
func (n *Node) want(client uint64, c *control.Command, g *group.Group) {
	if n.self.Incarnation == 0 { // proposal numbers begin with the incarnation
		return
	}
	client |= uint64(n.self.Node) << 32
	for i := range n.proposals {
		if n.proposals[i].client == client {
			return
		}
	}
	n.count++
	n.proposals = append(n.proposals, proposal{client: client, number: uint64(n.self.Incarnation)<<32 | n.count, command: *c, group: g})
	n.sendProposal(&n.proposals[len(n.proposals)-1])
}

// proposeWishes proposes the commands that the groups want.
func (n *Node) proposeWishes() {
	for _, g := range n.groups {
		if c, ok := g.Wish(n.env); ok {
			n.want(uint64(g.Shard())%wishes, &c, g)
		}
	}
}

// sendProposal sends a proposal to the leader of the meta log, or proposes it here.
func (n *Node) sendProposal(p *proposal) {
	p.sent = n.env.Now()
	command := p.command.Append(nil)
	switch {
	case n.leads:
		_ = n.log.Propose(n.env, p.client, p.number, command) // refused: it is repeated
		n.outcomes()
	case n.located && n.leader != n.self.Node:
		m := peer.Propose{ControlHeader: n.says(), Number: p.number, Client: p.client, Command: command}
		n.sendPeer(n.leader, m.Encode(n.peerOut[:0]), p.client, p.number)
	}
}

// propose puts another node's command into the meta log. A command of a kind that the coordinator
// does not know stays out: members as old as the coordinator could not apply it.
func (n *Node) propose(from env.ID, m *peer.Propose) {
	if _, err := control.DecodeCommand(m.Command); err != nil {
		return
	}
	if n.leads && env.ID(m.Client>>32) == from && !n.isDeaf(from) {
		_ = n.log.Propose(n.env, m.Client, m.Number, m.Command) // refused: it is repeated
		n.metaStepped()
	}
}

// outcomes hands out the outcomes of proposals and reads.
func (n *Node) outcomes() {
	for _, out := range slices.Clone(n.log.Outcomes()) {
		switch {
		case out.Read && out.Number&verifying != 0:
			n.readForVerification(out.Number, out.Err != nil)
		case out.Read && out.Number&hearingBit != 0:
			n.hearing.confirmed(out.Number, out.Err == nil)
		case out.Read && out.Err == nil:
			n.stillLeads(peer.PollNumber(out.Number))
		}
		if out.Read || out.Err == metalog.ErrUnknown {
			continue
		}
		if to := env.ID(out.Client >> 32); to != n.self.Node {
			m := peer.Proposed{ControlHeader: n.says(), Number: out.Number, Client: out.Client, Result: out.Result}
			n.sendPeer(to, m.Encode(n.peerOut[:0]), out.Client, out.Number)
			continue
		}
		n.proposed(out.Client, out.Number, out.Result)
	}
}

// proposed takes the outcome of a proposal. The meta log does not remember the result of a
// superseded one; the next configuration shows the state.
func (n *Node) proposed(client, number uint64, result []byte) {
	i := slices.IndexFunc(n.proposals, func(p proposal) bool { return p.client == client && p.number == number })
	if i < 0 {
		return
	}
	p := n.proposals[i]
	n.proposals = slices.Delete(n.proposals, i, i+1)
	got, err := control.DecodeResult(result)
	if p.group != nil && err == nil && !got.Holds() {
		p.group.Refused(n.env, &p.command, &got)
	}
}

// metaSettled reports whether nothing is under way with the control plane.
func (n *Node) metaSettled() bool {
	if len(n.proposals) > 0 {
		return false
	}
	if n.log == nil {
		return true
	}
	status := n.log.Status()
	return n.log.Failure() != nil || status.Serving && !status.Joining
}

// Plane returns the control plane as this node has applied it, and the position of the last applied
// entry of the meta log; nil if the node is no member.
func (n *Node) Plane() (*control.Plane, metalog.Position) {
	if n.log == nil {
		return nil, metalog.Position{}
	}
	return n.plane, n.log.Status().Applied
}

// MetaQuorums returns the sets of members of the meta log of each of which a majority has to
// agree, as this node has applied it; nil if the node is no member.
func (n *Node) MetaQuorums() [][]metalog.MemberID {
	if n.log == nil {
		return nil
	}
	return n.log.Quorums()
}

// MetaFile is the path of the file of a member of the meta log on its node's disk.
const MetaFile = metaDir + "/" + metalog.FileName

// Told returns the index of the meta log up to which the node knows the changes.
func (n *Node) Told() uint64 {
	return n.reader.Index()
}

// Waits returns the steps that the coordinator holds back, and why; nil if this node is not the
// coordinator.
func (n *Node) Waits() []control.Wait {
	if !n.leads {
		return nil
	}
	return n.waits
}
