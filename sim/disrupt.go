package sim

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/pingcap/failpoint"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
	"github.com/tidaldb/tidalsim/sim/queue"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// armed is the state of one disruption of the plan.
type armed struct {
	hits      uint32
	triggered bool // its moment has come, or its time is in the queue
	state     state
	since     int64      // its beginning
	until     int64      // active: its end
	fault     disk.Fault // sync-fail and write-fail
}

// state is how far a disruption has come.
type state uint8

const (
	waiting state = iota // for its moment
	active               // it lasts
	over                 // it happened
	void                 // it came to nothing: there was nothing to disrupt
)

// The second argument of trace.Disrupt.
const (
	noteBegins = 1
	noteEnds   = 2
	noteVoid   = 3
)

// arm makes every disruption wait for its moment.
func (w *World) arm() {
	w.armed = append(w.armed[:0], make([]armed, len(w.plan.Disruptions))...)
	w.waiting, w.open = len(w.armed), 0
	w.unsynced = w.unsynced[:0]
	w.anchored = slices.Grow(w.anchored[:0], len(w.config.Points))[:len(w.config.Points)]
	for i := range w.anchored {
		w.anchored[i] = w.anchored[i][:0]
	}
	for i := range w.plan.Disruptions {
		d := &w.plan.Disruptions[i]
		w.processes[d.Process].copied = w.processes[d.Process].copied || d.Kind == plan.Restore
		if d.When.IsOpen() {
			w.open++
		}
		if d.When.By > 0 {
			w.queue.Push(queue.Item{At: d.When.By, Ref: uint32(i), What: queue.What{Kind: itemDisrupt}})
		}
		switch {
		case d.When.Unsynced:
			w.processes[d.Waits()].watch++
			w.unsynced = append(w.unsynced, i)
		case d.When.Point != "":
			point := slices.Index(w.config.Points, d.When.Point)
			w.anchored[point] = append(w.anchored[point], i)
		default:
			w.armed[i].triggered = true
			w.queue.Push(queue.Item{At: d.When.At + d.When.After, Ref: uint32(i), What: queue.What{Kind: itemDisrupt}})
		}
	}
}

// moment says that process p has come to the moment that the given disruptions are anchored to.
func (w *World) moment(p *process, anchored []int) {
	if w.calm {
		return
	}
	for _, i := range anchored {
		d, a := &w.plan.Disruptions[i], &w.armed[i]
		if a.triggered || d.Waits() != uint32(p.id) || w.now < d.When.At || uint32(p.incarnation) < d.When.Incarnation {
			continue
		}
		if a.hits++; a.hits < d.When.Nth {
			continue
		}
		w.trigger(i)
		if d.When.After == 0 && d.Process == uint32(p.id) { // another one is not amid a Step
			w.begin(i)
			continue
		}
		w.queue.Push(queue.Item{At: w.now + d.When.After, Ref: uint32(i), What: queue.What{Kind: itemDisrupt}})
	}
}

// trigger notes that the moment of disruption i need not be waited for any more.
func (w *World) trigger(i int) {
	d, a := &w.plan.Disruptions[i], &w.armed[i]
	if d.When.Unsynced && !a.triggered {
		w.processes[d.Waits()].watch--
	}
	if !a.triggered && d.When.IsOpen() {
		w.open--
	}
	a.triggered = true
}

// begin lets disruption i start, unless it has: the time By may come after the
// moment.
func (w *World) begin(i int) {
	if w.calm || w.armed[i].state != waiting {
		return
	}
	w.trigger(i)
	d, a := &w.plan.Disruptions[i], &w.armed[i]
	w.waiting--
	if a.state = w.strike(i, d, w.processes[d.Process]); a.state == void {
		w.trace.Note(w.now, d.Process, trace.Disrupt, uint64(i), noteVoid, 0, 0)
		return
	}
	a.since = w.now
	w.trace.Note(w.now, d.Process, trace.Disrupt, uint64(i), noteBegins, 0, 0)
	if a.state == active {
		a.until = w.now + d.For
		w.apply(i)
		w.queue.Push(queue.Item{At: a.until, Ref: uint32(i), What: queue.What{Kind: itemHeal}})
	}
}

// strike applies the instant effect of a disruption, and says whether the disruption lasts.
func (w *World) strike(i int, d *plan.Disruption, p *process) state {
	effect := true
	switch d.Kind {
	case plan.Kill:
		effect = p.crash(killed, d.For)
	case plan.Power:
		effect = p.crash(powered, d.For)
	case plan.Wipe:
		if effect = w.mayWipe(i, p); effect {
			w.lost(p, false)
			p.crash(wiped, d.For)
		}
	case plan.Restore:
		if effect = p.image.Taken() && w.mayWipe(i, p); effect {
			w.lost(p, true)
			p.crash(restored, d.For)
		}
	case plan.Rot:
		effect = w.rot(i, p)
	case plan.WallStep:
		p.clock.WallOffset += d.Amount
	case plan.MonoStep:
		effect = p.up // each start has an origin of its own
		p.clock.Stepped -= d.Amount
	case plan.SyncFail, plan.WriteFail, plan.ReadFail, plan.EntryFail, plan.NoSpace:
		return w.failing(i, p)
	default:
		return active
	}
	if !effect {
		return void
	}
	return over
}

