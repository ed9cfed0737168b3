package transcript

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Command does a command of a script, given the rest of its line.
type Command func(rest string) error

// Role is the machine of a transcript, and its Env, which rests on a Stage.
type Role interface {
	env.Env
	// Kind is the word after start: node, client.
	Kind() string
	// Start makes the machine. The placements of the stage are complete.
	Start() error
	// Step hands an event to the machine, and says the results.
	Step(ev *env.Event)
	// Stop drops the machine and all that dies with its process.
	Stop()
	// Sets are the commands of the role that set the stage, by their first word.
	Sets() map[string]Command
	// Tells are the commands of the role to a process that runs, by their first word.
	Tells() map[string]Command
	// FillIn gives the fields of a message of a peer values, but for those that the script names.
	FillIn(peer env.ID, m *wire.Message, named []Pair)
	// Sent says that the machine sends a message, and keeps it for FillIn.
	Sent(to env.ID, key env.Key, m *wire.Message)
}

// Stage is the world of one machine, scripted. It is the part of env.Env that is the same for
// every role.
type Stage struct {
	Placements  []placement.Entry
	Incarnation env.Incarnation
	Lines       []string // that answer the command under way

	role    Role
	self    env.ID
	running bool
	halted  bool
	now     env.Time
	timers  [env.MaxTimers]env.Time
	chance  uint64
}

// New returns an empty stage for a role that rests on it.
func New(role func(*Stage) Role) *Stage {
	s := &Stage{}
	s.role = role(s)
	return s
}

// MostEvents bounds the events that one command leads to.
const MostEvents = 1000

// Say writes a line.
func (s *Stage) Say(format string, operands ...any) {
	s.Lines = append(s.Lines, fmt.Sprintf(format, operands...))
}

// Running reports whether a process runs.
func (s *Stage) Running() bool { return s.running }

// Halted reports whether the machine has asked for its end. All that it asks after that is void.
func (s *Stage) Halted() bool { return s.halted }

// Timer returns the instant of a timer.
func (s *Stage) Timer(id env.TimerID) env.Time { return s.timers[id] }

// Attempt does a command. An assertion that fails is an error like others.
func (s *Stage) Attempt(command string) (err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("panic: %v", failure)
		}
	}()
	return s.do(command)
}

// perform does a command and returns the lines that it leads to.
func (s *Stage) perform(command string) ([]string, error) {
	s.Lines = nil
	err := s.Attempt(command)
	return s.Lines, err
}

func (s *Stage) do(command string) error {
	verb, rest, _ := strings.Cut(command, " ")
	sets := map[string]Command{"place": s.place, "start": s.start}
	tells := map[string]Command{
		"advance": s.advance, "from": s.from, "chance": NumberInto(&s.chance), "kill": func(string) error { s.kill(); return nil },
	}
	for _, known := range [...]map[string]Command{sets, s.role.Sets()} {
		if set := known[verb]; set != nil {
			return set(rest)
		}
	}
	for _, known := range [...]map[string]Command{tells, s.role.Tells()} {
		switch tell := known[verb]; {
		case tell == nil:
		case !s.running:
			return errors.New("no process runs; start one")
		default:
			return tell(rest)
		}
	}
	return errors.New("no such command")
}

// place adds a slot to the placements.
func (s *Stage) place(rest string) error {
	p := placement.Entry{Shard: 1, Epoch: 1, Node: 1}
	c := &p.Tenant
	c.ID, c.Version, c.Limits.Rate = 1, 1, 1000
	err := Assign(rest, map[string]func(string) error{
		"tenant": NumberInto(&c.ID), "slot": NumberInto(&p.Slot), "shard": NumberInto(&p.Shard), "node": NumberInto(&p.Node),
		"placement": NumberInto(&p.Epoch), "version": NumberInto(&c.Version), "rate": NumberInto(&c.Limits.Rate),
		"burst": NumberInto(&c.Limits.Burst), "entities": NumberInto(&c.Limits.Entities), "bytes": NumberInto(&c.Limits.Bytes),
	})
	s.Placements = append(s.Placements, p)
	return err
}

