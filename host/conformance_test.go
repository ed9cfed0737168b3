package host_test

import (
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/env/envtest"
	"github.com/tidaldb/tidalsim/host"
)

// machines runs the suite's programs, each in a process with a directory and an
// address of its own, and starts it again when it ends. The programs share memory,
// so that one of them steps at a time.
type machines struct {
	t         *testing.T
	config    host.Config
	addresses map[env.ID]string

	mu       sync.Mutex
	done     func() bool
	over     bool          // done said so
	finished chan struct{} // closed then
	current  []*instance
}

// instance is a machine in one incarnation.
type instance struct {
	owner   *machines
	machine env.Machine
	ended   chan struct{} // closed when it is to be killed
	dead    bool
}

func (i *instance) Step(ev *env.Event) {
	i.owner.mu.Lock()
	defer i.owner.mu.Unlock()
	if i.dead || i.owner.over {
		return
	}
	i.machine.Step(ev)
	if i.owner.over = i.owner.done(); i.owner.over {
		close(i.owner.finished)
	}
}

func (i *instance) Status(*env.Status) {}

func (m *machines) Restart(id env.ID) {
	i := m.current[id]
	i.dead = true
	close(i.ended)
}

// patience is how long the machines may take: the suite asks for about a second,
// and the machine it runs on may have much else to do.
const patience = 10 * time.Second

func (m *machines) Run(done func() bool, programs ...func(env.Env) env.Machine) bool {
	m.done, m.over, m.finished, m.current = done, false, make(chan struct{}), make([]*instance, len(programs))
	m.addresses = map[env.ID]string{}
	listeners := make([]net.Listener, len(programs))
	for i := range programs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			m.t.Fatal(err)
		}
		listeners[i], m.addresses[env.ID(i)] = l, l.Addr().String()
	}
	dir, stop := m.t.TempDir(), make(chan struct{})
	var running sync.WaitGroup
	for i, program := range programs {
		c := m.config
		c.ID, c.Addresses, c.Listener, c.Dir = env.ID(i), m.addresses, listeners[i], filepath.Join(dir, fmt.Sprint(i))
		running.Go(func() { m.supervise(c, program, stop) })
	}
	defer running.Wait()
	defer close(stop)
	select {
	case <-m.finished:
		return true
	case <-time.After(patience):
		return false
	}
}

// supervise starts a process again and again until stop.
func (m *machines) supervise(c host.Config, program func(env.Env) env.Machine, stop chan struct{}) {
	for {
		i := &instance{owner: m, ended: make(chan struct{})}
		c.New = func(e env.Env) env.Machine {
			i.machine = program(e)
			m.mu.Lock()
			defer m.mu.Unlock()
			m.current[c.ID] = i
			return i
		}
		p, err := host.Start(c)
		if err != nil {
			m.t.Error(err)
			return
		}
		select {
		case <-i.ended:
		case <-p.Done():
		case <-stop:
			p.Kill()
			<-p.Done()
			return
		}
		p.Kill()
		<-p.Done()
		c.Listener = nil
	}
}

func TestHostConforms(t *testing.T) {
	envtest.Run(t, func(t *testing.T) envtest.Host { return &machines{t: t} })
}

// TestHostConformsAsConfiguredOtherwise: one worker is slower and nothing else, and the machine
// does not see bytes that are allocated ahead or files that are kept.
func TestHostConformsAsConfiguredOtherwise(t *testing.T) {
	envtest.Run(t, func(t *testing.T) envtest.Host {
		m := &machines{t: t}
		m.config.Disk.Workers, m.config.Disk.Reserve, m.config.Disk.Keep = 1, 64<<10, t.TempDir()
		return m
	})
}
