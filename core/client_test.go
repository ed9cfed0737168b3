//go:build !production

package core_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// call makes a call of the client: "write", "tenant 1 entity 9".
func (s *stage) call(verb, rest string) error {
	if s.client == nil {
		return errors.New("no client runs")
	}
	id, one := tenant.ID(1), signal.Signal{Weight: 1}
	err := assign(rest, map[string]func(string) error{
		"tenant": numberInto(&id), "entity": numberInto(&one.Entity), "kind": numberInto(&one.Kind), "weight": numberInto(&one.Weight),
	})
	if err != nil {
		return err
	}
	var number uint64
	var placed bool
	switch verb {
	case "write":
		number, placed = s.client.Write(id, one)
	case "put":
		number, placed = s.client.Put(id, one.Entity)
	case "delete":
		number, placed = s.client.Delete(id, one.Entity)
	case "read":
		number, placed = s.client.Read(id, one.Entity)
	}
	if placed {
		s.say("call %d", number)
	} else {
		s.say("no call: the tenant is placed nowhere")
	}
	return nil
}

var outcomeNames = map[core.Outcome]string{core.Acked: "acked", core.Refused: "refused", core.Unknown: "unknown"}

func outcomeInWords(r *core.Result) string {
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
	if totals := totalsInWords(&r.State); totals != "" {
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
	s := newStage()
	for _, command := range strings.Split(script, "; ") {
		s.lines = nil
		if err := s.attempt(command); err != nil {
			t.Fatalf("%s: %s: %v", script, command, err)
		}
	}
	ended := slices.IndexFunc(s.lines, func(line string) bool { return strings.HasPrefix(line, "result ") })
	if ended < 0 {
		if s.client.Pending() == 0 || s.timers[0] == env.Never || s.timers[0] > s.now.Add(core.DefaultPatience.Longest) {
			t.Errorf("%s: %d calls are under way, and the timer is %s", script, s.client.Pending(), instant(s.timers[0]))
		}
		return again
	}
	words := strings.Fields(strings.SplitN(s.lines[ended], ": ", 2)[1])
	if code != "none" && words[1] != code {
		t.Errorf("%s: %s; want the code in the result", script, s.lines[ended])
	}
	return verdict(words[0])
}
