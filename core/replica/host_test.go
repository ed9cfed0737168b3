package replica_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

var home = wal.Identity{Tenant: 7, Slot: 2, Placement: 1, Shard: 3}

const client env.ID = 9

// content is a file: the bytes that processes see, and the bytes on the platter. The bytes before
// clean count as written, and no sync writes them: they are on the platter, or a failed sync
// dropped them.
type content struct {
	seen, synced []byte
	clean        int
}

// sync writes the bytes that are not clean to the platter.
func (f *content) sync() {
	for len(f.synced) < f.clean {
		f.synced = append(f.synced, 0)
	}
	f.synced = append(f.synced[:f.clean], f.seen[f.clean:]...)
	f.clean = len(f.seen)
}

// truncate cuts the visible bytes; the platter keeps its bytes until a sync.
func (f *content) truncate(size int) {
	f.seen = slices.Clone(f.seen[:size])
	f.clean = min(f.clean, size)
}

// tester is the common part of testing.TB and *rapid.T.
type tester interface {
	Helper()
	Errorf(format string, operands ...any)
	Fatalf(format string, operands ...any)
}

// host is the scripted world of one replica: a disk with page cache and platter. Operations
// complete one at a time, in order, when the test says so.
//
// Each answer is checked against the platter: an answered record must be recoverable after a power
// failure at that moment.
type host struct {
	tester
	*replica.Replica
	constants   replica.Constants
	limits      tenant.Limits
	follows     bool // another node leads the log; otherwise this node does, and has its only replica
	incarnation env.Incarnation

	names, durable map[string]*content // by path: as seen, and after a power failure
	// Names that a failed sync of a directory dropped: visible ones and removed ones. No later sync
	// writes them.
	dropped, droppedGone map[string]*content
	unlinked             []string // directories that were removed, until a sync of the one above
	dirs                 map[string]bool
	handles              map[env.File]*content
	queue                []env.Op // submitted and not completed
	done                 int      // operations completed in this incarnation; the clock, ns
	skipped              env.Time // by which the clock is further
	room                 int64    // bytes that the disk still takes

	// hit is called for every fault point, submitted for every operation; nil: no call.
	hit       func(p env.Point, key env.Key)
	submitted func(op *env.Op)
	// fail makes an operation that is about to complete fail; nil: none does.
	fail func(op *env.Op) env.Errno

	session, request uint64
	acked            map[uint64]lineage.Seq // answers by request
	told             lineage.Seq            // highest seq in any answer
}

const unlimited = 1 << 40

// small constants make every record or two a new segment.
var small = replica.Constants{SegmentSize: 512, SnapshotEvery: unlimited, MaxSessions: 4, MaxPending: 64}

func newHost(t tester, c replica.Constants) *host {
	return &host{
		tester: t, constants: c, room: unlimited,
		limits: tenant.Limits{Rate: 1_000_000, Burst: 1_000_000},
		names:  map[string]*content{}, durable: map[string]*content{}, dirs: map[string]bool{wal.TenantsDir: true},
		dropped: map[string]*content{}, droppedGone: map[string]*content{},
		acked: map[uint64]lineage.Seq{},
	}
}

// serving returns a host with a slot that serves and has an open session.
func serving(t tester, c replica.Constants) *host {
	h := newHost(t, c)
	h.start()
	h.run()
	h.mustServe()
	h.openSession()
	return h
}

// start begins the next incarnation.
func (h *host) start() {
	h.incarnation++
	h.handles, h.queue, h.done, h.skipped = map[env.File]*content{}, nil, 0, 0
	h.Replica = replica.New(replica.Config{
		Identity: home, Constants: h.constants, Limits: record.LimitsOf(1, h.limits),
	})
	h.Open(h, 0)
}

// skip lets time pass.
func (h *host) skip(d env.Duration) { h.skipped = h.skipped.Add(d) }

// kill ends the process: the page cache stays.
func (h *host) kill() { h.queue = nil }

// power fails: all that is not on the platter is gone.
func (h *host) power() {
	h.kill()
	h.names = maps.Clone(h.durable)
	for _, f := range h.names {
		f.seen = slices.Clone(f.synced)
	}
	h.forgive()
}

