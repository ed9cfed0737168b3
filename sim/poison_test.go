package sim_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// hoarder keeps the data of the first message and of the first read that it is lent.
type hoarder struct {
	env     env.Env
	message []byte
	read    []byte
	copies  bool
}

func (h *hoarder) Step(ev *env.Event) {
	keep := func(data []byte) []byte {
		if h.copies {
			return append([]byte(nil), data...)
		}
		return data
	}
	switch {
	case ev.Kind == env.Started && h.env.Self() == 0:
		h.env.Send(1, env.Key{}, []byte("message"))
	case ev.Kind == env.Started:
		h.env.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "f"})
		h.env.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: []byte("content")})
		h.env.Submit(env.Op{Kind: env.OpRead, File: 1, Length: 7, ID: 9})
	case ev.Kind == env.Message && h.message == nil:
		h.message = keep(ev.Data)
	case ev.Kind == env.DiskDone && ev.Op == 9:
		h.read = keep(ev.Data)
	}
}

func (h *hoarder) Status(*env.Status) {}

func TestWhatIsLentIsOverwritten(t *testing.T) {
	for _, c := range []struct {
		name           string
		poison, copies bool
		message, read  string
	}{
		{"it keeps what it is lent", true, false, "\xa5\xa5\xa5\xa5\xa5\xa5\xa5", "\xa5\xa5\xa5\xa5\xa5\xa5\xa5"},
		{"it copies what it is lent", true, true, "message", "content"},
		{"nobody minds", false, false, "message", "content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w sim.World
			hoards := func(e env.Env) env.Machine { return &hoarder{env: e, copies: c.copies} }
			if err := w.Reset(sim.Config{Programs: []sim.Program{{New: hoards}, {New: hoards}}, Poison: c.poison}, plan.Quiet()); err != nil {
				t.Fatal(err)
			}
			w.Run(func() bool { return w.Time() > ms })
			h := w.Machine(1).(*hoarder)
			if string(h.message) != c.message || string(h.read) != c.read {
				t.Errorf("it has %q and %q, want %q and %q", h.message, h.read, c.message, c.read)
			}
		})
	}
}
