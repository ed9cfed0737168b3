package network

import (
	"fmt"
	"net"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
)

// pair is two connected processes; each hands its messages to its own function.
func pair(b *testing.B, deliver [2]func(payload []byte)) (both [2]*Network) {
	listeners := [2]net.Listener{listen(b), listen(b)}
	addresses := map[env.ID]string{0: listeners[0].Addr().String(), 1: listeners[1].Addr().String()}
	for i := range both {
		n, err := Open(Config{
			Self: env.ID(i), Incarnation: 1, Addresses: addresses, Listener: listeners[i],
			Deliver: func(_ env.ID, payload []byte) { deliver[i](payload) },
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(n.Close)
		both[i] = n
	}
	return both
}

// BenchmarkRoundTrip measures a message and its answer over loopback, each as long as
// a write is.
func BenchmarkRoundTrip(b *testing.B) {
	const size = 120
	back := make(chan struct{}, 1)
	var both [2]*Network
	both = pair(b, [2]func([]byte){
		func([]byte) { back <- struct{}{} },
		func(payload []byte) { both[1].Send(0, payload) },
	})
	message := make([]byte, size)
	both[0].Send(1, message) // and they are connected
	<-back
	b.ResetTimer()
	for range b.N {
		both[0].Send(1, message)
		<-back
	}
}

// BenchmarkPerKiB measures the bandwidth of one connection over loopback.
func BenchmarkPerKiB(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			room := make(chan struct{}, 64<<10/size+16) // so much is under way, so that nothing is dropped
			both := pair(b, [2]func([]byte){nil, func([]byte) { <-room }})
			message := make([]byte, size)
			b.SetBytes(int64(size))
			b.ResetTimer()
			for range b.N {
				room <- struct{}{}
				both[0].Send(1, message)
			}
			for range cap(room) {
				room <- struct{}{}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(float64(size)/1024), "ns/KiB")
		})
	}
}
