package host_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host"
)

// stuck starts a process that is stuck in its first Step until it is let go.
func stuck(t *testing.T) (p *host.Process, letGo func()) {
	t.Helper()
	held := make(chan struct{})
	p, err := start(t, t.TempDir(), func(env.Env, *env.Event) { <-held })
	if err != nil {
		t.Fatal(err)
	}
	freed := false
	letGo = func() {
		if !freed {
			freed = true
			close(held)
		}
	}
	t.Cleanup(letGo) // before the process is waited for
	return p, letGo
}

// briefly ends soon.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// An inspection sees what Steps have left, and the time goes on for it as for them.
func TestInspectIsBetweenSteps(t *testing.T) {
	steps, last := 0, env.Time(0)
	p, err := start(t, t.TempDir(), func(e env.Env, _ *env.Event) {
		steps, last = steps+1, e.Now()
		e.SetTimer(0, e.Now().Add(env.Microsecond))
	})
	if err != nil {
		t.Fatal(err)
	}
	for before := 0; before < 1000; {
		err := p.Inspect(t.Context(), func(m env.Machine) {
			now := m.(*step).env.Now()
			if steps <= 0 || steps < before || now < last {
				t.Errorf("after %d steps there were %d; the last was at %d, and now it is %d", before, steps, last, now)
			}
			before, last = steps, now
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A caller that waits for a stuck process gets an error, however many have waited before. The look
// of a caller that has gone is not taken.
func TestInspectGivesUp(t *testing.T) {
	p, letGo := stuck(t)
	for i := range 2 * host.MaxInspections {
		err := p.Inspect(briefly(t), func(env.Machine) { t.Errorf("inspection %d was given up and looks", i) })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("inspection %d of a process that is stuck: %v", i, err)
		}
	}
	letGo()
	looked := false
	if err := p.Inspect(t.Context(), func(env.Machine) { looked = true }); err != nil || !looked {
		t.Errorf("when the process goes on: %v, looked: %t", err, looked)
	}
}

func TestInspectOfAProcessThatEnds(t *testing.T) {
	p, letGo := stuck(t)
	waits := make(chan error)
	go func() { waits <- p.Inspect(t.Context(), func(env.Machine) {}) }()
	p.Kill()
	letGo()
	if err := <-waits; !errors.Is(err, host.ErrEnded) {
		t.Errorf("an inspection that waits for a process that is killed: %v", err)
	}
	<-p.Done()
	for range 2 * host.MaxInspections {
		if err := p.Inspect(t.Context(), func(env.Machine) {}); !errors.Is(err, host.ErrEnded) {
			t.Fatalf("an inspection of a process that has ended: %v", err)
		}
	}
}
