package tenant

import (
	"errors"
	"fmt"
	"slices"
)

// Region names where nodes are, as the operator does ("eu-west"): 1 to MaxRegion
// of the characters a-z, 0-9 and "-", the first one a letter. It is text, not a
// number from a table, because bytes on a disk or on the wire must name their
// region even to a node with an outdated table. Comparing and copying it
// allocates nothing. "" is no region.
type Region string

// MaxRegion is the length of the longest region's name, in bytes.
const MaxRegion = 32

// ErrRegion is wrapped by every error about a region's name.
var ErrRegion = errors.New("invalid region name")

// Validate reports a name that is not a region's.
func (r Region) Validate() error {
	legal := len(r) >= 1 && len(r) <= MaxRegion && r[0] >= 'a'
	for i := range len(r) {
		c := r[i]
		legal = legal && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !legal {
		return fmt.Errorf("%w %q: want 1..%d of a-z, 0-9 and -, the first a letter", ErrRegion, string(r), MaxRegion)
	}
	return nil
}

// Residency is the allow-list of regions in which a tenant's bytes may be: all its
// bytes, at any instant. Empty means any region.
type Residency []Region

// Permits reports whether the tenant's bytes may be in region r.
func (l Residency) Permits(r Region) bool {
	return len(l) == 0 || slices.Contains(l, r)
}

// Validate reports the first name that is no region's, or is there twice.
func (l Residency) Validate() error {
	for i, r := range l {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("residency[%d]: %w", i, err)
		}
		if slices.Contains(l[:i], r) {
			return fmt.Errorf("residency[%d]: %w %q: it is there twice", i, ErrRegion, string(r))
		}
	}
	return nil
}
