package observe

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// OldRead is a linearizable read that was answered from a state which lacks records that a node had
// announced before the read reached the answering node.
type OldRead struct {
	Tenant tenant.ID
	Slot   lineage.Slot
	Node   uint32      // that answered
	Seq    lineage.Seq // of the state
	Told   lineage.Seq // the highest seq that was announced when the read came
	Came   int64       // true time, ns
	At     int64       // when the answer left, true time, ns
}

// ReadIndex records the answers to linearizable reads of replica groups. The zero value is
// empty and ready.
type ReadIndex struct {
	Count int
	Old   []OldRead // at most maxNoted
	More  int       // beyond those
}

func (r *ReadIndex) reset() { *r = ReadIndex{Old: r.Old[:0]} }

// Answered notes an answer.
func (r *ReadIndex) Answered(a OldRead) {
	r.Count++
	switch {
	case a.Seq >= a.Told:
	case len(r.Old) == maxNoted:
		r.More++
	default:
		r.Old = append(r.Old, a)
	}
}
