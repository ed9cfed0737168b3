// Package sim is a virtual world for state machines: a seeded, deterministic simulation of clocks,
// network, disks and CPUs in which any env.Machine can live. It knows nothing of the purpose of the
// machines.
//
// One way through it: a plan (package plan) and a list of programs make a World. Run lets it live
// through a disruptive part, in which the plan's faults happen, and a calm part, in which
// everything is healed and must finish. All events are folded into a trace (package trace), so that
// equal runs are known by equal hashes.
//
// The one rule to remember: the order of everything follows from the plan alone.
package sim

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
	"github.com/tidaldb/tidalsim/sim/queue"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// Program makes the machine of one process. New is called at each start and must not share state
// between incarnations.
type Program struct {
	Name string
	New  func(env.Env) env.Machine
	// Disk is the durable content of the process's disk before its first start. A wipe takes it
	// away like everything else.
	Disk []File
}

// File is a file in the root of a disk.
type File struct {
	Name string
	Data []byte
}

// Observer is an omniscient bystander. Its methods are called in the middle of Steps; they must not
// touch the machines, and their arguments are valid during the call only. World.Time tells when.
type Observer interface {
	// Sent is called when a process hands a message to the network.
	Sent(from, to env.ID, key env.Key, payload []byte)
	// Received is called before a process's Step with a message that is as it was
	// sent. since is the true time at which it reached the process's input queue.
	Received(to, from env.ID, payload []byte, since int64)
	// Submitted is called when a process hands an operation to its disk. path is
	// the path of the operation's file or directory.
	Submitted(id env.ID, op *env.Op, path string)
	// Hit is called when a process reaches a fault point, before any action on it; local is its
	// monotonic clock.
	Hit(id env.ID, p env.Point, key env.Key, local env.Time)
	// Booted is called before a process's first Step.
	Booted(id env.ID, incarnation env.Incarnation, local env.Time)
}

// Config describes a world, beside its plan.
type Config struct {
	Programs []Program // process i has address i
	Points   []string  // names of the fault points, indexed by env.Point
	Observer Observer  // may be nil
	Recorder Recorder  // may be nil
	Record   bool      // keep the deviations that chance takes, for Deviations
	Trace    bool      // keep the trace's entries, for Trace().Entries
	// Poison overwrites the data of an event when its Step has ended, so that a machine that keeps
	// borrowed bytes is found out.
	Poison bool
	// Until cuts the run short at that virtual time, ns, and Steps after so many Steps; later
	// events do not happen. 0 is never.
	Until int64
	Steps uint64
	// MayDamage is the budget of faults: whether the bytes [from, to) of a file may
	// be damaged now. It is asked before damage is done; nil is no damage at all.
	MayDamage func(process env.ID, path string, from, to int64) bool
	// MayWipe is asked before everything on a disk is lost; nil asks MayDamage for each file.
	MayWipe func(process env.ID) bool
	// MayRestore is asked before an older copy takes the place of a disk; nil asks as for a wipe.
	MayRestore func(process env.ID) bool
	// MayFail is asked before disk operations of a process begin to fail; nil is yes.
	MayFail func(process env.ID) bool
	// Forbidden, if not nil, is called with each disruption that comes to nothing because
	// MayDamage, MayWipe, MayRestore or MayFail, which was asked just before, forbids it.
	Forbidden func(disruption int)
	// Wiped is called with the process that is about to lose its disk, and whether an older copy
	// takes the disk's place; it may be nil.
	Wiped func(process env.ID, restored bool)
	// Damaged is called with the file that rot is about to damage; it may be nil.
	Damaged func(process env.ID, path string)
}

// MinStep is the least CPU time of a Step, in nanoseconds: time goes on even if
// a machine charges nothing.
const MinStep = plan.MinStep

// RestartAfter is how long a process that ended itself stays down, ns.
const RestartAfter = plan.RestartAfter

// World is one simulation. The zero value needs Reset. A World is not safe for
// concurrent use; different Worlds share nothing.
type World struct {
	now     int64
	config  Config
	plan    *plan.Plan
	queue   queue.Queue
	net     network.Network
	decider chance.Decider
	trace   trace.Trace

	processes []*process
	armed     []armed // one per disruption of the plan
	anchored  [][]int // by fault point: the disruptions that wait for it
	unsynced  []int   // the disruptions that wait for unsynced data
	waiting   int     // disruptions that have not begun
	open      int     // waiting disruptions whose moments may never come
	calm      bool
	steps     uint64
	sent      uint64            // messages so far
	arrivals  []network.Arrival // of the message sent last
	hits      []uint64          // by fault point
	event     env.Event
	stepping  *process // the process in a Step, else nil
	running   *process // the process that runs its machine's code, else nil
}

