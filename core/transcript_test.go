//go:build !production

package core_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// The manners of Node and Client are written down in testdata/transcripts: what a
// machine is told, and everything that it asks of its Env in answer. A transcript
// is text:
//
//	# a comment: why this step is here
//	a command
//	  what the machine asked, one line each, in order: written by -rewrite
//
// go test ./core -run Transcripts -rewrite writes those lines anew. Commit them only
// with a difference that you can explain.
//
// Commands that set the stage:
//
//	place tenant 1 slot 0 shard 1 node 1 rate 1000 burst 5 entities 3 bytes 500 version 1 placement 1
//	    what is left out: slot 0, shard 1, node 1, rate and burst 1000, version 1, placement 1, no caps
//	constants segment 512 snapshot 4096 sessions 4 pending 8 queued 4 check 0s append 0s
//	    what is left out is as in large and free, below
//	start node 1, start client 7    the next incarnation, at instant 0, on the disk as it is
//	kill                            the process dies; what was completed stays on its disk
//
// Commands that tell the machine something:
//
//	advance 5ms                     the clock goes on; timers fire at their instants
//	from client 7: write session 3 request 1 entity 9
//	from client 7 late 1us: ...     it reached the input queue 1 us ago: the node is busy
//	from client 7: damaged          bytes that are no message
//	from node 1: ack frame 2 seq 9
//	    A field that is not named is 0, with these exceptions. To a node: tenant 1,
//	    placement 1, the connection that it welcomed last, the next frame. To a
//	    client: what the frame that is answered carried; of a welcome the nonce of
//	    the last hello, of a reset the connection of the last frame.
//	disk: complete, disk: complete 3, disk: complete all
//	    operations complete in the order of submission; all includes what is asked meanwhile
//	disk: fail sync with input/output error    the next one of that kind to complete does
//	disk: full, disk: room          nothing, everything fits
//	disk: cut PATH by 10, disk: damage PATH at 40    what a crash or rot left; the process is down
//	write tenant 1 entity 9, put, delete, read       calls of a client
//	chance 9223372036854775808      what every Chance is from now on; 0 at first
//
// Commands that look: slots (the phase of each), disk: list PATH.
//
// A command after the word "quietly" does its work and its lines are left out.
//
// What was asked, in words: send, disk, timer, charge, hit (a fault point), halt;
// what the machine returned: call, result; what the stage did: done (a disk
// operation completed), fires (a timer). Fields that are 0 are left out; a
// connection is written incarnation/nonce. Not shown are keys, but for attempts of
// a client, and List, Free and Chance, which ask for nothing. A production build has
// no fault points, so it plays no transcripts.

// step is one line of a transcript and what was asked because of it.
type step struct {
	line      int
	text      string // a comment, a command or nothing
	want, got []string
}

func (s *step) isCommand() bool { return s.text != "" && s.text[0] != '#' }

const indent = "  "

// parse cuts a transcript into steps.
func parse(name, text string) ([]step, error) {
	var steps []step
	commands := false
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		asked, isAsked := strings.CutPrefix(line, indent)
		last := len(steps) - 1
		switch {
		case !isAsked:
			steps = append(steps, step{line: i + 1, text: line})
			commands = commands || steps[len(steps)-1].isCommand()
		case last < 0 || !steps[last].isCommand():
			return nil, fmt.Errorf("%s:%d: %q is indented and follows no command", name, i+1, asked)
		default:
			steps[last].want = append(steps[last].want, asked)
		}
	}
	if !commands {
		return nil, fmt.Errorf("%s:1: no command in it", name)
	}
	return steps, nil
}

// play does what the commands say. Errors name file and line.
func play(name string, steps []step) error {
	s := newStage()
	for i := range steps {
		step := &steps[i]
		if !step.isCommand() {
			continue
		}
		s.lines = nil
		command, quietly := strings.CutPrefix(step.text, "quietly ")
		if err := s.attempt(command); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", name, step.line, step.text, err)
		}
		if !quietly {
			step.got = s.lines
		}
	}
	return nil
}

// differences lists the commands after which something else was asked.
func differences(name string, steps []step) (list []string) {
	for i := range steps {
		if s := &steps[i]; !cmp.Equal(s.want, s.got) {
			list = append(list, fmt.Sprintf("%s:%d: %s (-transcript +asked):\n%s", name, s.line, s.text, cmp.Diff(s.want, s.got)))
		}
	}
	return list
}

