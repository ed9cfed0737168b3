//go:build !production

package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/internal/transcript"
)

// The manners of Node are written down in testdata/transcripts, in the form of package
// transcript. Its commands for a node, beside those of every machine:
//
//	constants segment 512 snapshot 4096 sessions 4 pending 8 queued 4 check 0s append 0s
//	    set the stage; the script may leave out those that stay as in large and free, below
//	disk: complete, disk: complete 3, disk: complete all
//	    operations complete in the order of submission; all includes those asked meanwhile
//	disk: fail sync with input/output error    the next one of that kind to complete does
//	disk: full, disk: room          nothing, everything fits
//	disk: cut PATH by 10, disk: damage PATH at 40    the work of a crash or of rot; the process is down
//	disk: list PATH                 looks
//	slots                           looks: the phase of each
//	serve                           operations complete and time passes until all slots are settled
//	operator 5: create tenant 7 shard 3 rate 10, configure tenant 7 base 1 rate 5, drop tenant 7 base 0
//	    a command of the control plane, in a message of its own
//
// The node is the only one that runs, and the only member of the meta log. The script shows neither
// the meta log's operations, which complete at once on a disk that is never full and never fails,
// nor the timers of the meta log and of the tick.
//
// Files stay over a kill: all that was completed. In a message of a client, the script may
// leave out tenant 1, placement 1, the connection that the node welcomed last and the next
// frame.
//
// Lines beside those of every machine: disk (an operation is submitted), done (it completed),
// hit (a fault point). List and Free ask for nothing. A production build has no fault points, so
// it plays no transcripts.
func TestTranscripts(t *testing.T) {
	transcript.Test(t, "testdata/transcripts/*.txt", newStage)
}

// large and free are constants that never matter.
var largeAndFree = replica.Constants{SegmentSize: 1 << 20, SnapshotEvery: 1 << 20, MaxSessions: 16, MaxPending: 64, MaxQueued: 64}

// stage is the world of one node, scripted. It implements env.Env.
type stage struct {
	*transcript.Stage
	cluster core.Cluster
	node    *core.Node // nil: no node runs
	disk    scriptedDisk
	talks   map[env.ID]*talk // by client
	meta    []env.Op         // of the meta log, to be completed with the Step
	hidden  bool             // the event under way is not shown, nor what it costs
}

// talk is the conversation with a client, to fill in what a script leaves out: the connection,
// and the number of the last frame.
type talk struct{ conn, frame uint64 }

func newStage() *transcript.Stage {
	return transcript.New(func(s *transcript.Stage) transcript.Role {
		return &stage{Stage: s, cluster: core.Cluster{Constants: largeAndFree}, disk: newScriptedDisk()}
	})
}

func (s *stage) talkWith(peer env.ID) *talk {
	if s.talks[peer] == nil {
		s.talks[peer] = &talk{}
	}
	return s.talks[peer]
}

func (s *stage) Kind() string { return "node" }

func (s *stage) Start() error {
	s.talks = map[env.ID]*talk{}
	s.cluster.ID, s.cluster.Control, s.cluster.Pace = 1, s.founded(), core.DefaultPace
	s.cluster.Place()
	s.cluster.Index()
	if err := s.cluster.Validate(); err != nil {
		return err
	}
	name, content := core.Founded(s.cluster.ID, s.cluster.Control.Node(1).Directory)
	if s.disk.files[name] == nil {
		s.disk.files[name] = &scriptedFile{data: content}
	}
	s.node = core.NewNode(s, &s.cluster)
	return nil
}

// founded is the cluster of the placements. Node 1 is the only member of the meta log.
func (s *stage) founded() *control.Cluster {
	c := &control.Cluster{Meta: []env.ID{1}}
	for i := range s.Placements {
		p := &s.Placements[i]
		if !slices.ContainsFunc(c.Nodes, func(n control.NodeConfig) bool { return n.ID == p.Node }) {
			c.Nodes = append(c.Nodes, control.NodeConfig{ID: p.Node, Region: "eu", Directory: env.Nonce{A: 1, B: uint64(p.Node)}})
		}
		if !slices.ContainsFunc(c.Shards, func(s control.ShardConfig) bool { return s.ID == p.Shard }) {
			c.Shards = append(c.Shards, control.ShardConfig{ID: p.Shard, Region: "eu", Replicas: []env.ID{p.Node}})
		}
		if p.Slot == 0 {
			c.Tenants = append(c.Tenants, control.TenantConfig{Config: p.Tenant})
		}
		t := &c.Tenants[len(c.Tenants)-1]
		t.Shards = append(t.Shards, p.Shard)
	}
	return c
}

