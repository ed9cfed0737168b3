//go:build !production

package core_test

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/internal/transcript"
)

// constants sets capacities and costs.
func (s *stage) constants(rest string) error {
	k := &s.cluster.Constants
	return transcript.Assign(rest, map[string]func(string) error{
		"segment": transcript.NumberInto(&k.SegmentSize), "snapshot": transcript.NumberInto(&k.SnapshotEvery), "sessions": transcript.NumberInto(&k.MaxSessions),
		"pending": transcript.NumberInto(&k.MaxPending), "queued": transcript.NumberInto(&k.MaxQueued),
		"check": transcript.DurationInto(&k.Costs.Check), "append": transcript.DurationInto(&k.Costs.Append),
	})
}

// serve lets operations complete and time pass until all slots serve and nothing is under way.
func (s *stage) serve(string) error {
	for range 400 {
		if len(s.disk.queue) > 0 {
			if err := s.complete("all"); err != nil {
				return err
			}
		}
		if !s.Running() || s.node.Failure() != nil || s.node.Member().Incarnation > 0 && s.node.Settled() {
			return nil
		}
		if err := s.Attempt("advance 20ms"); err != nil {
			return err
		}
	}
	return errors.New("the node does not settle")
}

// operator sends a command of the control plane: "5: drop tenant 7 base 0"; "5 frame 1: ..." repeats a
// frame.
func (s *stage) operator(rest string) error {
	sender, said, _ := strings.Cut(rest, ": ")
	kind, fields, _ := strings.Cut(said, " ")
	kinds := map[string]control.Kind{"create": control.CreateTenant, "configure": control.Configure, "drop": control.DropTenant}
	c := control.Command{Kind: kinds[kind], Config: tenant.Config{Version: 1}}
	if c.Kind == 0 {
		return errors.New("no such command")
	}
	var peer env.ID
	number, frame, again := strings.Cut(sender, " frame ")
	if err := transcript.NumberInto(&peer)(number); err != nil {
		return err
	}
	var shards []lineage.Shard
	l := &c.Config.Limits
	err := transcript.Assign(fields, map[string]func(string) error{
		"tenant": transcript.NumberInto(&c.Config.ID), "base": transcript.NumberInto(&c.Base), "version": transcript.NumberInto(&c.Config.Version),
		"rate": transcript.NumberInto(&l.Rate), "burst": transcript.NumberInto(&l.Burst), "entities": transcript.NumberInto(&l.Entities), "bytes": transcript.NumberInto(&l.Bytes),
		"shard": func(word string) error {
			shards = append(shards, 0)
			return transcript.NumberInto(&shards[len(shards)-1])(word)
		},
	})
	switch c.Tenant = c.Config.ID; c.Kind {
	case control.Configure:
		c.Config.Version = c.Base + 1
	case control.CreateTenant:
		c.Shards = shards
	}
	t := s.talkWith(peer)
	if t.frame++; again {
		if err := transcript.NumberInto(&t.frame)(frame); err != nil {
			return err
		}
	}
	m := wire.Message{Kind: wire.Control, Conn: t.conn, Frame: t.frame, Request: t.frame, Tail: c.Append(nil)}
	s.Tell(&env.Event{Kind: env.Message, From: peer, Data: wire.Append(nil, &m), At: s.Now()})
	return err
}

// slots shows the phase of every slot of the node.
func (s *stage) slots(string) error {
	if err := s.node.Failure(); err != nil {
		s.Say("the node answers nothing: %v", err)
	}
	for _, d := range s.node.Dump() {
		why := ""
		if d.Failure != nil {
			why = ": " + d.Failure.Error()
		}
		s.Say("tenant %d slot %d %s, record %d, %d entities, %d bytes, limits of version %d%s",
			d.Tenant, d.Slot, d.Phase, d.Position.Seq, d.Live, d.Bytes, d.Limits.Version, why)
	}
	return nil
}

