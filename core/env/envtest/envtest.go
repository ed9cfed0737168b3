// Package envtest is the conformance suite of package env: the behaviour that every host of
// env.Machines must have. The virtual world and a real host run the same suite, so that simulation
// results carry over to a machine as far as the suite reaches.
package envtest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
)

// Host runs machines. A suite makes one host per test.
type Host interface {
	// Run starts programs at addresses 0, 1, ... and runs them until done returns true, or for
	// about a second of their time. It reports whether done returned true.
	Run(done func() bool, programs ...func(env.Env) env.Machine) bool
	// Restart kills process id as SIGKILL would and starts it again, within Run, after the current
	// Step. The disk keeps completed operations.
	Restart(id env.ID)
}

// Run runs the suite.
func Run(t *testing.T, newHost func(t *testing.T) Host) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Host)
	}{
		{"every incarnation is told first that it started", started},
		{"a timer comes at its instant or later, and not again", timer},
		{"a timer can be moved and disarmed", timerMoved},
		{"now is constant within a step and never before At", now},
		{"a message arrives as it was sent, though the buffer is used again", message},
		{"a file is read back as written, in order", file},
		{"creating twice, opening nothing, writing nowhere are errors", diskErrors},
		{"an operation that fails comes back with its error, whatever it is", failures},
		{"operations on one file complete in the order of submission", order},
		{"a handle is free again after a close", handles},
		{"a removed file can be read through a handle, or says that it cannot", removed},
		{"a write at an offset fills a gap with zeros, a truncate cuts", offsets},
		{"a rename replaces, a list is sorted", entries},
		{"a directory is synced, one that is not there is not", directories},
		{"a list shows what is there, and free space what is left", space},
		{"a killed process finds what it had completed", restart},
		{"after a halt every ask is void", halt},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newHost(t)) })
	}
}

// machine is a Machine made of a function.
type machine struct {
	env  env.Env
	step func(e env.Env, ev *env.Event)
}

func (m *machine) Step(ev *env.Event) { m.step(m.env, ev) }

func (m *machine) Status(*env.Status) {}

func program(step func(e env.Env, ev *env.Event)) func(env.Env) env.Machine {
	return func(e env.Env) env.Machine { return &machine{e, step} }
}

// finish fails the test unless the host ran to the end.
func finish(t *testing.T, ok bool) {
	t.Helper()
	if !ok {
		t.Error("the machines did not finish in time")
	}
}

func started(t *testing.T, h Host) {
	var kinds []env.EventKind
	var nonces []env.Nonce
	ok := h.Run(func() bool { return len(nonces) == 3 }, func(e env.Env) env.Machine {
		first := true
		return &machine{e, func(e env.Env, ev *env.Event) {
			if first {
				kinds = append(kinds, ev.Kind)
				nonces = append(nonces, e.Nonce())
				e.SetTimer(1, e.Now())
				h.Restart(e.Self())
			}
			if len(nonces) > 0 && !slices.Contains(nonces, e.Nonce()) {
				t.Errorf("nonce %v within a start, and %v before", e.Nonce(), nonces)
			}
			first = false
		}}
	})
	finish(t, ok)
	if !slices.Equal(kinds, []env.EventKind{env.Started, env.Started, env.Started}) {
		t.Errorf("starts were first told %v", kinds)
	}
	for i, n := range nonces {
		if n == (env.Nonce{}) || slices.Contains(nonces[:i], n) {
			t.Errorf("starts have the nonces %v, want three that differ", nonces)
		}
	}
}

func timer(t *testing.T, h Host) {
	var due, came env.Time
	fired := 0
	finish(t, h.Run(func() bool { return fired > 0 && came > due.Add(5*env.Millisecond) }, program(func(e env.Env, ev *env.Event) {
		switch {
		case ev.Kind == env.Started:
			due = e.Now().Add(3 * env.Millisecond)
			e.SetTimer(7, due)
			e.SetTimer(8, due.Add(6*env.Millisecond))
		case ev.Timer == 7:
			fired++
			if e.Now() < due {
				t.Errorf("timer of %d came at %d", due, e.Now())
			}
		}
		came = e.Now()
	})))
	if fired != 1 {
		t.Errorf("the timer came %d times", fired)
	}
}