// end lets disruption i be over. A fault that no operation met came to nothing.
func (w *World) end(i int) {
	d, a := &w.plan.Disruptions[i], &w.armed[i]
	if a.state != active {
		return
	}
	a.state = over
	w.apply(i)
	if a.fault.Kind != 0 && a.fault.Struck == 0 {
		a.state = void
	}
	w.trace.Note(w.now, d.Process, trace.Disrupt, uint64(i), noteEnds, uint64(a.fault.Struck), 0)
}

// apply makes the world show that disruption i, which lasts, began or ended. The common effect of
// overlapping disruptions is derived from all that are active.
func (w *World) apply(i int) {
	d := &w.plan.Disruptions[i]
	p := w.processes[d.Process]
	switch d.Kind {
	case plan.Pause:
		p.pause(w.still(d.Process))
	case plan.Suspend:
		p.pause(w.still(d.Process))
		w.pace(p)
		w.relink(p)
	case plan.SlowDisk, plan.Stall:
		w.pace(p)
	case plan.DiskFull:
		p.disk.SetFull(w.lasting(d) > 0)
	case plan.SyncFail, plan.WriteFail, plan.ReadFail, plan.EntryFail, plan.NoSpace:
		w.fault(i, p.disk)
	case plan.Drift:
		p.setDrift(w.drift(d.Process))
	default:
		w.relink(p)
	}
}

// lasting is the latest end of the active disruptions of d's kind and process, 0
// if there is none.
func (w *World) lasting(d *plan.Disruption) (until int64) {
	for i := range w.armed {
		if e := &w.plan.Disruptions[i]; w.armed[i].state == active && e.Kind == d.Kind && e.Process == d.Process {
			until = max(until, w.armed[i].until)
		}
	}
	return until
}

// still is until when the active disruptions keep a process from running, 0 if none does.
func (w *World) still(process uint32) (until int64) {
	for i := range w.armed {
		d := &w.plan.Disruptions[i]
		if w.armed[i].state == active && (d.Kind == plan.Pause || d.Kind == plan.Suspend) && d.Process == process {
			until = max(until, w.armed[i].until)
		}
	}
	return until
}

// asleep is until when a machine sleeps, 0 if it does not.
func (w *World) asleep(id env.ID) (until int64) {
	for i := range w.armed {
		if d := &w.plan.Disruptions[i]; w.armed[i].state == active && d.Kind == plan.Suspend && d.Process == uint32(id) {
			until = max(until, w.armed[i].until)
		}
	}
	return until
}

// pace makes a disk, and single files, as slow as the slowest of the active disruptions says.
func (w *World) pace(p *process) {
	whole, files := disk.Pace{Slow: 1}, []disk.Pace(nil)
	for i := range w.armed {
		d := &w.plan.Disruptions[i]
		if w.armed[i].state != active || d.Process != uint32(p.id) || d.Kind != plan.SlowDisk && d.Kind != plan.Stall && d.Kind != plan.Suspend {
			continue
		}
		pace := disk.Pace{Suffix: d.Files, Slow: 1}
		if d.Kind == plan.SlowDisk {
			pace.Slow = d.Amount
		} else {
			pace.Stall = w.armed[i].until
		}
		if d.Files != "" {
			files = append(files, pace)
			continue
		}
		whole.Slow, whole.Stall = max(whole.Slow, pace.Slow), max(whole.Stall, pace.Stall)
	}
	p.disk.SetPace(w.now, whole.Slow, whole.Stall, files, p.started)
}

// faultKinds are the faults of a disk by the kind of disruption that puts them into force.
var faultKinds = [plan.KindCount]disk.FaultKind{
	plan.SyncFail: disk.SyncFault, plan.WriteFail: disk.WriteFault, plan.ReadFail: disk.ReadFault,
	plan.EntryFail: disk.EntryFault, plan.NoSpace: disk.SpaceFault,
}

// fault puts a fault into force, or ends it.
func (w *World) fault(i int, d *disk.Disk) {
	a := &w.armed[i]
	if a.state != active {
		d.Withdraw(&a.fault)
		return
	}
	e := &w.plan.Disruptions[i]
	a.fault = disk.Fault{Kind: faultKinds[e.Kind], Suffix: e.Files, Limit: e.Amount}
	d.Inject(&a.fault)
}