// The kinds of queue items. Ref is in the comment.
const (
	itemPacket  uint8 = iota // a packet arrives: packet
	itemDisk                 // an operation completes: operation
	itemTimer                // a timer is due: timer
	itemRun                  // a process has CPU again
	itemBoot                 // a process starts
	itemDisrupt              // a disruption begins: index
	itemHeal                 // a disruption ends: index
)

// Reset prepares the world for a run of p; memory is kept.
func (w *World) Reset(config Config, p *plan.Plan) error {
	if err := p.Validate(len(config.Programs), config.Points); err != nil {
		return err
	}
	w.config, w.plan = config, p
	w.now, w.steps, w.sent, w.calm = 0, 0, 0, false
	w.stepping, w.running = nil, nil
	w.queue.Reset()
	w.trace.Reset(config.Trace)
	w.decider.Witness = w
	if p.Deviations == nil {
		w.decider.Reset(uint64(p.Seed), chance.Rates(p.Rates), config.Record)
	} else {
		w.decider.ResetListed(uint64(p.Seed), listed(p.Deviations))
	}
	w.net.Reset(p.Network, len(config.Programs), &w.decider)
	for i := range p.Links {
		w.net.SetLink(&p.Links[i])
	}
	w.hits = slices.Grow(w.hits[:0], len(config.Points))[:len(config.Points)]
	clear(w.hits)
	w.resetProcesses()
	if err := w.enableTerms(); err != nil {
		return err
	}
	w.arm()
	return nil
}

func listed(deviations []plan.Deviation) []chance.Deviation {
	list := make([]chance.Deviation, len(deviations))
	for i, d := range deviations {
		list[i] = chance.Deviation(d)
	}
	return list
}

func (w *World) resetProcesses() {
	for i := range w.config.Programs {
		if i == len(w.processes) {
			w.processes = append(w.processes, newProcess(w, env.ID(i)))
		}
		w.processes[i].reset(w.config.Programs[i], w.plan.Disk)
		for _, f := range w.config.Programs[i].Disk {
			w.processes[i].disk.Put(f.Name, f.Data)
		}
	}
	w.processes = w.processes[:len(w.config.Programs)]
	for _, c := range w.plan.Clocks {
		p := w.processes[c.Process]
		p.drift, p.clock.DriftPPM, p.clock.WallOffset = c.DriftPPM, c.DriftPPM, c.Wall
	}
	for i := range w.processes {
		w.queue.Push(queue.Item{What: queue.What{Kind: itemBoot, Process: uint16(i)}})
	}
}

// Outcome says how a run ended.
type Outcome struct {
	// Done is whether everything finished; false is a stall, unless the run was Cut short.
	Done, Cut bool
	// CalmAt and Ended are virtual times, ns.
	CalmAt, Ended int64
}

// Run lets the world live until done says, in the calm part, that everything has
// finished, or until the calm part is over. done is asked after every Step and
// must be cheap.
func (w *World) Run(done func() bool) Outcome {
	var out Outcome
	limit, since := w.plan.Duration, int64(-1)
	for {
		finished := done()
		switch {
		case !finished:
			since = -1
		case since < 0:
			since = w.now
		}
		if !w.calm && (finished && (w.waiting == 0 || w.waiting == w.open && w.now >= since+lingers) || w.queue.Len() == 0 || w.queue.NextAt() > limit) {
			out.CalmAt = w.now
			limit = w.now + w.plan.Calm
			w.beginCalm()
			continue
		}
		if w.calm && (finished || w.queue.Len() == 0 || w.queue.NextAt() > limit) {
			out.Done, out.Ended = finished, w.now
			return out
		}
		if w.isCut() {
			out.Cut, out.Ended = true, w.now
			return out
		}
		w.next()
	}
}

// lingers is how long a run that is done goes on for moments that have not come, ns. Most of
// them never come when the nodes are idle. Disruptions that begin at an instant are waited for.
const lingers = 1_000_000_000

// isCut reports whether the run ends here by its configuration, before the next item; the time
// until then passes. A disruption that waits for a moment does not delay that.
func (w *World) isCut() bool {
	c := &w.config
	if c.Until > 0 && w.queue.NextAt() > c.Until {
		w.now = c.Until
		return true
	}
	return c.Steps > 0 && w.steps >= c.Steps
}

// next lets the earliest item happen.
func (w *World) next() {
	it := w.queue.Pop()
	w.now = it.At
	switch it.Kind {
	case itemPacket:
		w.arrive(it.Ref)
	case itemDisrupt:
		w.begin(int(it.Ref))
	case itemHeal:
		w.end(int(it.Ref))
	case itemBoot:
		w.processes[it.Process].boot()
	default:
		p := w.processes[it.Process]
		if p.up && uint32(p.incarnation) == it.Incarnation {
			p.happen(it)
		}
	}
}