func timerMoved(t *testing.T, h Host) {
	var order []env.TimerID
	finish(t, h.Run(func() bool { return slices.Contains(order, 3) }, program(func(e env.Env, ev *env.Event) {
		at := func(ms env.Duration) env.Time { return e.Now().Add(ms * env.Millisecond) }
		switch ev.Kind {
		case env.Started:
			e.SetTimer(0, at(2))
			e.SetTimer(1, at(4))
			e.SetTimer(2, at(6))
			e.SetTimer(3, at(20))
			e.SetTimer(0, at(9)) // later
			e.SetTimer(1, at(1)) // earlier
			e.SetTimer(2, env.Never)
		case env.Timer:
			order = append(order, ev.Timer)
		}
	})))
	if !slices.Equal(order, []env.TimerID{1, 0, 3}) {
		t.Errorf("timers came in order %v, want [1 0 3]", order)
	}
}

func now(t *testing.T, h Host) {
	steps := 0
	finish(t, h.Run(func() bool { return steps == 3 }, program(func(e env.Env, ev *env.Event) {
		steps++
		before := e.Now()
		e.Charge(env.Millisecond)
		for range 1000 {
			if e.Now() != before {
				t.Fatalf("now went from %d to %d within a step", before, e.Now())
			}
		}
		if ev.At > before {
			t.Errorf("the event reached the queue at %d, after now, %d", ev.At, before)
		}
		e.SetTimer(0, before.Add(env.Millisecond))
	})))
}

func message(t *testing.T, h Host) {
	var got []string
	sender := program(func(e env.Env, ev *env.Event) {
		if ev.Kind != env.Started {
			return
		}
		buffer := []byte("first")
		e.Send(1, env.Key{B: 1}, buffer)
		copy(buffer, "other")
		e.Send(1, env.Key{B: 2}, nil)
	})
	receiver := program(func(_ env.Env, ev *env.Event) {
		if ev.Kind == env.Message {
			got = append(got, fmt.Sprintf("%d:%s", ev.From, ev.Data))
		}
	})
	finish(t, h.Run(func() bool { return len(got) == 2 }, sender, receiver))
	slices.Sort(got) // a network may change the order
	if !slices.Equal(got, []string{"0:", "0:first"}) {
		t.Errorf("messages %q", got)
	}
}

// answers collects the outcomes of disk operations by their ID.
type answers map[env.OpID]env.Event

func (a answers) note(ev *env.Event) {
	if ev.Kind == env.DiskDone {
		copied := *ev
		copied.Data = bytes.Clone(ev.Data)
		a[ev.Op] = copied
	}
}

// diskScript submits all operations at once and returns the answers, by the index of the operation,
// and the names that the process then lists.
func diskScript(t *testing.T, h Host, dir string, ops ...env.Op) (answers, []string) {
	got := answers{}
	var listed []string
	finish(t, h.Run(func() bool { return len(got) == len(ops) }, program(func(e env.Env, ev *env.Event) {
		if ev.Kind == env.Started {
			for i, op := range ops {
				op.ID = env.OpID(i)
				e.Submit(op)
			}
		}
		got.note(ev)
		listed = e.List(dir)
	})))
	return got, listed
}

func expect(t *testing.T, got answers, want ...env.Errno) {
	t.Helper()
	for i, err := range want {
		if got[env.OpID(i)].Err != err {
			t.Errorf("operation %d: %v, want %v", i, got[env.OpID(i)].Err, err)
		}
	}
}

func file(t *testing.T, h Host) {
	got, _ := diskScript(t, h, "",
		env.Op{Kind: env.OpCreate, File: 1, Path: "f"},
		env.Op{Kind: env.OpAppend, File: 1, Data: []byte("one ")},
		env.Op{Kind: env.OpAppend, File: 1, Data: []byte("two")},
		env.Op{Kind: env.OpSync, File: 1},
		env.Op{Kind: env.OpRead, File: 1, Offset: 2, Length: 100},
		env.Op{Kind: env.OpClose, File: 1},
		env.Op{Kind: env.OpOpen, File: 1, Path: "f"},
		env.Op{Kind: env.OpRead, File: 1, Offset: 7, Length: 1})
	expect(t, got, env.OK, env.OK, env.OK, env.OK, env.OK, env.OK, env.OK, env.OK)
	if read := got[4]; string(read.Data) != "e two" || read.N != 5 {
		t.Errorf("read %q, %d bytes", read.Data, read.N)
	}
	if opened, end := got[6], got[7]; opened.N != 7 || end.N != 0 {
		t.Errorf("opened with size %d, read %d bytes at the end", opened.N, end.N)
	}
}

