package sim

import (
	"github.com/pingcap/failpoint"
	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/clock"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/queue"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// process is a server with one CPU: events that find it busy wait in its inbox.
// It is the env.Env of its machine.
//
// Invariant: while up, a run item is in the queue whenever the inbox holds
// something.
type process struct {
	world   *World
	id      env.ID
	program Program
	machine env.Machine
	disk    *disk.Disk
	clock   clock.Clock
	terms   *failpoint.Failpoints // nil: no terms

	incarnation env.Incarnation
	up          bool
	dying       crash // set within a Step: it ends when the Step returns
	down        int64 // how long it then stays down

	busy    int64 // the CPU is taken until then
	charged int64 // by the current Step
	local   env.Time
	running bool // a run item is queued
	inbox   []arrival
	head    int

	timers [env.MaxTimers]timer
	op     env.Op
	status env.Status
	watch  int // armed disruptions that wait for unsynced data
}

// arrival is an event in the inbox.
type arrival struct {
	kind  env.EventKind
	timer env.TimerID
	ref   uint32 // packet or disk operation
	at    env.Time
}

// timer is armed until it fires, and fired until the machine is told.
type timer struct {
	at     env.Time // local instant, env.Never if not armed
	queued int64    // true time of the queue item that counts, 0 if none
	fired  bool
}

// crash is how a process ends.
type crash uint8

const (
	alive crash = iota
	killed
	powered
	halted
)

func newProcess(w *World, id env.ID) *process {
	return &process{world: w, id: id, disk: disk.New(uint64(id), &w.decider)}
}

func (p *process) reset(program Program, profile disk.Profile) {
	p.disk.Reset(profile)
	*p = process{world: p.world, id: p.id, program: program, disk: p.disk, inbox: p.inbox[:0]}
}

// boot starts the next incarnation.
func (p *process) boot() {
	if p.up {
		return
	}
	w := p.world
	p.incarnation++
	p.up, p.dying = true, alive
	p.busy, p.running = w.now, false
	p.inbox, p.head = p.inbox[:0], 0
	for i := range p.timers {
		p.timers[i] = timer{at: env.Never}
	}
	p.clock.Start = w.now
	p.clock.Stepped = 0
	origin := w.decider.Uniform(chance.Machine, uint64(p.id)<<32, env.Key{A: uint64(p.incarnation)})
	p.clock.Origin = int64(origin >> 24)
	p.local = p.clock.Local(w.now)
	w.trace.Note(w.now, uint32(p.id), trace.Boot, uint64(p.incarnation), 0, 0, 0)
	if w.config.Observer != nil {
		w.config.Observer.Booted(p.id, p.incarnation, p.local)
	}
	p.machine = p.program.New(p)
	p.input(arrival{kind: env.Started})
}

// end ends the current incarnation; the disk keeps what the kind of end leaves.
func (p *process) end(how crash, down int64) {
	w := p.world
	w.trace.Note(w.now, uint32(p.id), trace.Crash, uint64(how), 0, 0, 0)
	if how == powered {
		p.disk.Power()
	} else {
		p.disk.Kill()
	}
	for _, a := range p.inbox[p.head:] {
		if a.kind == env.Message {
			w.net.Release(a.ref)
		}
	}
	p.inbox, p.head = p.inbox[:0], 0
	p.up, p.machine = false, nil
	p.dying = alive
	w.queue.Push(queue.Item{At: w.now + max(down, 1), Kind: itemBoot, Process: uint32(p.id)})
}

// happen handles a queue item of the current incarnation.
func (p *process) happen(it queue.Item) {
	switch it.Kind {
	case itemDisk:
		p.input(arrival{kind: env.DiskDone, ref: it.Ref})
	case itemTimer:
		p.timerDue(env.TimerID(it.Ref), it.At)
	case itemRun:
		p.running = false
		p.run()
	}
}

// timerDue fires a timer unless it was re-armed for later, which is found out
// only here: re-arming does not search the queue.
func (p *process) timerDue(id env.TimerID, at int64) {
	t := &p.timers[id]
	if t.queued != at {
		return
	}
	t.queued = 0
	switch {
	case t.at == env.Never:
	case p.clock.Local(at) < t.at:
		p.enqueueTimer(id, t)
	default:
		t.at = env.Never
		t.fired = true
		p.input(arrival{kind: env.Timer, timer: id})
	}
}

func (p *process) enqueueTimer(id env.TimerID, t *timer) {
	due := max(p.clock.True(t.at), p.world.now)
	if t.queued != 0 && t.queued <= due {
		return
	}
	t.queued = due
	p.push(itemTimer, due, uint32(id))
}

func (p *process) push(kind uint8, at int64, ref uint32) {
	p.world.queue.Push(queue.Item{At: at, Kind: kind, Process: uint32(p.id), Incarnation: uint32(p.incarnation), Ref: ref})
}

// input takes an event that reaches the process: at once if the CPU is free,
// else behind those that wait.
func (p *process) input(a arrival) {
	w := p.world
	a.at = p.clock.Local(w.now)
	if p.head == len(p.inbox) && p.busy <= w.now && !p.running {
		p.step(a)
		return
	}
	p.inbox = append(p.inbox, a)
	p.schedule()
}

// schedule makes sure that the inbox is looked at when the CPU is free.
func (p *process) schedule() {
	if !p.running && p.head < len(p.inbox) {
		p.running = true
		p.push(itemRun, max(p.busy, p.world.now), 0)
	}
}

// run takes the next event out of the inbox.
func (p *process) run() {
	if p.busy > p.world.now { // a pause came in between
		p.schedule()
		return
	}
	if p.head == len(p.inbox) {
		return
	}
	a := p.inbox[p.head]
	p.head++
	if p.head == len(p.inbox) {
		p.inbox, p.head = p.inbox[:0], 0
	}
	p.step(a)
	if p.up {
		p.schedule()
	}
}

// step lets the machine handle one event.
func (p *process) step(a arrival) {
	w := p.world
	ev := &w.event
	*ev = env.Event{Kind: a.kind, Timer: a.timer}
	detail := uint64(a.timer)
	switch a.kind {
	case env.Timer:
		if !p.timers[a.timer].fired { // withdrawn while it waited
			return
		}
		p.timers[a.timer].fired = false
	case env.Message:
		packet := w.net.Packet(a.ref)
		ev.From, ev.Data = packet.From, packet.Data
		detail = uint64(packet.From)
	case env.DiskDone:
		c := p.disk.Complete(a.ref)
		ev.Op, ev.Err, ev.N, ev.Data = c.ID, c.Err, c.N, c.Data
		detail = trace.Mix(uint64(c.ID), uint64(c.Err)<<56^uint64(c.N))
	}
	p.local = p.clock.Local(w.now)
	ev.At = min(a.at, p.local) // a broken clock may have stepped back since
	w.trace.Note(w.now, uint32(p.id), trace.Step, uint64(a.kind), detail, xxh3.Hash(ev.Data), uint64(len(p.inbox)-p.head))
	p.charged = 0
	w.steps++
	w.stepping = p
	p.machine.Step(ev)
	w.stepping = nil
	if a.kind == env.Message {
		w.net.Release(a.ref)
	}
	p.afterStep()
}

func (p *process) afterStep() {
	w := p.world
	if p.dying != alive {
		p.end(p.dying, p.down)
		return
	}
	p.busy = max(p.busy, w.now+max(p.charged, MinStep))
	p.machine.Status(&p.status)
	s := &p.status
	w.trace.Note(w.now, uint32(p.id), trace.Status,
		trace.Mix(s[0], s[1]), trace.Mix(s[2], s[3]), trace.Mix(s[4], s[5]), trace.Mix(s[6], s[7]))
	if p.watch > 0 && p.disk.Unsynced() {
		w.moment(p, "")
	}
}
