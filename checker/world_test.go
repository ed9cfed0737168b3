package checker

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

const (
	home      = tenant.ID(2) // the tenant of the hand-made runs
	homeRate  = 1000         // operations per second: one token a millisecond
	homeBurst = 3
	ms        = int64(1_000_000)
)

// homeLimits are those of the record at seq 1: three entities short of 2^16, and
// bytes for as many signals.
var homeLimits = record.Limits{Version: 1, Rate: homeRate, Burst: homeBurst, Entities: 65533, Bytes: 65533 * 101}

// world makes runs by hand: an honest little cluster of one slot, with calls of a millisecond each.
// A test then spoils the evidence.
type world struct {
	run     observe.Run
	hist    history.History
	clock   int64 // true time and the node's clock, ns
	level   int64
	since   int64
	session uint64
	request uint64
	epoch   lineage.ShardEpoch // of the records; 0: as they say
	bytes   []byte
}

// newWorld has the limits in the record at seq 1 and the session of all clients
// in that at seq 2.
func newWorld() *world {
	w := &world{session: 2, level: homeBurst * nano}
	w.run.History = &w.hist
	w.run.SetLimits(home, tenant.Limits{Rate: homeRate, Burst: homeBurst})
	w.run.Recovered(home, 0, 0, 0, 0, 1)
	w.append(&record.Record{Kind: record.Config, Limits: homeLimits})
	w.append(&record.Record{Kind: record.Session, Session: record.SessionStart{Client: 7, Nonce: 1}})
	return w
}

func (w *world) tick() int64 { w.clock += ms; return w.clock }

func (w *world) log() *observe.Log { return w.run.Log(home, 0) }

// append puts a record at the end of the log as an honest node does.
func (w *world) append(rec *record.Record) lineage.Seq {
	now := w.tick()
	w.level = min(homeBurst*nano, w.level+homeRate*(now-w.since))
	w.since = now
	if rec.Kind.IsOperation() {
		w.level -= nano
	}
	end := w.log().End()
	rec.Tenant, rec.Seq, rec.Prev, rec.Level = home, end.Next(), end.Chain, w.level
	if w.epoch > 0 {
		rec.Epoch = w.epoch
	}
	w.bytes = record.Append(w.bytes[:0], rec)
	w.run.Admitted(home, 0, rec.Seq, now, now, 1)
	w.run.Append(rec, record.ChainOf(w.bytes), now+1, now+1, 1)
	return rec.Seq
}

// change begins an operation that changes the log and gives it an identity.
func (w *world) change(client uint64, kind history.Kind, s signal.Signal) int {
	w.request++
	i := w.hist.Begin(history.Op{Client: client, Kind: kind, Tenant: home, InvokeAt: w.tick(), Signal: s})
	w.hist.Sent(i, signal.Operation{Session: w.session, Request: w.request})
	return i
}

// write begins a write of weight 1.
func (w *world) write(client uint64, entity signal.Entity) int {
	return w.change(client, history.Write, signal.Signal{Entity: entity, Weight: 1})
}

// put begins the creation of an entity.
func (w *world) put(client uint64, entity signal.Entity) int {
	return w.change(client, history.Put, signal.Signal{Entity: entity})
}

// remove begins the deletion of an entity.
func (w *world) remove(client uint64, entity signal.Entity) int {
	return w.change(client, history.Delete, signal.Signal{Entity: entity})
}

// apply puts the record of change i into the log.
func (w *world) apply(i int) lineage.Seq {
	op := &w.hist.Ops[i]
	rec := record.Record{Client: op.Op.Session, Request: op.Op.Request}
	switch op.Kind {
	case history.Write:
		rec.Kind, rec.Signal = record.Signal, op.Signal
	case history.Put:
		rec.Kind, rec.Entity = record.EntityPut, op.Signal.Entity
	case history.Delete:
		rec.Kind, rec.Entity = record.EntityDelete, op.Signal.Entity
	}
	return w.append(&rec)
}

func (w *world) ack(i int, seq lineage.Seq) {
	w.hist.End(i, history.Result{Outcome: history.Acked, At: w.tick(), Seq: seq})
}

func (w *world) end(i int, outcome history.Outcome, reason string) {
	w.hist.End(i, history.Result{Outcome: outcome, At: w.tick(), Reason: reason})
}

