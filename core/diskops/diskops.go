// Package diskops does a list of disk operations, one after the other. A user states the list:
// create a file under a temporary name, append, sync, close, rename, sync the directory. The
// package knows nothing of files and formats. It decides nothing about a failure either: the list
// stops at the operation that failed, and the user says what follows.
//
// The one rule to remember: an operation is submitted when the operation before it has ended
// well, and never earlier.
package diskops

import (
	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
)

// List is a list of disk operations. The zero value is an empty list that rests.
//
//	stage      call                leads to
//	resting    Start               due, or resting if the list is empty
//	due        Submit              flying
//	flying     Done, ended well    due, or resting behind the last operation
//	flying     Done, failed        failed
//	failed     Wait                waiting
//	failed     Tolerate            due, or resting behind the last operation
//	waiting    Submit              flying
//	due        Back                due, one operation earlier
//	not flying Clear               resting
//	any        Abandon             resting
//
// Invariant: at most one operation of the list is with the disk, and it is ops[next].
type List struct {
	ops   []env.Op
	next  uint32 // the operation that is due, with the disk, failed or waiting
	life  uint8  // how often the list was abandoned; it may wrap
	stage stage
}

type stage uint8

const (
	resting stage = iota
	due           // to be submitted
	flying        // with the disk
	failed        // the user decides
	waiting       // the disk had no room; the operation did nothing
)

var stageNames = [...]string{"resting", "due", "flying", "failed", "waiting"}

// String returns the name of s.
func (s stage) String() string { return stageNames[s] }

// Turn says how the user goes on after something has happened to a list.
type Turn uint8

// The turns.
const (
	Ignore Turn = iota // a late completion, of a list that was abandoned: nothing has changed
	Submit             // the user names the operation that is due, and submits it
	Ended              // all operations ended well; the list is empty and rests
	Failed             // the user looks at the operation, and calls Wait, Tolerate, Clear or Abandon
)

// Whole is the Length of a read that stands behind an open: so much as the opened file has.
const Whole int64 = -1

// Add puts operations at the end of the list, also of one that was started.
func (l *List) Add(ops ...env.Op) { l.ops = append(l.ops, ops...) }

// Start begins the list. An empty list has ended at once.
func (l *List) Start() Turn {
	l.expect(resting)
	return l.proceed()
}

// Op returns the operation that is due, with the disk, failed or waiting. The user may change one
// that is due.
func (l *List) Op() *env.Op { return &l.ops[l.next] }

// Kind returns the kind of that operation, 0 if the list rests.
func (l *List) Kind() env.OpKind {
	if l.stage == resting {
		return 0
	}
	return l.ops[l.next].Kind
}

// At returns the number of that operation, counted from 1, and how many the list has.
func (l *List) At() (number, of int) { return int(l.next) + 1, len(l.ops) }

// Number tells the operations of a list apart, and those of abandoned lists from those of later
// ones, in the 24 bits that a Name has for it.
func (l *List) Number() uint32 { return uint32(l.life)<<16 | l.next&0xffff }

// Life returns how often the list was abandoned, for a user that gives all operations of a life
// one name.
func (l *List) Life() uint8 { return l.life }

// Submit hands the operation that is due, or waits for room, to the disk.
func (l *List) Submit(e env.Env, id env.OpID) {
	if l.stage != waiting {
		l.expect(due)
	}
	l.stage = flying
	l.ops[l.next].ID = id
	e.Submit(l.ops[l.next])
}

// Done takes the completion of an operation.
func (l *List) Done(ev *env.Event) Turn {
	if l.stage != flying || l.ops[l.next].ID != ev.Op {
		return Ignore
	}
	op := &l.ops[l.next]
	if ev.Err != env.OK && !doneBefore(op.Kind, ev.Err) {
		l.stage = failed
		return Failed
	}
	l.next++
	if op.Kind == env.OpOpen && int(l.next) < len(l.ops) {
		if read := &l.ops[l.next]; read.Kind == env.OpRead && read.Length == Whole {
			read.Length = ev.N
		}
	}
	return l.proceed()
}

// doneBefore reports whether a failure means that the work was done before: a list may repeat
// what an earlier start of the process did.
func doneBefore(kind env.OpKind, err env.Errno) bool {
	return kind == env.OpMkdir && err == env.Exist || kind == env.OpRemove && err == env.NotExist
}

// Tolerate goes on behind a failed operation, as if it had ended well.
func (l *List) Tolerate() Turn {
	l.expect(failed)
	l.next++
	return l.proceed()
}

// Back goes back to the operation that ended last, to submit it once more: a read of the next
// part of a file, for example.
func (l *List) Back() Turn {
	l.expect(due)
	assert.That(l.next > 0, "no operation of %d has ended", len(l.ops))
	l.next--
	return Submit
}

// Wait keeps an operation for which the disk had no room. Submit tries it again.
func (l *List) Wait() {
	l.expect(failed)
	l.stage = waiting
}

// Waits reports whether the list waits for room.
func (l *List) Waits() bool { return l.stage == waiting }

// Busy reports whether the list was started and has not ended. A list that failed is busy until
// its user clears or abandons it.
func (l *List) Busy() bool { return l.stage != resting }

// Clear forgets the operations. None of them is with the disk.
func (l *List) Clear() {
	if l.stage == flying {
		assert.Fail("a list is cleared while %s, operation %d of %d, is with the disk", l.Kind(), l.next+1, len(l.ops))
	}
	l.rest()
}

// Abandon forgets the operations, also one that is with the disk. Its completion may still come:
// the numbers of later lists differ from its number.
func (l *List) Abandon() {
	l.life++
	l.rest()
}

// Bound reports whether the list, amid it, has bound a handle or is about to.
func (l *List) Bound(file env.File) (bound bool) {
	if !l.Busy() {
		return false
	}
	for i := range l.ops[:l.next+1] {
		if op := &l.ops[i]; op.File == file {
			bound = op.Kind != env.OpClose
		}
	}
	return bound
}

// HasRoom reports whether the list has memory for operations. A list without any allocates it.
func (l *List) HasRoom() bool { return l.ops != nil }

// Borrow gives memory to a list that has none.
func (l *List) Borrow(ops []env.Op) {
	l.expect(resting)
	l.ops = ops[:0]
}

// GiveBack takes the memory from a list that rests. It refers to nothing any more.
func (l *List) GiveBack() []env.Op {
	l.expect(resting)
	ops := l.ops
	l.ops = nil
	return ops
}

// proceed comes to the next operation, or to the end.
func (l *List) proceed() Turn {
	if int(l.next) < len(l.ops) {
		l.stage = due
		return Submit
	}
	l.rest()
	return Ended
}

// rest empties the list, and keeps its memory.
func (l *List) rest() {
	clear(l.ops)
	l.ops, l.next, l.stage = l.ops[:0], 0, resting
}

func (l *List) expect(want stage) {
	if l.stage != want {
		assert.Fail("a list of %d operations is %v at operation %d, want %v", len(l.ops), l.stage, l.next+1, want)
	}
}
