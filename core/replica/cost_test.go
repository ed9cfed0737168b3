package replica_test

import (
	"fmt"
	"testing"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/wal"
)

// BenchmarkPerKiB measures the work that a slot charges by file size: writing a snapshot, restoring
// the state from one, and recovering a log. docs/calibration.md compares it with Costs.PerKiB.
func BenchmarkPerKiB(b *testing.B) {
	for _, entities := range []int{4, 1 << 10, 1 << 16} {
		slot, log := signals(entities)
		snapshot := snapshotOf(slot, nil)
		segments := []wal.Segment{{Name: wal.SegmentName(home.Shard, 1), Data: log}}
		for _, c := range []struct {
			name string
			size int
			work func() error
		}{
			{"write a snapshot", len(snapshot), func() error { snapshot = snapshotOf(slot, snapshot); return nil }},
			{"restore from a snapshot", len(snapshot), func() error {
				_, _, encoded, err := wal.DecodeSnapshot(snapshot)
				if err == nil {
					_, err = state.Decode(encoded)
				}
				return err
			}},
			{"recover a log", len(log), func() error {
				into := state.New()
				_, err := wal.Recover(home, lineage.Position{}, segments, func(rec *record.Record, chain lineage.Chain) error {
					into.Apply(rec, chain)
					return nil
				})
				return err
			}},
		} {
			b.Run(fmt.Sprintf("%s/entities=%d", c.name, entities), func(b *testing.B) {
				for b.Loop() {
					if err := c.work(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(float64(c.size)/1024), "ns/KiB")
			})
		}
	}
}

// signals is a slot with signals on so many entities, two on each but at least 200
// together, and its log.
func signals(entities int) (*state.Slot, []byte) {
	slot := state.New()
	log := wal.AppendHeader(nil, &wal.Header{Identity: home, First: 1})
	end := lineage.Position{}
	add := func(rec record.Record) {
		rec.Tenant, rec.Slot, rec.Placement, rec.Epoch, rec.Seq, rec.Prev = home.Tenant, home.Slot, home.Placement, 1, end.Next(), end.Chain
		log, end.Chain = wal.AppendFrame(log, end.Seq, &rec)
		end.Seq = rec.Seq
		slot.Apply(&rec, end.Chain)
	}
	add(record.Record{Kind: record.Session, Client: 9, Request: 1})
	for i := range max(200, 2*entities) {
		n := uint64(i + 1)
		add(record.Record{Kind: record.Signal, Client: 1, Request: n, Floor: n, Signal: signal.Signal{Entity: signal.Entity(i % entities), Kind: 1, Weight: 1}})
	}
	return slot, log
}

// snapshotOf writes the snapshot as a slot does, into memory of its own or into that
// of an earlier one.
func snapshotOf(slot *state.Slot, memory []byte) []byte {
	if memory == nil {
		memory = make([]byte, 0, wal.SnapshotOverhead+slot.Size())
	}
	data := slot.Append(wal.BeginSnapshot(memory[:0], home, slot.Position))
	wal.FinishSnapshot(data)
	return data
}
