package diskops

import "github.com/tidaldb/tidalsim/core/env"

// Name is the content of a disk operation's ID: owner, purpose, and a number that tells the
// operations of one purpose apart.
//
//	 63                    32 31        24 23                      0
//	+------------------------+------------+------------------------+
//	|         owner          |  purpose   |         number         |  a part of the machine
//	+------------------------+------------+-----------+------------+
//	|           0            |         number         |  purpose   |  the machine itself
//	+------------------------+------------------------+------------+
//	 63                    32 31                     8 7          0
//
// Traces contain IDs, so both forms never change.
type Name struct {
	Owner   uint32 // a number of the part; 0: the machine itself
	Purpose uint8
	Number  uint32 // its lower 24 bits
}

const (
	numberBits = 24
	numberMask = 1<<numberBits - 1
)

// ID packs a name.
func (n Name) ID() env.OpID {
	if n.Owner == 0 {
		return env.OpID(n.Number&numberMask)<<8 | env.OpID(n.Purpose)
	}
	return env.OpID(n.Owner)<<32 | env.OpID(n.Purpose)<<numberBits | env.OpID(n.Number&numberMask)
}

// NameOf is the inverse of ID.
func NameOf(id env.OpID) Name {
	owner, low := uint32(id>>32), uint32(id)
	if owner == 0 {
		return Name{Purpose: uint8(low), Number: low >> 8}
	}
	return Name{Owner: owner, Purpose: uint8(low >> numberBits), Number: low & numberMask}
}
