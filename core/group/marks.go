package group

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// marks say when the records of a log were appended that some replica may lack. The longer
// ago, the coarser: an instant is never too late, and too early by an eighth of the time
// since, or a millisecond, at most. The zero value knows nothing.
//
// Invariant: list ascends in both, and is not longer than maxMarks.
type marks struct{ list []mark }

// mark says that the records from seq on, up to the next mark, were appended at an instant
// or later; the first of them then.
type mark struct {
	seq lineage.Seq
	at  env.Time
}

// maxMarks is enough for the records of an hour: there are at most two in the time in which
// their age grows by an eighth, and in a millisecond.
const maxMarks = 256

// begin forgets all, and takes the records up to now as appended now.
func (m *marks) begin(now env.Time) { m.list = append(m.list[:0], mark{0, now}) }

// add says that the records from seq on are appended now.
func (m *marks) add(seq lineage.Seq, now env.Time) {
	if n := len(m.list); n > 0 && m.list[n-1].at == now {
		return
	}
	if len(m.list) == maxMarks {
		m.thin(now)
	}
	m.list = append(m.list, mark{seq, now})
}

// thin drops marks whose records may as well be of the one before. If that is not enough,
// the oldest get less exact.
func (m *marks) thin(now env.Time) {
	kept := m.list[:1]
	for i := 1; i+1 < len(m.list); i++ {
		next := m.list[i+1].at
		if next.Sub(kept[len(kept)-1].at) > max(env.Millisecond, now.Sub(next)/8) {
			kept = append(kept, m.list[i])
		}
	}
	kept = append(kept, m.list[len(m.list)-1])
	if m.list = kept; len(kept) == maxMarks {
		m.list = slices.Delete(kept, 1, 2)
	}
}

// forget drops what is of use only for records up to seq.
func (m *marks) forget(seq lineage.Seq) {
	n := 0
	for n+1 < len(m.list) && m.list[n+1].seq <= seq+1 {
		n++
	}
	m.list = slices.Delete(m.list, 0, n)
}

// of returns when a record was appended; of one that every replica had once, some later
// instant, before the leader knew that one has lost it.
func (m *marks) of(seq lineage.Seq) env.Time {
	i, found := slices.BinarySearchFunc(m.list, seq, func(k mark, seq lineage.Seq) int { return cmp.Compare(k.seq, seq) })
	if !found {
		i--
	}
	return m.list[max(i, 0)].at
}