// done is a whole acknowledged change, which has begun.
func (w *world) done(i int) int {
	w.ack(i, w.apply(i))
	return i
}

// wrote is a whole acknowledged write.
func (w *world) wrote(client uint64, entity signal.Entity) int {
	return w.done(w.write(client, entity))
}

func (w *world) read(client uint64, entity signal.Entity) int {
	return w.hist.Begin(history.Op{Client: client, Kind: history.Read, Tenant: home, InvokeAt: w.tick(), Signal: signal.Signal{Entity: entity}})
}

// answer ends read i with the state of its entity as of seq.
func (w *world) answer(i int, seq lineage.Seq) {
	state := w.state(w.hist.Ops[i].Signal.Entity, seq)
	w.hist.End(i, history.Result{Outcome: history.Acked, At: w.tick(), Seq: seq, State: state})
}

// has is a whole read that sees everything.
func (w *world) has(client uint64, entity signal.Entity) int {
	i := w.read(client, entity)
	w.answer(i, w.log().End().Seq)
	return i
}

// state is the meaning of records, in the plainest words: an entity that does not
// exist has the zero state.
func (w *world) state(entity signal.Entity, upTo lineage.Seq) signal.State {
	var state signal.State
	for _, e := range w.log().Entries[:upTo] {
		rec := &e.Record
		switch {
		case rec.Kind == record.Signal && rec.Signal.Entity == entity:
			state.Apply(uint64(rec.Seq), rec.Operation(), &rec.Signal)
		case rec.Kind == record.EntityPut && rec.Entity == entity && state.LastSeq == 0:
			state.LastSeq = uint64(rec.Seq)
		case rec.Kind == record.EntityDelete && rec.Entity == entity:
			state = signal.State{}
		}
	}
	return state
}

// dump lets a node tell the truth about its final state.
func (w *world) dump() *observe.Dump {
	end := w.log().End()
	d := w.run.AddDump(home, 0, end)
	d.Counts = observe.Counts{Known: true, Limits: homeLimits}
	for _, e := range w.log().Entries {
		entity, touches := e.Record.Subject()
		known := slices.ContainsFunc(d.Entities, func(s observe.EntityState) bool { return s.Entity == entity })
		state := w.state(entity, end.Seq)
		if !touches || known || state.LastSeq == 0 {
			continue
		}
		d.Entities = append(d.Entities, observe.EntityState{Entity: entity, State: state})
		d.Counts.Live++
		for _, total := range state.Totals {
			d.Counts.Bytes += 101 * total.Count
		}
	}
	slices.SortFunc(d.Entities, func(a, b observe.EntityState) int { return cmp.Compare(a.Entity, b.Entity) })
	return d
}

// given is one row of a checker's table: a run made by hand, and the expected report.
type given struct {
	name    string
	make    func(*world)
	options Options
	verdict Verdict
	why     string
	want    []string // findings: rule, operations, instant, text
}

// lines prints the findings of a report, one line each.
func lines(t *testing.T, r *Report) []string {
	var text []string
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Fingerprint() != r.Checker+"/"+f.Rule {
			t.Errorf("fingerprint %q of a finding of %s", f.Fingerprint(), r.Checker)
		}
		text = append(text, fmt.Sprintf("%s %v %s: %s", f.Rule, f.Ops, instant(f.At), f.Text))
	}
	return text
}

// judged runs a table. Every row is judged twice in the same memory.
func judged(t *testing.T, name string, table []given) {
	c, ok := Lookup(name)
	if !ok {
		t.Fatalf("no checker %q", name)
	}
	scratch := new(Scratch)
	for _, g := range table {
		t.Run(g.name, func(t *testing.T) {
			w := newWorld()
			g.make(w)
			g.options.Scratch = scratch
			for range 2 {
				r := c.Judge(&w.run, g.options)
				if r.Verdict != g.verdict || r.Why != g.why {
					t.Errorf("verdict %s (%q), want %s (%q)", r.Verdict, r.Why, g.verdict, g.why)
				}
				if diff := gocmp.Diff(g.want, lines(t, &r)); diff != "" {
					t.Fatalf("findings (-want +got):\n%s", diff)
				}
			}
		})
	}
}
