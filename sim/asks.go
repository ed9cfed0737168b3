package sim

import (
	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/queue"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// This file is the world's side of the seam: process implements env.Env. Once a
// process is dying, every ask is void.

func hashKey(k env.Key) uint64 {
	return trace.Mix(trace.Mix(uint64(k.Kind)<<32|uint64(k.Attempt), k.A), k.B)
}

// hashBytes is 0 without data, as most events and operations are.
func hashBytes(data []byte) uint64 {
	if len(data) == 0 {
		return 0
	}
	return xxh3.Hash(data)
}

func hashPath(path string) uint64 {
	if path == "" {
		return 0
	}
	return xxh3.HashString(path)
}

func (p *process) note(what trace.What, a, b, c, d uint64) {
	p.world.trace.Note(p.world.now, uint32(p.id), what, a, b, c, d)
}

// Self implements env.Env.
func (p *process) Self() env.ID { return p.id }

// Nonce implements env.Env. It hangs on the number of the start, which the machine cannot
// read, and which a lost disk does not reset.
func (p *process) Nonce() env.Nonce {
	d, start := &p.world.decider, uint64(p.incarnation)
	return env.Nonce{
		A: d.Uniform(chance.Start, uint64(p.id), env.Key{A: start}),
		B: d.Uniform(chance.Start, uint64(p.id), env.Key{A: start, B: 1}),
	}
}

// Now implements env.Env.
func (p *process) Now() env.Time { return p.local }

// Wall implements env.Env.
func (p *process) Wall() env.WallTime { return p.clock.Wall(p.world.now) }

// SetTimer implements env.Env.
func (p *process) SetTimer(id env.TimerID, at env.Time) {
	if p.dying != alive {
		return
	}
	t := &p.timers[id]
	t.at, t.fired = at, false
	p.note(trace.SetTimer, uint64(id), uint64(at), 0, 0)
	if at != env.Never {
		p.enqueueTimer(id, t)
	}
}

// Charge implements env.Env.
func (p *process) Charge(cost env.Duration) { p.charged += int64(cost) }

// Send implements env.Env.
func (p *process) Send(to env.ID, key env.Key, payload []byte) {
	w := p.world
	if p.dying != alive || int(to) >= len(w.processes) {
		return
	}
	if w.config.Observer != nil {
		w.config.Observer.Sent(p.id, to, key, payload)
	}
	sum, at := hashBytes(payload), int64(0)
	w.sent++
	arrivals := w.net.Send(w.now+p.charged, p.id, to, p.restarts(), key, payload)
	for _, a := range arrivals {
		packet := w.net.Packet(a.Ref)
		packet.Sum, packet.Message = sum, w.sent
		w.queue.Push(queue.Item{At: a.At, Ref: a.Ref, What: queue.What{Kind: itemPacket, Process: uint16(to)}})
	}
	if len(arrivals) > 0 {
		at = arrivals[0].At
	}
	if w.config.Recorder != nil {
		w.arrivals = arrivals
		w.flies(p.id, to, w.now+p.charged)
	}
	p.note(trace.Send, uint64(to), hashKey(key), sum, uint64(len(arrivals))<<56^uint64(at))
}

// Submit implements env.Env.
func (p *process) Submit(op env.Op) {
	if p.dying != alive {
		return
	}
	w := p.world
	p.op = op
	if w.config.Observer != nil {
		path := op.Path
		if path == "" {
			path = p.disk.PathOf(op.File)
		}
		w.config.Observer.Submitted(p.id, &p.op, path)
	}
	ref, at := p.disk.Submit(w.now+p.charged, &p.op)
	if w.config.Recorder != nil {
		w.config.Recorder.Works(p.id, ref)
	}
	if at >= 0 {
		p.push(itemDisk, at, ref)
	}
	p.note(trace.Submit, uint64(op.Kind), trace.Mix(uint64(op.ID), uint64(op.File)), hashKey(op.Key),
		hashBytes(op.Data)^hashPath(op.Path)^hashPath(op.To)<<1^trace.Mix(uint64(op.Offset), uint64(op.Length)))
}

// List implements env.Env.
func (p *process) List(dir string) []string { return p.disk.List(dir) }

// Free implements env.Env.
func (p *process) Free() int64 { return p.disk.Free() }

// Chance implements env.Env.
func (p *process) Chance(key env.Key) uint64 {
	return p.world.decider.Uniform(chance.Machine, chance.InStart(uint64(p.id), p.restarts()), key)
}

// Hit implements env.Env.
func (p *process) Hit(point env.Point, key env.Key) (env.Action, bool) {
	if p.dying != alive {
		return env.ActCrash, true
	}
	w := p.world
	w.hits[point]++
	if w.config.Observer != nil {
		w.config.Observer.Hit(p.id, point, key, p.local)
	}
	action := p.evalTerm(point)
	if anchored := w.anchored[point]; len(anchored) > 0 {
		w.moment(p, anchored)
	}
	if action == env.ActCrash && p.dying == alive {
		p.dying, p.down = killed, RestartAfter
	}
	if p.dying != alive {
		action = env.ActCrash
	}
	p.note(trace.Hit, uint64(point), hashKey(key), uint64(action), 0)
	return action, true
}

// Halt implements env.Env.
func (p *process) Halt(string) {
	if p.dying != alive {
		return
	}
	p.note(trace.Halt, 0, 0, 0, 0)
	p.dying, p.down = halted, RestartAfter
}
