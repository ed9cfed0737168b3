package group_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/internal/transcript"
)

// The protocols of docs/replication.md are written down in testdata/transcripts, in the form of
// package transcript: one shard with one log on nodes 0, 1 and 2, and the meta log. At first node
// 0 leads in epoch 1, all are in sync, and the log has three records: epoch-start, config, session.
//
//	write 1 to node 0               a client asks for a change, with its request number
//	read 9 from node 1              a client asks for a linearizable read
//	run                             messages arrive and disks work until nothing is left to do
//	advance 300ms                   time passes, the nodes look at it, and then run
//	wishes                          the nodes' wishes become entries of the meta log, and run
//	elect node 1, remove node 2, reform node 1, drain node 2, undrain node 2
//	    an entry of the meta log; the nodes hear of it with the next run
//	cut node 2, heal                messages with a node, and what the meta log tells it, wait; no more
//	lose messages                   those that are on their way are lost
//	restart node 1                  its process ends and another one begins, on the same disk
//	wipe node 1                     its process ends, and another one begins on an empty disk
//	fail sync of node 2             each sync of it fails, until mend node 2
//	look                            what each node has
//
// The rounds of confirm and confirmed that go on while time passes are left out of advance and wishes,
// and so are appends without records from and to a node that is cut off.
//
// Lines: a message is sent; a write or a sync of a file is done; an epoch is durable; a node is told
// a configuration; an entry is in the meta log; a client is answered.
func TestTranscripts(t *testing.T) {
	transcript.Play(t, "testdata/transcripts/*.txt", func(t *testing.T) transcript.Perform {
		w := newWorldOf(t, 1)
		w.run()
		w.openSession(0, 0)
		w.settle()
		return (&script{world: w}).perform
	})
}

// script does the commands of a transcript on a world.
type script struct {
	*world
	lines []string
}

func (s *script) perform(command string) ([]string, error) {
	s.lines = nil
	verb, _, _ := strings.Cut(command, " ")
	passesTime := verb == "wishes" || verb == "advance"
	s.tell = func(format string, operands ...any) {
		if line := fmt.Sprintf(format, operands...); !passesTime || !strings.Contains(line, ": confirm") {
			s.lines = append(s.lines, line)
		}
	}
	err := s.do(command)
	return s.lines, err
}

var errNoCommand = errors.New("no such command")

// do does a command: a plain one, the passing of time, or one that ends with the number of a node.
func (s *script) do(command string) error {
	if plain := map[string]func(){
		"run": s.run, "wishes": s.wishes, "look": s.look,
		"heal":          func() { s.held = nil; s.hearing(true) },
		"lose messages": func() { s.messages = nil },
	}[command]; plain != nil {
		plain()
		return nil
	}
	if span, ok := strings.CutPrefix(command, "advance "); ok {
		d, err := time.ParseDuration(span)
		s.tick(env.Duration(d))
		return err
	}
	words := strings.Fields(command)
	id, err := strconv.Atoi(words[len(words)-1])
	if err != nil || id < 0 || id >= len(s.nodes) {
		return errNoCommand
	}
	return s.onNode(words[:len(words)-1], s.nodes[id])
}

// onNode does a command that ends with the number of a node.
func (s *script) onNode(words []string, n *node) error {
	var number uint64
	if len(words) > 2 && (words[0] == "write" || words[0] == "read") {
		var err error
		if number, err = strconv.ParseUint(words[1], 10, 64); err != nil {
			return err
		}
		words = slices.Delete(words, 1, 2)
	}
	tell := map[string]func(){
		"write to node": func() { s.refusal(n, n.write(0, number)) },
		"read from node": func() {
			s.refusal(n, n.read(0, number, wire.Linearizable, wire.Token{}, 0))
		},
		"elect node":  func() { s.elect(n.id) },
		"reform node": func() { s.must(control.Command{Kind: control.Reform, Member: n.self()}) },
		"remove node": func() {
			s.must(control.Command{Kind: control.Remove, Member: n.self(), By: s.config().Leader})
		},
		"drain node":        func() { s.drain(n.id, true) },
		"undrain node":      func() { s.drain(n.id, false) },
		"cut node":          func() { s.held, n.deaf = with(n.id), true },
		"restart node":      func() { s.restart(n.id) },
		"wipe node":         func() { s.loseDisk(n.id); s.appearElsewhere(n.id) },
		"fail sync of node": func() { n.fails = syncsFail(0) },
		"mend node":         func() { n.fails = nil },
	}[strings.Join(words, " ")]
	if tell == nil {
		return errNoCommand
	}
	tell()
	return nil
}

// hearing has every node hear the meta log or not.
func (s *script) hearing(hears bool) {
	for _, n := range s.nodes {
		n.deaf = !hears
	}
}

// refusal tells the code of a request that is refused at once.
func (s *script) refusal(n *node, code wire.Code) {
	if code != wire.NoError {
		s.say("node %d refuses: %v", n.id, code)
	}
}

