package meter_test

import (
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/meter"
)

func TestWhatIsCounted(t *testing.T) {
	m := meter.New()
	m.Step(&env.Event{Kind: env.Message, Data: make([]byte, 30)}, 3*time.Microsecond)
	m.Step(&env.Event{Kind: env.Message, Data: make([]byte, 12)}, 5*time.Microsecond)
	m.Step(&env.Event{Kind: env.Timer}, time.Second)
	m.Did(env.OpAppend, time.Millisecond, 4096, env.OK)
	m.Did(env.OpAppend, time.Millisecond, 0, env.NoSpace)
	m.Did(env.OpOpen, time.Millisecond, 999, env.OK) // the size of the file
	m.Send(7)
	for name, c := range map[string]struct{ got, want uint64 }{
		"received": {m.Received.Load(), 2}, "received bytes": {m.ReceivedBytes.Load(), 42}, "sent": {m.Sent.Load(), 1}, "sent bytes": {m.SentBytes.Load(), 7},
		"appended bytes": {m.DiskBytes[env.OpAppend].Load(), 4096}, "opened bytes": {m.DiskBytes[env.OpOpen].Load(), 0}, "failed appends": {m.DiskErrors[env.OpAppend].Load(), 1},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
	if count, sum, _ := m.Disk[env.OpAppend].Read(); count != 2 || sum != 2*time.Millisecond {
		t.Errorf("%d appends took %s", count, sum)
	}
	if count, _, _ := m.Steps[env.Started].Read(); count != 0 {
		t.Errorf("%d starts", count)
	}
}

// A span at a bound does not exceed it.
func TestBuckets(t *testing.T) {
	m := meter.New()
	h := &m.Steps[env.Timer]
	for _, d := range []time.Duration{0, time.Microsecond, time.Microsecond + 1, 4 * time.Microsecond, 262144 * time.Microsecond, time.Hour} {
		h.Add(d)
	}
	count, _, upTo := h.Read()
	if count != 6 || len(upTo) != meter.Buckets || upTo[1e-6] != 2 || upTo[4e-6] != 4 || upTo[0.065536] != 4 || upTo[0.262144] != 5 {
		t.Errorf("%d spans: %v", count, upTo)
	}
}

// A Step takes a microsecond or two: counting must take far less.
func BenchmarkStep(b *testing.B) {
	m, ev := meter.New(), env.Event{Kind: env.Message}
	b.ReportAllocs()
	for b.Loop() {
		m.Step(&ev, time.Microsecond)
	}
}
