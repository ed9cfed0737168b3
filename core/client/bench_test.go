package client

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// loner is a client under measurement. Its messages wait in a list.
type loner struct {
	env.Env
	testing.TB
	client *Client
	sent   [][]byte
}

// Nonce implements env.Env.
func (l *loner) Nonce() env.Nonce { return env.Nonce{A: 1} }

// Now implements env.Env.
func (l *loner) Now() env.Time { return 0 }

// Chance implements env.Env.
func (l *loner) Chance(env.Key) uint64 { return 0 }

// SetTimer implements env.Env.
func (l *loner) SetTimer(env.TimerID, env.Time) {}

// Send implements env.Env.
func (l *loner) Send(_ env.ID, _ env.Key, payload []byte) {
	l.sent = append(l.sent, append(l.spare(), payload...))
}

// spare is the memory of a message that was answered.
func (l *loner) spare() []byte {
	if n := len(l.sent); n < cap(l.sent) {
		return l.sent[:n+1][n][:0]
	}
	return nil
}

// answer takes what was sent and returns the answers to it.
func (l *loner) answer(answers [][]byte) [][]byte {
	for _, data := range l.sent {
		var m wire.Message
		if err := wire.Decode(data, &m); err != nil {
			l.Fatal(err)
		}
		switch m.Kind {
		case wire.Hello:
			m.Kind, m.Conn = wire.Welcome, 1
		case wire.OpenSession:
			m.Kind, m.Session = wire.SessionOpen, 1
		default:
			m.Kind, m.Seq = wire.Ack, 1
		}
		answers = append(answers, wire.Append(nil, &m))
	}
	l.sent = l.sent[:0]
	return answers
}

// BenchmarkClientStep measures what a client does for a write: it takes the answer to
// one and sends the next, with so many under way.
func BenchmarkClientStep(b *testing.B) {
	for _, open := range []int{1, 4} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			places := twoNodes()
			places.Index()
			l := &loner{TB: b}
			l.client = New(l, places, DefaultPatience)
			write := func() { l.client.Write(1, signal.Signal{Entity: 1, Kind: 1, Weight: 1}) }
			for range open {
				write()
			}
			var took time.Duration
			done := 0
			for done < b.N {
				answers := l.answer(nil)
				began := time.Now()
				for _, data := range answers {
					for range l.client.Step(&env.Event{Kind: env.Message, Data: data}) {
						write()
						done++
					}
				}
				took += time.Since(began)
			}
			b.ReportMetric(float64(took)/float64(done), "ns/write")
		})
	}
}
