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
	homeRate  = 1000         // signals per second: one token a millisecond
	homeBurst = 3
	ms        = int64(1_000_000)
)

// world makes runs by hand: an honest little cluster of one slot, every call of
// which takes a millisecond, and whose evidence a test then spoils.
type world struct {
	run     observe.Run
	hist    history.History
	clock   int64 // true time and the node's clock, ns
	level   int64
	since   int64
	session uint64
	request uint64
	bytes   []byte
}

// newWorld has the limits in the record at seq 1 and the session of all clients
// in that at seq 2.
func newWorld() *world {
	w := &world{session: 2, level: homeBurst * nano}
	w.run.History = &w.hist
	w.run.SetLimits(home, tenant.Limits{Rate: homeRate, Burst: homeBurst})
	w.run.Recovered(home, 0, 0, 0, 0, 1)
	w.append(&record.Record{Kind: record.Config, Limits: record.Limits{Version: 1, Rate: homeRate, Burst: homeBurst}})
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
	if rec.Kind == record.Signal {
		w.level -= nano
	}
	end := w.log().End()
	rec.Tenant, rec.Seq, rec.Prev, rec.Level = home, end.Next(), end.Chain, w.level
	w.bytes = record.Append(w.bytes[:0], rec)
	w.run.Admitted(home, 0, rec.Seq, now, now, 1)
	w.run.Append(rec, record.ChainOf(w.bytes), now+1, now+1, 1)
	return rec.Seq
}

// write begins a write of weight 1 and gives it an identity.
func (w *world) write(client uint64, entity signal.Entity) int {
	w.request++
	i := w.hist.Begin(history.Op{
		Client: client, Kind: history.Write, Tenant: home, InvokeAt: w.tick(),
		Signal: signal.Signal{Entity: entity, Weight: 1},
	})
	w.hist.Sent(i, signal.Operation{Session: w.session, Request: w.request})
	return i
}

// apply puts the record of write i into the log.
func (w *world) apply(i int) lineage.Seq {
	op := &w.hist.Ops[i]
	return w.append(&record.Record{Kind: record.Signal, Client: op.Op.Session, Request: op.Op.Request, Signal: op.Signal})
}

func (w *world) ack(i int, seq lineage.Seq) {
	w.hist.End(i, history.Result{Outcome: history.Acked, At: w.tick(), Seq: seq})
}

func (w *world) end(i int, outcome history.Outcome, reason string) {
	w.hist.End(i, history.Result{Outcome: outcome, At: w.tick(), Reason: reason})
}

// wrote is a whole acknowledged write.
func (w *world) wrote(client uint64, entity signal.Entity) int {
	i := w.write(client, entity)
	w.ack(i, w.apply(i))
	return i
}

func (w *world) read(client uint64, entity signal.Entity) int {
	return w.hist.Begin(history.Op{Client: client, Kind: history.Read, Tenant: home, InvokeAt: w.tick(), Signal: signal.Signal{Entity: entity}})
}

// answer ends read i with the state of its entity as of seq.
func (w *world) answer(i int, seq lineage.Seq) {
	state := w.state(w.hist.Ops[i].Signal.Entity, seq)
	w.hist.End(i, history.Result{Outcome: history.Acked, At: w.tick(), State: state})
}

// has is a whole read that sees everything.
func (w *world) has(client uint64, entity signal.Entity) int {
	i := w.read(client, entity)
	w.answer(i, w.log().End().Seq)
	return i
}

func (w *world) state(entity signal.Entity, upTo lineage.Seq) signal.State {
	var state signal.State
	for _, e := range w.log().Entries[:upTo] {
		if e.Record.Kind == record.Signal && e.Record.Signal.Entity == entity {
			state.Apply(uint64(e.Record.Seq), e.Record.Operation(), &e.Record.Signal)
		}
	}
	return state
}

// dump lets a node tell the truth about its final state.
func (w *world) dump() *observe.Dump {
	d := w.run.AddDump(home, 0, w.log().End())
	for _, e := range w.log().Entries {
		if e.Record.Kind != record.Signal {
			continue
		}
		known := slices.ContainsFunc(d.Entities, func(s observe.EntityState) bool { return s.Entity == e.Record.Signal.Entity })
		if !known {
			d.Entities = append(d.Entities, observe.EntityState{Entity: e.Record.Signal.Entity, State: w.state(e.Record.Signal.Entity, w.log().End().Seq)})
		}
	}
	slices.SortFunc(d.Entities, func(a, b observe.EntityState) int { return cmp.Compare(a.Entity, b.Entity) })
	return d
}

// given is one row of a checker's table: a run made by hand, and what has to be
// said about it.
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