func diskErrors(t *testing.T, h Host) {
	got, listed := diskScript(t, h, "nothing",
		env.Op{Kind: env.OpCreate, File: 1, Path: "f"},
		env.Op{Kind: env.OpCreate, File: 2, Path: "f"},
		env.Op{Kind: env.OpOpen, File: 3, Path: "g"},
		env.Op{Kind: env.OpAppend, File: 3, Data: []byte("x")},
		env.Op{Kind: env.OpCreate, File: 4, Path: "no/f"},
		env.Op{Kind: env.OpMkdir, Path: "f"},
		env.Op{Kind: env.OpRemove, Path: "g"})
	expect(t, got, env.OK, env.Exist, env.NotExist, env.BadHandle, env.NotExist, env.Exist, env.NotExist)
	if listed != nil {
		t.Errorf("a directory that is not there lists %q", listed)
	}
}

// Only the death of its process leaves an operation without an answer.
func failures(t *testing.T, h Host) {
	got, listed := diskScript(t, h, "",
		env.Op{Kind: env.OpAppend, File: 1, Data: []byte("x")},
		env.Op{Kind: env.OpWrite, File: 1, Data: []byte("x")},
		env.Op{Kind: env.OpTruncate, File: 1},
		env.Op{Kind: env.OpSync, File: 1},
		env.Op{Kind: env.OpRead, File: 1, Length: 1},
		env.Op{Kind: env.OpClose, File: 1},
		env.Op{Kind: env.OpOpen, File: 2, Path: "no/f"},
		env.Op{Kind: env.OpMkdir, Path: "no/d"},
		env.Op{Kind: env.OpRename, Path: "no", To: "d"},
		env.Op{Kind: env.OpRemove, Path: "no/f"},
		env.Op{Kind: env.OpSyncDir, Path: "no"})
	expect(t, got, env.BadHandle, env.BadHandle, env.BadHandle, env.BadHandle, env.BadHandle, env.BadHandle,
		env.NotExist, env.NotExist, env.NotExist, env.NotExist, env.NotExist)
	for i := range env.OpID(len(got)) {
		if answer := got[i]; answer.Kind != env.DiskDone || answer.N != 0 || len(answer.Data) != 0 {
			t.Errorf("operation %d, which failed, came back as %s with %d bytes", i, answer.Kind, answer.N)
		}
	}
	if len(listed) != 0 {
		t.Errorf("operations that failed left %q", listed)
	}
}

func order(t *testing.T, h Host) {
	const appends = 60
	var completed []env.OpID
	var sizes []int64
	finish(t, h.Run(func() bool { return len(completed) == 1+2*appends }, program(func(e env.Env, ev *env.Event) {
		switch ev.Kind {
		case env.Started:
			e.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "f"})
			for i := range env.OpID(appends) {
				e.Submit(env.Op{Kind: env.OpAppend, File: 1, ID: 1 + 2*i, Data: bytes.Repeat([]byte{byte(i)}, int(i)%7+1)})
				e.Submit(env.Op{Kind: env.OpRead, File: 1, ID: 2 + 2*i, Length: 1 << 20})
			}
		case env.DiskDone:
			completed = append(completed, ev.Op)
			if ev.Op > 0 && ev.Op%2 == 0 {
				sizes = append(sizes, ev.N)
				if last := ev.Data[len(ev.Data)-1]; last != byte(ev.Op/2-1) {
					t.Errorf("read %d ends with %d, want what was appended before it and nothing later", ev.Op, last)
				}
			}
		}
	})))
	if !slices.IsSorted(completed) || !slices.IsSorted(sizes) {
		t.Errorf("completed in order %v, read sizes %v", completed, sizes)
	}
}

func handles(t *testing.T, h Host) {
	got, _ := steps(t, h, "",
		env.Op{Kind: env.OpCreate, File: 1, Path: "a"},
		env.Op{Kind: env.OpAppend, File: 1, Data: []byte("a's")},
		env.Op{Kind: env.OpClose, File: 1},
		env.Op{Kind: env.OpRead, File: 1, Length: 9},
		env.Op{Kind: env.OpCreate, File: 1, Path: "b"},
		env.Op{Kind: env.OpAppend, File: 1, Data: []byte("b's")},
		env.Op{Kind: env.OpOpen, File: 2, Path: "a"},
		env.Op{Kind: env.OpOpen, File: 3, Path: "a"},
		env.Op{Kind: env.OpClose, File: 2},
		env.Op{Kind: env.OpRead, File: 3, Length: 9},
		env.Op{Kind: env.OpRead, File: 1, Length: 9})
	expect(t, got, env.OK, env.OK, env.OK, env.BadHandle, env.OK, env.OK, env.OK, env.OK, env.OK, env.OK, env.OK)
	if string(got[9].Data) != "a's" || string(got[10].Data) != "b's" {
		t.Errorf("read %q and %q", got[9].Data, got[10].Data)
	}
}

