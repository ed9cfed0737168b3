package observe

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Haste is a fault of a reform: the leader began its epoch too early or with the wrong log, or the
// reform ended too early.
type Haste uint8

// The kinds of haste.
const (
	Unasked      Haste = iota + 1 // a member of the set had not reported its logs when the leader began
	WorseLog                      // a member had reported a better log than the adopted one
	SettledEarly                  // the reform was over, and a member lacked a record that the leader had adopted
	LostCounted                   // the disk of a member had been lost since it was in the set before. Of all slots
)

var hasteNames = [...]string{"", "unasked", "worse-log", "settled-early", "lost-counted"}

// String returns the name of h.
func (h Haste) String() string {
	if int(h) < len(hasteNames) {
		return hasteNames[h]
	}
	return fmt.Sprintf("haste-%d", uint8(h))
}

// Reform is the beginning or the end of a reform that went wrong, for one slot.
type Reform struct {
	Kind   Haste
	Tenant tenant.ID
	Slot   lineage.Slot
	Shard  lineage.Shard
	Epoch  lineage.ShardEpoch
	Leader uint32
	Of     uint32      // the member
	Seq    lineage.Seq // the last record that was adopted; of SettledEarly, the one after it
	Better lineage.Seq // WorseLog: the end of the member's log
	Lacks  string      // SettledEarly: the part that is missing on the member's device, in words
	At     int64       // true time, ns
}

// Reforms records how leaders of reformed sets began, and how reforms ended. The zero value
// is empty and ready.
type Reforms struct {
	Count int      // logs that were adopted, and copies that were looked at
	Wrong []Reform // at most maxNoted
	More  int      // beyond those
}

func (r *Reforms) reset() { *r = Reforms{Wrong: r.Wrong[:0]} }

// Hasty notes a reform that went wrong.
func (r *Reforms) Hasty(x Reform) {
	if len(r.Wrong) == maxNoted {
		r.More++
		return
	}
	r.Wrong = append(r.Wrong, x)
}
