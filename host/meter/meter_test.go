package meter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/meter"
)

func TestWhatIsCounted(t *testing.T) {
	m := meter.New()
	m.Step(&env.Event{Kind: env.Message, Data: make([]byte, 30)}, 3*time.Microsecond)
	m.Step(&env.Event{Kind: env.Message, Data: make([]byte, 12)}, 5*time.Microsecond)
	m.Step(&env.Event{Kind: env.Timer}, time.Second)
	m.Disk(env.OpAppend, time.Millisecond, 4096, env.OK)
	m.Disk(env.OpAppend, time.Millisecond, 0, env.NoSpace)
	m.Disk(env.OpOpen, time.Millisecond, 999, env.OK) // the size of the file
	m.Sent(7)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v: %+v", err, problems)
	}
	err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP tidal_disk_bytes_total Bytes that disk operations have written or read.
# TYPE tidal_disk_bytes_total counter
tidal_disk_bytes_total{operation="append"} 4096
tidal_disk_bytes_total{operation="read"} 0
tidal_disk_bytes_total{operation="write"} 0
# HELP tidal_messages_received_bytes_total Bytes of those.
# TYPE tidal_messages_received_bytes_total counter
tidal_messages_received_bytes_total 42
# HELP tidal_messages_received_total Messages that the machine was told.
# TYPE tidal_messages_received_total counter
tidal_messages_received_total 2
# HELP tidal_messages_sent_bytes_total Bytes of those.
# TYPE tidal_messages_sent_bytes_total counter
tidal_messages_sent_bytes_total 7
# HELP tidal_messages_sent_total Messages that were handed to the network.
# TYPE tidal_messages_sent_total counter
tidal_messages_sent_total 1
`), "tidal_disk_bytes_total", "tidal_messages_received_bytes_total", "tidal_messages_received_total", "tidal_messages_sent_bytes_total", "tidal_messages_sent_total")
	if err != nil {
		t.Error(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string][2]uint64{} // how many, of how many kinds
	for _, f := range families {
		n := uint64(0)
		for _, metric := range f.Metric {
			n += metric.GetHistogram().GetSampleCount()
		}
		samples[f.GetName()] = [2]uint64{n, uint64(len(f.Metric))}
	}
	for name, want := range map[string][2]uint64{"tidal_step_seconds": {3, 4}, "tidal_disk_operation_seconds": {3, 12}} {
		if samples[name] != want {
			t.Errorf("%s has %d samples of as many kinds, want %d", name, samples[name], want)
		}
	}
}

// A Step is a microsecond or two: counting must not be what it takes.
func BenchmarkStep(b *testing.B) {
	m, ev := meter.New(), env.Event{Kind: env.Message}
	b.ReportAllocs()
	for b.Loop() {
		m.Step(&ev, time.Microsecond)
	}
}
