package history

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

func TestEventNumbersIncrease(t *testing.T) {
	var h History
	a := h.Begin(Op{Invoke: 99, Return: 99, Outcome: Acked})
	b := h.Begin(Op{Kind: Read})
	h.End(b, Result{Outcome: Acked, At: 7})
	h.End(a, Result{Outcome: Refused, At: 8, Reason: "quota"})
	want := []Op{
		{Outcome: Refused, Invoke: 1, Return: 4, ReturnAt: 8, Reason: "quota"},
		{Kind: Read, Outcome: Acked, Invoke: 2, Return: 3, ReturnAt: 7},
	}
	if diff := cmp.Diff(want, h.Ops); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	h.Reset()
	if i := h.Begin(Op{}); i != 0 || h.Ops[0].Invoke != 1 {
		t.Errorf("after Reset the first operation is %d with event %d", i, h.Ops[0].Invoke)
	}
}

func TestMisuseIsAsserted(t *testing.T) {
	for name, misuse := range map[string]func(*History){
		"ended twice":   func(h *History) { h.End(0, Result{Outcome: Acked}); h.End(0, Result{Outcome: Acked}) },
		"ended as open": func(h *History) { h.End(0, Result{}) },
		"identity is other": func(h *History) {
			h.Sent(0, signal.Operation{Session: 1, Request: 1})
			h.Sent(0, signal.Operation{Session: 1, Request: 2})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if _, ok := recover().(assert.Failure); !ok {
					t.Error("no assertion failed")
				}
			}()
			var h History
			h.Begin(Op{})
			misuse(&h)
		})
	}
}

