package metalog_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The state machine under test is a few registers with compare-and-set.

const registers = 3

type registerMachine struct {
	values   [registers]uint64
	ballast  int // bytes that make a snapshot larger
	applied  func(index metalog.Index, command, result []byte)
	restored func()
}

// A command names a register, its expected value (0: any), and its new value.
func command(register byte, old, value uint64) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{register}, old)
	return binary.LittleEndian.AppendUint64(b, value)
}

// change carries out a command; its result is the value before it.
func (m *registerMachine) change(command []byte) []byte {
	r, old, value := command[0], binary.LittleEndian.Uint64(command[1:]), binary.LittleEndian.Uint64(command[9:])
	before := m.values[r]
	if old == 0 || old == before {
		m.values[r] = value
	}
	return binary.LittleEndian.AppendUint64(nil, before)
}

func (m *registerMachine) Apply(index metalog.Index, command []byte) ([]byte, error) {
	result := m.change(command)
	if m.applied != nil {
		m.applied(index, command, result)
	}
	return result, nil
}

func (m *registerMachine) Snapshot() []byte {
	b := make([]byte, 0, 8*registers+m.ballast)
	for _, v := range m.values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for i := range m.ballast {
		b = append(b, byte(i*7+i>>8))
	}
	return b
}

func (m *registerMachine) Restore(state []byte) error {
	if m.restored != nil {
		m.restored()
	}
	if len(state) != 8*registers+m.ballast {
		return fmt.Errorf("a state of %d bytes", len(state))
	}
	for i := range m.values {
		m.values[i] = binary.LittleEndian.Uint64(state[8*i:])
	}
	if string(m.Snapshot()) != string(state) {
		return errors.New("a state with another ballast")
	}
	return nil
}

// stage is a run and the observations in it.
type stage struct {
	members, clients, calls int
	ballast                 int
	think                   env.Duration // at most, between calls
	constants               metalog.Constants
	plan                    *plan.Plan
	host                    func(env.Env) env.Machine // replaces the first member, if not nil
	puppet                  func(env.Env) env.Machine // replaces the other members, if not nil

	world   sim.World
	instant int64 // counts invocations and returns
	history []*call
	busy    int // clients that are not done

	log     map[metalog.Index]entry
	chains  map[metalog.Index]uint64
	leaders map[metalog.Term]metalog.MemberID
	places  map[[8]byte]metalog.Index // of values, each written by one call
	highest metalog.Index
	damaged map[env.ID]metalog.MemberID // the member at an address when its disk was damaged
	corrupt int                         // members that stopped for a damaged file, or for an older one
	// aged: an older copy has replaced the disk, and its directory still exists.
	aged map[env.ID]bool

	directories map[env.ID]env.Nonce // by process: which it started in last

	failed     func(error)                             // is told why a member stops; may be nil
	transferAt func(st metalog.Status, to env.ID) bool // which members ask for the leadership to go round; may be nil
	installed  int                                     // snapshots that followers took from a leader
	wrong      []string
}

// founders are the data directories that the members are founded in.
func founders(n int) (directories []env.Nonce) {
	for i := range n {
		directories = append(directories, env.Nonce{A: 1, B: uint64(i)})
	}
	return directories
}

type entry struct{ command, result string }

// call is a client's request and its answer.
type call struct {
	client            env.ID
	number            uint64
	read              bool
	command           []byte
	invoked, returned int64 // returned 0: never
	place             metalog.Index
	result            string // of a read all registers
}

func (s *stage) objection(format string, operands ...any) {
	if len(s.wrong) < 5 {
		s.wrong = append(s.wrong, fmt.Sprintf(format, operands...))
	}
}

// apply compares an applied entry of one member with those of others.
func (s *stage) apply(at env.ID, index metalog.Index, command, result []byte) {
	got := entry{string(command), string(result)}
	if want, seen := s.log[index]; seen && got != want {
		s.objection("member at %d applies %x = %x at %d, another applied %x = %x", at, got.command, got.result, index, want.command, want.result)
	}
	s.log[index] = got
	value := [8]byte(command[9:])
	if first, twice := s.places[value]; twice && first != index {
		s.objection("the command at %d is applied again at %d", first, index)
	}
	s.places[value] = index
}

