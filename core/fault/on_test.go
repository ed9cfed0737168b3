//go:build !production

package fault_test

import (
	"testing"

	"github.com/pingcap/failpoint"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
)

// world is an Env of which only what a fault point needs is there.
type world struct {
	env.Env
	decides bool
	action  env.Action
	hits    []env.Point
	halted  string
}

func (w *world) Hit(p env.Point, _ env.Key) (env.Action, bool) {
	w.hits = append(w.hits, p)
	return w.action, w.decides
}

func (w *world) Halt(reason string) { w.halted = reason }

func enable(t *testing.T, p env.Point, terms string) {
	t.Helper()
	if err := failpoint.Enable(fault.Name(p), terms); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := failpoint.Disable(fault.Name(p)); err != nil {
			t.Error(err)
		}
	})
}

// On a real node nobody decides, and the registry of the process is asked.
func TestTheRegistryDecidesWhereNobodyElseDoes(t *testing.T) {
	for _, c := range []struct {
		terms  string
		want   env.Action
		halted string
	}{
		{`return("error")`, env.ActError, ""},
		{`return("crash")`, env.ActCrash, "failpoint ack.sending"},
		{`return("delay")`, env.ActDelay, ""},
		{`return("torn")`, env.ActTorn, ""},
		{`return("none")`, env.ActNone, ""},
		{`return("explode")`, env.ActNone, ""}, // no action of ours
		{`return(7)`, env.ActNone, ""},
		{`off`, env.ActNone, ""},
	} {
		t.Run(c.terms, func(t *testing.T) {
			enable(t, fault.AckSending, c.terms)
			w := &world{}
			if got := fault.Hit(w, fault.AckSending, env.Key{}); got != c.want || w.halted != c.halted {
				t.Errorf("action %s, halted %q; want %s, %q", got, w.halted, c.want, c.halted)
			}
			if got := fault.Hit(w, fault.BatchDurable, env.Key{}); got != env.ActNone {
				t.Errorf("another point is told %s", got)
			}
		})
	}
}

// failpoint's own terms count: the third hit fails, once.
func TestTermsCountHits(t *testing.T) {
	enable(t, fault.BatchDurable, `2*off->1*return("error")`)
	w := &world{}
	var got [5]env.Action
	for i := range got {
		got[i] = fault.Hit(w, fault.BatchDurable, env.Key{})
	}
	if want := [5]env.Action{2: env.ActError}; got != want {
		t.Errorf("actions %v, want %v", got, want)
	}
}

// In a simulation the world decides, and what is enabled in the process cannot
// change a run.
func TestTheWorldsDecisionStands(t *testing.T) {
	enable(t, fault.AckSending, `return("crash")`)
	for _, want := range []env.Action{env.ActNone, env.ActTorn, env.ActCrash} {
		w := &world{decides: true, action: want}
		if got := fault.Hit(w, fault.AckSending, env.Key{}); got != want || w.halted != "" || len(w.hits) != 1 || w.hits[0] != fault.AckSending {
			t.Errorf("action %s (halted %q, hits %v), the world said %s", got, w.halted, w.hits, want)
		}
	}
}

func TestAPointNobodyEnabledCostsNoAllocation(t *testing.T) {
	var w env.Env = silent{}
	if n := testing.AllocsPerRun(100, func() { fault.Hit(w, fault.AckSending, env.Key{}) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// silent decides nothing.
type silent struct{ env.Env }

func (silent) Hit(env.Point, env.Key) (env.Action, bool) { return env.ActNone, false }

func BenchmarkHit(b *testing.B) {
	var w env.Env = silent{}
	b.ReportAllocs()
	for b.Loop() {
		fault.Hit(w, fault.AckSending, env.Key{})
	}
}
