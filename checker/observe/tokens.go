package observe

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Token is the place of a change, or the position of a read, in a node's answer to a client.
type Token struct {
	Tenant tenant.ID
	Slot   lineage.Slot
	Seq    lineage.Seq
	Epoch  lineage.ShardEpoch // of the record at Seq; 0: the node said that it does not know it
	// Op is the change that was acknowledged; Session 0: a read was answered.
	Op   signal.Operation
	Node uint32 // that answered
	At   int64  // true time, ns
}

// Tokens are all tokens in answers of replica groups, in the order in which they left the nodes,
// whether they arrived or not. The zero value is empty and ready.
type Tokens struct{ List []Token }

func (t *Tokens) reset() { t.List = t.List[:0] }

// Told adds a token, zero, to be filled in by the caller before the next one is added.
func (t *Tokens) Told() *Token {
	told := another(&t.List)
	*told = Token{}
	return told
}
