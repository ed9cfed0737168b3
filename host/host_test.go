package host_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host"
)

// step is a machine made of a function.
type step struct {
	env env.Env
	do  func(e env.Env, ev *env.Event)
}

func (s *step) Step(ev *env.Event) { s.do(s.env, ev) }

func (s *step) Status(*env.Status) {}

// start starts a process that does something in each Step.
func start(t *testing.T, dir string, do func(e env.Env, ev *env.Event)) (*host.Process, error) {
	t.Helper()
	p, err := host.Start(host.Config{
		ID: 3, Dir: dir, Addresses: map[env.ID]string{3: "127.0.0.1:0"}, Seed: 1,
		New: func(e env.Env) env.Machine { return &step{e, do} },
	})
	if err == nil {
		t.Cleanup(func() { p.Kill(); <-p.Done() })
	}
	return p, err
}

// live runs a process until it halts itself and returns why.
func live(t *testing.T, dir string, do func(e env.Env, ev *env.Event)) string {
	t.Helper()
	p, err := start(t, dir, do)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the process does not end")
	}
	return p.Halted()
}

// Each start has another nonce, whatever the disk forgets, and its connections are newer than
// those of the start before.
func TestStartsAreToldApart(t *testing.T) {
	dir := t.TempDir()
	var nonces []env.Nonce
	var numbers []string
	note := func(e env.Env, _ *env.Event) {
		nonces = append(nonces, e.Nonce())
		e.Halt("noted")
	}
	path := filepath.Join(dir, "start")
	begin := func() {
		t.Helper()
		live(t, dir, note)
		number, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, string(number))
	}
	begin()
	begin()
	if err := os.RemoveAll(dir); err != nil { // the disk is lost
		t.Fatal(err)
	}
	begin()
	if err := os.WriteFile(path+".tmp", []byte("half a numb"), 0o600); err != nil { // a crash amid the writing
		t.Fatal(err)
	}
	begin()
	if err := os.WriteFile(path, []byte("8999999999999999999\n"), 0o600); err != nil { // the clock was ahead
		t.Fatal(err)
	}
	begin()
	for i := range nonces {
		if nonces[i] == (env.Nonce{}) || slices.Contains(nonces[:i], nonces[i]) || i > 0 && numbers[i] <= numbers[i-1] {
			t.Fatalf("the starts have the nonces %v and the numbers %v", nonces, numbers)
		}
	}
	for _, damaged := range []string{"", "-4\n", "x\n", "99999999999999999999\n"} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := start(t, dir, note); !errors.Is(err, host.ErrStart) {
			t.Errorf("with the number %q it starts: %v", damaged, err)
		}
	}
}