// scriptedDisk is a file system in memory whose operations complete one at a
// time, in the order of submission, when the script says so.
type scriptedDisk struct {
	files   map[string]*scriptedFile
	dirs    map[string]bool // but for the root, which is always there
	handles map[env.File]*scriptedFile
	queue   []env.Op // submitted and not completed
	failing map[env.OpKind]env.Errno
	full    bool
}

type scriptedFile struct{ data []byte }

// applyAlways does one operation as if the disk had room and nothing failed.
func (d *scriptedDisk) applyAlways(op *env.Op) (int64, []byte, env.Errno) {
	full, failing := d.full, d.failing
	d.full, d.failing = false, nil
	n, data, err := d.apply(op)
	d.full, d.failing = full, failing
	return n, data, err
}

func newScriptedDisk() scriptedDisk {
	return scriptedDisk{
		files: map[string]*scriptedFile{}, dirs: map[string]bool{"": true},
		handles: map[env.File]*scriptedFile{}, failing: map[env.OpKind]env.Errno{},
	}
}

// doDisk does a command about the disk.
func (s *stage) doDisk(command string) error {
	verb, rest, _ := strings.Cut(command, " ")
	switch verb {
	case "complete":
		return s.complete(rest)
	case "full", "room":
		s.disk.full = verb == "full"
	case "list":
		s.Say("%s", strings.Join(s.disk.list(rest), " "))
	case "fail":
		return s.disk.fail(rest)
	case "cut", "damage":
		return s.spoil(verb, rest)
	default:
		return errors.New("a disk cannot")
	}
	return nil
}

// complete completes operations in the order of submission.
func (s *stage) complete(rest string) error {
	n := 1
	if rest == "all" {
		n = transcript.MostEvents
	} else if rest != "" {
		if err := transcript.NumberInto(&n)(rest); err != nil {
			return err
		}
	}
	for i := range n {
		if len(s.disk.queue) == 0 {
			if rest != "all" || i == 0 {
				s.Say("nothing more was submitted")
			}
			return nil
		}
		op := s.disk.queue[0]
		s.disk.queue = s.disk.queue[1:]
		ev := env.Event{Kind: env.DiskDone, Op: op.ID}
		ev.N, ev.Data, ev.Err = s.disk.apply(&op)
		trouble := ""
		if ev.Err != env.OK {
			trouble = ": " + ev.Err.Error()
		}
		s.Say("done: %s%s", opInWords(&op), trouble)
		if !op.Quiet || ev.Err != env.OK {
			s.Tell(&ev)
		}
	}
	if rest == "all" {
		return fmt.Errorf("there is no end after %d operations", transcript.MostEvents)
	}
	return nil
}

// fail makes the next operation of a kind fail: "sync with input/output error".
func (d *scriptedDisk) fail(rest string) error {
	kind, text, _ := strings.Cut(rest, " with ")
	for k := env.OpAppend; k <= env.OpSyncDir; k++ {
		for e := env.NotExist; e <= env.BadHandle; e++ {
			if k.String() == kind && e.Error() == text {
				d.failing[k] = e
				return nil
			}
		}
	}
	return errors.New("no such operation or error")
}

// spoil does to a file what a crash or rot would do: "PATH by 10", "PATH at 40".
func (s *stage) spoil(verb, rest string) error {
	var name, word string
	var n int
	if _, err := fmt.Sscanf(rest, "%s %s %d", &name, &word, &n); err != nil {
		return err
	}
	f := s.disk.files[name]
	switch {
	case s.Running():
		return errors.New("the process runs; kill it first")
	case f == nil || n >= len(f.data):
		return fmt.Errorf("there is no such file, or it is not that long; the disk holds %v", slices.Sorted(maps.Keys(s.disk.files)))
	case verb == "cut":
		f.data = f.data[:len(f.data)-n]
	default:
		f.data[n] ^= 0x10
	}
	return nil
}

