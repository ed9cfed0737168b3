package peer_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
)

// The bytes of the ends of a log are part of the format. A tail that does not end with an
// end is refused, whatever stands before.
func TestEndsAreReadAsTheyAreWritten(t *testing.T) {
	ends := []lineage.End{
		{Lineage: lineage.Lineage{Placement: 1, Epoch: 2}, Last: 3},
		{Lineage: lineage.Lineage{Placement: 4, Epoch: 5}, Last: 1 << 63},
	}
	const want = "010000000000000002000000000000000300000000000000" + "040000000000000005000000000000000000000000000080"
	b := peer.AppendEnds(nil, ends)
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if back, err := peer.DecodeEnds(nil, b); err != nil || !slices.Equal(back, ends) {
		t.Errorf("%v is read as %v, %v", ends, back, err)
	}
	for n := range b {
		if _, err := peer.DecodeEnds(nil, b[:n]); (err == nil) != (n%24 == 0) || err != nil && !errors.Is(err, peer.ErrMalformed) {
			t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
}
