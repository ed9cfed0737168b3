package scenarios

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// The world's treatment of messages and disks, in words.

type flight struct {
	send, arrive int    // lines; none if it has not arrived
	kind         string // of the message
}

// operated identifies an operation of a process's disk, as chance does.
type operated struct {
	id  env.ID
	key env.Key
}

// flight returns message m, nil if its sending was not told.
func (s *story) flight(m uint64) *flight {
	if i := m - s.before - 1; m > s.before && i < uint64(len(s.flights)) {
		return &s.flights[i]
	}
	return nil
}

// network adds a line about message m, which follows from its sending.
func (s *story) network(kind Kind, m uint64, format string, operands ...any) *Told {
	f := s.flight(m)
	sent := s.told[f.send]
	what := fmt.Sprintf("%s from %s to %s", f.kind, s.who(env.ID(sent.Process)), s.who(env.ID(sent.Peer)))
	t := s.line(kind, sent.Peer, "network   "+format, append([]any{what}, operands...)...)
	t.Of, t.Peer, t.Message = f.send, sent.Process, m
	t.Tenant, t.Slot, t.Shard, t.Seq, t.To = sent.Tenant, sent.Slot, sent.Shard, sent.Seq, sent.To
	return t
}

// Flies implements sim.Recorder.
func (s *story) Flies(f sim.Flight) {
	told := s.flight(f.Message)
	if told == nil {
		return
	}
	sent := &s.told[told.send]
	mark := Mark(0)
	for site, m := range [...]Mark{chance.NetDelay: Late, chance.NetLate: Late, chance.NetDuplicate: Doubled, chance.NetCorrupt: Damaged} {
		if s.hits[site] > 0 {
			mark |= m
		}
	}
	if f.Copies == 0 {
		mark = Lost
	}
	sent.Mark, sent.Until = mark, f.Arrives
	switch {
	case mark == Lost && s.hits[chance.NetLoss] > 0:
		s.network(Lose, f.Message, "LOSES %s: chance")
	case mark == Lost:
		s.network(Lose, f.Message, "LOSES %s: the link is full, or shut")
	}
	for range s.hits[chance.NetDuplicate] {
		s.network(Chance, f.Message, "DOUBLES %s")
	}
	for range s.hits[chance.NetDelay] + s.hits[chance.NetLate] { // of copies, each by itself
		when := ""
		if f.Copies == 1 {
			when = ", which arrives after " + history.Instant(f.Arrives-f.Leaves)
		}
		s.network(Chance, f.Message, "DELAYS %s%s", when)
	}
	for range s.hits[chance.NetCorrupt] {
		s.network(Chance, f.Message, "DAMAGES %s")
	}
}

// Meets implements sim.Recorder.
func (s *story) Meets(message uint64, to env.ID, fate sim.Fate) {
	f := s.flight(message)
	if f == nil || !s.tells() {
		return
	}
	switch fate {
	case sim.Reached:
		s.arrives(f, to, message)
		return
	case sim.Held:
		s.network(Hold, message, "HOLDS %s until the link heals")
		s.told[f.send].Mark |= Kept
		return
	case sim.Cut:
		s.network(Lose, message, "LOSES %s: the link is cut")
	case sim.Down:
		s.network(Lose, message, "LOSES %s: %s is down", s.who(to))
	case sim.Died:
		s.network(Lose, message, "LOSES %s: %s ended before its turn", s.who(to))
	}
	if sent := &s.told[f.send]; f.arrive == none || fate == sim.Died {
		sent.Mark |= Lost
		sent.Until = s.world.Time()
	}
}

// arrives adds the line of a message that reached its process.
func (s *story) arrives(f *flight, to env.ID, message uint64) {
	sent := s.told[f.send]
	t := s.line(Arrive, int(to), "%-9s is reached by %s of %s", s.who(to), f.kind, s.who(env.ID(sent.Process)))
	t.Of, t.Peer, t.Message = f.send, sent.Process, message
	t.Tenant, t.Slot, t.Shard, t.Seq, t.To = sent.Tenant, sent.Slot, sent.Shard, sent.Seq, sent.To
	if f.arrive == none {
		s.told[f.send].Until = t.At
		s.told[f.send].Mark &^= Lost
	}
	f.arrive = s.last()
}

// Steps implements sim.Recorder.
func (s *story) Steps(id env.ID, kind env.EventKind, message uint64) {
	s.pass()
	switch kind {
	case env.Message:
		s.cause[id] = none
		if f := s.flight(message); f != nil {
			s.cause[id] = f.arrive
		}
	case env.DiskDone:
		s.cause[id] = s.done
	case env.Timer:
		s.cause[id] = none
	}
}

// Works implements sim.Recorder.
func (s *story) Works(id env.ID, ref uint32) {
	if !s.tells() {
		return
	}
	refs := s.disks[id]
	for len(refs) <= int(ref) {
		refs = append(refs, none)
	}
	refs[ref] = s.last()
	s.disks[id] = refs
}