// list returns the names in a directory, as env.Env's List does.
func (d *scriptedDisk) list(dir string) (names []string) {
	in := func(name string) bool { return path.Dir(name) == path.Clean(dir) }
	for name := range d.files {
		if in(name) {
			names = append(names, path.Base(name))
		}
	}
	for name := range d.dirs {
		if name != "" && in(name) {
			names = append(names, path.Base(name)+"/")
		}
	}
	slices.Sort(names)
	return names
}

// hasParent reports whether the directory of a path is there.
func (d *scriptedDisk) hasParent(name string) bool {
	dir := path.Dir(name)
	return dir == "." || d.dirs[dir]
}

// apply does one operation.
func (d *scriptedDisk) apply(op *env.Op) (n int64, data []byte, err env.Errno) {
	if err, fails := d.failing[op.Kind]; fails {
		delete(d.failing, op.Kind)
		return 0, nil, err
	}
	grows := op.Kind == env.OpAppend || op.Kind == env.OpCreate || op.Kind == env.OpMkdir
	if d.full && grows && d.handles[op.File] != nil == (op.Kind == env.OpAppend) {
		return 0, nil, env.NoSpace
	}
	switch op.Kind {
	case env.OpAppend, env.OpSync, env.OpRead, env.OpClose:
		return d.applyFile(op)
	case env.OpCreate, env.OpOpen:
		return d.bind(op)
	}
	return 0, nil, d.applyName(op)
}

func (d *scriptedDisk) applyFile(op *env.Op) (int64, []byte, env.Errno) {
	f := d.handles[op.File]
	if f == nil {
		return 0, nil, env.BadHandle
	}
	switch op.Kind {
	case env.OpAppend:
		f.data = append(f.data, op.Data...)
		return int64(len(op.Data)), nil, env.OK
	case env.OpRead:
		data := slices.Clone(f.data[op.Offset:min(op.Offset+op.Length, int64(len(f.data)))])
		return int64(len(data)), data, env.OK
	case env.OpClose:
		delete(d.handles, op.File)
	}
	return 0, nil, env.OK
}

func (d *scriptedDisk) bind(op *env.Op) (int64, []byte, env.Errno) {
	if d.handles[op.File] != nil {
		panic(fmt.Sprintf("%s, which is bound", opInWords(op)))
	}
	f := d.files[op.Path]
	switch {
	case op.Kind == env.OpOpen && f == nil, !d.hasParent(op.Path):
		return 0, nil, env.NotExist
	case op.Kind == env.OpCreate && (f != nil || d.dirs[op.Path]):
		return 0, nil, env.Exist
	case f == nil:
		f = &scriptedFile{}
		d.files[op.Path] = f
	}
	d.handles[op.File] = f
	return int64(len(f.data)), nil, env.OK
}

func (d *scriptedDisk) applyName(op *env.Op) env.Errno {
	isFile, isDir := d.files[op.Path] != nil, d.dirs[op.Path]
	switch {
	case op.Kind == env.OpMkdir && (isFile || isDir):
		return env.Exist
	case op.Kind == env.OpMkdir && d.hasParent(op.Path):
		d.dirs[op.Path] = true
	case !isFile && !isDir:
		return env.NotExist
	case op.Kind == env.OpRename:
		d.rename(op.Path, op.To)
	case op.Kind == env.OpRemove && len(d.list(op.Path)) > 0:
		return env.NotEmpty
	case op.Kind == env.OpRemove:
		delete(d.files, op.Path)
		delete(d.dirs, op.Path)
	}
	return env.OK
}

// rename moves a file, or a directory with all that is in it.
func (d *scriptedDisk) rename(from, to string) {
	moved := func(name string) (string, bool) {
		rest, inside := strings.CutPrefix(name, from)
		return to + rest, inside && (rest == "" || rest[0] == '/')
	}
	for _, name := range slices.Collect(maps.Keys(d.files)) {
		if next, moves := moved(name); moves {
			d.files[next] = d.files[name]
			delete(d.files, name)
		}
	}
	for _, name := range slices.Collect(maps.Keys(d.dirs)) {
		if next, moves := moved(name); moves {
			delete(d.dirs, name)
			d.dirs[next] = true
		}
	}
}
