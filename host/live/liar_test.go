package live_test

import (
	"bytes"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
)

// liar is a planted mistake: between a node and its disk, it says of appends to segments and of
// their syncs that they are done, and does them a little later, like a host that buffers in its own
// memory.
type liar struct {
	env.Env
	machine  env.Machine
	segments map[env.File]bool
	held     []env.Op
	told     []env.OpID        // done, as far as the machine is to know
	late     map[env.OpID]bool // completions that it was told of already
}

// Timers of the liar's own: a node uses the lowest.
const (
	tellTimer  env.TimerID = env.MaxTimers - 1
	flushTimer env.TimerID = env.MaxTimers - 2
)

const lateness = 40 * env.Millisecond

func newLiar(e env.Env, program func(env.Env) env.Machine) env.Machine {
	l := &liar{Env: e, segments: map[env.File]bool{}, late: map[env.OpID]bool{}}
	l.machine = program(l)
	return l
}

func (l *liar) Status(s *env.Status) { l.machine.Status(s) }

func (l *liar) Step(ev *env.Event) {
	switch {
	case ev.Kind == env.Timer && ev.Timer == tellTimer:
		told := l.told
		l.told = nil
		for _, id := range told {
			l.machine.Step(&env.Event{Kind: env.DiskDone, Op: id, At: ev.At})
		}
	case ev.Kind == env.Timer && ev.Timer == flushTimer:
		l.flush()
	case ev.Kind == env.DiskDone && l.late[ev.Op]:
		delete(l.late, ev.Op)
	default:
		l.machine.Step(ev)
	}
}

func (l *liar) flush() {
	for _, op := range l.held {
		l.late[op.ID] = true
		l.Env.Submit(op)
	}
	l.held = nil
}

func (l *liar) Submit(op env.Op) {
	switch op.Kind {
	case env.OpCreate, env.OpOpen:
		l.segments[op.File] = strings.HasSuffix(op.Path, ".seg")
	case env.OpAppend, env.OpSync:
		if l.segments[op.File] {
			op.Data = bytes.Clone(op.Data)
			if len(l.held) == 0 {
				l.SetTimer(flushTimer, l.Now().Add(lateness))
			}
			l.held = append(l.held, op)
			l.told = append(l.told, op.ID)
			l.SetTimer(tellTimer, l.Now())
			return
		}
	}
	l.flush()
	l.Env.Submit(op)
}
