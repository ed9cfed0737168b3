// Package meter counts the Steps, messages and disk operations of a process, with their durations.
// It knows neither the machine nor the readers of its figures. All figures begin at 0 with each
// start of the process.
//
// The one rule to remember: counting never blocks, so that it may be done within a Step.
package meter

import (
	"sync/atomic"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
)

// Meter counts. Several goroutines may use it at once. A reader sees each figure at an instant
// of its own.
type Meter struct {
	Began time.Time // when all was 0

	Steps [env.DiskDone + 1]Histogram // by the kind of the event
	// Disk has operations by kind, from when they are asked for to when they are done.
	Disk                    [env.OpSyncDir + 1]Histogram
	DiskBytes, DiskErrors   [env.OpSyncDir + 1]atomic.Uint64
	Sent, SentBytes         atomic.Uint64 // messages handed to the network
	Received, ReceivedBytes atomic.Uint64 // messages that the machine received
}

// The least bounds of buckets.
const (
	LeastStep = time.Microsecond      // up to 0.26 s
	LeastDisk = 10 * time.Microsecond // up to 2.6 s
)

// New returns a meter at 0.
func New() *Meter {
	m := &Meter{Began: time.Now()}
	for i := range m.Steps {
		m.Steps[i].least = LeastStep
	}
	for i := range m.Disk {
		m.Disk[i].least = LeastDisk
	}
	return m
}

// Step counts a Step that took so long.
func (m *Meter) Step(ev *env.Event, took time.Duration) {
	m.Steps[ev.Kind].Add(took)
	if ev.Kind == env.Message {
		m.Received.Add(1)
		m.ReceivedBytes.Add(uint64(len(ev.Data)))
	}
}

// Moves reports whether an operation writes or reads bytes.
func Moves(kind env.OpKind) bool {
	return kind == env.OpAppend || kind == env.OpWrite || kind == env.OpRead
}

// Did counts a disk operation that has ended, with the bytes that it wrote or read.
func (m *Meter) Did(kind env.OpKind, took time.Duration, bytes int64, err env.Errno) {
	m.Disk[kind].Add(took)
	switch {
	case err != env.OK:
		m.DiskErrors[kind].Add(1)
	case Moves(kind):
		m.DiskBytes[kind].Add(uint64(bytes))
	}
}

// Send counts a message of so many bytes.
func (m *Meter) Send(bytes int) {
	m.Sent.Add(1)
	m.SentBytes.Add(uint64(bytes))
}

// Buckets is how many buckets have a bound: each four times the one before.
const Buckets = 10

// Histogram counts spans by their length.
type Histogram struct {
	least  time.Duration              // the bound of the first bucket
	counts [Buckets + 1]atomic.Uint64 // the last one: longer than all bounds
	sum    atomic.Int64
}

// Add counts a span.
func (h *Histogram) Add(d time.Duration) {
	i := 0
	for bound := h.least; i < Buckets && d > bound; bound *= 4 {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Read returns how many spans there are, how long they are together, and by bound how many do
// not exceed it, as Prometheus wants it.
func (h *Histogram) Read() (count uint64, sum time.Duration, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, Buckets)
	bound := h.least
	for i := range h.counts {
		count += h.counts[i].Load()
		if i < Buckets {
			upTo[bound.Seconds()] = count
			bound *= 4
		}
	}
	return count, time.Duration(h.sum.Load()), upTo
}