// restart starts the slot again and lets it come up, or stop.
func (h *host) restart() {
	h.start()
	h.run()
}

// run completes operations until there is none.
func (h *host) run() {
	for h.step() {
	}
}

// runUntil completes operations up to the first of the given kind, which stays.
func (h *host) runUntil(kind env.OpKind) {
	h.Helper()
	for len(h.queue) > 0 && h.queue[0].Kind != kind {
		h.step()
	}
	if len(h.queue) == 0 {
		h.Fatalf("no %v is asked for", kind)
	}
}

// step completes the operation that was submitted first.
func (h *host) step() bool {
	if len(h.queue) == 0 {
		return false
	}
	op := h.queue[0]
	h.queue = h.queue[1:]
	h.done++
	ev := env.Event{Kind: env.DiskDone, Op: op.ID}
	if h.fail != nil {
		ev.Err = h.fail(&op)
	}
	switch {
	case ev.Err != env.OK && op.Kind == env.OpSync && h.handles[op.File] != nil:
		f := h.handles[op.File]
		f.clean = len(f.seen)
	case ev.Err != env.OK && op.Kind == env.OpSyncDir:
		h.drop(op.Path + "/")
	}
	if ev.Err == env.OK {
		ev.N, ev.Data, ev.Err = h.apply(&op)
	}
	h.Done(h, &ev)
	if !h.follows {
		h.commit()
	}
	for i := range ev.Data {
		ev.Data[i] = 0xee // event data is valid during the step only
	}
	return true
}

// commit does the part of the group of a log with one replica: an open log is led in the epoch of the
// incarnation, and what is durable is committed and answered.
func (h *host) commit() {
	if h.Phase() == replica.Following && !h.Busy() {
		h.Lead(h, lineage.ShardEpoch(h.incarnation))
	}
	if !h.Leads() {
		return
	}
	h.Hold(h.Durable().Seq) // no other replica needs more
	done := h.Commit(h, h.Durable().Seq)
	for i := range done {
		h.answer(&done[i])
	}
}

func (h *host) answer(p *replica.Pending) {
	switch {
	case p.Refused != wire.NoError:
		h.Fatalf("request %d is refused with %v, and is committed", p.Request.Request, p.Refused)
	case p.Record.Kind == record.Session:
		h.session = uint64(p.Record.Seq)
	case p.Record.Kind == record.Signal:
		h.acked[p.Record.Request] = p.Record.Seq
	}
	h.told = max(h.told, p.Record.Seq)
	if end := h.platterEnd(); end < p.Record.Seq {
		h.Fatalf("record %d is answered, but a power failure now would leave only records up to %d", p.Record.Seq, end)
	}
}

// platterEnd is the last record that a recovery after a power failure would find.
func (h *host) platterEnd() lineage.Seq {
	var segments []wal.Segment
	var base lineage.Position
	for path, f := range h.durable {
		name := strings.TrimPrefix(path, home.Dir()+"/")
		if _, _, ok := wal.ParseSegmentName(name); ok {
			segments = append(segments, wal.Segment{Name: name, Data: f.synced})
		}
		if seq, ok := wal.ParseSnapshotName(name); ok && seq > base.Seq {
			_, at, _, err := wal.DecodeSnapshot(f.synced)
			if err != nil {
				h.Fatalf("%s is on the platter: %v", name, err)
			}
			base = at
		}
	}
	slices.SortFunc(segments, func(a, b wal.Segment) int {
		_, first, _ := wal.ParseSegmentName(a.Name)
		_, second, _ := wal.ParseSegmentName(b.Name)
		return int(first) - int(second)
	})
	for len(segments) > 1 {
		if _, second, _ := wal.ParseSegmentName(segments[1].Name); second > base.Seq+1 {
			break
		}
		segments = segments[1:]
	}
	found, err := wal.Recover(home, base, segments, func(*record.Record, lineage.Chain) error { return nil })
	if err != nil {
		h.Fatalf("the platter: %v", err)
	}
	return found.End.Seq
}

