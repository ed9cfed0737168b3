package metalog

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
)

// Index numbers the entries of the log, contiguously. The founding state is at index 1. 0 means "no
// entry".
type Index uint64

// Term numbers the elections. A term has at most one leader.
type Term uint64

// MemberID identifies a member of the log for all time: its address and, for a member that is no
// founder, the number under which a leader admitted it. A member is a data directory. The founding
// file names those of the founders, and a committed change admits any other directory under a new
// ID. A process with a lost or replaced disk has forgotten its votes, so its new directory never
// gets the old ID. 0 is no member.
type MemberID uint64

// Founder returns the ID of the founding member at an address.
func Founder(at env.ID) MemberID { return MemberID(at) + 1 }

func joiner(at env.ID, admission uint32) MemberID { return MemberID(admission)<<32 | Founder(at) }

// maxAdmissions bounds the members that one leader admits in one term.
const maxAdmissions = 1 << 8

// admission numbers an admission. The leader of the term counts them, so numbers are unique. It
// returns false if there is no number left.
func admission(term Term, count uint32) (uint32, bool) {
	return uint32(term)*maxAdmissions | count, term < 1<<24 && count < maxAdmissions
}

// Address returns the address of the member's process.
func (m MemberID) Address() env.ID { return env.ID(uint32(m) - 1) }

// Joined returns the number under which the member was admitted, 0 for a founder.
func (m MemberID) Joined() uint32 { return uint32(m >> 32) }

// String returns the address and, after a slash, the admission number of a member that joined.
func (m MemberID) String() string {
	switch {
	case m == 0:
		return "nobody"
	case m.Joined() == 0:
		return fmt.Sprint(m.Address())
	}
	return fmt.Sprintf("%d/%d", m.Address(), m.Joined())
}