// Worked implements sim.Recorder.
func (s *story) Worked(id env.ID, ref uint32, err env.Errno) {
	s.done = none
	if !s.tells() || int(ref) >= len(s.disks[id]) || s.disks[id][ref] == none {
		return
	}
	submitted := s.disks[id][ref]
	s.disks[id][ref] = none
	s.done = submitted
	op := &s.told[submitted]
	op.Until = s.world.Time()
	what := operation(op)
	kind, text := Fail, fmt.Sprintf("%s FAILS: %v", what, err)
	switch err {
	case env.NotExist, env.Exist, env.NotDir, env.NotEmpty:
		kind, text = Miss, fmt.Sprintf("%s: %v", what, err)
	case env.OK:
		path, synced := strings.CutPrefix(what, "sync ")
		if !synced {
			path, synced = strings.CutPrefix(what, "sync-directory ")
		}
		if !synced {
			return
		}
		kind, text = Durable, path+" is durable"
	}
	t := s.line(kind, int(id), "%-9s disk: %s", s.who(id), text)
	op = &s.told[submitted]
	t.Of, t.Tenant, t.Slot = submitted, op.Tenant, op.Slot
	s.done = s.last()
}

// operation returns the words of a disk operation's line.
func operation(t *Told) string {
	_, what, _ := strings.Cut(t.Text, "disk: ")
	return what
}

// Deviated implements sim.Recorder.
func (s *story) Deviated(d *chance.Deviation) {
	process := env.ID(d.Scope & (1<<48 - 1))
	what := ""
	switch d.Site {
	case chance.DiskInFlight:
		what = "of what was in flight TOOK EFFECT: "
	case chance.DiskLost:
		what = "without power LOSES "
	case chance.DiskTorn:
		what = "without power TEARS "
	case chance.DiskOld:
		what = "without power SHOWS OLD BLOCKS for "
	case chance.DiskAhead:
		what = "crashed SHOWS ZEROS behind "
	case chance.DiskEntry:
		what = "without power LOSES the name of "
	default: // of a message: Flies tells it
		s.hits[d.Site]++
		return
	}
	of, known := s.keyed[operated{process, d.Key}]
	about := fmt.Sprintf("operation %d/%x/%x/%d", d.Key.Kind, d.Key.A, d.Key.B, d.Key.Attempt)
	if known {
		about = operation(&s.told[of])
	}
	t := s.line(Chance, int(process), "%-9s disk: %s%s", s.who(process), what, about)
	if known {
		t.Of, t.Tenant, t.Slot = of, s.told[of].Tenant, s.told[of].Slot
	}
}

// damaged tells the file that rot is about to damage.
func (s *story) damaged(id env.ID, path string) {
	s.line(Chance, int(id), "%-9s disk: ROT damages %s", s.who(id), path)
}

// finish completes the story with the findings.
func (s *story) finish(findings []checker.Finding, ops []history.Op, ended int64) []Told {
	s.pass()
	s.name()
	found := make([]Told, len(findings))
	for i := range findings {
		found[i] = s.finding(&findings[i], ops, ended)
	}
	slices.SortStableFunc(found, func(a, b Told) int { return cmp.Compare(a.At, b.At) })
	return merge(s.told, found)
}

// name adds to each line of a message its number, by which a reader finds the others.
func (s *story) name() {
	for i := range s.told {
		if t := &s.told[i]; t.Message != 0 {
			t.Text += fmt.Sprintf(" [m%d]", t.Message)
		}
	}
}

// place of a finding that names no operation: its text does.
var placed = regexp.MustCompile(`tenant (\d+) slot (\d+)`)

func (s *story) finding(f *checker.Finding, ops []history.Op, ended int64) Told {
	text, _, _ := strings.Cut(f.Text, "\n")
	t := Told{
		At: f.At, About: Fault, Op: none, Kind: Object, Of: none, Process: none, Peer: none, Tenant: tenant.Reserved, Slot: none, Shard: none,
		Text: fmt.Sprintf(">>>>>>>> FINDING %s: %s", f.Fingerprint(), text),
	}
	if t.At == 0 {
		t.At = ended
	}
	if len(f.Ops) > 0 {
		op := f.Ops[len(f.Ops)-1]
		t.Tenant, t.Slot, t.Process = ops[op].Tenant, int(ops[op].Slot), int(ops[op].Client)
		if op < len(s.calls) {
			t.Of = s.calls[op]
		}
	} else if match := placed.FindStringSubmatch(f.Text); match != nil {
		id, err1 := tenant.ParseID(match[1])
		slot, err2 := strconv.Atoi(match[2])
		if err1 == nil && err2 == nil {
			t.Tenant, t.Slot = id, slot
			t.Of = s.justBefore(&t)
		}
	}
	return t
}

// justBefore is the last line that is about the slot of a finding and came at its instant.
func (s *story) justBefore(t *Told) int {
	for i := s.last(); i >= 0 && s.told[i].At >= t.At; i-- {
		if x := &s.told[i]; x.At == t.At && x.Tenant == t.Tenant && x.Slot == t.Slot {
			return i
		}
	}
	return none
}

// merge puts each finding behind all earlier events. Lines keep the lines that they follow from.
func merge(told, found []Told) []Told {
	all, moved := make([]Told, 0, len(told)+len(found)), make([]int, len(told))
	for i := range told {
		for len(found) > 0 && found[0].At < told[i].At {
			found[0].Event = told[i].Event
			all, found = append(all, found[0]), found[1:]
		}
		moved[i] = len(all)
		all = append(all, told[i])
	}
	for i := range found {
		found[i].Event = len(told)
	}
	all = append(all, found...)
	for i := range all {
		if t := &all[i]; t.Of != none {
			t.Of = moved[t.Of]
		}
	}
	return all
}
