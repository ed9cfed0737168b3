// Package meter counts what a process does, for Prometheus: Steps, messages and disk
// operations, with how long they take. It knows nothing of what the machine is about, and
// tells of one life of the process: counters begin at 0 with each.
//
// The one rule to remember: counting waits for nobody, so that it may be done within a Step.
package meter

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidaldb/tidalsim/core/env"
)

// Meter counts. It is a prometheus.Collector, and may be used by several goroutines.
type Meter struct {
	all []prometheus.Collector

	steps      *prometheus.HistogramVec
	disk       *prometheus.HistogramVec
	bytes      *prometheus.CounterVec
	errors     *prometheus.CounterVec
	sent       prometheus.Counter
	sentBytes  prometheus.Counter
	taken      prometheus.Counter
	takenBytes prometheus.Counter
	ofStep     [env.DiskDone + 1]prometheus.Observer
	ofDisk     [env.OpSyncDir + 1]prometheus.Observer
}

// The bounds of buckets, s: each is four times the one before.
var (
	stepBuckets = prometheus.ExponentialBuckets(1e-6, 4, 10) // 1 us to 0.26 s
	diskBuckets = prometheus.ExponentialBuckets(1e-5, 4, 10) // 10 us to 2.6 s
)

// New returns a meter at 0.
func New() *Meter {
	m := &Meter{
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tidal_step_seconds", Help: "How long Steps of the machine take, by what it is told.", Buckets: stepBuckets}, []string{"event"}),
		disk: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tidal_disk_operation_seconds", Help: "How long disk operations take, from when they are asked for to when they are done.", Buckets: diskBuckets,
		}, []string{"operation"}),
		bytes:      prometheus.NewCounterVec(counter("tidal_disk_bytes_total", "Bytes that disk operations have written or read."), []string{"operation"}),
		errors:     prometheus.NewCounterVec(counter("tidal_disk_errors_total", "Disk operations that have failed."), []string{"operation"}),
		sent:       prometheus.NewCounter(counter("tidal_messages_sent_total", "Messages that were handed to the network.")),
		sentBytes:  prometheus.NewCounter(counter("tidal_messages_sent_bytes_total", "Bytes of those.")),
		taken:      prometheus.NewCounter(counter("tidal_messages_received_total", "Messages that the machine was told.")),
		takenBytes: prometheus.NewCounter(counter("tidal_messages_received_bytes_total", "Bytes of those.")),
	}
	m.all = []prometheus.Collector{m.steps, m.disk, m.bytes, m.errors, m.sent, m.sentBytes, m.taken, m.takenBytes}
	for kind := env.Started; kind <= env.DiskDone; kind++ {
		m.ofStep[kind] = m.steps.WithLabelValues(kind.String())
	}
	for kind := env.OpAppend; kind <= env.OpSyncDir; kind++ {
		m.ofDisk[kind] = m.disk.WithLabelValues(kind.String())
		m.errors.WithLabelValues(kind.String())
	}
	for _, kind := range []env.OpKind{env.OpAppend, env.OpWrite, env.OpRead} {
		m.bytes.WithLabelValues(kind.String())
	}
	return m
}

func counter(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Name: name, Help: help}
}

// Step counts a Step that took so long.
func (m *Meter) Step(ev *env.Event, took time.Duration) {
	m.ofStep[ev.Kind].Observe(took.Seconds())
	if ev.Kind == env.Message {
		m.taken.Inc()
		m.takenBytes.Add(float64(len(ev.Data)))
	}
}

// Disk counts a disk operation that has ended: bytes is what it wrote or read.
func (m *Meter) Disk(kind env.OpKind, took time.Duration, bytes int64, err env.Errno) {
	m.ofDisk[kind].Observe(took.Seconds())
	if err != env.OK {
		m.errors.WithLabelValues(kind.String()).Inc()
		return
	}
	if kind == env.OpAppend || kind == env.OpWrite || kind == env.OpRead {
		m.bytes.WithLabelValues(kind.String()).Add(float64(bytes))
	}
}

// Sent counts a message of so many bytes.
func (m *Meter) Sent(bytes int) {
	m.sent.Inc()
	m.sentBytes.Add(float64(bytes))
}

// Describe implements prometheus.Collector.
func (m *Meter) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (m *Meter) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(to)
	}
}