// render is the inverse of parse, with what was asked.
func render(steps []step) string {
	var b strings.Builder
	for i := range steps {
		b.WriteString(steps[i].text + "\n")
		for _, line := range steps[i].got {
			b.WriteString(indent + line + "\n")
		}
	}
	return b.String()
}

// rewriteTranscripts is the flag -rewrite, which a test of bytes may have declared.
var rewriteTranscripts = func() *flag.Flag {
	if flag.Lookup("rewrite") == nil {
		flag.Bool("rewrite", false, "write golden files anew; right only with a difference that you can explain")
	}
	return flag.Lookup("rewrite")
}()

var errRewriteInCI = errors.New("-rewrite with CI set: what is rewritten there nobody reads; rewrite on your own machine and commit")

// mayRewrite reports whether transcripts are to be written anew.
func mayRewrite(flag, ci string) (bool, error) {
	if flag != "true" {
		return false, nil
	}
	if ci != "" && ci != "false" {
		return false, errRewriteInCI
	}
	return true, nil
}

func TestTranscripts(t *testing.T) {
	rewrite, err := mayRewrite(rewriteTranscripts.Value.String(), os.Getenv("CI"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("transcripts: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			steps, err := parse(file, string(text))
			if err == nil {
				err = play(file, steps)
			}
			if err != nil {
				t.Fatal(err)
			}
			if rewrite {
				if err := os.WriteFile(file, []byte(render(steps)), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, difference := range differences(file, steps) {
				t.Error(difference)
			}
		})
	}
}

// A transcript that cannot be played, or that is not what happens, says where.
func TestTranscriptsSayWhere(t *testing.T) {
	const begun = "place\nquietly start client 7\n"
	for text, want := range map[string]string{
		"  timer 0 off":                          `t:1: "timer 0 off" is indented and follows no command`,
		"":                                       "t:1: no command in it",
		"# why\n":                                "t:1: no command in it",
		"# why\n\njump":                          "t:3: jump: no such command",
		begun + "advance 5":                      `t:3: advance 5: time: missing unit in duration "5"`,
		"advance 5ms":                            "t:1: advance 5ms: no process runs; start one",
		"place tenant":                           "t:1: place tenant: tenant has no value",
		"place colour 3":                         "t:1: place colour 3: colour is unknown here",
		begun + "from node 1: shout":             "t:3: from node 1: shout: no such message",
		begun + "from node 1: welcome colour 3":  "t:3: from node 1: welcome colour 3: a message has no colour",
		begun + "from node 1: welcome session 3": "t:3: from node 1: welcome session 3: a welcome does not carry all of that",
		begun + "from node 1: refusal code strange": "t:3: from node 1: refusal code strange: no code is called strange",
		begun + "disk: complete many":               `t:3: disk: complete many: strconv.ParseUint: parsing "many": invalid syntax`,
		begun + "disk: explode":                     "t:3: disk: explode: a disk cannot",
		begun + "disk: fail sync with bad luck":     "t:3: disk: fail sync with bad luck: no such operation or error",
		"start client 7\n  timer 0 at 3ms":          "t:1: start client 7 (-transcript +asked)",
	} {
		steps, err := parse("t", text+"\n")
		if err == nil {
			err = play("t", steps)
		}
		got := strings.Join(differences("t", steps), "")
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s\nwant %s", text, got, want)
		}
	}
}

func TestRewriteIsRefusedInCI(t *testing.T) {
	for _, c := range []struct {
		flag, ci string
		want     bool
		err      error
	}{
		{"false", "", false, nil},
		{"false", "true", false, nil},
		{"true", "", true, nil},
		{"true", "false", true, nil},
		{"true", "true", false, errRewriteInCI},
		{"true", "1", false, errRewriteInCI},
	} {
		if got, err := mayRewrite(c.flag, c.ci); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("-rewrite=%s CI=%q: %t, %v; want %t, %v", c.flag, c.ci, got, err, c.want, c.err)
		}
	}
}

// large and free are constants that never matter.
var largeAndFree = replica.Constants{SegmentSize: 1 << 20, SnapshotEvery: 1 << 20, MaxSessions: 16, MaxPending: 64, MaxQueued: 64}

// stage is the world of one machine, scripted. It implements env.Env.
type stage struct {
	cluster     core.Cluster
	node        *core.Node   // nil: no node runs
	client      *core.Client // nil: no client runs
	self        env.ID
	incarnation env.Incarnation
	isNode      bool // what was started last
	now         env.Time
	timers      [env.MaxTimers]env.Time
	chance      uint64
	disk        scriptedDisk
	talks       map[env.ID]*talk // by peer
	lines       []string         // what was asked in the command under way
	halted      bool
}

