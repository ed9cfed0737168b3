package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/internal/transcript"
)

// The manners of Client are written down in testdata/transcripts, in the form of package
// transcript. Its commands for a client, beside those of every machine, are calls; a read is a linearizable query:
//
//	write tenant 1 entity 9 kind 2 weight 3, put, delete, read
//	    the script may leave out: tenant 1, entity 0, kind 0, weight 1
//
// In a message of a node, the script may leave out all that the frame it answers carried; of a
// welcome the nonce of the last hello, of a reset the connection of the last frame.
//
// Lines beside those of every machine: call (its number), result. Of the keys, the attempt is
// shown.
func TestTranscripts(t *testing.T) {
	transcript.Test(t, "testdata/transcripts/*.txt", func() *transcript.Stage { return newBooth().Stage })
}

// booth is the world of one client, scripted. It implements env.Env.
type booth struct {
	*transcript.Stage
	places placement.Map
	client *Client                  // nil: no client runs
	talks  map[env.ID]*conversation // by node
}

// conversation is the client's part of a conversation with a node, to fill in what a script
// leaves out.
type conversation struct {
	hello wire.Message            // the last one
	sent  map[uint64]wire.Message // by frame
}

func newBooth() (b *booth) {
	transcript.New(func(s *transcript.Stage) transcript.Role { b = &booth{Stage: s}; return b })
	return b
}

func (b *booth) talkWith(node env.ID) *conversation {
	if b.talks[node] == nil {
		b.talks[node] = &conversation{sent: map[uint64]wire.Message{}}
	}
	return b.talks[node]
}

func (b *booth) Kind() string { return "client" }

func (b *booth) Start() error {
	b.talks = map[env.ID]*conversation{}
	b.places = placement.Map{Placements: b.Placements}
	b.places.Index()
	if err := b.places.Validate(); err != nil {
		return err
	}
	b.client = New(b, &b.places, DefaultPatience)
	return nil
}

func (b *booth) Step(ev *env.Event) {
	for _, r := range b.client.Step(ev) {
		b.Say("result call %d: %s", r.Call, outcomeInWords(&r))
	}
}

func (b *booth) Stop() { b.client = nil }

func (b *booth) Sets() map[string]transcript.Command { return nil }

func (b *booth) Tells() map[string]transcript.Command {
	call := func(begin func(tenant.ID, signal.Signal) (uint64, bool)) transcript.Command {
		return func(rest string) error { return b.call(rest, begin) }
	}
	return map[string]transcript.Command{
		"write":  call(func(id tenant.ID, s signal.Signal) (uint64, bool) { return b.client.Write(id, s) }),
		"put":    call(func(id tenant.ID, s signal.Signal) (uint64, bool) { return b.client.Put(id, s.Entity) }),
		"delete": call(func(id tenant.ID, s signal.Signal) (uint64, bool) { return b.client.Delete(id, s.Entity) }),
		"read":   call(func(id tenant.ID, s signal.Signal) (uint64, bool) { return b.client.Query(id, s.Entity, Query{}) }),
	}
}

// call makes a call of the client: "tenant 1 entity 9".
func (b *booth) call(rest string, begin func(tenant.ID, signal.Signal) (uint64, bool)) error {
	id, one := tenant.ID(1), signal.Signal{Weight: 1}
	err := transcript.Assign(rest, map[string]func(string) error{
		"tenant": transcript.NumberInto(&id), "entity": transcript.NumberInto(&one.Entity),
		"kind": transcript.NumberInto(&one.Kind), "weight": transcript.NumberInto(&one.Weight),
	})
	if err != nil {
		return err
	}
	if number, placed := begin(id, one); placed {
		b.Say("call %d", number)
	} else {
		b.Say("no call: the tenant is placed nowhere")
	}
	return nil
}

// FillIn gives fields that a script leaves out their values.
func (b *booth) FillIn(node env.ID, m *wire.Message, named []transcript.Pair) {
	t := b.talkWith(node)
	switch m.Kind {
	case wire.Welcome:
		m.Nonce = t.hello.Nonce
	case wire.Reset:
		for _, sent := range t.sent {
			m.Conn = max(m.Conn, sent.Conn)
		}
	default:
		var frame uint64
		if word, given := transcript.Value(named, "frame"); given {
			_ = transcript.NumberInto(&frame)(word) // the stage says what is wrong with it
		}
		kind := m.Kind
		*m = t.sent[frame]
		m.Kind = kind
	}
}

func (b *booth) Sent(to env.ID, key env.Key, m *wire.Message) {
	t := b.talkWith(to)
	attempt := ""
	if key.Attempt > 0 {
		attempt = fmt.Sprintf(" (attempt %d)", key.Attempt+1)
	}
	if m.Kind == wire.Hello {
		t.hello = *m
	} else {
		t.sent[m.Frame] = *m
	}
	b.Say("send to node %d: %s%s", to, transcript.InWords(m), attempt)
}

// Nonce counts the starts, so that transcripts are the same each time: nonces begin with
// incarnation<<20.
func (b *booth) Nonce() env.Nonce { return env.Nonce{A: uint64(b.Incarnation) << 20} }

// A client has no disk and passes no fault points.