// The timers that no script shows: of the meta log, and of the tick.
var hiddenTimers = [...]env.TimerID{2, 3}

func (s *stage) Step(ev *env.Event) {
	if ev.Kind == env.Timer && slices.Contains(hiddenTimers[:], ev.Timer) {
		s.unsay(len(s.Lines) - 1) // that it fires
	}
	s.hidden = ev.Kind == env.Timer && ev.Timer == hiddenTimers[0]
	s.node.Step(ev)
	s.hidden = false
	for len(s.meta) > 0 && s.Running() && !s.Halted() {
		op := s.meta[0]
		s.meta = s.meta[1:]
		done := env.Event{Kind: env.DiskDone, Op: op.ID, At: s.Now()}
		done.N, done.Data, done.Err = s.disk.applyAlways(&op)
		if !op.Quiet || done.Err != env.OK {
			s.hidden = true
			s.node.Step(&done)
			s.hidden = false
		}
	}
}

// SetTimer says what a script shows.
func (s *stage) SetTimer(id env.TimerID, at env.Time) {
	before := len(s.Lines)
	s.Stage.SetTimer(id, at)
	if slices.Contains(hiddenTimers[:], id) {
		s.unsay(before)
	}
}

// unsay takes back all lines but the first n.
func (s *stage) unsay(n int) {
	if s.Lines = s.Lines[:n]; n == 0 {
		s.Lines = nil // as if nothing had been said
	}
}

// Charge says what a script shows.
func (s *stage) Charge(cost env.Duration) {
	if !s.hidden {
		s.Stage.Charge(cost)
	}
}

// Send drops messages to other nodes: none runs.
func (s *stage) Send(to env.ID, key env.Key, payload []byte) {
	if peer.KindOf(payload) == 0 {
		s.Stage.Send(to, key, payload)
	}
}

func (s *stage) Stop() {
	s.node, s.meta = nil, nil
	s.disk.queue, s.disk.handles = nil, map[env.File]*scriptedFile{}
}

func (s *stage) Sets() map[string]transcript.Command {
	return map[string]transcript.Command{"constants": s.constants, "disk:": s.doDisk}
}

func (s *stage) Tells() map[string]transcript.Command {
	return map[string]transcript.Command{"slots": s.slots, "serve": s.serve, "operator": s.operator}
}

// FillIn gives fields that a script leaves out their values.
func (s *stage) FillIn(peer env.ID, m *wire.Message, named []transcript.Pair) {
	t := s.talkWith(peer)
	m.Tenant, m.Placement, m.Conn = 1, 1, t.conn
	if _, given := transcript.Value(named, "frame"); m.Kind != wire.Hello && !given {
		t.frame++
	}
	m.Frame = t.frame
}

func (s *stage) Sent(to env.ID, _ env.Key, m *wire.Message) {
	if t := s.talkWith(to); m.Kind == wire.Welcome && m.Conn != t.conn {
		t.conn, t.frame = m.Conn, 0
	}
	s.Say("send to client %d: %s", to, transcript.InWords(m))
}

// Nonce counts the starts, so that transcripts are the same each time: connections are
// incarnation/1 and so on.
func (s *stage) Nonce() env.Nonce { return env.Nonce{A: uint64(s.Incarnation) << 32, B: 1} }

func (s *stage) List(dir string) []string { return s.disk.list(dir) }

// ofMeta is the purpose of the meta log's operations, as their names have it.
const ofMeta = 0xfe

// Submit queues an operation, and says it.
func (s *stage) Submit(op env.Op) {
	if s.Halted() {
		return
	}
	op.Data = append([]byte(nil), op.Data...)
	if _, ofSlot := replica.Owner(op.ID); !ofSlot && diskops.NameOf(op.ID).Purpose == ofMeta {
		s.meta = append(s.meta, op)
		return
	}
	s.disk.queue = append(s.disk.queue, op)
	s.Say("disk: %s%s", opInWords(&op), recordsInWords(op.Data))
}

// Hit says the fault point.
func (s *stage) Hit(p env.Point, key env.Key) (env.Action, bool) {
	if s.Halted() {
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
	s.Say("%s", what)
	return env.ActNone, true
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
