package diskops_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
)

// device takes operations and completes none by itself.
type device struct {
	env.Env
	submitted []env.Op
}

func (d *device) Submit(op env.Op) { d.submitted = append(d.submitted, op) }

// last returns the completion of the last operation.
func (d *device) last(err env.Errno, n int64) *env.Event {
	return &env.Event{Kind: env.DiskDone, Op: d.submitted[len(d.submitted)-1].ID, Err: err, N: n}
}

// kinds names the operations that were submitted.
func (d *device) kinds() string {
	names := make([]string, len(d.submitted))
	for i, op := range d.submitted {
		names[i] = op.Kind.String()
	}
	return strings.Join(names, " ")
}

// choice is what a user does about a failure.
type choice int

const (
	leave choice = iota
	wait
	tolerate
	clearIt
)

// Each case completes one operation after the other with the outcomes; on a failure its user makes
// the next choice. An outcome behind the last one is OK.
func TestAListIsDoneInOrder(t *testing.T) {
	for _, c := range []struct {
		name     string
		ops      []env.OpKind
		outcomes []env.Errno
		choices  []choice
		want     string // what the device was asked for
		turn     diskops.Turn
		at       string // the operation that failed or waits
	}{
		{name: "an empty list has ended", turn: diskops.Ended},
		{name: "all is well", ops: []env.OpKind{env.OpCreate, env.OpSync, env.OpClose},
			want: "create sync close", turn: diskops.Ended},
		{name: "a failure ends it", ops: []env.OpKind{env.OpCreate, env.OpSync, env.OpClose}, outcomes: []env.Errno{env.OK, env.IOError},
			choices: []choice{leave}, want: "create sync", turn: diskops.Failed, at: "sync 2 of 3"},
		{name: "a directory that is there", ops: []env.OpKind{env.OpMkdir, env.OpSyncDir}, outcomes: []env.Errno{env.Exist},
			want: "mkdir sync-directory", turn: diskops.Ended},
		{name: "a file that is there", ops: []env.OpKind{env.OpCreate, env.OpSync}, outcomes: []env.Errno{env.Exist},
			choices: []choice{leave}, want: "create", turn: diskops.Failed, at: "create 1 of 2"},
		{name: "a file that is gone", ops: []env.OpKind{env.OpRemove, env.OpSyncDir}, outcomes: []env.Errno{env.NotExist},
			want: "remove sync-directory", turn: diskops.Ended},
		{name: "a name that is gone", ops: []env.OpKind{env.OpRename, env.OpSyncDir}, outcomes: []env.Errno{env.NotExist},
			choices: []choice{leave}, want: "rename", turn: diskops.Failed, at: "rename 1 of 2"},
		{name: "a failure does not matter", ops: []env.OpKind{env.OpClose, env.OpRemove}, outcomes: []env.Errno{env.BadHandle},
			choices: []choice{tolerate}, want: "close remove", turn: diskops.Ended},
		{name: "the last failure does not matter", ops: []env.OpKind{env.OpClose}, outcomes: []env.Errno{env.BadHandle},
			choices: []choice{tolerate}, want: "close", turn: diskops.Ended},
		{name: "it waits for room, twice", ops: []env.OpKind{env.OpCreate, env.OpAppend, env.OpSync}, outcomes: []env.Errno{env.OK, env.NoSpace, env.NoSpace},
			choices: []choice{wait, wait}, want: "create append append append sync", turn: diskops.Ended},
		{name: "it is cleared", ops: []env.OpKind{env.OpCreate, env.OpAppend}, outcomes: []env.Errno{env.NoSpace},
			choices: []choice{clearIt}, want: "create", turn: diskops.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			var list diskops.List
			for _, kind := range c.ops {
				list.Add(env.Op{Kind: kind})
			}
			d := &device{}
			turn := list.Start()
			for turn == diskops.Submit {
				list.Submit(d, env.OpID(list.Number()))
				err := env.OK
				if len(c.outcomes) > 0 {
					err, c.outcomes = c.outcomes[0], c.outcomes[1:]
				}
				if turn = list.Done(d.last(err, 0)); turn == diskops.Failed {
					switch c.choices[0] {
					case wait:
						list.Wait()
						turn = diskops.Submit
					case tolerate:
						turn = list.Tolerate()
					case clearIt:
						list.Clear()
					}
					c.choices = c.choices[1:]
				}
			}
			at := ""
			if list.Busy() {
				n, of := list.At()
				at = fmt.Sprintf("%v %d of %d", list.Kind(), n, of)
			}
			if got := d.kinds(); got != c.want || turn != c.turn || at != c.at || len(c.choices) > 0 {
				t.Errorf("asked for %q, turn %d, at %q, %d choices left; want %q, %d, %q, 0", got, turn, at, len(c.choices), c.want, c.turn, c.at)
			}
		})
	}
}