func (w *World) arrive(ref uint32) {
	message, to := w.net.Packet(ref).Message, w.net.Packet(ref).To
	packet := w.net.Arrive(ref)
	if packet == nil {
		fate := Cut
		if w.config.Recorder != nil && w.net.Holds(ref) {
			fate = Held
		}
		w.meets(message, to, fate)
		return
	}
	p := w.processes[to]
	if !p.up {
		w.net.Release(ref)
		w.meets(message, to, Down)
		return
	}
	w.meets(message, to, Reached)
	p.input(arrival{cause: cause{kind: env.Message}, ref: ref})
}

// Deviated implements chance.Witness: the trace has every deviation.
func (w *World) Deviated(d *chance.Deviation) {
	w.trace.Note(w.now, uint32(d.Scope), trace.Deviation, uint64(d.Site), d.Scope, hashKey(d.Key), d.Value)
	if w.config.Recorder != nil {
		w.config.Recorder.Deviated(d)
	}
}

// Time is the true time, ns. It is constant within a Step.
func (w *World) Time() int64 { return w.now }

// Thawed is the true time at which the last pause of a process was or will be
// over; 0 if there was none.
func (w *World) Thawed(id env.ID) int64 { return w.processes[id].thawed }

// Charged is, within a Step, the CPU time that it has used so far, ns: requests of the Step leave
// at Time plus this.
func (w *World) Charged() int64 {
	if w.stepping == nil {
		return 0
	}
	return w.stepping.charged
}

// Running returns the process that runs its machine's code, and its incarnation; after a panic,
// those of the machine that panicked. It is false while no machine's code runs.
func (w *World) Running() (id env.ID, life env.Incarnation, ok bool) {
	if w.running == nil {
		return 0, 0, false
	}
	return w.running.id, w.running.incarnation, true
}

// Steps is the number of Steps so far.
func (w *World) Steps() uint64 { return w.steps }

// Calm reports whether the calm part has begun.
func (w *World) Calm() bool { return w.calm }

// Trace returns the run's trace.
func (w *World) Trace() *trace.Trace { return &w.trace }

// Saw folds a client's observation into the trace: four numbers of the driver's choice.
func (w *World) Saw(id env.ID, a, b, c, d uint64) {
	w.trace.Note(w.now, uint32(id), trace.Client, a, b, c, d)
}

// Hits returns how often each fault point was reached, indexed by env.Point. It
// is valid until the next Reset.
func (w *World) Hits() []uint64 { return w.hits }

// Deviations returns the deviations of a run with Config.Record.
func (w *World) Deviations() []plan.Deviation {
	taken := w.decider.Taken()
	list := make([]plan.Deviation, len(taken))
	for i, d := range taken {
		list[i] = plan.Deviation(d)
	}
	return list
}

// Unused describes the entries of the plan that had no effect: listed deviations that no decision
// asked for, and disruptions that never began.
func (w *World) Unused() []string {
	var unused []string
	for i := range w.armed {
		if s := w.armed[i].state; s == waiting || s == void {
			unused = append(unused, fmt.Sprintf("disruptions[%d]: %s", i, w.plan.Disruptions[i]))
		}
	}
	for _, d := range w.decider.Unused() {
		unused = append(unused, fmt.Sprintf("deviation %s scope %x key %d/%x/%x/%d", d.Site, d.Scope, d.Key.Kind, d.Key.A, d.Key.B, d.Key.Attempt))
	}
	return unused
}

// Fired is the number of disruptions that had an effect.
func (w *World) Fired() int {
	n := 0
	for i := range w.armed {
		if s := w.armed[i].state; s == active || s == over {
			n++
		}
	}
	return n
}

// Struck returns when disruption i of the plan had its effect, and until when it lasts,
// or its process is down, by the plan: true time, ns. It is false if it had none.
func (w *World) Struck(i int) (from, to int64, struck bool) {
	if s := w.armed[i].state; s != active && s != over {
		return 0, 0, false
	}
	return w.armed[i].since, w.armed[i].since + w.plan.Disruptions[i].For, true
}

// Up reports whether process id runs.
func (w *World) Up(id env.ID) bool { return w.processes[id].up }

// Disk returns the disk of process id, for observers that must know which bytes are durable. It
// must not be changed.
func (w *World) Disk(id env.ID) *disk.Disk { return w.processes[id].disk }

// Taken is the number of deviations that chance or the plan took.
func (w *World) Taken() int { return w.decider.Count() }

// Machine returns the machine of process id, nil while it is down.
func (w *World) Machine(id env.ID) env.Machine { return w.processes[id].machine }