func (h *host) apply(op *env.Op) (n int64, data []byte, err env.Errno) {
	switch op.Kind {
	case env.OpMkdir, env.OpCreate, env.OpOpen, env.OpRename, env.OpRemove, env.OpSyncDir:
		return h.applyName(op)
	}
	f := h.handles[op.File]
	if f == nil {
		return 0, nil, env.BadHandle
	}
	switch op.Kind {
	case env.OpAppend:
		if int64(len(op.Data)) > h.room {
			return 0, nil, env.NoSpace
		}
		h.room -= int64(len(op.Data))
		f.seen = append(f.seen, op.Data...)
		n = int64(len(op.Data))
	case env.OpSync:
		f.sync()
	case env.OpTruncate:
		f.truncate(int(op.Length))
	case env.OpRead:
		data = slices.Clone(f.seen[op.Offset:min(op.Offset+op.Length, int64(len(f.seen)))])
	case env.OpClose:
		delete(h.handles, op.File)
	default:
		h.Fatalf("nobody scripted %v", op.Kind)
	}
	return n, data, env.OK
}

func (h *host) applyName(op *env.Op) (int64, []byte, env.Errno) {
	f := h.names[op.Path]
	if binds := op.Kind == env.OpCreate || op.Kind == env.OpOpen; binds && h.handles[op.File] != nil {
		h.Fatalf("%v of %s with handle %d, which is still bound", op.Kind, op.Path, op.File)
	}
	switch op.Kind {
	case env.OpMkdir:
		if h.dirs[op.Path] || f != nil {
			return 0, nil, env.Exist
		}
		h.dirs[op.Path] = true
	case env.OpCreate:
		if f != nil {
			return 0, nil, env.Exist
		}
		f = &content{}
		h.names[op.Path], h.handles[op.File] = f, f
	case env.OpSyncDir:
		if !h.dirs[op.Path] {
			return 0, nil, env.NotDir
		}
		h.syncDir(op.Path + "/")
	default:
		if op.Kind == env.OpRemove && h.dirs[op.Path] {
			return 0, nil, h.removeDir(op.Path)
		}
		if f == nil {
			return 0, nil, env.NotExist
		}
		return h.applyExisting(op, f)
	}
	return 0, nil, env.OK
}

func (h *host) applyExisting(op *env.Op, f *content) (int64, []byte, env.Errno) {
	switch op.Kind {
	case env.OpOpen:
		h.handles[op.File] = f
		return int64(len(f.seen)), nil, env.OK
	case env.OpRename:
		h.names[op.To] = f
	case env.OpRemove:
		h.room += int64(len(f.seen))
	}
	delete(h.names, op.Path)
	return 0, nil, env.OK
}

func (h *host) removeDir(path string) env.Errno {
	if len(h.List(path)) > 0 {
		return env.NotEmpty
	}
	delete(h.dirs, path)
	h.unlinked = append(h.unlinked, path+"/")
	return env.OK
}

func (h *host) syncDir(prefix string) {
	for path := range h.durable { // of a removed directory, with any content
		gone := func(dir string) bool { return strings.HasPrefix(dir, prefix) && strings.HasPrefix(path, dir) }
		if slices.ContainsFunc(h.unlinked, gone) {
			delete(h.durable, path)
		}
	}
	h.unlinked = slices.DeleteFunc(h.unlinked, func(dir string) bool { return strings.HasPrefix(dir, prefix) })
	for path, f := range h.durable {
		if strings.HasPrefix(path, prefix) && h.names[path] == nil && h.droppedGone[path] != f {
			delete(h.durable, path)
		}
	}
	for path, f := range h.names {
		if strings.HasPrefix(path, prefix) && h.dropped[path] != f {
			h.durable[path] = f
		}
	}
}

// drop does the effect of a failed sync of a directory.
func (h *host) drop(prefix string) {
	for path, f := range h.durable {
		if strings.HasPrefix(path, prefix) && h.names[path] == nil {
			h.droppedGone[path] = f
		}
	}
	for path, f := range h.names {
		if strings.HasPrefix(path, prefix) && h.durable[path] != f {
			h.dropped[path] = f
		}
	}
}

