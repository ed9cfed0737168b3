package shrink

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// hash tells plans apart. Deviations, of which there may be thousands, go in as they are,
// since writing them as JSON takes longer than the run of a small plan.
func hash(p harness.Plan) xxh3.Uint128 {
	w := p.Parts().World
	listed := w.Deviations
	if w.Deviations = nil; listed != nil {
		w.Deviations = []plan.Deviation{}
	}
	b := p.Encode()
	w.Deviations = listed
	for i := range listed {
		d := &listed[i]
		b = append(b, byte(d.Site))
		b = binary.LittleEndian.AppendUint16(b, d.Key.Kind)
		for _, n := range [...]uint64{d.Scope, d.Key.A, d.Key.B, uint64(d.Key.Attempt), d.Value} {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
	}
	return xxh3.Hash128(b)
}