// look compares the status that a member shows after a Step.
func (s *stage) look(status metalog.Status) {
	if index := status.Applied.Index; index > 0 {
		if chain, seen := s.chains[index]; seen && chain != status.Applied.Chain {
			s.objection("member %s has chain %x at %d, another %x", status.Member, status.Applied.Chain, index, chain)
		}
		s.chains[index] = status.Applied.Chain
		s.highest = max(s.highest, index)
	}
	if status.Serving && status.Leader == status.Member {
		if other, twice := s.leaders[status.Term]; twice && other != status.Member {
			s.objection("%s and %s both lead in term %d", other, status.Member, status.Term)
		}
		s.leaders[status.Term] = status.Member
	}
}

// summed is a message between client and node with its checksum; intact says whether
// one arrived as it was sent.
func summed(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)) }

func intact(ev *env.Event, to byte) bool {
	n := len(ev.Data) - 4
	return n > 8 && ev.Data[0] == to && binary.LittleEndian.Uint32(ev.Data[n:]) == crc32.ChecksumIEEE(ev.Data[:n])
}

// node is a process that hosts a member and nothing else.
type node struct {
	env.Env
	stage   *stage
	machine *registerMachine
	log     *metalog.Log
	waiting []waiter
	tokens  uint64
	dead    bool
}

type waiter struct {
	client        env.ID
	number, token uint64 // token 0: a proposal
}

const (
	operatorOp   = env.OpID(7)
	toNode       = byte('n')
	toClient     = byte('c')
	pointDisk    = env.Point(0)
	pointSent    = env.Point(1)
	answered     = byte(1)
	tryElsewhere = byte(2)
)

var points = []string{"disk", "sent"}

// Submit is a fault point, so that plans can be aimed at each disk operation.
func (n *node) Submit(op env.Op) {
	n.Env.Hit(pointDisk, env.Key{B: uint64(op.Kind)})
	n.Env.Submit(op)
}

// Send is another, when the message has left.
func (n *node) Send(to env.ID, key env.Key, payload []byte) {
	n.Env.Send(to, key, payload)
	n.Env.Hit(pointSent, env.Key{B: uint64(to)})
}

func (s *stage) newNode(e env.Env) env.Machine {
	n := &node{Env: e, stage: s, machine: &registerMachine{ballast: s.ballast}}
	n.machine.applied = func(index metalog.Index, command, result []byte) { s.apply(e.Self(), index, command, result) }
	n.machine.restored = func() {
		if n.log.Status().Serving {
			s.installed++
		}
	}
	var addresses []env.ID
	for i := range s.members {
		addresses = append(addresses, env.ID(i))
	}
	n.log = metalog.New(metalog.Config{
		Dir: "meta", Cluster: 77, Addresses: addresses, Founders: founders(s.members), Machine: n.machine, Constants: s.constants,
		Seat: metalog.Seat{Prefix: 'm', Timer: 3, Op: 1000, File: 5, Key: 40},
	})
	return n
}

func (n *node) Status(st *env.Status) {
	s := n.log.Status()
	*st = env.Status{uint64(s.Member), uint64(s.Term), uint64(s.Leader), uint64(s.Applied.Index), s.Applied.Chain, uint64(s.Committed)}
}

// directory returns the data directory that a process starts in: another one, when it has
// been started and has no file.
func (s *stage) directory(e env.Env) env.Nonce {
	id := e.Self()
	if s.directories == nil {
		s.directories = map[env.ID]env.Nonce{}
	}
	last, started := s.directories[id]
	switch {
	case !started:
		last = founders(s.members)[id]
	case s.aged[id]: // the copy has the directory's name
	case s.world.Disk(id).Content("meta/log") == nil:
		last = e.Nonce()
	}
	s.directories[id] = last
	return last
}

func (n *node) Step(ev *env.Event) {
	switch {
	case ev.Kind == env.Started:
		n.log.Open(n, n.stage.directory(n))
	case n.log.Owns(ev):
		n.log.Step(n, ev)
	case ev.Kind == env.Message && intact(ev, toNode):
		n.serve(ev)
	case ev.Kind == env.DiskDone && ev.Op == operatorOp:
		n.Halt("the operator has removed a file")
	}
	for _, out := range n.log.Outcomes() {
		n.answer(out)
	}
	n.stage.look(n.log.Status())
	if err := n.log.Failure(); err != nil && !n.dead {
		n.dead = true
		if n.stage.failed != nil {
			n.stage.failed(err)
		}
		older := n.stage.aged[n.Self()]
		n.stage.aged[n.Self()] = false
		if !older && (!errors.Is(err, metalog.ErrCorrupt) || n.stage.damaged[n.Self()] == 0) {
			n.stage.objection("member at %d, which nobody has damaged, stops: %v", n.Self(), err)
		}
		n.stage.corrupt++
		n.Env.Submit(env.Op{Kind: env.OpRemove, Path: "meta/log", ID: operatorOp})
	}
}

