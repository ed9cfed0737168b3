package observe

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// SharesFlaw is a fault in the movement of a tenant's limits between its slots.
type SharesFlaw uint8

// The flaws.
const (
	HeldEarly  SharesFlaw = iota + 1 // a leader reported that a grant is in force, and its record was not durable on the whole set
	GrantedFar                       // a slot was granted more while all slots together might use more than the limits
	EndedEarly                       // a tenant ended while one of its slots had not been reported as closed
)

// SharesFault is one such flaw.
type SharesFault struct {
	Flaw    SharesFlaw
	Tenant  tenant.ID
	Slot    lineage.Slot
	Node    uint32      // HeldEarly: the leader
	Seq     lineage.Seq // HeldEarly: of the record
	Detail  string      // HeldEarly: the missing part, and its node; GrantedFar: the resource
	Sum     uint64      // GrantedFar: the most that all slots together might use
	Limit   uint64      // GrantedFar: the most that they may use
	Version uint64      // of the grant, or of the entry that ended the tenant
	At      int64       // true time, ns
}

// Shares records how limits moved between slots. The zero value is empty and ready.
type Shares struct {
	Count  int           // reports of leaders, grants and ends that were looked at
	Faults []SharesFault // at most maxNoted
	More   int           // beyond those
}

func (s *Shares) reset() { *s = Shares{Faults: s.Faults[:0]} }

// Found notes a flaw.
func (s *Shares) Found(f SharesFault) {
	if len(s.Faults) == maxNoted {
		s.More++
		return
	}
	s.Faults = append(s.Faults, f)
}
