package observe

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Occasion says when the copies of a slot were looked at.
type Occasion uint8

// The occasions.
const (
	AtAck      Occasion = iota + 1 // a client is about to receive the answer that its change is in the log
	AtRead                         // a client is about to receive a state
	AtCommit                       // a leader is about to send its commit index to another node
	AtProposal                     // the leader asks the control plane to let a member join, or to readmit one
	AtEntry                        // the control plane has applied an entry that touches the shard
	AtSnapshot                     // a leader is about to write a snapshot, which holds committed records only
)

var occasionNames = [...]string{"", "an acknowledgement", "a read", "a commit index", "a proposal", "an entry", "a snapshot"}

// String returns a few words for o: "an acknowledgement".
func (o Occasion) String() string {
	if int(o) < len(occasionNames) {
		return occasionNames[o]
	}
	return fmt.Sprintf("occasion-%d", uint8(o))
}

// Standing says why a copy has to be whole.
type Standing uint8

// The standings.
const (
	InSet    Standing = iota + 1 // the node is in sync by the control plane, in its present incarnation
	Pending                      // the leader has asked to let the node join, or to readmit it
	Teller                       // the node itself made the announcement
	Eligible                     // the node may lead if no member in sync can, in the incarnation in which it left the set
	TooFew                       // fewer replicas than the shard's minimum have the record. Node is meaningless
	Anybody                      // the set was reformed: one member at least is whole, and none is. Node is meaningless
)

var standingNames = [...]string{"", "in sync", "pending", "teller", "eligible", "too few", "anybody"}

// String returns the name of s.
func (s Standing) String() string {
	if int(s) < len(standingNames) {
		return standingNames[s]
	}
	return fmt.Sprintf("standing-%d", uint8(s))
}

// Short is a copy that lacks a record that a node announced.
type Short struct {
	Standing Standing
	When     Occasion
	Tenant   tenant.ID
	Slot     lineage.Slot
	Seq      lineage.Seq // the last announced record
	Node     uint32
	Shard    lineage.Shard
	Epoch    lineage.ShardEpoch // of the shard, by the control plane
	Version  uint64             // of the shard's configuration, likewise
	Lacks    string             // the part that is missing on the device, in words
	At       int64              // true time, ns
}

// InSync records whether the copies that have to be whole were so, whenever it was
// looked. The zero value is empty and ready.
type InSync struct {
	Count   int     // copies that were looked at
	Members int     // copies of members in sync, in their present incarnations
	Short   []Short // at most maxNoted
	More    int     // beyond those
}

func (s *InSync) reset() { *s = InSync{Short: s.Short[:0]} }

// Lacking notes a copy that is not whole.
func (s *InSync) Lacking(short Short) {
	if len(s.Short) == maxNoted {
		s.More++
		return
	}
	s.Short = append(s.Short, short)
}