// forgive forgets the dropped names: after a power failure the visible state equals the platter.
func (h *host) forgive() {
	for _, f := range h.names {
		f.clean = len(f.seen)
	}
	clear(h.dropped)
	clear(h.droppedGone)
}

// put lays a file into the slot directory, as if it had always been there.
func (h *host) put(name string, data []byte) {
	f := &content{seen: slices.Clone(data), synced: slices.Clone(data), clean: len(data)}
	h.names[home.Dir()+"/"+name], h.durable[home.Dir()+"/"+name] = f, f
}

// take takes a file out of the slot directory.
func (h *host) take(name string) {
	delete(h.names, home.Dir()+"/"+name)
	delete(h.durable, home.Dir()+"/"+name)
}

// file returns the bytes of a file in the slot directory as processes see them.
func (h *host) file(name string) []byte {
	h.Helper()
	f := h.names[home.Dir()+"/"+name]
	if f == nil {
		h.Fatalf("there is no %s, only %v", name, h.List(home.Dir()))
	}
	return f.seen
}

// segments returns the names of the segments, ascending by first seq.
func (h *host) segments() []string {
	var names []string
	for _, name := range h.List(home.Dir()) {
		if _, _, ok := wal.ParseSegmentName(name); ok {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		_, first, _ := wal.ParseSegmentName(a)
		_, second, _ := wal.ParseSegmentName(b)
		return int(first) - int(second)
	})
	return names
}

// used is the size of all files in the slot directory.
func (h *host) used() (n int64) {
	for path, f := range h.names {
		if strings.HasPrefix(path, home.Dir()+"/") {
			n += int64(len(f.seen))
		}
	}
	return n
}

// copyOf copies the disk, so that several tries can start from it.
func (h *host) copyOf() *host {
	c := newHost(h.tester, h.constants)
	c.incarnation, c.session, c.request, c.told = h.incarnation, h.session, h.request, h.told
	c.dirs, c.acked = maps.Clone(h.dirs), maps.Clone(h.acked)
	copies := map[*content]*content{}
	of := func(f *content) *content {
		if copies[f] == nil {
			copies[f] = &content{seen: slices.Clone(f.seen), synced: slices.Clone(f.synced)}
		}
		return copies[f]
	}
	for path, f := range h.names {
		c.names[path] = of(f)
	}
	for path, f := range h.durable {
		c.durable[path] = of(f)
	}
	return c
}

// openSession opens a session for the writes that follow.
func (h *host) openSession() {
	h.Helper()
	h.session = 0
	out := h.open(uint64(h.incarnation))
	if out.Code != wire.NoError || !out.Later {
		h.Fatalf("opening a session: %+v", out)
	}
	h.run()
	if h.session == 0 {
		h.Fatalf("the session did not open; phase %v, failure %v", h.Phase(), h.Failure())
	}
}

// message is the next request: entity gets one view.
func (h *host) message(entity uint64) *wire.Message {
	h.request++
	return &wire.Message{
		Kind: wire.Write, Placement: home.Placement, Session: h.session, Request: h.request, Floor: max(1, h.request-min(h.request, 8)),
		Signal: signal.Signal{Entity: signal.Entity(entity), Weight: 1, Kind: 1},
	}
}

// change sends a change as an idle node does: an admitted change is appended and written at once.
func (h *host) change(m *wire.Message) replica.Outcome {
	out := h.Admit(h, client, m)
	if out.Admitted {
		h.AppendNext(h)
		h.Flush(h)
	}
	return out
}

// open asks for a session, as an idle node does.
func (h *host) open(nonce uint64) replica.Outcome {
	out := h.OpenSession(h, client, &wire.Message{Kind: wire.OpenSession, Placement: home.Placement, Nonce: nonce})
	h.Flush(h)
	return out
}

// ask asks for one write and does not wait.
func (h *host) ask(entity uint64) replica.Outcome { return h.change(h.message(entity)) }

