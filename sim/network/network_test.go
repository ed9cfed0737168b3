package network

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

type wire struct {
	net     Network
	decider chance.Decider
	flying  []Arrival
}

func newWire(rates chance.Rates) *wire {
	w := &wire{}
	w.decider.Reset(5, rates, false)
	w.net.Reset(DefaultProfile, 3, &w.decider)
	return w
}

func (w *wire) send(now int64, n int) {
	for i := range n {
		key := env.Key{A: uint64(now), B: uint64(i)}
		arrivals, count := w.net.Send(now+int64(i), 0, 1, key, fmt.Append(nil, i))
		w.flying = append(w.flying, arrivals[:count]...)
	}
}

// arrive lets everything arrive in order and returns it as text.
func (w *wire) arrive() (got []string) {
	slices.SortStableFunc(w.flying, func(a, b Arrival) int { return int(a.At - b.At) })
	for _, a := range w.flying {
		if p := w.net.Arrive(a.Ref); p != nil {
			got = append(got, string(p.Data))
			w.net.Release(a.Ref)
		}
	}
	w.flying = w.flying[:0]
	return got
}

func TestWithoutDeviationsALinkKeepsItsOrder(t *testing.T) {
	w := newWire(chance.Rates{})
	w.send(0, 10)
	if got := fmt.Sprint(w.arrive()); got != "[0 1 2 3 4 5 6 7 8 9]" {
		t.Errorf("arrived: %s", got)
	}
}

func TestDeviations(t *testing.T) {
	const n = 400
	count := func(rates chance.Rates) (total, distinct int, ordered bool) {
		w := newWire(rates)
		w.send(0, n)
		got := w.arrive()
		ordered = slices.IsSortedFunc(got, func(a, b string) int { return len(a)*1000 + int(a[0]) - len(b)*1000 - int(b[0]) })
		slices.Sort(got)
		return len(got), len(slices.Compact(got)), ordered
	}
	if total, _, _ := count(chance.Rates{chance.NetLoss: 500_000}); total < n/3 || total > n*2/3 {
		t.Errorf("half is lost, yet %d of %d arrive", total, n)
	}
	if total, distinct, _ := count(chance.Rates{chance.NetDuplicate: 500_000}); total < n*4/3 || total > n*5/3 || distinct != n {
		t.Errorf("half is doubled, yet %d arrive, %d of them different", total, distinct)
	}
	if total, distinct, _ := count(chance.Rates{chance.NetDelay: 500_000}); total != n || distinct != n {
		t.Errorf("half is late, yet %d arrive, %d of them different", total, distinct)
	}
	if _, _, ordered := count(chance.Rates{chance.NetDelay: 500_000}); ordered {
		t.Error("half is late, yet nothing was overtaken")
	}
	if _, distinct, _ := count(chance.Rates{chance.NetCorrupt: chance.Million}); distinct == n {
		t.Error("everything is damaged, yet all arrive as sent")
	}
}

func TestCuts(t *testing.T) {
	t.Run("drop loses what is in flight", func(t *testing.T) {
		w := newWire(chance.Rates{})
		w.send(0, 3)
		w.net.Cut(0, 1, Drop)
		if got := w.arrive(); len(got) != 0 {
			t.Errorf("arrived: %v", got)
		}
		if held := w.net.Heal(0, 1); len(held) != 0 {
			t.Errorf("a link that drops held %d", len(held))
		}
	})
	t.Run("hold keeps it in order", func(t *testing.T) {
		w := newWire(chance.Rates{})
		w.send(0, 3)
		w.net.Cut(0, 1, Hold)
		if got := w.arrive(); len(got) != 0 {
			t.Errorf("arrived: %v", got)
		}
		for _, ref := range w.net.Heal(0, 1) {
			w.flying = append(w.flying, Arrival{Ref: ref})
		}
		if got := fmt.Sprint(w.arrive()); got != "[0 1 2]" {
			t.Errorf("after the cut: %s", got)
		}
	})
	t.Run("one direction", func(t *testing.T) {
		w := newWire(chance.Rates{})
		w.net.Cut(1, 0, Drop)
		w.send(0, 1)
		if got := w.arrive(); len(got) != 1 {
			t.Errorf("a cut the other way stops %v", got)
		}
	})
}

func TestAFullQueueDrops(t *testing.T) {
	w := newWire(chance.Rates{})
	w.net.profile.Queue = 2*(DefaultProfile.Header+1) + 1
	w.send(0, 5)
	if got := fmt.Sprint(w.arrive()); got != "[0 1]" {
		t.Errorf("arrived: %s", got)
	}
	w.send(1000, 2)
	if got := fmt.Sprint(w.arrive()); got != "[0 1]" {
		t.Errorf("after the queue drained: %s", got)
	}
}
