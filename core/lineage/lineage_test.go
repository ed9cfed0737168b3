package lineage_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/lineage"
)

// Seqs start at 1: the zero position is before any record.
func TestSeqsFollowEachOther(t *testing.T) {
	var p lineage.Position
	for want := lineage.Seq(1); want <= 3; want++ {
		if got := p.Next(); got != want {
			t.Errorf("after %+v comes %d, want %d", p, got, want)
		}
		p = lineage.Position{Seq: p.Next(), Chain: lineage.Chain(want)}
	}
}
