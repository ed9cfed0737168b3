package transcript

import (
	"errors"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wire"
)

// puppet is the simplest role: a client that sets a timer again and again, and hears nothing.
type puppet struct{ *Stage }

func (p puppet) Kind() string                               { return "client" }
func (p puppet) Start() error                               { return nil }
func (p puppet) Stop()                                      {}
func (p puppet) Sets() map[string]Command                   { return nil }
func (p puppet) Nonce() env.Nonce                           { return env.Nonce{} }
func (p puppet) List(string) []string                       { return nil }
func (p puppet) Submit(env.Op)                              {}
func (p puppet) Hit(env.Point, env.Key) (env.Action, bool)  { return env.ActNone, false }
func (p puppet) FillIn(env.ID, *wire.Message, []Pair)       {}
func (p puppet) Sent(to env.ID, _ env.Key, m *wire.Message) { p.Say("send to %d: %s", to, InWords(m)) }

func (p puppet) Tells() map[string]Command {
	return map[string]Command{
		"fail": func(string) error { panic("an assertion") },
		"halt": func(string) error { p.Halt("as told"); p.Tell(&env.Event{Kind: env.Timer}); return nil },
		"hello": func(string) error {
			p.Send(1, env.Key{}, wire.Append(nil, &wire.Message{Kind: wire.Hello, Nonce: 5}))
			return nil
		},
	}
}

func (p puppet) Step(ev *env.Event) {
	if ev.Kind == env.Message {
		p.Say("%d bytes of %d, %s ago", len(ev.Data), ev.From, Span(p.Now().Sub(ev.At)))
		return
	}
	p.SetTimer(0, p.Now().Add(3*env.Millisecond))
}

func newPuppet() *Stage { return New(func(s *Stage) Role { return puppet{s} }) }

// A transcript that cannot be played, or that is not what happens, says where.
func TestTranscriptsSayWhere(t *testing.T) {
	const begun = "place\nquietly start client 7\n"
	for text, want := range map[string]string{
		"  timer 0 off":                          `t:1: "timer 0 off" is indented and follows no command`,
		"":                                       "t:1: no command in it",
		"# why\n":                                "t:1: no command in it",
		"# why\n\njump":                          "t:3: jump: no such command",
		begun + "advance 5":                      `t:3: advance 5: time: missing unit in duration "5"`,
		begun + "start client 8":                 "t:3: start client 8: a process runs",
		begun + "fail":                           "t:3: fail: panic: an assertion",
		begun + "advance 5s":                     "t:3: advance 5s: timers fire without end; it is at 3.003s",
		"advance 5ms":                            "t:1: advance 5ms: no process runs; start one",
		"hello":                                  "t:1: hello: no process runs; start one",
		"start node 7":                           "t:1: start node 7: want client",
		"place tenant":                           "t:1: place tenant: tenant has no value",
		"place colour 3":                         "t:1: place colour 3: colour is unknown here",
		begun + "from node 1: shout":             "t:3: from node 1: shout: no such message",
		begun + "from node 1: welcome colour 3":  "t:3: from node 1: welcome colour 3: a message has no colour",
		begun + "from node 1: welcome session 3": "t:3: from node 1: welcome session 3: a welcome does not carry all of that",
		begun + "from node 1: refusal code strange": "t:3: from node 1: refusal code strange: no code is called strange",
		"start client 7\n  timer 0 at 5ms":          "t:1: start client 7 (-transcript +asked)",
	} {
		if got := played(text); !strings.HasPrefix(got, want) || want == "" {
			t.Errorf("%q: %s\nwant %s", text, got, want)
		}
	}
}

// played plays a transcript and returns its error, or how it differs; "" if it holds.
func played(text string) string {
	steps, err := parse("t", text+"\n")
	if err == nil {
		err = play("t", steps, newPuppet().perform)
	}
	if err != nil {
		return err.Error()
	}
	return strings.Join(differences("t", steps), "")
}

// A transcript that is what happens holds, and is what render writes.
func TestATranscriptHolds(t *testing.T) {
	const text = `# The puppet sets its timer whenever it is told anything but a message.
start client 7
  timer 0 at 3ms
quietly advance 4ms
from node 1: damaged
  7 bytes of 1, 0s ago
from node 1 late 1us: damaged
  7 bytes of 1, 1µs ago
hello
  send to 1: hello nonce 5
# After its halt nothing counts.
halt
  halt: as told
start client 7
  timer 0 at 3ms
kill
`
	if got := played(strings.TrimSuffix(text, "\n")); got != "" {
		t.Error(got)
	}
	steps, err := parse("t", text)
	if err == nil {
		err = play("t", steps, newPuppet().perform)
	}
	if got := render(steps); err != nil || got != text {
		t.Errorf("%v; rendered\n%s", err, got)
	}
}

func TestRewriteIsRefusedInCI(t *testing.T) {
	for _, c := range []struct {
		flag bool
		ci   string
		want bool
		err  error
	}{
		{false, "", false, nil},
		{false, "true", false, nil},
		{true, "", true, nil},
		{true, "false", true, nil},
		{true, "true", false, errRewriteInCI},
		{true, "1", false, errRewriteInCI},
	} {
		if got, err := mayRewrite(c.flag, c.ci); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("-rewrite=%t CI=%q: %t, %v; want %t, %v", c.flag, c.ci, got, err, c.want, c.err)
		}
	}
}
