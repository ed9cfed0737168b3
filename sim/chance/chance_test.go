package chance

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
)

func drawKey(t *rapid.T) env.Key {
	return env.Key{
		Kind: rapid.Uint16().Draw(t, "kind"), Attempt: rapid.Uint32().Draw(t, "attempt"),
		A: rapid.Uint64().Draw(t, "a"), B: rapid.Uint64().Draw(t, "b"),
	}
}

func TestEveryPartOfTheIdentityMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := drawKey(t)
		seed, scope := rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "scope")
		base := Hash(seed, NetLoss, scope, key)
		for name, other := range map[string]uint64{
			"seed":    Hash(seed+1, NetLoss, scope, key),
			"site":    Hash(seed, NetDelay, scope, key),
			"scope":   Hash(seed, NetLoss, scope+1, key),
			"kind":    Hash(seed, NetLoss, scope, env.Key{Kind: key.Kind + 1, Attempt: key.Attempt, A: key.A, B: key.B}),
			"attempt": Hash(seed, NetLoss, scope, env.Key{Kind: key.Kind, Attempt: key.Attempt + 1, A: key.A, B: key.B}),
			"a":       Hash(seed, NetLoss, scope, env.Key{Kind: key.Kind, Attempt: key.Attempt, A: key.A + 1, B: key.B}),
			"b":       Hash(seed, NetLoss, scope, env.Key{Kind: key.Kind, Attempt: key.Attempt, A: key.A, B: key.B + 1}),
		} {
			if other == base {
				t.Fatalf("another %s gives the same hash %x", name, base)
			}
		}
	})
}

// Keys that count up, as sequence numbers do, must not make chance lopsided.
func TestRatesHoldForConsecutiveKeys(t *testing.T) {
	for _, rate := range []uint32{1_000, 50_000, 500_000, Million} {
		var d Decider
		d.Reset(7, Rates{NetLoss: rate}, false)
		const n = 200_000
		for i := range uint64(n) {
			d.Deviate(NetLoss, 3, env.Key{Kind: 5, A: 9, B: i})
		}
		want := float64(n) * float64(rate) / Million
		if got := float64(d.Count()); got < want*0.85-5 || got > want*1.15+5 {
			t.Errorf("rate %d ppm: %v of %d, want about %v", rate, got, n, want)
		}
	}
}

// Events that are repeated under one key are lost as often as events with a key each, and not
// always the same; listed, the deviations are the same again.
func TestARepeatedKeyIsDecidedEachTime(t *testing.T) {
	const n, keys, rate = 400, 100, 300_000
	ask := func(d *Decider) (values []uint64) {
		for i := range n * keys {
			values = append(values, d.DeviateEach(NetLoss, 1, env.Key{Kind: 7, B: uint64(i % keys)}))
		}
		return values
	}
	var d, again Decider
	for range 2 { // nothing is left of an earlier run
		d.Reset(3, Rates{NetLoss: rate}, true)
		values := ask(&d)
		lost, stuck := 0, 0
		for key := range keys {
			in := 0
			for i := key; i < len(values); i += keys {
				if values[i] != 0 {
					in++
				}
			}
			if lost += in; in > n/2 {
				stuck++
			}
		}
		if lost == 0 || stuck > 0 {
			t.Errorf("%d deviations; %d of %d keys deviate in most of %d repetitions", lost, stuck, keys, n)
		}
		again.ResetListed(3, d.Taken())
		if diff := cmp.Diff(values, ask(&again)); diff != "" {
			t.Errorf("listed, it is not the same (-drawn +listed):\n%s", diff)
		}
	}
	if got := again.DeviateEach(DiskTorn, 1, env.Key{}); got != 0 {
		t.Errorf("a site without deviations deviates by %d", got)
	}
}

func TestListedDeviationsReplaceTheSeed(t *testing.T) {
	rates := Rates{NetLoss: 300_000, DiskTorn: 300_000}
	ask := func(d *Decider) (values []uint64) {
		for i := range uint64(100) {
			values = append(values, d.Deviate(NetLoss, i%3, env.Key{B: i}), d.Deviate(DiskTorn, 0, env.Key{A: i}))
		}
		return values
	}
	var drawn, listed Decider
	drawn.Reset(11, rates, true)
	want := ask(&drawn)
	listed.ResetListed(0, drawn.Taken())
	if diff := cmp.Diff(want, ask(&listed)); diff != "" {
		t.Errorf("listed deviations decide otherwise (-drawn +listed):\n%s", diff)
	}
	if unused := listed.Unused(); len(unused) != 0 {
		t.Errorf("unused: %v", unused)
	}

	stale := append(drawn.Taken(), Deviation{Site: NetDelay, Scope: 99, Value: 1})
	listed.ResetListed(0, stale)
	ask(&listed)
	if diff := cmp.Diff(stale[len(stale)-1:], listed.Unused()); diff != "" {
		t.Errorf("a stale entry is not reported (-want +got):\n%s", diff)
	}
}

func TestCalmIsBenign(t *testing.T) {
	var d Decider
	d.Reset(1, Rates{NetLoss: Million}, false)
	d.Calm()
	if v := d.Deviate(NetLoss, 0, env.Key{}); v != 0 {
		t.Errorf("in the calm part a message is lost: %x", v)
	}
}

func TestSiteNamesParseBack(t *testing.T) {
	for s := Site(0); s < Deviations; s++ {
		if got, ok := ParseSite(s.String()); !ok || got != s {
			t.Errorf("%s parses to %s", s, got)
		}
	}
	if _, ok := ParseSite("net.gremlins"); ok {
		t.Error("an unknown site parses")
	}
}

func BenchmarkDeviate(b *testing.B) {
	var d Decider
	d.Reset(1, Rates{NetLoss: 10}, false)
	b.ReportAllocs()
	var i uint64
	for b.Loop() {
		i++
		d.Deviate(NetLoss, 1, env.Key{B: i})
	}
}
