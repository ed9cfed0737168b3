package network

import (
	"fmt"
	"io"
	"math/bits"
	"net"
	"slices"
	"strings"
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
		w.flying = append(w.flying, w.net.Send(now+int64(i), 0, 1, 0, key, fmt.Append(nil, i))...)
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

// A link sends one message after the other: a burst takes as long as its bytes.
func TestBandwidth(t *testing.T) {
	w := newWire(chance.Rates{})
	w.net.Reset(Profile{Latency: 1000, PerKiB: 1024, Queue: 1 << 20, Header: 24}, 3, &w.decider)
	arrivals := func(now int64, from, to env.ID, n int) (at []int64) {
		for i := range n {
			a := w.net.Send(now, from, to, 0, env.Key{B: uint64(i)}, make([]byte, 1000))
			at = append(at, a[0].At)
		}
		return at
	}
	for _, c := range []struct {
		name     string
		now      int64
		from, to env.ID
		want     string
	}{
		{"a burst", 0, 0, 1, "[2024 3048 4072]"},
		{"another link is another wire", 0, 1, 0, "[2024 3048 4072]"},
		{"a later burst behind it", 2000, 0, 1, "[5096 6120 7144]"},
		{"an idle link", 50_000, 0, 1, "[52024 53048 54072]"},
	} {
		if got := fmt.Sprint(arrivals(c.now, c.from, c.to, 3)); got != c.want {
			t.Errorf("%s arrives at %s, want %s", c.name, got, c.want)
		}
	}
}

func TestLatencyAndDelayStayInTheirRange(t *testing.T) {
	p := Profile{Latency: 1000, Jitter: 500, Queue: 1 << 20, MaxDelay: 3000}
	for _, c := range []struct {
		rates  chance.Rates
		lo, hi int64
	}{{chance.Rates{}, 1000, 1500}, {chance.Rates{chance.NetDelay: chance.Million}, 1001, 4500}} {
		w := newWire(c.rates)
		w.net.Reset(p, 3, &w.decider)
		least, most := int64(1<<62), int64(0)
		for i := range int64(500) {
			now := i * 10_000
			a := w.net.Send(now, 0, 1, 0, env.Key{B: uint64(i)}, []byte("x"))
			least, most = min(least, a[0].At-now), max(most, a[0].At-now)
			w.net.Arrive(a[0].Ref)
			w.net.Release(a[0].Ref)
		}
		if width := c.hi - c.lo; least < c.lo || most > c.hi || least > c.lo+width/5 || most < c.hi-width/5 {
			t.Errorf("rates %v: messages take %d..%d, want about %d..%d", c.rates, least, most, c.lo, c.hi)
		}
	}
}

// Damage is one bit, of one copy: the sender's bytes and a duplicate stay.
func TestCorruptionIsOneBit(t *testing.T) {
	w := newWire(chance.Rates{chance.NetCorrupt: 500_000, chance.NetDuplicate: chance.Million})
	sent := []byte("hold the line")
	damaged, pairs := 0, 0
	for i := range uint64(200) {
		a := w.net.Send(0, 0, 1, 0, env.Key{B: i}, sent)
		changed := 0
		for _, arrival := range a {
			bad := 0
			for k, b := range w.net.Arrive(arrival.Ref).Data {
				bad += bits.OnesCount8(b ^ sent[k])
			}
			w.net.Release(arrival.Ref)
			if bad > 1 {
				t.Fatalf("message %d has %d damaged bits", i, bad)
			}
			changed += bad
		}
		damaged += changed
		if changed == 1 {
			pairs++
		}
	}
	if damaged < 150 || damaged > 250 || pairs < 50 {
		t.Errorf("of 400 copies %d are damaged, in %d pairs only one; want half of each", damaged, pairs)
	}
	if string(sent) != "hold the line" {
		t.Errorf("the sender's buffer became %q", sent)
	}
	if a := w.net.Send(0, 0, 1, 0, env.Key{}, nil); len(w.net.Arrive(a[0].Ref).Data) != 0 {
		t.Error("an empty message got bytes")
	}
}

// Held messages fill the queue, and late messages that meet the cut are held too.
func TestAHeldLinkIsBounded(t *testing.T) {
	w := newWire(chance.Rates{})
	w.net.profile.Queue = 3 * (DefaultProfile.Header + 1)
	w.net.Cut(0, 1, Hold)
	w.send(0, 5)
	w.arrive()
	held := w.net.Heal(0, 1)
	if len(held) != 3 {
		t.Fatalf("%d are held, want 3", len(held))
	}
	for _, ref := range held {
		w.net.Release(ref)
	}
	w.send(1, 1)
	if got := w.arrive(); len(got) != 1 {
		t.Errorf("afterwards it takes %v", got)
	}
}

// A network that is used again remembers nothing.
func TestResetForgets(t *testing.T) {
	run := func(w *wire) string {
		w.net.Reset(DefaultProfile, 3, &w.decider)
		w.send(0, 20)
		times := fmt.Sprint(w.flying)
		w.net.Cut(0, 1, Hold)
		w.arrive()
		return times
	}
	w := newWire(chance.Rates{})
	if first, second := run(w), run(w); first != second {
		t.Errorf("first %s, then %s", first, second)
	}
}

// A link that is shut takes no new messages, and those in flight arrive.
func TestAShutLinkLetsThroughWhatWasSentBefore(t *testing.T) {
	w := newWire(chance.Rates{})
	w.send(0, 2)
	w.net.Shut(0, 1, true)
	w.send(10, 2)
	w.flying = append(w.flying, w.net.Send(10, 1, 0, 0, env.Key{}, []byte("back"))...)
	w.net.Shut(0, 1, false)
	w.send(20, 1)
	if got := fmt.Sprint(w.arrive()); got != "[0 1 0 back]" {
		t.Errorf("arrived: %s, want what was sent before and after, and what goes the other way", got)
	}
}

// A real connection that is shut for writing does the same.
func TestAsOnARealSocketAShutLinkLetsThroughWhatWasSentBefore(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sender, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	receiver, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	if _, err := sender.Write([]byte("01")); err != nil {
		t.Fatal(err)
	}
	if err := sender.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := sender.Write([]byte("23")); err == nil {
		t.Error("a connection that is shut takes something new")
	}
	real, err := io.ReadAll(receiver)
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(chance.Rates{})
	w.send(0, 2)
	w.net.Shut(0, 1, true)
	w.send(10, 2)
	if got := strings.Join(w.arrive(), ""); got != string(real) {
		t.Errorf("a real connection lets through %q, the link %q", real, got)
	}
}

// A message that is late by seconds is overtaken by everything else on its link.
func TestALateMessageComesSecondsLater(t *testing.T) {
	const n = 400
	w := &wire{}
	profile := DefaultProfile
	profile.MaxLate = 4_000_000_000
	w.decider.Reset(5, chance.Rates{chance.NetLate: 100_000}, false)
	w.net.Reset(profile, 3, &w.decider)
	w.send(0, n)
	late := 0
	for _, a := range w.flying {
		switch after := a.At; {
		case after > profile.MaxLate+1_000_000, after > 10_000_000 && after < profile.MaxLate/4:
			t.Errorf("a message arrives after %d ns", after)
		case after >= profile.MaxLate/4:
			late++
		}
	}
	if got := len(w.arrive()); late < n/20 || late > n/5 || got != n {
		t.Errorf("a tenth is late, yet %d of %d are, and %d arrive", late, n, got)
	}
}

func TestALinkHasAPaceOfItsOwn(t *testing.T) {
	profile := DefaultProfile
	profile.Jitter = 0
	for _, c := range []struct {
		name     string
		change   func(*Network)
		there    int64 // when a message of a KiB arrives
		elsewise int64 // likewise, the other way
	}{
		{"as all links", func(*Network) {}, 150_800, 150_800},
		{"three times slower", func(n *Network) { n.SetPace(0, 1, 3) }, 452_400, 150_800},
		{"at full speed again", func(n *Network) { n.SetPace(0, 1, 3); n.SetPace(0, 1, 1) }, 150_800, 150_800},
		{"a profile of its own", func(n *Network) { n.SetLink(&LinkProfile{From: 0, To: 1, Latency: 30_000_000, PerKiB: 100}) }, 30_000_100, 150_800},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(chance.Rates{})
			w.net.Reset(profile, 3, &w.decider)
			c.change(&w.net)
			data := make([]byte, 1024-profile.Header)
			there := w.net.Send(0, 0, 1, 0, env.Key{}, data)[0].At
			back := w.net.Send(0, 1, 0, 0, env.Key{}, data)[0].At
			if there != c.there || back != c.elsewise {
				t.Errorf("arrives after %d ns, and back after %d; want %d, %d", there, back, c.there, c.elsewise)
			}
		})
	}
}