func (b *booth) List(string) []string                      { panic("a client lists a directory") }
func (b *booth) Submit(env.Op)                             { panic("a client has no disk") }
func (b *booth) Hit(env.Point, env.Key) (env.Action, bool) { return env.ActNone, false }

var outcomeNames = map[Outcome]string{Acked: "acked", Refused: "refused", Unknown: "unknown"}

func outcomeInWords(r *Result) string {
	text := outcomeNames[r.Outcome]
	if r.Code != wire.NoError {
		text += " " + r.Code.String()
	}
	if r.Seq != 0 {
		text += fmt.Sprintf(" seq %d", r.Seq)
	}
	if r.Op != (signal.Operation{}) {
		text += fmt.Sprintf(" session %d request %d", r.Op.Session, r.Op.Request)
	}
	if totals := transcript.TotalsInWords(&r.State); totals != "" {
		text += " totals " + totals
	}
	return text
}

// verdict is what a refusal with some code makes of a call.
type verdict string

const (
	again   verdict = "again"   // it is under way, and is sent again
	refused verdict = "refused" // it has no effect
	unknown verdict = "unknown" // it may have its effect, once
)

// verdicts decides about every code: of a call's only attempt, of one beside an
// earlier attempt that is not resolved, and of the opening of the session that a
// call waits for, so that it was never sent.
var verdicts = map[string]struct{ only, beside, opening verdict }{
	"none":             {unknown, unknown, refused},
	"quota-exceeded":   {refused, unknown, refused},
	"unknown-tenant":   {refused, unknown, refused},
	"wrong-slot":       {refused, unknown, refused},
	"invalid":          {refused, unknown, refused},
	"bad-epoch":        {again, again, again},
	"moved":            {again, again, again},
	"not-serving":      {again, again, again},
	"overloaded":       {again, again, again},
	"corrupt":          {refused, unknown, refused},
	"storage-fault":    {again, again, again},
	"session-expired":  {unknown, unknown, refused},
	"superseded":       {unknown, unknown, refused},
	"window":           {again, again, again},
	"disk-full":        {again, again, again},
	"version-conflict": {refused, unknown, refused},
	"invalid-config":   {refused, unknown, refused},
	"tenant-exists":    {refused, unknown, refused},
	"tenant-dropped":   {refused, unknown, refused},
	"catalog-full":     {refused, unknown, refused},
	"not-yet":          {again, again, again},
	"token-lost":       {refused, unknown, refused},
	"residency":        {refused, unknown, refused},
	"not-now":          {again, again, again},
}

// The outcome of a call hangs on the code and on what became of its other attempts.
// A code that no row decides about fails here.
func TestEveryCodeIsDecidedAbout(t *testing.T) {
	const connected = "place; start client 7; write entity 9; from node 1: welcome conn 1/1; "
	const open = connected + "from node 1: session-open frame 1 session 3; "
	codes := 0
	for c := wire.Code(0); !strings.HasPrefix(c.String(), "code-"); c++ {
		codes++
		name := c.String()
		want, decided := verdicts[name]
		if !decided {
			t.Errorf("%s: nobody decided what it makes of a call", name)
		}
		for script, want := range map[string]verdict{
			open + "from node 1: refusal frame 2 code " + name:                                          want.only,
			open + "advance 10ms; from node 1: refusal frame 3 code " + name:                            want.beside,
			open + "advance 10ms; from node 1: refusal frame 2 code " + name:                            want.beside,
			open + "from node 1: reset; from node 1: refusal frame 2 code " + name:                      want.only,
			connected + "from node 1: refusal frame 1 code " + name:                                     want.opening,
			connected + "advance 10ms; from node 1: refusal frame 1 code " + name:                       want.opening,
			open + "from node 1: ack frame 2; put entity 8; from node 1: refusal frame 3 code " + name:  want.only,
			open + "from node 1: ack frame 2; read entity 8; from node 1: refusal frame 3 code " + name: want.only,
		} {
			if got := verdictOf(t, script, name); got != want {
				t.Errorf("%s: %s, want %s", script, got, want)
			}
		}
	}
	if codes != len(verdicts) {
		t.Errorf("%d codes, %d rows", codes, len(verdicts))
	}
}

// verdictOf plays commands and says what the last, a refusal with a code, leads to.
func verdictOf(t *testing.T, script, code string) verdict {
	t.Helper()
	b := newBooth()
	for _, command := range strings.Split(script, "; ") {
		b.Lines = nil
		if err := b.Attempt(command); err != nil {
			t.Fatalf("%s: %s: %v", script, command, err)
		}
	}
	ended := slices.IndexFunc(b.Lines, func(line string) bool { return strings.HasPrefix(line, "result ") })
	if ended < 0 {
		if b.client.Pending() == 0 || b.Timer(0) == env.Never || b.Timer(0) > b.Now().Add(DefaultPatience.Longest) {
			t.Errorf("%s: %d calls are under way, and the timer is %s", script, b.client.Pending(), transcript.Instant(b.Timer(0)))
		}
		return again
	}
	words := strings.Fields(strings.SplitN(b.Lines[ended], ": ", 2)[1])
	if code != "none" && words[1] != code {
		t.Errorf("%s: %s; want the code in the result", script, b.Lines[ended])
	}
	return verdict(words[0])
}
