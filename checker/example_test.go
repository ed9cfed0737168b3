package checker_test

import (
	"fmt"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

// A client writes one signal, is told that it is at seq 1, and another client
// then reads the entity and does not see it.
func Example() {
	sig := signal.Signal{Entity: 5, Weight: 3}
	id := signal.Operation{Session: 1, Request: 1}

	var h history.History
	write := h.Begin(history.Op{Client: 7, Kind: history.Write, Tenant: 2, Signal: sig, InvokeAt: 1_000_000})
	h.Sent(write, id)
	h.End(write, history.Result{Outcome: history.Acked, At: 2_000_000, Seq: 1})
	read := h.Begin(history.Op{Client: 8, Kind: history.Read, Tenant: 2, Signal: signal.Signal{Entity: 5}, InvokeAt: 3_000_000})
	h.End(read, history.Result{Outcome: history.Acked, At: 3_500_000})

	run := observe.Run{History: &h}
	rec := record.Record{Tenant: 2, Kind: record.Signal, Seq: 1, Client: id.Session, Request: id.Request, Signal: sig}
	run.Append(&rec, record.ChainOf(record.Append(nil, &rec)), 1_500_000, 1_500_000, 1)

	for _, name := range []string{"exactly-once", "linearizable", "durable-ack"} {
		judge, _ := checker.Lookup(name)
		report := judge.Judge(&run, checker.Options{})
		fmt.Printf("%s: %s %q\n", report.Checker, report.Verdict, report.Why)
		for _, f := range report.Findings {
			fmt.Println(f.Fingerprint(), f.Ops)
			fmt.Println(f.Text)
		}
	}
	// Output:
	// exactly-once: held ""
	// linearizable: violated ""
	// linearizable/stale-read [0 1]
	// read #1 of client 8 (tenant 2 slot 0, entity 5) began at 3 ms and saw seq 0, although write #0 of client 7 (tenant 2 slot 0, entity 5, session 1 request 1), which had returned at 2 ms, is at seq 1
	// durable-ack: undecided "no acknowledgement was seen"
}