func TestAReadOfTheWholeFile(t *testing.T) {
	var list diskops.List
	list.Add(env.Op{Kind: env.OpOpen}, env.Op{Kind: env.OpRead, Length: diskops.Whole}, env.Op{Kind: env.OpClose})
	d := &device{}
	list.Start()
	list.Submit(d, 1)
	list.Done(d.last(env.OK, 12345))
	list.Submit(d, 1)
	if got := d.submitted[1].Length; got != 12345 {
		t.Errorf("%d bytes are read of a file of 12345", got)
	}
	if turn := list.Done(d.last(env.OK, 12345)); turn != diskops.Submit || list.Kind() != env.OpClose {
		t.Fatalf("behind the read comes %v, turn %d; want close, turn %d", list.Kind(), turn, diskops.Submit)
	}
	list.Back()
	list.Op().Offset = 7
	list.Submit(d, 1)
	if got := d.submitted[2]; got.Kind != env.OpRead || got.Offset != 7 || got.Length != 12345 {
		t.Errorf("back at the read the list asks for %v of %d bytes at %d; want read, 12345, 7", got.Kind, got.Length, got.Offset)
	}
}

func TestBoundHandles(t *testing.T) {
	for _, c := range []struct {
		name string
		done int // operations that have ended
		want string
	}{
		{"about to create", 0, "3"}, {"created", 1, "3"}, {"about to close", 2, ""}, {"about to open another", 3, "4"},
	} {
		var list diskops.List
		list.Add(
			env.Op{Kind: env.OpCreate, File: 3}, env.Op{Kind: env.OpSync, File: 3}, env.Op{Kind: env.OpClose, File: 3},
			env.Op{Kind: env.OpOpen, File: 4})
		if list.Bound(3) {
			t.Errorf("%s: a list that was not started has bound 3", c.name)
		}
		d := &device{}
		list.Start()
		for range c.done {
			list.Submit(d, 1)
			list.Done(d.last(env.OK, 0))
		}
		got := ""
		for file := range env.File(6) {
			if list.Bound(file) {
				got += fmt.Sprint(file)
			}
		}
		if got != c.want {
			t.Errorf("%s: bound is %q, want %q", c.name, got, c.want)
		}
	}
}

// TestNothingOvertakes: any list, completed in any legal way, by a user who makes any choice.
func TestNothingOvertakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list diskops.List
		d := &device{}
		var late []env.OpID // of operations that were with the disk when their lists were abandoned
		for range rapid.IntRange(1, 4).Draw(t, "lists") {
			walk(t, &list, d, &late)
		}
	})
}

// model is what must be true of one list: ended counts the operations that ended well, and tries
// how often the next one was submitted.
type model struct {
	ops          []env.Op
	ended, tries int
}