// serve sends a client's request to the log: number, and a command or nothing to read.
func (n *node) serve(ev *env.Event) {
	w := waiter{client: ev.From, number: binary.LittleEndian.Uint64(ev.Data[1:])}
	var err error
	if command := ev.Data[9 : len(ev.Data)-4]; len(command) > 0 {
		if to := env.ID(w.number/8) % 4; n.stage.transferAt != nil && w.number%8 == 0 && n.stage.transferAt(n.log.Status(), to) {
			n.log.Transfer(n, to) // there is no member at 3
		}
		err = n.log.Propose(n, uint64(w.client), w.number, command)
	} else {
		n.tokens++
		w.token = n.tokens
		err = n.log.Read(n, w.token)
	}
	if err != nil {
		n.reply(w, tryElsewhere, 0, nil)
		return
	}
	n.waiting = append(n.waiting, w)
}

func (n *node) answer(out metalog.Outcome) {
	for i := 0; i < len(n.waiting); i++ {
		w := n.waiting[i]
		mine := w.token == 0 && !out.Read && uint64(w.client) == out.Client && w.number == out.Number || w.token != 0 && out.Read && w.token == out.Number
		if !mine {
			continue
		}
		n.waiting = append(n.waiting[:i], n.waiting[i+1:]...)
		i--
		switch {
		case out.Err != nil:
			n.reply(w, tryElsewhere, 0, nil)
		case out.Read:
			n.reply(w, answered, n.log.Status().Applied.Index, n.machine.Snapshot()[:8*registers])
		default:
			n.reply(w, answered, out.Index, out.Result)
		}
	}
}

func (n *node) reply(w waiter, how byte, index metalog.Index, result []byte) {
	b := binary.LittleEndian.AppendUint64([]byte{toClient, how}, w.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(index))
	n.Send(w.client, env.Key{Kind: 1, A: w.number, B: uint64(n.Now())}, summed(append(b, result...)))
}

// client makes one call after the other, each until it is answered.
type client struct {
	env.Env
	stage   *stage
	now     *call  // nil: it thinks
	number  uint64 // of the last call
	attempt uint32
}

func (s *stage) newClient(e env.Env) env.Machine { return &client{Env: e, stage: s} }

func (c *client) Status(st *env.Status) { st[0], st[1] = c.number, uint64(c.attempt) }

func (c *client) Step(ev *env.Event) {
	switch {
	case ev.Kind == env.Message:
		d := ev.Data
		if c.now == nil || !intact(ev, toClient) || binary.LittleEndian.Uint64(d[2:]) != c.now.number {
			return
		}
		if d[1] == tryElsewhere {
			c.SetTimer(0, c.Now().Add(20*env.Millisecond))
			return
		}
		c.stage.instant++
		c.now.returned, c.now.place, c.now.result = c.stage.instant, metalog.Index(binary.LittleEndian.Uint64(d[10:])), string(d[18:len(d)-4])
		c.think()
	case c.now != nil:
		c.ask()
	default:
		c.next()
	}
}

// think waits a while before the next call, if there is one; often not at all.
func (c *client) think() {
	c.now = nil
	if int(c.number) == c.stage.calls {
		c.stage.busy--
		c.SetTimer(0, env.Never)
		return
	}
	wait := env.Duration(0)
	if draw := c.Chance(env.Key{Kind: 3, A: c.number}); draw%4 == 0 {
		wait = env.Duration(draw >> 8 % uint64(c.stage.think))
	}
	c.SetTimer(0, c.Now().Add(wait))
}

// next invokes the next call; its number determines the request.
func (c *client) next() {
	s := c.stage
	c.number++
	draw := c.Chance(env.Key{Kind: 1, A: c.number})
	s.instant++
	c.now = &call{client: c.Self(), number: c.number, read: draw%3 == 0, invoked: s.instant}
	if !c.now.read {
		old := uint64(0)
		if draw%3 == 1 && len(s.history) > 0 { // compare with a recently written value
			old = s.history[len(s.history)-1].value()
		}
		c.now.command = command(byte(draw>>8%registers), old, uint64(c.Self())<<32|c.number)
	}
	s.history = append(s.history, c.now)
	c.attempt = uint32(draw >> 20)
	c.ask()
}

func (c *call) value() uint64 {
	if c.read {
		return 1 // a value that no client writes
	}
	return binary.LittleEndian.Uint64(c.command[9:])
}

