package control

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
)

// Because is the reason for a step or for a wait.
type Because uint8

// The reasons for steps, and those for waiting.
const (
	_               Because = iota
	Heard                   // Appear: the node was heard in a higher incarnation
	LeaderRestarted         // Elect: the leader's process has ended
	LeaderSilent            // Elect: the leader was not heard for the bound
	LeaderExcluded          // Elect: the leader lacks records of a slot
	NobodyWhole             // Reform: no member of the set can be promoted, and all are heard
	MemberBack              // Reform: a member of a set that is being reformed has restarted
	ReplicaGone             // Assign: the replica's node was not heard for the bound
	// wait: the member was heard in a higher incarnation, not registered here yet
	Unregistered
	JustBegan        // wait: the process leads the meta log for less than the bound
	OnlyHope         // wait: no other member may lead, and this one is silent
	OnlyExcluded     // wait: the member lacks records of a slot, and no other one may lead
	ReformIncomplete // wait: the set is to be reformed, and the member is silent
	// wait: the leader gathers the logs of a reformed set, and this member is silent
	LogsOutstanding
	NoLegalNode  // wait: no node can take the place of the replica
	LeaderDrains // Elect: the leader's node is drained
	// wait: the leader's node is drained, and no other member may lead and is heard
	NobodyElse
	LeaderStalled     // Elect: the leader's disk has made nothing durable for the bound
	LeaderUnconfirmed // Elect: the members have not confirmed the leader for the bound
	NobodyLeft        // Elect: no member of the set can lead, and the eligible member is heard
	LossUnaccepted    // wait: all logs are lost, and an operator must decide
	becauseEnd
)

// texts has a format for each reason. Its operands are the node, the incarnation, the length of the
// silence and the bound, in milliseconds.
var texts = [becauseEnd]string{
	Heard:             "node %[1]d was heard in incarnation %[2]d",
	LeaderRestarted:   "node %[1]d, leader in incarnation %[2]d, has restarted",
	LeaderSilent:      "node %[1]d, leader in incarnation %[2]d, is silent for %[3]d ms of %[4]d ms",
	LeaderExcluded:    "node %[1]d, leader in incarnation %[2]d, lacks records of a slot",
	NobodyWhole:       "nobody in-sync may lead, the leader, node %[1]d in incarnation %[2]d, included: each has restarted or lacks records of a slot; all are there",
	MemberBack:        "node %[1]d, in incarnation %[2]d of a set that is being reformed, has restarted, and all are there",
	ReplicaGone:       "node %[1]d, a replica, is silent for %[3]d ms of %[4]d ms",
	Unregistered:      "waits for the registration of node %[1]d, whose incarnation %[2]d is over",
	JustBegan:         "waits for node %[1]d, in-sync in incarnation %[2]d, which is silent for %[3]d ms of %[4]d ms",
	OnlyHope:          "waits for node %[1]d, in-sync in incarnation %[2]d, which is silent for %[3]d ms: nobody else may lead",
	OnlyExcluded:      "waits for node %[1]d, in-sync in incarnation %[2]d, which lacks records of a slot: nobody else may lead",
	ReformIncomplete:  "waits for node %[1]d, in-sync before all others were lost, which is silent for %[3]d ms: its log is needed",
	LogsOutstanding:   "waits for node %[1]d, in incarnation %[2]d of a reformed set, which is silent for %[3]d ms: its log is needed",
	LeaderDrains:      "node %[1]d, leader in incarnation %[2]d, is drained",
	NobodyElse:        "waits for somebody who may lead instead of node %[1]d, which is drained",
	LeaderStalled:     "the disk of node %[1]d, leader in incarnation %[2]d, has made nothing durable for %[3]d ms of %[4]d ms",
	LeaderUnconfirmed: "the members have not confirmed node %[1]d, leader in incarnation %[2]d, for %[3]d ms of %[4]d ms",
	NoLegalNode:       "waits for a node that may take the place of node %[1]d, a replica that is silent for %[3]d ms",
	NobodyLeft:        "node %[1]d, leader in incarnation %[2]d, and all others in-sync have restarted, are silent or lack records of a slot; silent for %[3]d ms of %[4]d ms",
	LossUnaccepted:    "waits for an operator to accept the loss of what node %[1]d, in-sync in incarnation %[2]d, had in a directory that is gone",
}

// Reason explains a step or a wait to an operator.
type Reason struct {
	Because Because
	// Member is the member in question; for a node that is no member, its registered incarnation.
	Member Member
	Quiet  env.Duration // how long it was not heard
	Bound  env.Duration // the bound for that; 0 if there is none
}

// String returns a sentence without its full stop.
func (r Reason) String() string {
	if r.Because == 0 || r.Because >= becauseEnd {
		return fmt.Sprintf("reason %d", r.Because)
	}
	return fmt.Sprintf(texts[r.Because], r.Member.Node, r.Member.Incarnation, r.Quiet/env.Millisecond, r.Bound/env.Millisecond)
}
