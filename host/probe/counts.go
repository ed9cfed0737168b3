package probe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/meter"
)

var (
	stepSeconds   = desc("step_seconds", "How long Steps of the machine take, by what it is told.", "event")
	diskSeconds   = desc("disk_operation_seconds", "How long disk operations take, from when they are asked for to when they are done.", "operation")
	diskBytes     = desc("disk_bytes_total", "Bytes that disk operations have written or read.", "operation")
	diskErrors    = desc("disk_errors_total", "Disk operations that have failed.", "operation")
	sent          = desc("messages_sent_total", "Messages that were handed to the network.")
	sentBytes     = desc("messages_sent_bytes_total", "Bytes of messages that were handed to the network.")
	received      = desc("messages_received_total", "Messages that the machine was told.")
	receivedBytes = desc("messages_received_bytes_total", "Bytes of messages that the machine was told.")
)

// Counts returns a collector of a meter's counts.
func Counts(m *meter.Meter) prometheus.Collector { return counts{m} }

// counts hands a meter's counts to Prometheus.
type counts struct{ *meter.Meter }

// Describe implements prometheus.Collector.
func (counts) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{stepSeconds, diskSeconds, diskBytes, diskErrors, sent, sentBytes, received, receivedBytes} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c counts) Collect(to chan<- prometheus.Metric) {
	for kind := env.Started; kind <= env.DiskDone; kind++ {
		c.histogram(to, stepSeconds, &c.Steps[kind], kind.String())
	}
	for kind := env.OpAppend; kind <= env.OpSyncDir; kind++ {
		c.histogram(to, diskSeconds, &c.Disk[kind], kind.String())
		c.counter(to, diskErrors, c.DiskErrors[kind].Load(), kind.String())
		if meter.Moves(kind) {
			c.counter(to, diskBytes, c.DiskBytes[kind].Load(), kind.String())
		}
	}
	c.counter(to, sent, c.Sent.Load())
	c.counter(to, sentBytes, c.SentBytes.Load())
	c.counter(to, received, c.Received.Load())
	c.counter(to, receivedBytes, c.ReceivedBytes.Load())
}

func (c counts) counter(to chan<- prometheus.Metric, d *prometheus.Desc, value uint64, labels ...string) {
	to <- prometheus.MustNewConstMetricWithCreatedTimestamp(d, prometheus.CounterValue, float64(value), c.Began, labels...)
}

func (c counts) histogram(to chan<- prometheus.Metric, d *prometheus.Desc, h *meter.Histogram, labels ...string) {
	count, sum, upTo := h.Read()
	to <- prometheus.MustNewConstHistogramWithCreatedTimestamp(d, count, sum.Seconds(), upTo, c.Began, labels...)
}