// look tells what each node has.
func (s *script) look() {
	s.say("meta log: %s", configInWords(s.config()))
	for _, n := range s.nodes {
		r := n.logs[0]
		line := fmt.Sprintf("node %d/%d: %s in epoch %d, log %s", n.id, n.incarnation, n.group.Role(), n.group.Epoch(), r.Phase())
		if p := r.Phase(); p == replica.Starting || p == replica.Serving || p == replica.Following {
			line += fmt.Sprintf(", applied %d, durable %d, end %d",
				r.State().Position.Seq, r.Durable().Seq, r.End().Seq)
		}
		s.say("%s", line)
	}
}

// sayDone tells that a write or a sync is done.
func (n *node) sayDone(op *env.Op, err env.Errno) {
	name := op.Path
	if name == "" {
		name = n.handles[op.File]
	}
	verb := map[env.OpKind]string{
		env.OpAppend: "append to", env.OpSync: "sync", env.OpTruncate: "truncate",
		env.OpRename: "rename", env.OpRemove: "remove",
	}[op.Kind]
	switch {
	case verb == "":
	case err != env.OK:
		n.say("disk %d: %s %s: %v", n.id, verb, path.Base(name), err)
	default:
		n.say("disk %d: %s %s", n.id, verb, path.Base(name))
	}
}

// configInWords tells a configuration of the shard.
func configInWords(c *control.Shard) string {
	text := fmt.Sprintf("epoch %d, leader %v, in sync %v", c.Epoch, c.Leader, c.InSync)
	if len(c.Eligible) > 0 {
		text += fmt.Sprintf(", eligible %v", c.Eligible)
	}
	for _, x := range c.Excluded {
		text += fmt.Sprintf(", node %d excluded from slot %d", x.Member.Node, x.Slot)
	}
	if c.Reformed {
		text += ", reform not settled"
	}
	return text
}

// commandInWords tells a command without what it was decided on.
func commandInWords(c *control.Command) string {
	switch c.Kind {
	case control.Drain, control.Undrain:
		return fmt.Sprintf("%v node %d", c.Kind, c.Node)
	case control.Settle:
		return c.Kind.String()
	case control.Assign:
		return fmt.Sprintf("%v node %d in the place of node %d", c.Kind, c.In, c.Node)
	}
	return fmt.Sprintf("%v %v", c.Kind, c.Member)
}

// resultInWords tells what became of a command.
func resultInWords(r control.Refusal) string {
	if r == control.Done {
		return "done"
	}
	return "refused: " + r.String()
}

// pendingInWords tells the answer of a request that changes the log.
func pendingInWords(p *replica.Pending) string {
	switch {
	case p.Refused != wire.NoError:
		return fmt.Sprintf("%v %d: %v", p.Request.Kind, p.Request.Request, p.Refused)
	case p.Request.Kind == wire.Write:
		return fmt.Sprintf("write %d: record %d", p.Request.Request, p.Record.Seq)
	}
	return fmt.Sprintf("%v: record %d", p.Request.Kind, p.Record.Seq)
}

// messageInWords tells a message between replicas.
func messageInWords(m peer.ShardMessage) string {
	text := fmt.Sprintf("%v, epoch %d", m.Kind(), m.OfShard().Epoch)
	switch m := m.(type) {
	case *peer.Append:
		return text + fmt.Sprintf(": %s after %d, committed %d", recordsInWords(m.Records), m.At.Seq, m.Commit)
	case *peer.Appended:
		if m.Anew {
			return text + ": it wants to begin the log anew"
		}
		return text + fmt.Sprintf(": durable up to %d, committed %d", m.At.Seq, m.Applied)
	case *peer.Pull:
		return text + fmt.Sprintf(": committed %d, behind it %d lineages, snapshot %d from %d",
			m.At.Seq, len(m.Ends), m.Snapshot, m.Offset)
	case *peer.Chunk:
		return text + fmt.Sprintf(": of the snapshot at %d", m.At.Seq)
	case *peer.Index:
		return text + fmt.Sprintf(": apply up to %d", m.At.Seq)
	case *peer.Surveyed:
		return text + logsInWords(m.Logs)
	case *peer.AskIndex, *peer.Confirm, *peer.Confirmed, *peer.Survey, *peer.Outdated:
	}
	return text
}

// logsInWords tells the logs that a member reports.
func logsInWords(logs []peer.Log) (text string) {
	for i := range logs {
		l := &logs[i]
		text += fmt.Sprintf(": slot %d ends at %d, of epoch %d, whole %t", l.Slot, l.End.Seq, l.Lineage.Epoch, l.Whole)
	}
	return text
}

// recordsInWords tells the records of a message: "4 signal, 5 signal".
func recordsInWords(b []byte) string {
	var words []string
	for len(b) >= 4 { // each begins with the size of what follows
		var r record.Record
		size := 4 + int(binary.LittleEndian.Uint32(b))
		if size > len(b) {
			return "a part of a record"
		}
		if err := record.Decode(b[4:size], &r); err != nil {
			return "records that are none: " + err.Error()
		}
		words = append(words, fmt.Sprintf("%d %s", r.Seq, r.Kind))
		b = b[size:]
	}
	if words == nil {
		return "nothing"
	}
	return strings.Join(words, ", ")
}
