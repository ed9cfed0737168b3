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

// The bytes of the logs of a survey are part of the format; numbers out of range, a part of
// a log and more logs than a message may have are refused.
func TestLogsAreReadAsTheyAreWritten(t *testing.T) {
	l := peer.Log{Tenant: 1, Slot: 2, Whole: true, End: lineage.Position{Seq: 3, Chain: 4}, Lineage: lineage.Lineage{Placement: 5, Epoch: 6}}
	const want = "0100000000000000" + "0200000000000000" + "0100000000000000" + "0300000000000000" + "0400000000000000" + "0500000000000000" + "0600000000000000"
	b := peer.AppendLog(nil, &l)
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if back, err := peer.DecodeLogs(b); err != nil || !slices.Equal(back, []peer.Log{l}) {
		t.Errorf("%v is read as %v, %v", l, back, err)
	}
	for _, at := range []int{12, 16} { // a slot above 32 bits, whole 2
		bad := slices.Clone(b)
		bad[at] |= 2
		if _, err := peer.DecodeLogs(bad); !errors.Is(err, peer.ErrMalformed) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	most := slices.Repeat(b, peer.MaxLogs)
	if logs, err := peer.DecodeLogs(most); err != nil || len(logs) != peer.MaxLogs || len(most) > peer.MaxTail {
		t.Errorf("%d logs in %d bytes: %v", len(logs), len(most), err)
	}
	for _, bad := range [][]byte{b[:55], append(most, b...)} {
		if _, err := peer.DecodeLogs(bad); !errors.Is(err, peer.ErrMalformed) {
			t.Errorf("%d bytes of logs: %v", len(bad), err)
		}
	}
}