// drift is the rate of a process's clock: the rate in the plan's clocks plus those of the active
// disruptions.
func (w *World) drift(process uint32) int64 {
	ppm := w.processes[process].drift
	for i := range w.armed {
		if d := &w.plan.Disruptions[i]; w.armed[i].state == active && d.Kind == plan.Drift && d.Process == process {
			ppm += d.Amount
		}
	}
	return min(max(ppm, -plan.MaxDrift), plan.MaxDrift)
}

// relink gives every link of p the mode that the active cuts leave it.
func (w *World) relink(p *process) {
	for peer := range w.processes {
		if peer != int(p.id) {
			w.setLink(env.ID(peer), p.id)
			w.setLink(p.id, env.ID(peer))
		}
	}
}

// setLink gives a link the mode and the pace that the active disruptions leave it; loss
// beats hold.
func (w *World) setLink(from, to env.ID) {
	mode, shut, slow := network.Open, false, int64(1)
	for i := range w.armed {
		d := &w.plan.Disruptions[i]
		switch {
		case w.armed[i].state != active || !ofLink(d, from, to):
		case d.Kind == plan.SlowLink:
			slow = max(slow, d.Amount)
		case d.Kind.Shuts():
			shut = true
		case !d.Kind.Holds():
			mode = network.Drop
		case mode == network.Open:
			mode = network.Hold
		}
	}
	w.net.Shut(from, to, shut)
	w.net.SetPace(from, to, slow)
	if mode != network.Open {
		w.net.Cut(from, to, mode)
		return
	}
	for _, ref := range w.net.Heal(from, to) {
		w.queue.Push(queue.Item{At: w.now, Ref: ref, What: queue.What{Kind: itemPacket, Process: uint16(to)}})
	}
}

// ofLink reports whether d, when active, stops the link, or slows it.
func ofLink(d *plan.Disruption, from, to env.ID) bool {
	into := uint32(to) == d.Process && (d.Peer < 0 || d.Peer == int64(from))
	outOf := uint32(from) == d.Process && (d.Peer < 0 || d.Peer == int64(to))
	switch d.Kind {
	case plan.Suspend:
		return uint32(to) == d.Process
	case plan.CutDrop, plan.CutHold, plan.Shut, plan.SlowLink:
		return into || outOf
	case plan.CutInto, plan.HoldInto, plan.ShutInto:
		return into
	case plan.CutOutOf, plan.HoldOutOf, plan.ShutOutOf:
		return outOf
	}
	return false
}

// crash ends the process now, or, within its own Step, when the Step returns. It reports whether it
// had any effect: power, wipe and restore take the disk of a process that is down, too.
func (p *process) crash(how crash, down int64) bool {
	switch {
	case !p.up && how == killed:
		return false
	case !p.up:
		p.lose(how)
		p.restart(down)
	case p.world.stepping == p:
		p.dying, p.down = max(p.dying, how), max(p.down, down)
	default:
		p.end(how, down)
	}
	return true
}

// beginCalm heals everything and enlarges the disks. Disruptions that have not begun never begin.
func (w *World) beginCalm() {
	w.calm = true
	w.decider.Calm()
	w.trace.Note(w.now, 0, trace.Calm, 0, 0, 0, 0)
	for i := range w.armed {
		w.end(i)
	}
	for _, p := range w.processes {
		p.disk.Extend(disk.DefaultProfile.Capacity)
		p.bootAt = w.now
		p.boot()
	}
}

// allowedTerm matches terms that neither draw chances nor wait: off and return, in the words of
// failpoint.
var allowedTerm = regexp.MustCompile(`^([0-9]+\*)?(off|return\((none|error|crash|delay|torn)\))(->([0-9]+\*)?(off|return\((none|error|crash|delay|torn)\)))*$`)

// enableTerms gives each process that has terms a registry of its own.
func (w *World) enableTerms() error {
	for i, t := range w.plan.Terms {
		if !allowedTerm.MatchString(t.Term) {
			return fmt.Errorf("%w: terms[%d]: %q: want terms like 5*off->1*return(crash); chances and waits are not deterministic", plan.ErrInvalid, i, t.Term)
		}
		p := w.processes[t.Process]
		if p.terms == nil {
			p.terms = new(failpoint.Failpoints)
		}
		// failpoint takes string values in quotes.
		quoted := regexp.MustCompile(`\((\w+)\)`).ReplaceAllString(t.Term, `("$1")`)
		if err := p.terms.Enable(t.Point, quoted); err != nil {
			return fmt.Errorf("%w: terms[%d]: %w", plan.ErrInvalid, i, err)
		}
	}
	return nil
}

// evalTerm asks the process's own registry, if it has one.
func (p *process) evalTerm(point env.Point) env.Action {
	if p.terms == nil || p.world.calm {
		return env.ActNone
	}
	value, err := p.terms.Eval(p.world.config.Points[point])
	if err != nil {
		return env.ActNone
	}
	name, _ := value.(string)
	action, _ := env.ParseAction(name)
	return action
}
