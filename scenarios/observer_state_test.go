package scenarios

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/state"
)

// The observer reads a state as the core writes it, and finds every byte of it in some
// part: a state that differs anywhere has other parts.
func TestStatesAreReadAsTheyAreWritten(t *testing.T) {
	if state.Window != observe.Window || state.MaxSpans != observe.MaxSpans {
		t.Fatalf("the core keeps %d answers of a session and %d spans, the observer reads %d and %d", state.Window, state.MaxSpans, observe.Window, observe.MaxSpans)
	}
	s := state.New()
	for _, rec := range []record.Record{
		{Kind: record.EpochStart, Placement: 1, Epoch: 4, Level: 9},
		{Kind: record.Config, Limits: record.Limits{Version: 1, Rate: 2, Burst: 3, Entities: 4, Bytes: 5, Feature: 6}, Level: 8},
		{Kind: record.Session, Session: record.SessionStart{Client: 7, Nonce: 11}, Level: 8},
		{Kind: record.Session, Session: record.SessionStart{Client: 8, Nonce: 12}, Level: 8},
		{Kind: record.Signal, Client: 3, Request: 1, Floor: 1, Signal: signal.Signal{Entity: 5, Weight: -2, Kind: 1}, Level: 7},
		{Kind: record.EntityPut, Client: 4, Request: 17, Floor: 16, Entity: 9, Level: 6},
	} {
		rec.Seq, rec.Prev = s.Position.Next(), s.Position.Chain
		s.Apply(&rec, lineage.Chain(rec.Seq))
	}
	encoded := s.Append(nil)
	at, parts, ok := observe.ParseState(encoded)
	want := observe.Parts{
		Live: 2, Open: 2, Spans: 1, Level: 6, Limits: s.Limits,
		Entities: observe.EntityDigest(0, 5, 101, &s.Entities()[0].State) + observe.EntityDigest(1, 9, 0, &s.Entities()[1].State),
		Sessions: observe.SessionDigest(3, 7, 11, 5) + observe.SessionDigest(4, 8, 12, 6),
		Lineage:  observe.SpanDigest(lineage.Span{Lineage: lineage.Lineage{Placement: 1, Epoch: 4}, First: 1}),
		Floors:   observe.FloorDigest(3, 1) + observe.FloorDigest(4, 16),
		Answers: observe.AnswersDigest(3, &[observe.Window]observe.Answer{1: {Request: 1, Seq: 5}}) +
			observe.AnswersDigest(4, &[observe.Window]observe.Answer{1: {Request: 17, Seq: 6}}),
	}
	if !ok || at != s.Position || parts != want {
		t.Fatalf("read as %+v at %+v (%t), want %+v at %+v", parts, at, ok, want, s.Position)
	}
	for i := range encoded {
		encoded[i] ^= 0x10
		if again, other, ok := observe.ParseState(encoded); ok && again == at && other == parts {
			t.Errorf("byte %d counts for nothing", i)
		}
		encoded[i] ^= 0x10
	}
	for n := range encoded {
		if _, _, ok := observe.ParseState(encoded[:n]); ok {
			t.Fatalf("the first %d of %d bytes are read as a state", n, len(encoded))
		}
	}
}