func TestStoredAsText(t *testing.T) {
	var h History
	w := h.Begin(Op{Client: 7, Tenant: 2, Slot: 1, InvokeAt: 5, Signal: signal.Signal{Entity: 1 << 63, Kind: 3, Weight: -4, ClientTime: 9}})
	h.Sent(w, signal.Operation{Session: 2, Request: 1})
	h.End(w, Result{Outcome: Acked, At: 6, Seq: 3})
	r := h.Begin(Op{Client: 8, Kind: Read, Tenant: 2, InvokeAt: 7, Signal: signal.Signal{Entity: 5}})
	state := signal.State{LastSeq: 3, Applied: signal.Digest{Hi: 1, Lo: 2}}
	state.Totals[3] = signal.Total{Count: 1, Weight: -4}
	h.End(r, Result{Outcome: Acked, At: 8, Seq: 4, State: state})
	h.Begin(Op{Client: 7, Tenant: 2, InvokeAt: 9})
	p := h.Begin(Op{Client: 7, Kind: Put, Tenant: 2, InvokeAt: 10, Signal: signal.Signal{Entity: 5}})
	h.Sent(p, signal.Operation{Session: 2, Request: 2})
	h.End(p, Result{Outcome: Acked, At: 11, Seq: 5})
	d := h.Begin(Op{Client: 7, Kind: Delete, Tenant: 2, InvokeAt: 12, Signal: signal.Signal{Entity: 5}})
	h.Sent(d, signal.Operation{Session: 2, Request: 3})
	h.End(d, Result{Outcome: Refused, At: 13, Reason: "quota-exceeded"})
	want := `{"format":"tidalsim-history","version":1}
{"invoke":1,"return":2,"invoke_at_ns":5,"return_at_ns":6,"client":7,"kind":"write","outcome":"acked","tenant":"2","slot":1,"entity":"9223372036854775808","signal":{"kind":3,"weight":-4,"client_time_ns":"9"},"session":2,"request":1,"seq":3}
{"invoke":3,"return":4,"invoke_at_ns":7,"return_at_ns":8,"client":8,"kind":"read","outcome":"acked","tenant":"2","slot":0,"entity":"5","seq":4,"state":{"last_seq":3,"applied":"00000000000000010000000000000002","totals":[{"kind":3,"count":1,"weight":"-4"}]}}
{"invoke":5,"invoke_at_ns":9,"client":7,"kind":"write","outcome":"open","tenant":"2","slot":0,"entity":"0","signal":{"kind":0,"weight":0,"client_time_ns":"0"}}
{"invoke":6,"return":7,"invoke_at_ns":10,"return_at_ns":11,"client":7,"kind":"put","outcome":"acked","tenant":"2","slot":0,"entity":"5","session":2,"request":2,"seq":5}
{"invoke":8,"return":9,"invoke_at_ns":12,"return_at_ns":13,"client":7,"kind":"delete","outcome":"refused","tenant":"2","slot":0,"entity":"5","session":2,"request":3,"reason":"quota-exceeded"}
`
	var b bytes.Buffer
	if err := h.Write(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestLoadIsStrict(t *testing.T) {
	const head = `{"format":"tidalsim-history","version":1}` + "\n"
	const rest = `"invoke_at_ns":0,"client":7,"tenant":"2","slot":0,"entity":"5"`
	const sig = `"signal":{"kind":0,"weight":1,"client_time_ns":"0"}`
	const open = `{"invoke":1,"kind":"write","outcome":"open",` + sig + `,` + rest + `}`
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1: not a history: the file is empty"},
		{"another format", `{"format":"trace","version":1}`, `line 1: not a history: format is "trace"`},
		{"another version", `{"format":"tidalsim-history","version":2}`, "line 1: not a history: version is 2, this program reads 1"},
		{"no header", open, "line 1: not a history"},
		{"blank line", head + "\n", "line 2: not a history: EOF"},
		{"cut off", head + open[:40], "line 2: not a history: unexpected EOF"},
		{"unknown field", head + strings.Replace(open, `"invoke":1`, `"invoke":1,"flavour":1`, 1), `line 2: not a history: json: unknown field "flavour"`},
		{"two objects", head + open + open, "line 2: not a history: more text follows the object"},
		{"kind", head + strings.Replace(open, `"write"`, `"drop"`, 1), `line 2: not a history: kind is "drop"`},
		{"outcome", head + strings.Replace(open, `"open"`, `"lost"`, 1), `line 2: not a history: outcome is "lost"`},
		{"no invoke", head + strings.Replace(open, `"invoke":1,`, ``, 1), "line 2: not a history: invoke is missing"},
		{"open and returned", head + strings.Replace(open, `"invoke":1`, `"invoke":1,"return":2`, 1), "outcome is open, but return is 2"},
		{"acked and not returned", head + strings.Replace(open, `"open"`, `"acked"`, 1), "outcome is acked, but return is 0"},
		{"returned before", head + strings.Replace(open, `"invoke":1,"kind":"write","outcome":"open"`, `"invoke":3,"return":2,"kind":"write","outcome":"acked"`, 1), "return 2 comes before invoke 3"},
		{"order", head + open + "\n" + open, "line 3: not a history: invoke is 1, want more"},
		{"event twice", head + strings.Replace(open, `"invoke":1,"kind":"write","outcome":"open"`, `"invoke":1,"return":2,"kind":"write","outcome":"acked"`, 1) + "\n" + strings.Replace(open, `"invoke":1`, `"invoke":2`, 1), "line 3: not a history: event 2 was on line 2 already"},
		{"write without signal", head + strings.Replace(open, sig+",", "", 1), "a write has a signal"},
		{"read with request", head + `{"invoke":1,"kind":"read","outcome":"open","request":1,` + rest + `}`, "a read has no session"},
		{"put with signal", head + strings.Replace(open, `"write"`, `"put"`, 1), "a write has a signal and nothing else has"},
		{"open read with seq", head + `{"invoke":1,"kind":"read","outcome":"open","seq":1,` + rest + `}`, "only an acked operation has a seq"},
		{"delete with state", head + `{"invoke":1,"return":2,"kind":"delete","outcome":"acked","state":{"last_seq":1,"applied":"00000000000000010000000000000002"},` + rest + `}`, "an acked read has a state and nothing else has"},
		{"read without state", head + `{"invoke":1,"return":2,"kind":"read","outcome":"acked",` + rest + `}`, "an acked read has a state"},
		{"digest", head + `{"invoke":1,"return":2,"kind":"read","outcome":"acked","state":{"last_seq":1,"applied":"00"},` + rest + `}`, `applied is "00", want 32 hex digits`},
		{"totals", head + `{"invoke":1,"return":2,"kind":"read","outcome":"acked","state":{"last_seq":1,"applied":"00000000000000010000000000000002","totals":[{"kind":8,"count":1,"weight":"1"}]},` + rest + `}`, "totals are of kinds 0..7, ascending; found 8"},
		{"signal kind", head + strings.Replace(open, `{"kind":0`, `{"kind":8`, 1), "invalid signal: kind is 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(strings.NewReader(c.text))
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
	if _, err := Load(strings.NewReader(head + strings.Repeat("x", MaxLine+1))); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v of a line without end, want one that names line 2", err)
	}
	if h, err := Load(strings.NewReader(head + open)); err != nil || len(h.Ops) != 1 {
		t.Errorf("a good history: %v", err)
	}
}

// Whatever is recorded is stored and loaded as it was, and goes on where it was.
func TestLoadIsTheInverseOfWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h History
		var open []int
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			if len(open) > 0 && rapid.Bool().Draw(t, "end") {
				h.End(open[0], result(t, h.Ops[open[0]].Kind))
				open = open[1:]
				continue
			}
			op := Op{
				Client: rapid.Uint64().Draw(t, "client"), Kind: Kind(rapid.IntRange(0, len(kindNames)-1).Draw(t, "kind")),
				Tenant: tenant.ID(rapid.Uint64Range(0, 1<<64-2).Draw(t, "tenant")), Slot: lineage.Slot(rapid.Uint32().Draw(t, "slot")),
				Signal: signal.Signal{Entity: signal.Entity(rapid.Uint64().Draw(t, "entity"))}, InvokeAt: rapid.Int64().Draw(t, "at"),
			}
			if op.Kind == Write {
				op.Signal.Kind, op.Signal.Weight, op.Signal.ClientTime = signal.Kind(rapid.IntRange(0, 7).Draw(t, "signal")), rapid.Int32().Draw(t, "weight"), rapid.Int64().Draw(t, "time")
			}
			if op.Kind.Changes() {
				op.Op = signal.Operation{Session: rapid.Uint64().Draw(t, "session"), Request: rapid.Uint64().Draw(t, "request")}
			}
			open = append(open, h.Begin(op))
		}
		var b bytes.Buffer
		if err := h.Write(&b); err != nil {
			t.Fatal(err)
		}
		got, err := Load(&b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h, *got, cmp.AllowUnexported(History{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("history (-stored +loaded):\n%s", diff)
		}
	})
}

func result(t *rapid.T, kind Kind) Result {
	r := Result{Outcome: Outcome(rapid.IntRange(1, 3).Draw(t, "outcome")), At: rapid.Int64().Draw(t, "at")}
	if r.Outcome != Acked {
		r.Reason = rapid.SampledFrom([]string{"", "quota", "<&>"}).Draw(t, "reason")
		return r
	}
	r.Seq = lineage.Seq(rapid.Uint64().Draw(t, "seq"))
	if kind == Read {
		r.State.LastSeq = rapid.Uint64().Draw(t, "last")
		r.State.Applied = signal.Digest{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
		r.State.Totals[rapid.IntRange(0, 7).Draw(t, "total")] = signal.Total{Count: rapid.Uint64().Draw(t, "count"), Weight: rapid.Int64().Draw(t, "sum")}
	}
	return r
}