// talk is what the stage remembers of the conversation with a peer, to fill in
// what a script leaves out.
type talk struct {
	conn, frame uint64                  // a node's peer: of its connection, of the last frame
	hello       wire.Message            // a client's peer: the last one
	sent        map[uint64]wire.Message // a client's peer: by frame
}

func newStage() *stage {
	return &stage{cluster: core.Cluster{Constants: largeAndFree}, disk: newScriptedDisk(), talks: map[env.ID]*talk{}}
}

func (s *stage) talkWith(peer env.ID) *talk {
	if s.talks[peer] == nil {
		s.talks[peer] = &talk{sent: map[uint64]wire.Message{}}
	}
	return s.talks[peer]
}

func (s *stage) say(format string, operands ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, operands...))
}

// attempt does a command; that an assertion fails is an error like others.
func (s *stage) attempt(command string) (err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("panic: %v", failure)
		}
	}()
	return s.do(command)
}

func (s *stage) running() bool { return s.node != nil || s.client != nil }

func (s *stage) do(command string) error {
	verb, rest, _ := strings.Cut(command, " ")
	switch verb {
	case "place":
		return s.place(rest)
	case "constants":
		return s.constants(rest)
	case "start":
		return s.start(rest)
	}
	if disk, isDisk := strings.CutPrefix(command, "disk: "); isDisk {
		return s.doDisk(disk)
	}
	known := strings.Contains(" advance from kill slots chance write put delete read ", " "+verb+" ")
	switch {
	case !known:
		return errors.New("no such command")
	case !s.running():
		return errors.New("no process runs; start one")
	}
	switch verb {
	case "advance":
		return s.advance(rest)
	case "from":
		return s.from(rest)
	case "kill":
		s.kill()
	case "slots":
		return s.slots()
	case "chance":
		return numberInto(&s.chance)(rest)
	default:
		return s.call(verb, rest)
	}
	return nil
}

// start begins the next incarnation of the process.
func (s *stage) start(who string) error {
	kind, number, _ := strings.Cut(who, " ")
	if s.running() {
		return errors.New("a process runs")
	}
	if err := numberInto(&s.self)(number); err != nil {
		return err
	}
	s.incarnation++
	s.isNode = kind == "node"
	s.now, s.halted, s.talks = 0, false, map[env.ID]*talk{}
	for i := range s.timers {
		s.timers[i] = env.Never
	}
	s.cluster.Index()
	if err := s.cluster.Validate(); err != nil {
		return err
	}
	switch kind {
	case "node":
		s.node = core.NewNode(s, &s.cluster)
	case "client":
		s.client = core.NewClient(s, &s.cluster, core.DefaultPatience)
	default:
		return errors.New("want node or client")
	}
	s.tell(&env.Event{Kind: env.Started})
	return nil
}

func (s *stage) kill() {
	s.node, s.client = nil, nil
	s.disk.queue, s.disk.handles = nil, map[env.File]*scriptedFile{}
}

// tell gives the machine an event and shows what it returns.
func (s *stage) tell(ev *env.Event) {
	if ev.Kind != env.Message {
		ev.At = s.now
	}
	if s.node != nil {
		s.node.Step(ev)
	} else if s.client != nil {
		for _, r := range s.client.Step(ev) {
			s.say("result call %d: %s", r.Call, outcomeInWords(&r))
		}
	}
	for i := range ev.Data {
		ev.Data[i] = 0xee // it is valid during the step only
	}
	if s.halted {
		s.kill()
	}
}