func (c *client) ask() {
	c.attempt++
	b := binary.LittleEndian.AppendUint64([]byte{toNode}, c.now.number)
	c.Send(env.ID(int(c.attempt)%c.stage.members), env.Key{Kind: 2, A: c.now.number, Attempt: c.attempt}, summed(append(b, c.now.command...)))
	c.SetTimer(0, c.Now().Add(200*env.Millisecond))
}

// quick makes compactions and chunks happen in short runs.
var quick = metalog.Constants{
	Tick: 10 * env.Millisecond, CompactBytes: 1500, KeepEntries: 5, ChunkBytes: 200, MaxCommand: 64,
	MaxPending: 16, MaxClients: 8, Deadline: 40, PerKiB: env.Microsecond, Stall: 200 * env.Millisecond,
}

func newStage(seed uint64, members int) *stage {
	return &stage{members: members, clients: 3, calls: 20, ballast: 500, think: env.Millisecond, constants: quick, plan: &plan.Plan{
		Seed: plan.Seed(seed), Duration: 4 * int64(env.Second), Calm: 3 * int64(env.Second),
		Network: network.DefaultProfile, Disk: disk.DefaultProfile,
	}}
}

// run lets the stage live and returns whether everything finished.
func (s *stage) run(t *testing.T) sim.Outcome {
	t.Helper()
	s.log, s.chains, s.leaders = map[metalog.Index]entry{}, map[metalog.Index]uint64{}, map[metalog.Term]metalog.MemberID{}
	s.places, s.damaged = map[[8]byte]metalog.Index{}, map[env.ID]metalog.MemberID{}
	s.busy = s.clients
	s.aged = map[env.ID]bool{}
	config := sim.Config{
		Points: points, MayDamage: s.mayDamage, Damaged: s.rots,
		MayRestore: func(env.ID) bool { return true }, Wiped: func(at env.ID, restored bool) { s.aged[at] = restored },
	}
	for i := range s.members {
		program := sim.Program{Name: "member", New: s.newNode}
		if s.host != nil {
			program.New = s.host
		}
		if s.puppet != nil && i > 0 {
			program = sim.Program{Name: "puppet", New: s.puppet}
		}
		config.Programs = append(config.Programs, program)
	}
	for range s.clients {
		config.Programs = append(config.Programs, sim.Program{Name: "client", New: s.newClient})
	}
	if err := s.world.Reset(config, s.plan); err != nil {
		t.Fatal(err)
	}
	if s.puppet != nil {
		return s.world.Run(func() bool { return false })
	}
	return s.world.Run(s.finished)
}

func (s *stage) node(at env.ID) *node {
	n, _ := s.world.Machine(at).(*node)
	return n
}

// finished reports whether every call is answered and all members agree and take part.
func (s *stage) finished() bool {
	return s.busy == 0 && s.whole(s.highest)
}

// whole reports whether every member takes part and has applied the log up to index.
func (s *stage) whole(index metalog.Index) bool {
	for i := range s.members {
		n := s.node(env.ID(i))
		if n == nil {
			return false
		}
		if st := n.log.Status(); !st.Serving || st.Joining || st.Applied.Index < index || len(n.log.Members()) != s.members {
			return false
		}
	}
	return true
}

// mayDamage is the budget: one member's copy may be damaged while all others hold every applied
// entry, and no more copies until that member was replaced.
func (s *stage) mayDamage(at env.ID, _ string, from, to int64) bool {
	if !s.whole(s.highest) {
		return false
	}
	for i := range s.members {
		if s.damaged[env.ID(i)] == s.node(env.ID(i)).log.Status().Member {
			return false
		}
	}
	all := from == 0 && to == s.size(at) // it is wiped
	return all || to <= s.node(at).log.Confirmed()
}

// rots records which member's file is being damaged.
func (s *stage) rots(at env.ID, _ string) { s.damaged[at] = s.node(at).log.Status().Member }

// size is that of the file, 0 if there is none.
func (s *stage) size(at env.ID) int64 {
	for _, f := range s.world.Disk(at).Files() {
		if f.Path == "meta/log" {
			return f.Size
		}
	}
	return 0
}

// verify judges the run: the clients' answers must follow from the log, in an order that fits their
// invocations.
func (s *stage) verify(t *testing.T, out sim.Outcome) {
	t.Helper()
	if !out.Done {
		for i := range s.members {
			if n := s.node(env.ID(i)); n != nil {
				t.Logf("%v: %+v of %v", n.log, n.log.Status(), n.log.Members())
			}
		}
		s.objection("%d clients wait at the end of the calm part, or the members do not agree", s.busy)
	}
	s.judge()
	for _, w := range s.wrong {
		t.Errorf("seed %s: %s\n%q", s.plan.Seed, w, s.plan.Disruptions)
	}
}

