package core

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
)

// A leader whose set is below min confirms reads by the meta log as well: the eligible
// member may have been made the leader of a set of its own, and no member of this one
// would know. A member of the meta log reads it for any node; others ask one.

// verification is a question whether a process leads a shard in an epoch, for which a read
// of the meta log is under way here.
type verification struct {
	token uint64 // of the read
	by    control.Member
	shard lineage.Shard
	epoch lineage.ShardEpoch
	round uint64 // of confirmations, of the one that asks
}

// verifying marks the tokens of these reads: those of polls are the rounds of polls.
const verifying = 1 << 63

// Verify implements group.Owner. What is lost, or refused, is asked again. A read that is
// done at once would tell the group of it amid the call that asks, so it begins behind that.
func (s *sharing) Verify(shard lineage.Shard, epoch lineage.ShardEpoch, round uint64) {
	s.wanted = append(s.wanted, verification{by: s.self, shard: shard, epoch: epoch, round: round})
}

// verifyWanted asks what the groups want to be verified.
func (n *Node) verifyWanted() {
	for len(n.wanted) > 0 {
		v := n.wanted[0]
		n.wanted = n.wanted[:copy(n.wanted, n.wanted[1:])]
		m := peer.Message{Kind: peer.Verify, From: v.by.Incarnation, Shard: v.shard, Epoch: v.epoch, Round: v.round}
		switch {
		case n.log != nil:
			n.verify(n.self.Node, &m)
		case n.located:
			n.sendPeer(n.leader, &m, uint64(v.shard), v.round)
		}
	}
}

// verify begins a read of the meta log for a node. What was asked before under the same
// round is not asked twice.
func (n *Node) verify(from env.ID, m *peer.Message) {
	if n.log == nil {
		return
	}
	v := verification{by: control.Member{Node: from, Incarnation: m.From}, shard: m.Shard, epoch: m.Epoch, round: m.Round}
	n.verifications = slices.DeleteFunc(n.verifications, func(o verification) bool {
		return o.by.Node == from && o.shard == v.shard && (o.by != v.by || o.epoch != v.epoch || o.round != v.round)
	})
	n.verified++
	v.token = verifying | n.verified
	if n.log.Read(n.env, v.token) == nil {
		n.verifications = append(n.verifications, v)
		n.metaStepped()
	}
}

// readForVerification answers a question when its read is done: what is applied here is all
// that was decided before the read began.
func (n *Node) readForVerification(token uint64, failed bool) {
	i := slices.IndexFunc(n.verifications, func(v verification) bool { return v.token == token })
	if i < 0 {
		return
	}
	v := n.verifications[i]
	n.verifications = slices.Delete(n.verifications, i, i+1)
	if failed || !n.plane.Leads(v.by, v.shard, v.epoch) {
		return
	}
	m := peer.Message{Kind: peer.Verified, Shard: v.shard, Epoch: v.epoch, Round: v.round}
	if v.by.Node == n.self.Node {
		n.isVerified(&m)
		return
	}
	n.sendPeer(v.by.Node, &m, uint64(v.shard), v.round)
}

// isVerified takes the answer.
func (n *Node) isVerified(m *peer.Message) {
	if g := n.group(m.Shard); g != nil {
		g.Verified(n.env, m.Epoch, m.Round)
	}
}