func removed(t *testing.T, h Host) {
	got, listed := steps(t, h, "",
		env.Op{Kind: env.OpCreate, File: 1, Path: "f"},
		env.Op{Kind: env.OpAppend, File: 1, Data: []byte("gone")},
		env.Op{Kind: env.OpRemove, Path: "f"},
		env.Op{Kind: env.OpRead, File: 1, Length: 9},
		env.Op{Kind: env.OpClose, File: 1},
		env.Op{Kind: env.OpOpen, File: 1, Path: "f"},
		env.Op{Kind: env.OpCreate, File: 1, Path: "f"},
		env.Op{Kind: env.OpRead, File: 1, Length: 9})
	expect(t, got, env.OK, env.OK, env.OK)
	if read := got[3]; read.Err == env.OK && string(read.Data) != "gone" {
		t.Errorf("a read of the removed file succeeds with %q", read.Data)
	}
	if got[5].Err != env.NotExist || got[6].Err != env.OK || got[7].N != 0 || !slices.Equal(listed, []string{"f"}) {
		t.Errorf("opening it: %v, creating it again: %v, then it has %d bytes, listed %q", got[5].Err, got[6].Err, got[7].N, listed)
	}
}

func directories(t *testing.T, h Host) {
	got, _ := steps(t, h, "",
		env.Op{Kind: env.OpMkdir, Path: "d"},
		env.Op{Kind: env.OpSyncDir, Path: ""},
		env.Op{Kind: env.OpCreate, File: 1, Path: "d/f"},
		env.Op{Kind: env.OpSyncDir, Path: "d"},
		env.Op{Kind: env.OpSyncDir, Path: "d/f"},
		env.Op{Kind: env.OpCreate, File: 2, Path: "d/f/g"},
		env.Op{Kind: env.OpRemove, Path: "d/f"},
		env.Op{Kind: env.OpSyncDir, Path: "d"},
		env.Op{Kind: env.OpRemove, Path: "d"},
		env.Op{Kind: env.OpSyncDir, Path: ""},
		env.Op{Kind: env.OpSyncDir, Path: "d"})
	expect(t, got, env.OK, env.OK, env.OK, env.OK, env.NotDir, env.NotDir, env.OK, env.OK, env.OK, env.OK, env.NotExist)
}

// Other processes may use a real disk at the same time, so only the share of a large file shows. It
// may not show each time: another process's removal can hide it.
func space(t *testing.T, h Host) {
	const size, pieces, attempts = 1 << 20, 8, 5
	const synced, removed = 100, 101
	var before, filled int64
	var lists [2][]string
	written, attempt := 0, 0
	fill := func(e env.Env) {
		attempt++
		before, written = e.Free(), 0
		lists[0] = e.List("")
		e.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "large"})
		for i := range env.OpID(pieces) {
			e.Submit(env.Op{Kind: env.OpAppend, File: 1, ID: 1 + i, Data: bytes.Repeat([]byte{byte(i), 7}, size/2)})
		}
		e.Submit(env.Op{Kind: env.OpSync, File: 1, ID: synced})
	}
	shows := func() bool { return before-filled >= pieces*size/2 }
	over := false
	finish(t, h.Run(func() bool { return over }, program(func(e env.Env, ev *env.Event) {
		switch {
		case ev.Kind == env.Started:
			fill(e)
		case ev.Op == synced:
			filled = e.Free()
			lists[1] = e.List("")
			if over = shows() || attempt == attempts; !over {
				e.Submit(env.Op{Kind: env.OpClose, File: 1})
				e.Submit(env.Op{Kind: env.OpRemove, Path: "large", ID: removed})
			}
		case ev.Op == removed:
			fill(e)
		case ev.Kind == env.DiskDone:
			written += int(ev.N)
		}
	})))
	if written != pieces*size || !shows() {
		t.Errorf("after %d bytes were written, free space went from %d to %d", written, before, filled)
	}
	if lists[0] == nil || len(lists[0]) != 0 || !slices.Equal(lists[1], []string{"large"}) {
		t.Errorf("an empty root lists %q, then %q", lists[0], lists[1])
	}
}

