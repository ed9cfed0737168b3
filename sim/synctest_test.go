package sim_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// BenchmarkPingPongSynctest is BenchmarkPingPong on the standard library's virtual
// time: three goroutines, each with a timer, that send each other messages which take
// as long. The engine promises a message at a tenth of its cost. Beside that, a run
// here is not repeatable: which of two goroutines goes first is the scheduler's
// choice.
func BenchmarkPingPongSynctest(b *testing.B) {
	b.ReportAllocs()
	all := func(string, string) (bool, error) { return true, nil }
	// synctest.Test wants a test, and only a test binary can make one.
	ok := testing.RunTests(all, []testing.InternalTest{{Name: "PingPong", F: func(t *testing.T) {
		synctest.Test(t, func(*testing.T) { pingPong(b.N) })
	}}})
	if !ok {
		b.Fatal("the bubble failed")
	}
}

// pingPong passes three messages on until they have been received n times in all.
func pingPong(n int) {
	type message [48]byte
	const latency, patience = 150 * time.Microsecond, time.Second
	var in [3]chan message
	for i := range in {
		in[i] = make(chan message, len(in))
		in[i] <- message{}
	}
	var received atomic.Int64
	done := make(chan struct{})
	peer := func(self int) {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		next := in[(self+1)%len(in)]
		for {
			select {
			case m := <-in[self]:
				if received.Add(1) == int64(n) {
					close(done)
				}
				timer.Reset(patience)
				time.AfterFunc(latency, func() { next <- m })
			case <-timer.C:
			case <-done:
				return
			}
		}
	}
	for i := range in {
		go peer(i)
	}
	<-done
	time.Sleep(2 * latency) // messages in flight arrive
}