// start begins the next incarnation of the process.
func (s *Stage) start(process string) error {
	kind, number, _ := strings.Cut(process, " ")
	if s.running {
		return errors.New("a process runs")
	}
	if err := NumberInto(&s.self)(number); err != nil {
		return err
	}
	if kind != s.role.Kind() {
		return fmt.Errorf("want %s", s.role.Kind())
	}
	s.Incarnation++
	s.now, s.halted = 0, false
	for i := range s.timers {
		s.timers[i] = env.Never
	}
	if err := s.role.Start(); err != nil {
		return err
	}
	s.running = true
	s.Tell(&env.Event{Kind: env.Started})
	return nil
}

func (s *Stage) kill() {
	s.running = false
	s.role.Stop()
}

// Tell gives the machine an event.
func (s *Stage) Tell(ev *env.Event) {
	if ev.Kind != env.Message {
		ev.At = s.now
	}
	if s.running {
		s.role.Step(ev)
	}
	for i := range ev.Data {
		ev.Data[i] = 0xee // it is valid during the step only
	}
	if s.halted {
		s.kill()
	}
}

// advance lets time pass; timers fire on the way.
func (s *Stage) advance(rest string) error {
	var d env.Duration
	if err := DurationInto(&d)(rest); err != nil {
		return err
	}
	fired := 0
	for end := s.now.Add(d); s.running; fired++ {
		if fired > MostEvents {
			return fmt.Errorf("timers fire without end; it is %s", Instant(s.now))
		}
		first := 0
		for i, at := range s.timers {
			if at < s.timers[first] {
				first = i
			}
		}
		at := s.timers[first]
		if at > end {
			s.now = end
			break
		}
		s.now = max(s.now, at)
		s.timers[first] = env.Never
		s.Say("fires: timer %d %s", first, Instant(s.now))
		s.Tell(&env.Event{Kind: env.Timer, Timer: env.TimerID(first)})
	}
	return nil
}

// from hands a message of a peer to the machine: "client 7: hello nonce 1".
func (s *Stage) from(rest string) error {
	sender, said, _ := strings.Cut(rest, ": ")
	words := append(strings.Fields(sender), "", "", "", "")
	var peer env.ID
	var late env.Duration
	err := NumberInto(&peer)(words[1])
	if err == nil && words[2] == "late" {
		err = DurationInto(&late)(words[3])
	}
	if err != nil {
		return err
	}
	payload := []byte("damaged")
	if said != "damaged" {
		if payload, err = s.compose(peer, said); err != nil {
			return err
		}
	}
	s.Tell(&env.Event{Kind: env.Message, From: peer, Data: payload, At: s.now - env.Time(late)})
	return nil
}

// The methods of env.Env that are the same for every role.

// Self is the address that the script starts.
func (s *Stage) Self() env.ID { return s.self }

// Now is the instant that the script has come to.
func (s *Stage) Now() env.Time { return s.now }

// Wall is always 0.
func (s *Stage) Wall() env.WallTime { return 0 }

// Free is more than a script fills.
func (s *Stage) Free() int64 { return 1 << 40 }

// Chance is the number that the script sets.
func (s *Stage) Chance(env.Key) uint64 { return s.chance }

// SetTimer sets a timer, and says so.
func (s *Stage) SetTimer(id env.TimerID, at env.Time) {
	if s.halted {
		return
	}
	s.timers[id] = at
	s.Say("timer %d %s", id, Instant(at))
}

// Charge says the cost, unless it is 0.
func (s *Stage) Charge(cost env.Duration) {
	if cost > 0 && !s.halted {
		s.Say("charge %s", Span(cost))
	}
}

// Send gives the message to the role, which says it.
func (s *Stage) Send(to env.ID, key env.Key, payload []byte) {
	if s.halted {
		return
	}
	var m wire.Message
	if err := wire.Decode(payload, &m); err != nil {
		panic(fmt.Sprintf("a message to %d cannot be read: %v", to, err))
	}
	s.role.Sent(to, key, &m)
}

// Halt says the reason. The process dies after the Step.
func (s *Stage) Halt(reason string) {
	if !s.halted {
		s.Say("halt: %s", reason)
	}
	s.halted = true
}
