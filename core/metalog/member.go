package metalog

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
)

// Index numbers the entries of the log. It is contiguous; what the founders share
// before any entry is at index 1. 0 means "no entry".
type Index uint64

// Term numbers the elections. There is at most one leader in a term.
type Term uint64

// MemberID identifies a member of the log for all time: its address and, of one that
// is no founder, the incarnation of the process that began to join. A process whose
// disk was lost has forgotten whom it voted for, so it never comes back under the ID
// that it had: its incarnation is a new one, and with it the ID. 0 is nobody.
type MemberID uint64

// Founder is the ID of the founding member at an address.
func Founder(at env.ID) MemberID { return MemberID(at) + 1 }

func joiner(at env.ID, incarnation env.Incarnation) MemberID {
	return MemberID(incarnation)<<32 | Founder(at)
}

// Address is where the member's process is.
func (m MemberID) Address() env.ID { return env.ID(uint32(m) - 1) }

// Joined is the incarnation in which the member began to join, 0 for a founder.
func (m MemberID) Joined() env.Incarnation { return env.Incarnation(m >> 32) }

// String returns the address and, after a slash, the incarnation of one that joined.
func (m MemberID) String() string {
	switch {
	case m == 0:
		return "nobody"
	case m.Joined() == 0:
		return fmt.Sprint(m.Address())
	}
	return fmt.Sprintf("%d/%d", m.Address(), m.Joined())
}