func offsets(t *testing.T, h Host) {
	got, _ := diskScript(t, h, "",
		env.Op{Kind: env.OpCreate, File: 1, Path: "f"},
		env.Op{Kind: env.OpWrite, File: 1, Offset: 3, Data: []byte("abcdef")},
		env.Op{Kind: env.OpWrite, File: 1, Offset: 4, Data: []byte("X")},
		env.Op{Kind: env.OpTruncate, File: 1, Length: 7},
		env.Op{Kind: env.OpRead, File: 1, Length: 100})
	expect(t, got, env.OK, env.OK, env.OK, env.OK, env.OK)
	if string(got[4].Data) != "\x00\x00\x00aXcd" {
		t.Errorf("read %q", got[4].Data)
	}
}

// steps submits one operation after the other.
func steps(t *testing.T, h Host, dir string, ops ...env.Op) (answers, []string) {
	got := answers{}
	var listed []string
	finish(t, h.Run(func() bool { return len(got) == len(ops) }, program(func(e env.Env, ev *env.Event) {
		got.note(ev)
		listed = e.List(dir)
		if len(got) < len(ops) {
			op := ops[len(got)]
			op.ID = env.OpID(len(got))
			e.Submit(op)
		}
	})))
	return got, listed
}

func entries(t *testing.T, h Host) {
	got, listed := steps(t, h, "d",
		env.Op{Kind: env.OpMkdir, Path: "d"},
		env.Op{Kind: env.OpCreate, File: 1, Path: "d/b"},
		env.Op{Kind: env.OpCreate, File: 2, Path: "d/a"},
		env.Op{Kind: env.OpMkdir, Path: "d/sub"},
		env.Op{Kind: env.OpAppend, File: 2, Data: []byte("a's")},
		env.Op{Kind: env.OpRename, Path: "d/a", To: "d/b"},
		env.Op{Kind: env.OpRemove, Path: "d"},
		env.Op{Kind: env.OpSyncDir, Path: "d"},
		env.Op{Kind: env.OpOpen, File: 3, Path: "d/b"},
		env.Op{Kind: env.OpRead, File: 3, Length: 9})
	expect(t, got, env.OK, env.OK, env.OK, env.OK, env.OK, env.OK, env.NotEmpty, env.OK, env.OK, env.OK)
	if !slices.Equal(listed, []string{"b", "sub/"}) || string(got[9].Data) != "a's" {
		t.Errorf("listed %q, read %q", listed, got[9].Data)
	}
}

func restart(t *testing.T, h Host) {
	var read []byte
	starts := 0
	finish(t, h.Run(func() bool { return read != nil }, program(func(e env.Env, ev *env.Event) {
		if ev.Kind == env.Started {
			starts++
		}
		switch {
		case ev.Kind == env.Started && starts == 1:
			e.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "f"})
			e.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: []byte("kept"), ID: 1})
		case ev.Kind == env.Started:
			e.Submit(env.Op{Kind: env.OpOpen, File: 1, Path: "f"})
			e.Submit(env.Op{Kind: env.OpRead, File: 1, Length: 9, ID: 2})
		case ev.Op == 1:
			h.Restart(e.Self())
		case ev.Op == 2:
			read = append([]byte{}, ev.Data...)
		}
	})))
	if string(read) != "kept" {
		t.Errorf("after the restart it reads %q", read)
	}
}

func halt(t *testing.T, h Host) {
	heard, steps, starts := 0, 0, 0
	finish(t, h.Run(func() bool { return steps > 0 }, program(func(e env.Env, ev *env.Event) {
		if ev.Kind == env.Started {
			starts++
		}
		if ev.Kind == env.Started && starts == 1 {
			e.Halt("the suite asks for it")
			e.Send(1, env.Key{}, []byte("from the dead"))
			e.SetTimer(0, e.Now())
			e.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "f"})
		} else if ev.Kind == env.Started {
			steps++
			if got := e.List(""); len(got) != 0 {
				t.Errorf("a dead process wrote %q", got)
			}
		}
	}), program(func(_ env.Env, ev *env.Event) {
		if ev.Kind == env.Message {
			heard++
		}
	})))
	if heard != 0 {
		t.Error("a dead process sent a message")
	}
}
