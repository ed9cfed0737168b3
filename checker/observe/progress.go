package observe

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Misbelief is the kind of a claim about a log that a node relies on, and that no message or
// log supports.
type Misbelief uint8

// The misbeliefs.
const (
	// Unacknowledged: a leader counts on a replica for a record that the replica has not
	// acknowledged to it, in its epoch.
	Unacknowledged Misbelief = iota + 1
	// OfAnEarlierLife: a leader counts an acknowledgement of a log that the leader has since asked
	// to begin anew.
	OfAnEarlierLife
	// BeyondTheLog: a replica takes records for committed that are not in its log.
	BeyondTheLog
)

var misbeliefNames = [...]string{"", "unacknowledged", "earlier-life", "beyond-the-log"}

// String returns the name of m.
func (m Misbelief) String() string {
	if int(m) < len(misbeliefNames) {
		return misbeliefNames[m]
	}
	return fmt.Sprintf("misbelief-%d", uint8(m))
}

// Belief is a misbelief of one node, with the log and the record that it is about.
type Belief struct {
	Kind   Misbelief
	Tenant tenant.ID
	Slot   lineage.Slot
	Node   uint32             // that believes it
	Of     uint32             // the node that has the log
	Epoch  lineage.ShardEpoch // in which it counts
	Seq    lineage.Seq        // up to here
	Last   lineage.Seq        // the actual end: of the acknowledged records, or of the log
	At     int64              // true time, ns
}

// Progress records the misbeliefs of nodes about logs. The zero value is empty and ready.
type Progress struct {
	Count int      // beliefs that were looked at
	Wrong []Belief // at most maxNoted
	More  int      // beyond those
}

func (p *Progress) reset() { *p = Progress{Wrong: p.Wrong[:0]} }

// Believes notes a misbelief.
func (p *Progress) Believes(b Belief) {
	if len(p.Wrong) == maxNoted {
		p.More++
		return
	}
	p.Wrong = append(p.Wrong, b)
}
