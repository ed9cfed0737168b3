package quota_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/quota"
)

// BenchmarkRefusalBesideOthers times single refusals while sixteen goroutines are
// at work beside it, each with a bucket of its own, and tells the 99.9th percentile
// with the clock's own cost in it. Beyond the 100th nanosecond it counts in steps of
// 10, up to 100 us.
func BenchmarkRefusalBesideOthers(b *testing.B) {
	var stop atomic.Bool
	var others sync.WaitGroup
	for range 16 {
		others.Go(func() {
			busy := newBucket(1000, 10)
			for now := env.Time(0); !stop.Load(); now += 100 {
				quota.Admit(&busy, now, quota.Caps{Entities: 1 << 40, Bytes: 1 << 40}, quota.Use{}, quota.Ask{Bytes: 101})
			}
		})
	}
	defer others.Wait()
	defer stop.Store(true)
	bucket := newBucket(1, 1)
	bucket.Take(0)
	var histogram [10_001]int
	refused := 0
	b.ResetTimer()
	for i := range b.N {
		start := time.Now()
		_, _, ok := quota.Admit(&bucket, env.Time(i), quota.Caps{}, quota.Use{}, quota.Ask{})
		span := time.Since(start)
		if !ok {
			refused++
		}
		histogram[min(int(span)/10, len(histogram)-1)]++
	}
	b.StopTimer()
	if refused != b.N {
		b.Fatalf("%d of %d were refused", refused, b.N)
	}
	seen := 0
	for i, n := range histogram {
		if seen += n; seen*1000 >= b.N*999 {
			b.ReportMetric(float64(10*(i+1)), "p99.9-ns")
			break
		}
	}
}

func newBucket(rate, burst uint64) (b quota.Bucket) {
	b.Limit(rate, burst)
	return b
}