// advance lets time pass; timers fire on the way.
func (s *stage) advance(span string) error {
	var d env.Duration
	if err := durationInto(&d)(span); err != nil {
		return err
	}
	fired := 0
	for end := s.now.Add(d); s.running(); fired++ {
		if fired > mostEvents {
			return fmt.Errorf("timers fire without end; it is %s", instant(s.now))
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
		s.say("fires: timer %d %s", first, instant(s.now))
		s.tell(&env.Event{Kind: env.Timer, Timer: env.TimerID(first)})
	}
	return nil
}

// from hands a message of a peer to the machine: "client 7: hello nonce 1".
func (s *stage) from(rest string) error {
	who, said, _ := strings.Cut(rest, ": ")
	words := append(strings.Fields(who), "", "", "", "")
	var peer env.ID
	var late env.Duration
	err := numberInto(&peer)(words[1])
	if err == nil && words[2] == "late" {
		err = durationInto(&late)(words[3])
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
	s.tell(&env.Event{Kind: env.Message, From: peer, Data: payload, At: s.now - env.Time(late)})
	return nil
}

// compose makes the bytes of a message from words, and fills in what is left out.
func (s *stage) compose(peer env.ID, said string) ([]byte, error) {
	kind, rest, _ := strings.Cut(said, " ")
	m := wire.Message{}
	for k, name := range wire.KindNames() {
		if name == kind && k > 0 {
			m.Kind = wire.Kind(k)
		}
	}
	if m.Kind == 0 {
		return nil, errors.New("no such message")
	}
	named, err := pairs(rest)
	if err != nil {
		return nil, err
	}
	s.fillIn(peer, &m, named)
	for _, pair := range named {
		i := indexOf(fieldsOf(&m), pair[0])
		if i < 0 {
			return nil, fmt.Errorf("a message has no %s", pair[0])
		}
		if err := fieldsOf(&m)[i].set(pair[1]); err != nil {
			return nil, err
		}
	}
	payload := wire.Append(nil, &m)
	var carried wire.Message
	if err := wire.Decode(payload, &carried); err != nil {
		return nil, err
	}
	for _, pair := range named {
		if i := indexOf(fieldsOf(&m), pair[0]); fieldsOf(&carried)[i].show() != fieldsOf(&m)[i].show() {
			return nil, fmt.Errorf("a %s does not carry all of that", kind)
		}
	}
	return payload, nil
}

// fillIn gives fields that a script leaves out their values.
func (s *stage) fillIn(peer env.ID, m *wire.Message, named [][2]string) {
	t := s.talkWith(peer)
	if s.node != nil {
		m.Tenant, m.Placement, m.Conn = 1, 1, t.conn
		if m.Kind != wire.Hello && indexOfPair(named, "frame") < 0 {
			t.frame++
		}
		m.Frame = t.frame
		return
	}
	switch m.Kind {
	case wire.Welcome:
		m.Nonce = t.hello.Nonce
	case wire.Reset:
		for _, sent := range t.sent {
			m.Conn = max(m.Conn, sent.Conn)
		}
	default:
		var frame uint64
		if i := indexOfPair(named, "frame"); i >= 0 {
			frame, _ = strconv.ParseUint(named[i][1], 10, 64) // set says what is wrong with it
		}
		kind := m.Kind
		*m = t.sent[frame]
		m.Kind = kind
	}
}

// The methods of env.Env.

func (s *stage) Self() env.ID { return s.self }

// Nonce counts the starts, so that transcripts are the same each time: connections of a node
// are incarnation/1 and so on, nonces of a client begin with incarnation<<20.
func (s *stage) Nonce() env.Nonce {
	if s.isNode {
		return env.Nonce{A: uint64(s.incarnation) << 32, B: 1}
	}
	return env.Nonce{A: uint64(s.incarnation) << 20}
}
func (s *stage) Now() env.Time            { return s.now }
func (s *stage) Wall() env.WallTime       { return 0 }
func (s *stage) Free() int64              { return 1 << 40 }
func (s *stage) Chance(env.Key) uint64    { return s.chance }
func (s *stage) List(dir string) []string { return s.disk.list(dir) }

func (s *stage) SetTimer(id env.TimerID, at env.Time) {
	if s.halted {
		return
	}
	s.timers[id] = at
	s.say("timer %d %s", id, instant(at))
}

func (s *stage) Charge(cost env.Duration) {
	if cost > 0 && !s.halted {
		s.say("charge %s", span(cost))
	}
}

func (s *stage) Send(to env.ID, key env.Key, payload []byte) {
	if s.halted {
		return
	}
	var m wire.Message
	if err := wire.Decode(payload, &m); err != nil {
		panic(fmt.Sprintf("what is sent to %d cannot be read: %v", to, err))
	}
	t := s.talkWith(to)
	if s.node != nil {
		if m.Kind == wire.Welcome && m.Conn != t.conn {
			t.conn, t.frame = m.Conn, 0
		}
		s.say("send to client %d: %s", to, inWords(&m))
		return
	}
	attempt := ""
	if key.Attempt > 0 {
		attempt = fmt.Sprintf(" (attempt %d)", key.Attempt+1)
	}
	if m.Kind == wire.Hello {
		t.hello = m
	} else {
		t.sent[m.Frame] = m
	}
	s.say("send to node %d: %s%s", to, inWords(&m), attempt)
}

func (s *stage) Submit(op env.Op) {
	if s.halted {
		return
	}
	op.Data = append([]byte(nil), op.Data...)
	s.disk.queue = append(s.disk.queue, op)
	s.say("disk: %s%s", opInWords(&op), recordsInWords(op.Data))
}

func (s *stage) Hit(p env.Point, key env.Key) (env.Action, bool) {
	if s.halted {
		return env.ActNone, true
	}
	what := "hit " + fault.Name(p)
	if key.A != uint64(tenant.Reserved) {
		what += fmt.Sprintf(" tenant %d", key.A)
	}
	if key.Kind != 0 {
		what += fmt.Sprintf(" slot %d", key.Kind)
	}
	if key.B != 0 {
		what += fmt.Sprintf(" at %d", key.B)
	}
	s.say("%s", what)
	return env.ActNone, true
}

func (s *stage) Halt(reason string) {
	if !s.halted {
		s.say("halt: %s", reason)
	}
	s.halted = true
}

// Words.

// pairs cuts "name value name value".
func pairs(text string) (list [][2]string, err error) {
	words := strings.Fields(text)
	for len(words) > 1 {
		list = append(list, [2]string{words[0], words[1]})
		words = words[2:]
	}
	if len(words) > 0 {
		return nil, fmt.Errorf("%s has no value", words[0])
	}
	return list, nil
}

func indexOfPair(list [][2]string, name string) int {
	for i := range list {
		if list[i][0] == name {
			return i
		}
	}
	return -1
}

// assign sets what pairs name.
func assign(text string, setters map[string]func(string) error) error {
	list, err := pairs(text)
	if err != nil {
		return err
	}
	for _, pair := range list {
		set, ok := setters[pair[0]]
		if !ok {
			return fmt.Errorf("%s is unknown here", pair[0])
		}
		if err := set(pair[1]); err != nil {
			return err
		}
	}
	return nil
}

type integer interface {
	~int | ~int32 | ~int64 | ~uint8 | ~uint32 | ~uint64
}

func numberInto[T integer](p *T) func(string) error {
	return func(word string) error {
		n, err := strconv.ParseUint(word, 10, 64)
		*p = T(n)
		return err
	}
}

func durationInto(p *env.Duration) func(string) error {
	return func(word string) error {
		d, err := time.ParseDuration(word)
		*p = env.Duration(d)
		return err
	}
}

func span(d env.Duration) string { return time.Duration(d).String() }

func instant(t env.Time) string {
	if t == env.Never {
		return "off"
	}
	return "at " + span(env.Duration(t))
}

// field is one field of a message in words; "" is zero.
type field struct {
	name string
	show func() string
	set  func(string) error
}

func indexOf(fields []field, name string) int {
	for i := range fields {
		if fields[i].name == name {
			return i
		}
	}
	return -1
}

func numeric[T integer](name string, p *T) field {
	return field{name, func() string {
		if *p == 0 {
			return ""
		}
		return fmt.Sprint(*p)
	}, numberInto(p)}
}

// fieldsOf is the table of the fields of a message, in the order in which they are
// shown.
func fieldsOf(m *wire.Message) []field {
	entity := &m.Entity
	if m.Kind == wire.Write {
		entity = &m.Signal.Entity
	}
	return []field{
		{"command", func() string { return orNothing(m.Command != 0, m.Command.String()) }, nil},
		{"conn", func() string { return orNothing(m.Conn != 0, fmt.Sprintf("%d/%d", m.Conn>>32, m.Conn&(1<<32-1))) }, connInto(&m.Conn)},
		numeric("frame", &m.Frame), numeric("tenant", &m.Tenant), numeric("slot", &m.Slot), numeric("placement", &m.Placement),
		numeric("nonce", &m.Nonce), numeric("session", &m.Session), numeric("request", &m.Request), numeric("floor", &m.Floor),
		numeric("entity", entity), numeric("kind", &m.Signal.Kind), numeric("weight", &m.Signal.Weight), numeric("seq", &m.Seq),
		{"code", func() string { return orNothing(m.Code != 0, m.Code.String()) }, codeInto(&m.Code)},
		numeric("resource", (*uint8)(&m.Quota.Resource)), numeric("limit", &m.Quota.Limit), numeric("used", &m.Quota.Used),
		{"retry", func() string { return orNothing(m.Quota.RetryAfter != 0, span(m.Quota.RetryAfter)) }, durationInto(&m.Quota.RetryAfter)},
		numeric("field", &m.BadField.Field), numeric("value", &m.BadField.Value), numeric("in-force", &m.Outdated.Version),
		numeric("shard", &m.Shard), numeric("base", &m.Base), numeric("version", &m.Version),
		numeric("rate", &m.Limits.Rate), numeric("burst", &m.Limits.Burst), numeric("entities", &m.Limits.Entities), numeric("bytes", &m.Limits.Bytes),
		numeric("last", &m.State.LastSeq),
		{"totals", func() string { return totalsInWords(&m.State) }, nil},
	}
}

func orNothing(there bool, text string) string {
	if there {
		return text
	}
	return ""
}

// connInto reads a connection's number, incarnation/nonce.
func connInto(p *uint64) func(string) error {
	return func(word string) error {
		var incarnation, nonce uint64
		_, err := fmt.Sscanf(word, "%d/%d", &incarnation, &nonce)
		*p = incarnation<<32 | nonce
		return err
	}
}

func codeInto(p *wire.Code) func(string) error {
	return func(word string) error {
		for c := range wire.Code(255) {
			if c.String() == word {
				*p = c
				return nil
			}
		}
		return fmt.Errorf("no code is called %s", word)
	}
}

func inWords(m *wire.Message) string {
	text := m.Kind.String()
	for _, f := range fieldsOf(m) {
		if shown := f.show(); shown != "" {
			text += " " + f.name + " " + shown
		}
	}
	if m.Code == wire.QuotaExceeded {
		text += " (" + m.Quota.Resource.String() + ")"
	}
	return text
}

func totalsInWords(s *signal.State) string {
	var words []string
	for kind, t := range s.Totals {
		if t.Count > 0 {
			words = append(words, fmt.Sprintf("%d:%dx=%d", kind, t.Count, t.Weight))
		}
	}
	return strings.Join(words, ",")
}

func opInWords(op *env.Op) string {
	name := op.Kind.String()
	switch op.Kind {
	case env.OpAppend, env.OpWrite:
		return fmt.Sprintf("%s file %d, %d bytes", name, op.File, len(op.Data))
	case env.OpRead:
		return fmt.Sprintf("%s file %d, %d bytes at %d", name, op.File, op.Length, op.Offset)
	case env.OpSync, env.OpClose:
		return fmt.Sprintf("%s file %d", name, op.File)
	case env.OpCreate, env.OpOpen:
		return fmt.Sprintf("%s %s as file %d", name, op.Path, op.File)
	case env.OpRename:
		return fmt.Sprintf("%s %s to %s", name, op.Path, op.To)
	}
	return fmt.Sprintf("%s %s", name, orRoot(op.Path))
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// recordsInWords says what of a log is in what is written: a header, records.
func recordsInWords(b []byte) string {
	var words []string
	if h, err := wal.DecodeHeader(b); err == nil && wal.IsHeader(b) {
		words = append(words, fmt.Sprintf("header first %d synced %d", h.First, h.Synced))
		b = b[wal.HeaderSize:]
	}
	for len(b) > 0 {
		var r record.Record
		size, synced, _, err := wal.DecodeFrame(b, &r)
		if err != nil {
			break
		}
		words = append(words, recordInWords(&r, synced))
		b = b[size:]
	}
	if len(words) == 0 {
		return ""
	}
	return ": " + strings.Join(words, "; ")
}

func recordInWords(r *record.Record, synced lineage.Seq) string {
	text := fmt.Sprintf("%d %s", r.Seq, r.Kind)
	switch {
	case r.Kind == record.EpochStart:
		text += fmt.Sprintf(" epoch %d", r.Epoch)
	case r.Kind == record.Config:
		text += fmt.Sprintf(" version %d", r.Limits.Version)
	case r.Kind == record.Session:
		text += fmt.Sprintf(" client %d nonce %d", r.Session.Client, r.Session.Nonce)
		if r.Session.Evicted != 0 {
			text += fmt.Sprintf(" evicts %d", r.Session.Evicted)
		}
	default:
		entity, _ := r.Subject()
		text += fmt.Sprintf(" session %d request %d entity %d", r.Client, r.Request, entity)
	}
	return fmt.Sprintf("%s, synced %d", text, synced)
}
