package state_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/state"
)

// pipeline is a slot with pending records, and beside it the slower model: a slot
// that folds at once.
type pipeline struct {
	durable, ahead *log
	pending        []record.Record
	overlay        state.Overlay
}

func newPipeline(folded *log) *pipeline {
	p := &pipeline{durable: newLog(), ahead: newLog()}
	for _, r := range folded.records {
		p.durable.fold(r)
		p.ahead.fold(r)
	}
	p.overlay.Reset(p.durable.slot)
	return p
}

func (p *pipeline) add(r record.Record) {
	p.ahead.fold(r)
	r = p.ahead.records[len(p.ahead.records)-1]
	p.pending = append(p.pending, r)
	p.overlay.Add(&r)
}

func (p *pipeline) settle() {
	r := p.pending[0]
	p.pending = p.pending[1:]
	p.durable.fold(r)
	p.overlay.Settle(&r)
}

// check compares the overlay with the slot that has folded everything.
func (p *pipeline) check(t *rapid.T) {
	want, got := p.ahead.slot, &p.overlay
	if got.Entities() != want.Live() || got.Bytes() != want.Bytes() || got.Limits() != want.Limits {
		t.Fatalf("with %d pending: %d entities, %d bytes, limits %+v; folded: %d, %d, %+v",
			len(p.pending), got.Entities(), got.Bytes(), got.Limits(), want.Live(), want.Bytes(), want.Limits)
	}
	for e := range signal.Entity(11) {
		if _, live := want.Find(e); got.Exists(e) != live {
			t.Fatalf("with %d pending: entity %d exists: %t, folded: %t", len(p.pending), e, got.Exists(e), live)
		}
	}
}

func TestTheOverlayIsTheFoldOfEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		folded := workload(t, 20)
		p := newPipeline(folded)
		p.check(t)
		var ids []uint64
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			if len(p.pending) > 0 && rapid.IntRange(0, 2).Draw(t, "settle") == 0 {
				p.settle()
			} else {
				p.add(operation(t, &ids, p.ahead))
			}
			p.check(t)
		}
		for len(p.pending) > 0 {
			p.settle()
			p.check(t)
		}
	})
}

// Creations in flight count, and an entity on its way out is gone already.
func TestWhatIsInFlightCounts(t *testing.T) {
	p := newPipeline(newLog())
	type seen struct {
		entities, bytes uint64
		exists          bool
	}
	for i, step := range []struct {
		r    record.Record
		want seen
	}{
		{put(7), seen{1, 0, true}},
		{put(7), seen{1, 0, true}},
		{on(7, 1), seen{1, size, true}},
		{on(8, 1), seen{2, 2 * size, true}},
		{drop(7), seen{1, size, false}},
		{drop(7), seen{1, size, false}},
		{on(7, 1), seen{2, 2 * size, true}},
	} {
		p.add(step.r)
		if got := (seen{p.overlay.Entities(), p.overlay.Bytes(), p.overlay.Exists(7)}); got != step.want {
			t.Errorf("step %d: %+v, want %+v", i, got, step.want)
		}
	}
	if live := p.durable.slot.Live(); live != 0 {
		t.Errorf("%d entities are folded, though nothing is durable", live)
	}
}

// Many entities with colliding hashes: the table keeps finding them while others between them
// leave.
func TestTheOverlayHoldsManyEntities(t *testing.T) {
	p := newPipeline(newLog())
	const n = 3000
	entity := func(i int) signal.Entity { return signal.Entity(i) << (i % 40) }
	for i := range n {
		p.add(put(entity(i)))
	}
	for i := range n {
		for _, j := range []int{i, (i + n) / 2, n - 1} {
			if !p.overlay.Exists(entity(j)) {
				t.Fatalf("after %d of %d settled: entity %d is not there", i, n, entity(j))
			}
		}
		p.settle()
	}
	if p.overlay.Entities() != p.durable.slot.Live() {
		t.Errorf("%d entities, folded: %d", p.overlay.Entities(), p.durable.slot.Live())
	}
}

func TestResetForgetsWhatWasPending(t *testing.T) {
	p := newPipeline(newLog())
	p.add(on(7, 1))
	p.overlay.Reset(p.durable.slot)
	if p.overlay.Entities() != 0 || p.overlay.Bytes() != 0 || p.overlay.Exists(7) {
		t.Errorf("%d entities, %d bytes, entity 7: %t; want nothing", p.overlay.Entities(), p.overlay.Bytes(), p.overlay.Exists(7))
	}
}

// Settling a record that is not pending, or before the fold has it, is a bug in our own code.
func TestSettlingOutOfTurnFails(t *testing.T) {
	fails := func(what string, mistake func(p *pipeline)) {
		p := newPipeline(newLog())
		p.add(on(7, 1))
		defer func() {
			if _, ok := recover().(assert.Failure); !ok {
				t.Errorf("%s: nobody objects", what)
			}
		}()
		mistake(p)
	}
	fails("before the fold", func(p *pipeline) { p.overlay.Settle(&p.pending[0]) })
	fails("twice", func(p *pipeline) { r := p.pending[0]; p.settle(); p.overlay.Settle(&r) })
	fails("never added", func(p *pipeline) { r := put(9); p.overlay.Settle(&r) })
}

func TestTheOverlayDoesNotAllocate(t *testing.T) {
	l := newLog()
	var o state.Overlay
	o.Reset(l.slot)
	next := signal.Entity(0)
	round := func() { // new entities all the time, up to 64 pending
		var batch [64]record.Record
		for i := range batch {
			next += 7
			batch[i] = record.Record{Kind: record.EntityDelete, Entity: next}
			o.Add(&batch[i])
		}
		for i := range batch {
			o.Settle(&batch[i])
		}
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("64 records that come and go allocate %v times, want 0", n)
	}
}

func BenchmarkOverlay(b *testing.B) {
	l := newLog()
	var o state.Overlay
	o.Reset(l.slot)
	r := record.Record{Kind: record.EntityDelete}
	b.ReportAllocs()
	for b.Loop() {
		r.Entity++
		o.Add(&r)
		o.Settle(&r)
	}
}
