package sim

import (
	"github.com/pingcap/failpoint"

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
// Invariant: while up, a run item at runAt is in the queue whenever the inbox is not empty; other
// run items are stale.
type process struct {
	world   *World
	id      env.ID
	program Program
	machine env.Machine
	disk    *disk.Disk
	copied  bool                       // a disruption may restore its disk, so that each start takes a copy
	image   disk.Image                 // the disk at the last start, if copied
	started func(ref uint32, at int64) // says that the disk begins an operation
	clock   clock.Clock
	terms   *failpoint.Failpoints // nil: no terms

	incarnation env.Incarnation
	up          bool
	bootAt      int64 // while down: when it starts
	dying       crash // set within a Step: it ends when the Step returns
	down        int64 // how long it then stays down

	busy    int64 // the CPU is taken until then
	paused  int64 // nothing runs until then
	thawed  int64 // when the last pause was or will be over
	drift   int64 // of its clock by the plan's clocks, ppm
	charged int64 // by the current Step
	local   env.Time
	runAt   int64 // when the inbox is looked at: of the queued run item that counts, or notQueued
	inbox   []arrival
	head    int

	timers [env.MaxTimers]timer
	op     env.Op
	status env.Status
	watch  int // armed disruptions that wait for unsynced data
}

// arrival is an event in the inbox. Like an item of the queue it has four fields at
// most.
type arrival struct {
	cause
	ref   uint32 // packet or disk operation
	at    env.Time
	since int64 // the same instant in true time
}

// cause is the kind of an event, and its timer if it is one's.
type cause struct {
	kind  env.EventKind
	timer env.TimerID
}

// notQueued is the instant of an item that is not in the queue.
const notQueued = -1

// timer is armed until it fires, and fired until the machine gets its event.
type timer struct {
	at     env.Time // local instant, env.Never if not armed
	queued int64    // true time of the queue item that counts, 0 if none
	fired  bool
}

// crash is how a process ends, the worse the greater. It is in the trace.
type crash uint8

const (
	alive crash = iota
	halted
	killed
	powered
	wiped
	restored
)

func newProcess(w *World, id env.ID) *process {
	p := &process{world: w, id: id, disk: disk.New(uint64(id), &w.decider)}
	p.started = func(ref uint32, at int64) { p.push(itemDisk, at, ref) }
	return p
}

func (p *process) reset(program Program, profile disk.Profile) {
	p.disk.Reset(profile)
	p.image.Forget()
	*p = process{world: p.world, id: p.id, program: program, disk: p.disk, image: p.image, started: p.started, inbox: p.inbox[:0]}
}

// boot starts the next incarnation, unless a later start has been ordered since.
func (p *process) boot() {
	w := p.world
	if p.up || w.now < p.bootAt {
		return
	}
	if until := w.asleep(p.id); until > w.now { // nothing starts on a machine that sleeps
		p.restart(until - w.now)
		return
	}
	if p.copied {
		p.disk.Take(&p.image)
	}
	p.incarnation++
	p.up, p.dying = true, alive
	p.disk.Started(p.restarts())
	p.busy, p.runAt, p.down = w.now, notQueued, 0
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
	w.stepping, w.running, p.charged = p, p, 0 // requests of New are made in a Step
	p.machine = p.program.New(p)
	w.stepping, w.running = nil, nil
	if p.dying != alive {
		p.end(p.dying, p.down)
		return
	}
	p.input(arrival{cause: cause{kind: env.Started}})
}

// restarts is the number of earlier starts of the process. It is a part of every decision about the
// machine's requests, so that equal requests of two starts are decided apart.
func (p *process) restarts() uint64 { return uint64(p.incarnation - 1) }

// end ends the current incarnation; the disk keeps the part that the kind of end leaves.
func (p *process) end(how crash, down int64) {
	w := p.world
	p.lose(how)
	for _, a := range p.inbox[p.head:] {
		if a.kind == env.Message {
			w.meets(w.net.Packet(a.ref).Message, p.id, Died)
			w.net.Release(a.ref)
		}
	}
	p.inbox, p.head = p.inbox[:0], 0
	p.up, p.machine = false, nil
	p.dying, p.bootAt = alive, 0
	p.restart(down)
}

// lose takes from the disk the bytes that an end of this kind takes.
func (p *process) lose(how crash) {
	p.note(trace.Crash, uint64(how), 0, 0, 0)
	switch how {
	case wiped:
		p.disk.Wipe()
	case restored:
		p.disk.Restore(&p.image)
	case powered:
		p.disk.Power()
	default:
		p.disk.Kill()
	}
}

// restart orders the next start, not before an earlier order.
func (p *process) restart(down int64) {
	p.bootAt = max(p.bootAt, p.world.now+max(down, 1))
	p.world.queue.Push(queue.Item{At: p.bootAt, What: queue.What{Kind: itemBoot, Process: uint16(p.id)}})
}

// pause keeps the CPU from running anything until then, and lets it run again when until has
// passed. Work that the CPU is charged with goes on meanwhile.
func (p *process) pause(until int64) {
	p.paused, p.thawed = until, max(until, p.world.now)
	if p.up && p.world.stepping != p {
		p.schedule()
	}
}

// setDrift changes the rate of the monotonic clock. A faster clock reaches armed
// timers sooner than their queue items say; a slower one is found out when they
// are due.
func (p *process) setDrift(ppm int64) {
	if !p.up {
		p.clock.DriftPPM = ppm
		return
	}
	p.clock.SetDrift(p.world.now, ppm)
	for id := range p.timers {
		if t := &p.timers[id]; t.at != env.Never {
			p.enqueueTimer(env.TimerID(id), t)
		}
	}
}

// happen handles a queue item of the current incarnation.
func (p *process) happen(it queue.Item) {
	switch it.Kind {
	case itemDisk:
		if p.disk.Due(it.Ref) == it.At { // else its pace has changed since
			p.disk.Finish(it.At, it.Ref, p.started)
			p.input(arrival{cause: cause{kind: env.DiskDone}, ref: it.Ref})
		}
	case itemTimer:
		p.timerDue(env.TimerID(it.Ref), it.At)
	case itemRun:
		if it.At == p.runAt {
			p.runAt = notQueued
			p.run()
		}
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
		p.input(arrival{cause: cause{kind: env.Timer, timer: id}})
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
	p.world.queue.Push(queue.Item{At: at, Ref: ref, What: queue.What{Kind: kind, Process: uint16(p.id), Incarnation: uint32(p.incarnation)}})
}

// free is the earliest time at which the CPU can run the machine.
func (p *process) free() int64 { return max(p.busy, p.paused, p.world.now) }

// input takes an event that reaches the process: at once if the CPU is free, else behind the
// waiting ones.
func (p *process) input(a arrival) {
	a.at, a.since = p.clock.Local(p.world.now), p.world.now
	if p.head == len(p.inbox) && p.free() == p.world.now && p.runAt == notQueued {
		p.step(a)
		return
	}
	p.inbox = append(p.inbox, a)
	p.schedule()
}

// schedule makes sure that the inbox is looked at when the CPU is free.
func (p *process) schedule() {
	if at := p.free(); p.head < len(p.inbox) && p.runAt != at {
		p.runAt = at
		p.push(itemRun, at, 0)
	}
}

// run takes the next event out of the inbox.
func (p *process) run() {
	if p.free() > p.world.now { // a pause came in between
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
	*ev = env.Event{}
	ev.Kind, ev.Timer = a.kind, a.timer
	detail, sum, message := uint64(a.timer), uint64(0), uint64(0)
	switch a.kind {
	case env.Timer:
		if !p.timers[a.timer].fired { // withdrawn while it waited
			return
		}
		p.timers[a.timer].fired = false
	case env.Message:
		packet := w.net.Packet(a.ref)
		ev.From, ev.Data = packet.From, packet.Data
		detail, sum, message = uint64(packet.From), packet.Sum, packet.Message
		if packet.Damaged {
			sum = hashBytes(packet.Data)
		} else if w.config.Observer != nil {
			w.config.Observer.Received(p.id, packet.From, packet.Data, a.since)
		}
	case env.DiskDone:
		c := p.disk.Complete(a.ref)
		if w.config.Recorder != nil {
			w.config.Recorder.Worked(p.id, a.ref, c.Err)
		}
		if c.Quiet && c.Err == env.OK {
			p.completedQuietly(c)
			return
		}
		ev.Op, ev.Err, ev.N, ev.Data = c.ID, c.Err, c.N, c.Data
		detail, sum = trace.Mix(uint64(c.ID), uint64(c.Err)<<56^uint64(c.N)), hashBytes(c.Data)
	}
	p.local = p.clock.Local(w.now)
	ev.At = min(a.at, p.local) // a broken clock may have stepped back since
	w.trace.Note(w.now, uint32(p.id), trace.Step, uint64(a.kind), detail, sum, uint64(len(p.inbox)-p.head))
	if w.config.Recorder != nil {
		w.config.Recorder.Steps(p.id, a.kind, message)
	}
	p.charged = 0
	w.steps++
	w.stepping, w.running = p, p
	p.machine.Step(ev)
	w.stepping, w.running = nil, nil
	if w.config.Poison {
		poison(ev.Data)
	}
	if a.kind == env.Message {
		w.net.Release(a.ref)
	}
	p.afterStep()
}

// poison overwrites data that was lent.
func poison(data []byte) {
	for i := range data {
		data[i] = 0xa5
	}
}

// completedQuietly notes an operation that succeeded and that nothing listens for.
func (p *process) completedQuietly(c *disk.Completion) {
	w := p.world
	w.trace.Note(w.now, uint32(p.id), trace.Done, uint64(c.ID), uint64(c.N), 0, 0)
	p.watchUnsynced()
}

// watchUnsynced lets disruptions strike that wait for unsynced data.
func (p *process) watchUnsynced() {
	if p.watch > 0 && p.disk.Unsynced() {
		p.world.moment(p, p.world.unsynced)
	}
}

func (p *process) afterStep() {
	w := p.world
	if p.dying != alive {
		p.end(p.dying, p.down)
		return
	}
	p.busy = max(p.busy, w.now+max(p.charged, MinStep))
	w.running = p
	p.machine.Status(&p.status)
	w.running = nil
	s := &p.status
	w.trace.Note(w.now, uint32(p.id), trace.Status,
		trace.Mix(s[0], s[1]), trace.Mix(s[2], s[3]), trace.Mix(s[4], s[5]), trace.Mix(s[6], s[7]))
	p.watchUnsynced()
}
