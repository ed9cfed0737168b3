package sim

import (
	"fmt"
	"regexp"

	"github.com/pingcap/failpoint"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
	"github.com/tidaldb/tidalsim/sim/queue"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// armed is the state of one disruption of the plan.
type armed struct {
	hits      uint32
	triggered bool // its moment has come, or its time is in the queue
	begun     bool
	active    bool
}

// arm makes every disruption wait for its moment.
func (w *World) arm() {
	w.armed = append(w.armed[:0], make([]armed, len(w.plan.Disruptions))...)
	w.waiting = len(w.armed)
	for i := range w.plan.Disruptions {
		d := &w.plan.Disruptions[i]
		switch {
		case d.When.Unsynced:
			w.processes[d.Process].watch++
		case d.When.Point == "":
			w.armed[i].triggered = true
			w.queue.Push(queue.Item{At: d.When.At + d.When.After, Kind: itemDisrupt, Ref: uint32(i)})
		}
	}
}

// moment tells that process p has reached the named fault point, or, with no
// name, that its disk holds something unsynced.
func (w *World) moment(p *process, point string) {
	if w.calm {
		return
	}
	for i := range w.plan.Disruptions {
		d, a := &w.plan.Disruptions[i], &w.armed[i]
		if a.triggered || d.Process != uint32(p.id) || d.When.Point != point || w.now < d.When.At {
			continue
		}
		if a.hits++; a.hits < d.When.Nth {
			continue
		}
		a.triggered = true
		if d.When.Unsynced {
			p.watch--
		}
		if d.When.After == 0 {
			w.begin(i)
			continue
		}
		w.queue.Push(queue.Item{At: w.now + d.When.After, Kind: itemDisrupt, Ref: uint32(i)})
	}
}

// begin lets disruption i start.
func (w *World) begin(i int) {
	if w.calm {
		return
	}
	d, a := &w.plan.Disruptions[i], &w.armed[i]
	p := w.processes[d.Process]
	w.waiting--
	a.begun = true
	w.trace.Note(w.now, d.Process, trace.Disrupt, uint64(i), 1, 0, 0)
	switch d.Kind {
	case plan.Kill:
		p.crash(killed, d.For)
		return
	case plan.Power:
		p.crash(powered, d.For)
		return
	case plan.WallStep:
		p.clock.WallOffset += d.Amount
		return
	case plan.MonoStep:
		p.clock.Stepped -= d.Amount
		return
	}
	a.active = true
	w.apply(d, true)
	w.queue.Push(queue.Item{At: w.now + d.For, Kind: itemHeal, Ref: uint32(i)})
}

// end lets disruption i be over.
func (w *World) end(i int) {
	d, a := &w.plan.Disruptions[i], &w.armed[i]
	if !a.active {
		return
	}
	a.active = false
	w.trace.Note(w.now, d.Process, trace.Disrupt, uint64(i), 2, 0, 0)
	w.apply(d, false)
}

// apply makes the world show that a disruption that lasts began or ended. What
// overlapping disruptions share is derived from all that are active.
func (w *World) apply(d *plan.Disruption, on bool) {
	p := w.processes[d.Process]
	switch d.Kind {
	case plan.Pause:
		if on {
			p.busy = max(p.busy, w.now+d.For)
		}
	case plan.CutDrop, plan.CutHold, plan.CutInto:
		for peer := range w.processes {
			if peer != int(d.Process) {
				w.setLink(env.ID(peer), p.id)
				w.setLink(p.id, env.ID(peer))
			}
		}
	case plan.SlowDisk:
		p.disk.SetSlow(w.plan.Disk.Slow * w.slowdown(d.Process))
	case plan.Stall:
		if on {
			p.disk.StallUntil(w.now + d.For)
		}
	}
}

// slowdown is the largest factor that active disruptions put on a disk.
func (w *World) slowdown(process uint32) int64 {
	factor := int64(1)
	for i := range w.armed {
		if d := &w.plan.Disruptions[i]; w.armed[i].active && d.Kind == plan.SlowDisk && d.Process == process {
			factor = max(factor, d.Amount)
		}
	}
	return factor
}

// setLink gives a link the mode that the active cuts leave it; loss beats hold.
func (w *World) setLink(from, to env.ID) {
	mode := network.Open
	for i := range w.armed {
		d := &w.plan.Disruptions[i]
		switch {
		case !w.armed[i].active || !cuts(d, from, to):
		case d.Kind == plan.CutHold && mode == network.Open:
			mode = network.Hold
		case d.Kind != plan.CutHold:
			mode = network.Drop
		}
	}
	if mode != network.Open {
		w.net.Cut(from, to, mode)
		return
	}
	for _, ref := range w.net.Heal(from, to) {
		w.queue.Push(queue.Item{At: w.now, Kind: itemPacket, Process: uint32(to), Ref: ref})
	}
}

// cuts reports whether d, when active, stops the link.
func cuts(d *plan.Disruption, from, to env.ID) bool {
	into := uint32(to) == d.Process && (d.Peer < 0 || d.Peer == int64(from))
	outOf := uint32(from) == d.Process && (d.Peer < 0 || d.Peer == int64(to))
	switch d.Kind {
	case plan.CutDrop, plan.CutHold:
		return into || outOf
	case plan.CutInto:
		return into
	}
	return false
}

// crash ends the process now, or, within its own Step, when the Step returns.
func (p *process) crash(how crash, down int64) {
	switch {
	case !p.up:
	case p.world.stepping == p:
		p.dying, p.down = how, down
	default:
		p.end(how, down)
	}
}

// beginCalm heals everything. What has not begun will not.
func (w *World) beginCalm() {
	w.calm = true
	w.decider.Calm()
	w.trace.Note(w.now, 0, trace.Calm, 0, 0, 0, 0)
	for i := range w.armed {
		w.end(i)
	}
	for _, p := range w.processes {
		p.busy = min(p.busy, w.now+MinStep)
		p.running = false
		p.schedule()
		if !p.up {
			p.boot()
		}
	}
}

// terms that neither draw chances nor wait: what failpoint calls off and return.
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