// walk has one list done. The model knows which operation may be submitted at each moment.
func walk(t *rapid.T, list *diskops.List, d *device, late *[]env.OpID) {
	m := model{ops: rapid.SliceOfN(rapid.Custom(drawOp), 0, 8).Draw(t, "operations")}
	list.Add(m.ops...)
	turn := list.Start()
	for {
		if over := m.ended == len(m.ops); over != (turn == diskops.Ended) || over == list.Busy() {
			t.Fatalf("%d of %d operations have ended, the turn is %d, busy %t", m.ended, len(m.ops), turn, list.Busy())
		} else if over {
			return
		}
		before := len(d.submitted)
		list.Submit(d, env.OpID(list.Number()))
		m.tries++
		if len(d.submitted) != before+1 {
			t.Fatalf("%d operations are submitted at once", len(d.submitted)-before)
		}
		if got, want := d.submitted[before], m.ops[m.ended]; got.Kind != want.Kind || got.Path != want.Path || got.Key != want.Key {
			t.Fatalf("try %d: %v of %q is submitted; want operation %d, %v of %q", m.tries, got.Kind, got.Path, m.ended+1, want.Kind, want.Path)
		}
		for _, id := range *late {
			if rapid.Bool().Draw(t, "late") && list.Done(&env.Event{Kind: env.DiskDone, Op: id}) != diskops.Ignore {
				t.Fatalf("operation %#x of an abandoned list counts for a later one", id)
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "abandon") == 0 {
			*late = append(*late, d.submitted[before].ID)
			list.Abandon()
			return
		}
		err := rapid.SampledFrom([]env.Errno{env.OK, env.OK, env.OK, env.NoSpace, env.IOError, env.NotExist, env.Exist}).Draw(t, "outcome")
		done := d.last(err, 0)
		turn = list.Done(done)
		if again := list.Done(done); turn != diskops.Ended && again != diskops.Ignore {
			t.Fatalf("a completion counts twice: turn %d", again)
		}
		harmless := m.ops[m.ended].Kind == env.OpRemove && err == env.NotExist || m.ops[m.ended].Kind == env.OpMkdir && err == env.Exist
		if (turn == diskops.Failed) != (err != env.OK && !harmless) {
			t.Fatalf("%v ends with %v, and the turn is %d", m.ops[m.ended].Kind, err, turn)
		}
		if turn != diskops.Failed {
			m.ended, m.tries = m.ended+1, 0
			continue
		}
		if n, of := list.At(); n != m.ended+1 || of != len(m.ops) || list.Op().Path != m.ops[m.ended].Path {
			t.Fatalf("operation %d of %d has failed; the list names %d of %d, %q", m.ended+1, len(m.ops), n, of, list.Op().Path)
		}
		switch rapid.SampledFrom([]choice{wait, tolerate, clearIt}).Draw(t, "choice") {
		case wait:
			if list.Wait(); !list.Waits() {
				t.Fatal("a list that waits for room says that it does not")
			}
		case tolerate:
			turn = list.Tolerate()
			m.ended, m.tries = m.ended+1, 0
			continue
		case clearIt:
			list.Clear()
			return
		}
		turn = diskops.Submit
	}
}

func drawOp(t *rapid.T) env.Op {
	kinds := []env.OpKind{env.OpAppend, env.OpSync, env.OpCreate, env.OpClose, env.OpMkdir, env.OpRename, env.OpRemove, env.OpSyncDir}
	return env.Op{
		Kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
		Path: rapid.StringMatching("[a-z]{1,3}").Draw(t, "path"),
		Key:  env.Key{A: rapid.Uint64().Draw(t, "key")},
	}
}

// A call out of turn is a mistake of the list's user.
func TestCallsOutOfTurnPanic(t *testing.T) {
	flying := func(l *diskops.List) {
		l.Add(env.Op{Kind: env.OpSync})
		l.Start()
		l.Submit(&device{}, 1)
	}
	for _, c := range []struct {
		name string
		do   func(l *diskops.List)
	}{
		{"submitted before it was started", func(l *diskops.List) { l.Add(env.Op{}); l.Submit(&device{}, 1) }},
		{"submitted twice", func(l *diskops.List) { flying(l); l.Submit(&device{}, 1) }},
		{"started twice", func(l *diskops.List) { flying(l); l.Start() }},
		{"cleared with an operation under way", func(l *diskops.List) { flying(l); l.Clear() }},
		{"waits without a failure", func(l *diskops.List) { flying(l); l.Wait() }},
		{"tolerated without a failure", func(l *diskops.List) { flying(l); l.Tolerate() }},
		{"back before the first", func(l *diskops.List) { l.Add(env.Op{}); l.Start(); l.Back() }},
		{"memory taken amid it", func(l *diskops.List) { flying(l); l.GiveBack() }},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: nothing objects", c.name)
				}
			}()
			c.do(new(diskops.List))
		}()
	}
}

func TestAListAllocatesNothing(t *testing.T) {
	var list diskops.List
	d := &device{submitted: make([]env.Op, 0, 2)}
	list.Borrow(make([]env.Op, 0, 2))
	data := []byte("data")
	if n := testing.AllocsPerRun(100, func() {
		d.submitted = d.submitted[:0]
		list.Add(env.Op{Kind: env.OpAppend, Data: data}, env.Op{Kind: env.OpSync})
		for turn := list.Start(); turn == diskops.Submit; {
			list.Submit(d, 1)
			ev := env.Event{Kind: env.DiskDone, Op: 1}
			turn = list.Done(&ev)
		}
		list.Borrow(list.GiveBack())
	}); n > 0 {
		t.Errorf("%g allocations a list", n)
	}
	if ops := list.GiveBack(); slices.ContainsFunc(ops[:cap(ops)], func(op env.Op) bool { return op.Data != nil }) {
		t.Error("a list that has ended refers to what it wrote")
	}
}
