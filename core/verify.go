package core

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
)

// A leader of a set below min confirms reads by the meta log as well. The control plane may have
// made the eligible member the leader of a set of its own, and no member of the old set would know.
// A member of the meta log reads it for any node; other nodes ask its leader.

// verification is a question whether a process leads a shard in an epoch. A read of the meta log
// that answers it is under way here.
type verification struct {
	token uint64 // of the read
	by    control.Member
	shard lineage.Shard
	epoch lineage.ShardEpoch
	round peer.Round // of confirmations, counted by the asking leader
}

// verifying marks the tokens of these reads. Other tokens are the numbers of polls, or have
// hearingBit.
const verifying = 1 << 63

// Verify implements group.Owner. The group asks again if a question is lost or refused. The node
// begins the read after the present call, because a read that is done at once calls the group back.
func (o *owner) Verify(shard lineage.Shard, epoch lineage.ShardEpoch, round peer.Round) {
	o.wanted = append(o.wanted, verification{by: o.self, shard: shard, epoch: epoch, round: round})
}

// verifyWanted asks the questions that the groups have noted.
func (n *Node) verifyWanted() {
	for len(n.wanted) > 0 {
		v := n.wanted[0]
		n.wanted = n.wanted[:copy(n.wanted, n.wanted[1:])]
		switch {
		case n.log != nil:
			n.verify(v)
		case n.located:
			m := peer.Verify{ControlHeader: n.says(), Shard: v.shard, Epoch: v.epoch, Round: v.round}
			n.sendPeer(n.leader, m.Encode(n.peerOut[:0]), uint64(v.shard), uint64(v.round))
		}
	}
}

// verify begins a read of the meta log for a node's question. It drops the node's earlier questions
// about the shard under another epoch or round: their answers no longer count.
func (n *Node) verify(v verification) {
	if n.log == nil {
		return
	}
	n.verifications = slices.DeleteFunc(n.verifications, func(o verification) bool {
		return o.by.Node == v.by.Node && o.shard == v.shard && (o.by != v.by || o.epoch != v.epoch || o.round != v.round)
	})
	n.verified++
	v.token = verifying | n.verified
	if n.log.Read(n.env, v.token) == nil {
		n.verifications = append(n.verifications, v)
		n.metaStepped()
	}
}

// readForVerification answers a question when its read is done. By then this node has applied every
// entry that was decided before the read began.
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
	if v.by.Node == n.self.Node {
		n.isVerified(v.shard, v.epoch, v.round)
		return
	}
	m := peer.Verified{ControlHeader: n.says(), Shard: v.shard, Epoch: v.epoch, Round: v.round}
	n.sendPeer(v.by.Node, m.Encode(n.peerOut[:0]), uint64(v.shard), uint64(v.round))
}

// isVerified hands the answer to the group.
func (n *Node) isVerified(shard lineage.Shard, epoch lineage.ShardEpoch, round peer.Round) {
	if g := n.group(shard); g != nil {
		g.Verified(n.env, epoch, round)
	}
}
