// Package yardstick measures the machine, so that bounds on CPU time hold on slower ones
// (scripts/speed-guard). It imports nothing of this module: whatever becomes slower here, the
// yardstick stays as it is.
package yardstick

import (
	"container/heap"
	"hash/fnv"
	"slices"
	"syscall"
	"testing"
)

// rounds is how often one run does everything; want is what comes of it, for ever: another
// workload would be another yardstick, and the bounds are for this one.
const (
	rounds = 4
	want   = 0xe29b50eaac50ea4b
)

// BenchmarkYardstick reports the CPU time of a fixed workload that resembles that of a seed:
// a queue in a heap, look-ups in a table that does not fit into a core's cache, sorting, copying
// and a hash. None of it has instructions of its own on some machines, as checksums and SHA-256 do.
func BenchmarkYardstick(b *testing.B) {
	y := newYard()
	start := cpuTime(b)
	for b.Loop() {
		if got := y.run(); got != want {
			b.Fatalf("the workload gives %#x, want %#x: it must not change", got, uint64(want))
		}
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/1000, "cpu-us/op")
}

func TestYardstickIsTheSame(t *testing.T) {
	y := newYard()
	for range 2 {
		if got := y.run(); got != want {
			t.Fatalf("the workload gives %#x, want %#x: it must not change", got, uint64(want))
		}
	}
}

// yard is the memory of the workload.
type yard struct {
	table  map[uint64]uint64
	keys   []uint64
	sorted []uint64
	bytes  [64 << 10]byte
	copied [64 << 10]byte
	queue  queue
}

func newYard() *yard {
	y := &yard{table: map[uint64]uint64{}}
	x := uint64(1)
	for i := range 1 << 15 {
		x = draw(x)
		y.table[x] = uint64(i)
		y.keys = append(y.keys, x)
	}
	for i := range y.bytes {
		x = draw(x)
		y.bytes[i] = byte(x >> 56)
	}
	return y
}

// draw is a linear congruential generator (Knuth's MMIX).
func draw(x uint64) uint64 { return x*6364136223846793005 + 1442695040888963407 }

func (y *yard) run() uint64 {
	sum := uint64(0)
	for round := range uint64(rounds) {
		y.sorted = append(y.sorted[:0], y.keys[:4096]...)
		slices.Sort(y.sorted)
		sum += y.sorted[round]
		for i := range 8192 {
			k := y.keys[(uint64(i)*7919+round)%uint64(len(y.keys))]
			sum += y.table[k]
			y.table[k] = sum & 0xffff
		}
		for i := range y.keys[:4096] {
			heap.Push(&y.queue, y.keys[i])
			if len(y.queue) > 64 {
				sum += heap.Pop(&y.queue).(uint64)
			}
		}
		y.queue = y.queue[:0]
		copy(y.copied[:], y.bytes[:])
		h := fnv.New64a()
		h.Write(y.copied[:])
		sum = sum*31 + h.Sum64()
	}
	for i, k := range y.keys { // as it was
		y.table[k] = uint64(i)
	}
	return sum
}

// queue is a heap of numbers.
type queue []uint64

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i] < q[j] }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(uint64)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

// cpuTime is the CPU time that the process has used, ns.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