// Messages may be there before the machine is.
func TestTheFirstEventIsTheStartHoweverEarlyAMessageComes(t *testing.T) {
	addresses := map[env.ID]string{}
	listeners := make([]net.Listener, 2)
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i], addresses[env.ID(i)] = l, l.Addr().String()
	}
	var kinds []env.EventKind
	begin := func(id env.ID, pause time.Duration, do func(e env.Env, ev *env.Event)) *host.Process {
		p, err := host.Start(host.Config{
			ID: id, Dir: t.TempDir(), Addresses: addresses, Listener: listeners[id],
			New: func(e env.Env) env.Machine {
				time.Sleep(pause)
				return &step{e, do}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	sender := begin(0, 0, func(e env.Env, _ *env.Event) { e.Send(1, env.Key{}, []byte("early")) })
	receiver := begin(1, 100*time.Millisecond, func(e env.Env, ev *env.Event) {
		if kinds = append(kinds, ev.Kind); len(kinds) == 2 {
			e.Halt("both came")
		}
	})
	<-receiver.Done()
	sender.Kill()
	<-sender.Done()
	if kinds[0] != env.Started || kinds[1] != env.Message {
		t.Errorf("it was told %v", kinds)
	}
}

func TestADirectoryHasOneProcess(t *testing.T) {
	dir := t.TempDir()
	idle := func(env.Env, *env.Event) {}
	first, err := start(t, dir, idle)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, dir, idle); !errors.Is(err, host.ErrLocked) {
		t.Errorf("a second process in the directory: %v", err)
	}
	first.Kill()
	<-first.Done()
	if first.Halted() != "" || first.Failure() != nil {
		t.Errorf("a killed process says that it halted: %q, %v", first.Halted(), first.Failure())
	}
	if second, err := start(t, dir, idle); err != nil || second.Nonce() == first.Nonce() {
		t.Errorf("after the first is gone: %v", err)
	}
}

func TestChanceIsAFunctionOfTheKey(t *testing.T) {
	keys := []env.Key{{}, {Kind: 1}, {Attempt: 1}, {A: 1}, {B: 1}, {Kind: 1, Attempt: 1, A: 1, B: 1}}
	var draws [2][]uint64
	for i := range draws {
		live(t, t.TempDir(), func(e env.Env, _ *env.Event) {
			for _, k := range keys {
				draws[i] = append(draws[i], e.Chance(k))
			}
			e.Halt("drawn")
		})
	}
	seen := map[uint64]bool{}
	for i, n := range draws[0] {
		if n != draws[1][i] {
			t.Errorf("%+v gives %x, and in another process with the same seed %x", keys[i], n, draws[1][i])
		}
		seen[n] = true
	}
	if len(seen) != len(keys) {
		t.Errorf("different keys give %x", draws[0])
	}
}

// An event of a timer that waits in the queue is withdrawn when the timer is set
// again.
func TestATimerThatFiredCanBeMoved(t *testing.T) {
	var fired []env.TimerID
	var due env.Time
	live(t, t.TempDir(), func(e env.Env, ev *env.Event) {
		switch {
		case ev.Kind == env.Started:
			e.SetTimer(1, e.Now())
			e.SetTimer(2, e.Now())
			e.SetTimer(3, e.Now().Add(50*env.Millisecond))
		case ev.Timer == 1: // by now both wait in the queue
			due = e.Now().Add(10 * env.Millisecond)
			e.SetTimer(2, due)
			fired = append(fired, 1)
		case ev.Timer == 2:
			fired = append(fired, 2)
			if e.Now() < due {
				t.Errorf("the timer came %d ns early", due.Sub(e.Now()))
			}
		default:
			e.Halt("all fired")
		}
	})
	if len(fired) != 2 {
		t.Errorf("fired: %v, want each once", fired)
	}
}

// The Step in which a process halts may take its time.
func TestAfterAHaltNothingIsDoneEvenIfTheStepGoesOn(t *testing.T) {
	peer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	connected := make(chan bool, 1)
	go func() {
		if conn, err := peer.Accept(); err == nil {
			conn.Close()
			connected <- true
		}
	}()
	dir := t.TempDir()
	p, err := host.Start(host.Config{
		ID: 3, Dir: dir, Addresses: map[env.ID]string{3: "127.0.0.1:0", 4: peer.Addr().String()},
		New: func(e env.Env) env.Machine {
			return &step{e, func(e env.Env, _ *env.Event) {
				e.Halt("first")
				e.Halt("second")
				e.Send(4, env.Key{}, []byte("from the dead"))
				e.Submit(env.Op{Kind: env.OpMkdir, Path: "d"})
				if names, free := e.List(""), e.Free(); names != nil || free != 0 {
					t.Errorf("the dead are told %q, %d", names, free)
				}
				time.Sleep(100 * time.Millisecond)
			}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if entries, err := os.ReadDir(host.DataDir(dir)); len(entries) != 0 || err != nil {
		t.Errorf("the dead wrote %v, %v", entries, err)
	}
	select {
	case <-connected:
		t.Error("the dead sent a message")
	default:
	}
	if p.Halted() != "first" {
		t.Errorf("it halted because of %q", p.Halted())
	}
}

func TestADirectoryThatCannotBeListedEndsTheProcess(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(host.DataDir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(host.DataDir(dir), "loop")); err != nil {
		t.Fatal(err)
	}
	why := live(t, dir, func(e env.Env, _ *env.Event) { e.List("loop") })
	if why == "" {
		t.Error("it goes on as if the directory were missing")
	}
}