// write does n writes one after the other, each acknowledged.
func (h *host) write(n int) {
	h.Helper()
	for i := range n {
		if out := h.ask(uint64(i)); out.Code != wire.NoError {
			h.Fatalf("write %d of %d: %v", i, n, out.Code)
		}
		h.run()
		if h.acked[h.request] == 0 {
			h.Fatalf("write %d of %d is not acknowledged; phase %v, failure %v", i, n, h.Phase(), h.Failure())
		}
	}
}

// mustServe checks that the slot serves, has lost no answered record, and can write.
func (h *host) mustServe() {
	h.Helper()
	if h.Phase() != replica.Serving {
		h.Fatalf("the slot is %v: %v", h.Phase(), h.Failure())
	}
	if at := h.State().Position.Seq; at < h.told {
		h.Fatalf("the log ends at record %d, but somebody was told of record %d", at, h.told)
	}
	if _, out := h.read(0); out.Code != wire.NoError {
		h.Fatalf("a read is refused: %v", out.Code)
	}
}

// read reads what is committed, if the slot serves.
func (h *host) read(entity uint64) (signal.State, replica.Outcome) {
	if h.Phase() != replica.Serving { // a slot that does not serve refuses reads as it refuses changes
		return signal.State{}, h.Admit(h, client, &wire.Message{Kind: wire.Write, Placement: home.Placement})
	}
	return h.State().Entity(signal.Entity(entity)), replica.Outcome{Seq: h.State().Position.Seq}
}

// resume lets a slot that waits for room try again.
func (h *host) resume() {
	h.Resume(h)
	h.run()
}

// fold is the encoded state, to compare.
func (h *host) fold() []byte { return h.State().Append(nil) }

// The methods of env.Env.

func (h *host) Self() env.ID                   { return 1 }
func (h *host) Nonce() env.Nonce               { return env.Nonce{A: uint64(h.incarnation), B: 1} }
func (h *host) Now() env.Time                  { return h.skipped + env.Time(h.done) }
func (h *host) Wall() env.WallTime             { return 0 }
func (h *host) SetTimer(env.TimerID, env.Time) {}
func (h *host) Charge(env.Duration)            {}
func (h *host) Send(env.ID, env.Key, []byte)   {}
func (h *host) Free() int64                    { return h.room }
func (h *host) Chance(env.Key) uint64          { return 0 }
func (h *host) Halt(reason string)             { panic(reason) }

func (h *host) Hit(p env.Point, key env.Key) (env.Action, bool) {
	if h.hit != nil {
		h.hit(p, key)
	}
	return env.ActNone, true
}

func (h *host) Submit(op env.Op) {
	op.Data = bytes.Clone(op.Data)
	if h.submitted != nil {
		h.submitted(&op)
	}
	h.queue = append(h.queue, op)
}

func (h *host) List(dir string) []string {
	var names []string
	for path := range h.names {
		if name, ok := strings.CutPrefix(path, dir+"/"); ok && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	for path := range h.dirs {
		if name, ok := strings.CutPrefix(path, dir+"/"); ok && !strings.Contains(name, "/") {
			names = append(names, name+"/")
		}
	}
	slices.Sort(names)
	return names
}

// failing fails the n-th operation, from 0, that match accepts, and each that
// match accepts after it if all says so.
func failing(err env.Errno, n int, all bool, match func(op *env.Op) bool) func(*env.Op) env.Errno {
	return func(op *env.Op) env.Errno {
		if !match(op) {
			return env.OK
		}
		n--
		if n == -1 || n < -1 && all {
			return err
		}
		return env.OK
	}
}

// on matches operations of a kind.
func on(kind env.OpKind) func(*env.Op) bool {
	return func(op *env.Op) bool { return op.Kind == kind }
}

// onPath matches operations of a kind on a path with the given end.
func onPath(kind env.OpKind, suffix string) func(*env.Op) bool {
	return func(op *env.Op) bool { return op.Kind == kind && strings.HasSuffix(op.Path, suffix) }
}

func (h *host) String() string {
	return fmt.Sprintf("%v at %d, failure %v, files %v", h.Phase(), h.State().Position.Seq, h.Failure(), h.List(home.Dir()))
}
