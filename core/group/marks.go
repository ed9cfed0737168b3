package group

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// marks records when the records of a log that some replica may lack were appended. Old entries are
// coarser: a time is never too late, and too early by at most a millisecond or an eighth of the
// record's age. The zero value is empty.
//
// Invariant: list ascends in both fields and has at most maxMarks entries.
type marks struct{ list []mark }

// mark is the append time of record seq; the records up to the next mark were appended at that time
// or later.
type mark struct {
	seq lineage.Seq
	at  env.Time
}

// maxMarks covers an hour of records: at most two marks remain in any interval in which a record's
// age grows by an eighth, or in a millisecond.
const maxMarks = 256

// begin drops all marks and treats every record so far as appended now.
func (m *marks) begin(now env.Time) { m.list = append(m.list[:0], mark{0, now}) }

// add records that the records from seq on are appended now.
func (m *marks) add(seq lineage.Seq, now env.Time) {
	if n := len(m.list); n > 0 && m.list[n-1].at == now {
		return
	}
	if len(m.list) == maxMarks {
		m.thin(now)
	}
	m.list = append(m.list, mark{seq, now})
}

// thin drops each mark that is close enough to the mark before. If that is not enough, the oldest
// marks become less exact.
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

// forget drops the marks that only records up to seq need.
func (m *marks) forget(seq lineage.Seq) {
	n := 0
	for n+1 < len(m.list) && m.list[n+1].seq <= seq+1 {
		n++
	}
	m.list = slices.Delete(m.list, 0, n)
}

// of returns when a record was appended. For a record that every replica once had, it returns some
// later time, before the leader learned that a replica has lost it.
func (m *marks) of(seq lineage.Seq) env.Time {
	i, found := slices.BinarySearchFunc(m.list, seq, func(k mark, seq lineage.Seq) int { return cmp.Compare(k.seq, seq) })
	if !found {
		i--
	}
	return m.list[max(i, 0)].at
}