// judge replays the log in order and compares it with the calls.
func (s *stage) judge() {
	states := make([]registerMachine, s.highest+1)
	var m registerMachine
	for i := metalog.Index(1); i <= s.highest; i++ {
		if e, ok := s.log[i]; ok {
			if result := m.change([]byte(e.command)); string(result) != e.result {
				s.objection("the result at %d is %x, the log before it gives %x", i, e.result, result)
			}
		}
		states[i] = m
	}
	for _, c := range s.history {
		switch {
		case c.returned == 0:
		case c.place == 0 || c.place > s.highest:
			s.objection("call %d of %d was answered with place %d of %d", c.number, c.client, c.place, s.highest)
		case c.read:
			if want := string(states[c.place].Snapshot()); want != c.result {
				s.objection("a read at %d returned %x, want %x", c.place, c.result, want)
			}
		case s.log[c.place] != entry{string(c.command), c.result}:
			s.objection("call %d of %d was answered with place %d, where %x is", c.number, c.client, c.place, s.log[c.place])
		}
	}
	s.ordered()
}

// ordered checks that a call takes its place behind all that had returned before it
// was invoked; with the replay that is linearizability.
func (s *stage) ordered() {
	rank := func(c *call) uint64 {
		if c.read {
			return 2*uint64(c.place) + 1
		}
		return 2 * uint64(c.place)
	}
	returns := make(map[int64]*call, len(s.history))
	invocations := make(map[int64]*call, len(s.history))
	for _, c := range s.history {
		invocations[c.invoked] = c
		if c.returned > 0 {
			returns[c.returned] = c
		}
	}
	behind := uint64(0)
	floor := map[*call]uint64{}
	for i := int64(1); i <= s.instant; i++ {
		if c := invocations[i]; c != nil {
			floor[c] = behind
		}
		if c := returns[i]; c != nil {
			if rank(c) < floor[c] {
				s.objection("call %d of %d took place %d (read: %v), though %d had returned before it was invoked", c.number, c.client, c.place, c.read, floor[c]/2)
			}
			behind = max(behind, rank(c))
		}
	}
}

// trouble draws disruptions of the members.
func (s *stage) trouble(rng *rand.Rand) {
	ms := int64(env.Millisecond)
	kinds := []plan.Kind{
		plan.Kill, plan.Power, plan.Power, plan.Pause, plan.CutDrop, plan.CutHold, plan.CutInto, plan.CutOutOf, plan.HoldInto,
		plan.SlowDisk, plan.Stall, plan.DiskFull, plan.SyncFail, plan.WriteFail, plan.Wipe, plan.Rot, plan.MonoStep, plan.Drift,
	}
	for range 1 + rng.IntN(8) {
		d := plan.Disruption{
			Kind: kinds[rng.IntN(len(kinds))], Process: uint32(rng.IntN(s.members)), Peer: -1,
			When: plan.Anchor{At: rng.Int64N(1500 * ms)},
		}
		if rng.IntN(2) == 0 {
			d.When.Point, d.When.Nth = "disk", uint32(1+rng.IntN(12))
		} else if rng.IntN(2) == 0 {
			d.When.Unsynced, d.When.Nth = true, uint32(1+rng.IntN(20))
		}
		switch d.Kind {
		case plan.Rot:
			d.Files, d.Amount = "log", rng.Int64N(2)
		case plan.MonoStep:
			d.Amount = rng.Int64N(500 * ms)
		case plan.SlowDisk:
			d.Amount = 1 + rng.Int64N(100)
		case plan.Drift:
			d.Amount = rng.Int64N(100_000) - 50_000
		case plan.SyncFail, plan.WriteFail:
			d.Amount = 1
		}
		if d.Kind == plan.Rot {
			d.When = plan.Anchor{At: d.When.At}
		}
		if d.Kind != plan.Rot && d.Kind != plan.MonoStep {
			d.For = 1 + rng.Int64N(800*ms)
		}
		if d.Kind.OfLinks() && rng.IntN(2) == 0 {
			d.Peer = int64((int(d.Process) + 1 + rng.IntN(s.members-1)) % s.members)
		}
		s.plan.Disruptions = append(s.plan.Disruptions, d)
		if d.Kind == plan.Rot { // it is found when the file is read
			again := plan.Disruption{Kind: plan.Kill, Process: d.Process, When: plan.Anchor{At: d.When.At + 1}, For: d.For + 1}
			s.plan.Disruptions = append(s.plan.Disruptions, again)
		}
	}
}
