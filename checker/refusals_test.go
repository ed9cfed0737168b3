package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/wire"
)

func TestRefusals(t *testing.T) {
	refused := func(reason string, change func(w *world)) func(*world) {
		return func(w *world) {
			change(w)
			w.wrote(7, 5)
			w.end(w.write(7, 5), history.Refused, reason)
		}
	}
	nothing := func(*world) {}
	quiet := func(w *world) { w.run.Quiet = true }
	damaged := func(w *world) { w.run.Damage(home, 0) }
	at := func(rule, reason string) []string {
		return []string{rule + " [1] 7 ms: write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2) was refused at 7 ms (" + reason + ")"}
	}
	judged(t, "refusals", []given{
		{name: "a quota", verdict: Held, make: refused("quota-exceeded", quiet)},
		{name: "a dropped tenant", verdict: Held, make: refused("unknown-tenant", nothing)},
		{name: "a damaged slot", verdict: Held, make: refused("corrupt", damaged)},
		{name: "a sound slot that says it is damaged", verdict: Violated, make: refused("corrupt", nothing), want: at("damage-denied", "corrupt")},
		{name: "a slot that did not serve in time, in trouble", verdict: Held, make: refused("not-serving", nothing)},
		{name: "a slot that did not serve in time, without any", verdict: Violated, make: refused("not-serving", quiet), want: at("refused-in-vain", "not-serving")},
		{name: "a well-formed request", verdict: Violated, make: refused("invalid", nothing), want: at("refused-for-nothing", "invalid")},
		{name: "a request to its own slot", verdict: Violated, make: refused("wrong-slot", nothing), want: at("refused-for-nothing", "wrong-slot")},
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: nothing},
	})
}

// The reasons are the names of codes; a code that is renamed must not be judged by
// its old name.
func TestReasonsAreCodes(t *testing.T) {
	known := map[string]bool{}
	for code := wire.QuotaExceeded; code.Advice() != "unknown code; the node may be newer than the client"; code++ {
		known[code.String()] = true
	}
	for _, list := range [][]string{judgedElsewhere, ofDamage, ofPatience} {
		for _, reason := range list {
			if !known[reason] {
				t.Errorf("%q is the name of no code", reason)
			}
		}
	}
}
