package scenarios

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/record"
)

// The messages between nodes, in words.

// sentToPeer tells a message between nodes, and reports whether it is one.
func (s *story) sentToPeer(from, to env.ID, payload []byte) bool {
	if len(payload) > 0 && payload[0] == core.MetaPrefix {
		s.sends(from, to, "meta-log", fmt.Sprintf("%d bytes", len(payload)))
		return true
	}
	if !peer.Is(payload) {
		return false
	}
	m, err := s.inbox.Decode(payload)
	if err != nil {
		s.sends(from, to, "message", fmt.Sprintf("%d bytes that are none: %v", len(payload), err))
		return true
	}
	switch m := m.(type) {
	case peer.ShardMessage:
		t := s.sends(from, to, m.Kind().String(), describeOfShard(m))
		t.Shard = int(m.OfShard().Shard)
		if of, ok := m.(peer.LogMessage); ok {
			t.Tenant, t.Slot = of.OfLog().Tenant, int(of.OfLog().Slot)
		}
		if ships, ok := m.(*peer.Append); ok {
			t.Seq, t.To = uint64(ships.At.Seq)+1, uint64(ships.At.Seq)+uint64(countRecords(ships.Records))
		}
	case peer.ControlMessage:
		t := s.sends(from, to, m.Kind().String(), describeOfControl(m))
		if asks, ok := m.(*peer.Verify); ok {
			t.Shard = int(asks.Shard)
		}
		if answers, ok := m.(*peer.Verified); ok {
			t.Shard = int(answers.Shard)
		}
	}
	return true
}

// describeOfShard names the part of a message about a shard that tells it from others.
func describeOfShard(m peer.ShardMessage) string {
	said := fmt.Sprintf("shard %d epoch %d", m.OfShard().Shard, m.OfShard().Epoch)
	if of, ok := m.(peer.LogMessage); ok {
		said += fmt.Sprintf(", tenant %s slot %d:", of.OfLog().Tenant, of.OfLog().Slot)
	}
	switch m := m.(type) {
	case *peer.Append:
		return fmt.Sprintf("%s %d records after %d, committed %d", said, countRecords(m.Records), m.At.Seq, m.Commit)
	case *peer.Appended:
		return fmt.Sprintf("%s durable up to %d, applied %d", said, m.At.Seq, m.Applied)
	case *peer.Pull:
		return fmt.Sprintf("%s after %d, snapshot %d from %d", said, m.At.Seq, m.Snapshot, m.Offset)
	case *peer.Chunk:
		return fmt.Sprintf("%s snapshot at %d, bytes %d to %d of %d", said, m.At.Seq, m.Offset, m.Offset+uint64(len(m.Data)), m.Size)
	case *peer.AskIndex:
		return fmt.Sprintf("%s question %x", said, m.Question)
	case *peer.Index:
		return fmt.Sprintf("%s question %x, %d", said, m.Question, m.At.Seq)
	case *peer.Confirm:
		return fmt.Sprintf("%s round %d", said, m.Round)
	case *peer.Confirmed:
		return fmt.Sprintf("%s round %d", said, m.Round)
	case *peer.Survey:
		return fmt.Sprintf("%s: logs from number %d on", said, m.First)
	case *peer.Surveyed:
		return fmt.Sprintf("%s: logs %d to %d of %d", said, m.First, m.First+uint64(len(m.Logs)), m.Size)
	case *peer.Outdated:
	}
	return said
}

// describeOfControl names the part of a message about the control plane that tells it from others.
func describeOfControl(m peer.ControlMessage) string {
	switch m := m.(type) {
	case *peer.Heartbeat:
		return fmt.Sprintf("incarnation %d, told up to %d, heard %x%s", m.From, m.Told, m.Heard, troubles(m.Troubles))
	case *peer.Configs:
		return describeConfigs(m)
	case *peer.Poll:
		return fmt.Sprintf("round %x", m.Number)
	case *peer.Report:
		return fmt.Sprintf("round %x, number %d", m.Asked, m.Number) + figures(&m.Figures)
	case *peer.Propose:
		return describeCommand(m.Command)
	case *peer.Proposed:
		r, err := control.DecodeResult(m.Result)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%v, epoch %d version %d", r.Refusal, r.Epoch, r.Version)
	case *peer.Verify:
		return fmt.Sprintf("shard %d epoch %d round %d", m.Shard, m.Epoch, m.Round)
	case *peer.Verified:
		return fmt.Sprintf("shard %d epoch %d round %d", m.Shard, m.Epoch, m.Round)
	case *peer.Register:
		return fmt.Sprintf("challenge %x: %s", m.Challenge, describeCommand(m.Command))
	case *peer.Registered:
		if m.Given == 0 {
			return fmt.Sprintf("challenge %x", m.Challenge)
		}
		return fmt.Sprintf("incarnation %d", m.Given)
	}
	return ""
}

func describeCommand(b []byte) string {
	c, err := control.DecodeCommand(b)
	if err != nil {
		return err.Error()
	}
	return c.String()
}

func describeConfigs(m *peer.Configs) string {
	after, changes, err := control.DecodeChanges(m.Changes)
	text := fmt.Sprintf("number %x, after %d up to %d", m.Number, after, m.Told)
	for i := range changes {
		if len(text) > maxWords {
			text += fmt.Sprintf("; and %d more", len(changes)-i)
			break
		}
		text += "; " + changes[i].String()
	}
	if err != nil {
		text += "; " + err.Error()
	}
	return text
}

// countRecords returns the number of records in a message.
func countRecords(tail []byte) (n int) {
	for len(tail) >= 4 {
		size := 4 + int(uint32(tail[0])|uint32(tail[1])<<8|uint32(tail[2])<<16|uint32(tail[3])<<24)
		if size < record.HeaderSize || size > len(tail) {
			break
		}
		tail = tail[size:]
		n++
	}
	return n
}

// hitOfShard tells a fault point with a key that names a shard, and reports whether it is one.
func (s *story) hitOfShard(id env.ID, p env.Point, key env.Key) bool {
	switch p {
	case fault.EpochAdopted:
		s.line(Point, int(id), "%-9s reaches %s (shard %d epoch %d)", s.who(id), fault.Name(p), key.A, key.B).Shard = int(key.A)
	case fault.MemberPending:
		s.line(Point, int(id), "%-9s reaches %s (shard %d node %d)", s.who(id), fault.Name(p), key.A, key.B).Shard = int(key.A)
	case fault.ReadConfirmed:
		s.line(Point, int(id), "%-9s reaches %s (shard %d round %d)", s.who(id), fault.Name(p), key.A, key.B).Shard = int(key.A)
	default:
		return false
	}
	return true
}

// maxWords bounds a line, bytes: the rest is only counted. One message of a large cluster may be
// about thousands of slots.
const maxWords = 1000

// figures tells a node's figures of the shards that it leads.
func figures(f *peer.Figures) (text string) {
	for i := range f.Led {
		if len(text) > maxWords {
			return text + fmt.Sprintf("; and %d more shards", len(f.Led)-i)
		}
		s := &f.Led[i]
		text += fmt.Sprintf("; shard %d epoch %d: %d entities, %d bytes, %d signals in %d ms", s.Shard, s.Epoch, s.Entities, s.Bytes, s.Signals, s.Window/env.Millisecond)
		for _, o := range s.Others {
			text += fmt.Sprintf(", node %d lacks %d", o.Node, o.Records)
		}
		for k, u := range s.Slots {
			if len(text) > maxWords {
				text += fmt.Sprintf(", and %d more slots", len(s.Slots)-k)
				break
			}
			text += fmt.Sprintf(", tenant %s slot %d at seq %d has grant %d, %d entities, %d bytes, needs %v", u.Tenant, u.Slot, u.Seq, u.Granted, u.Entities, u.Bytes, u.Needs)
		}
	}
	return text
}

// troubles tells the troubles of shards in a heartbeat.
func troubles(found []peer.Trouble) (text string) {
	for _, t := range found {
		text += fmt.Sprintf("; shard %d epoch %d: unconfirmed for %d ms, unsynced for %d ms", t.Shard, t.Epoch, t.Unconfirmed/env.Millisecond, t.Unsynced/env.Millisecond)
	}
	return text
}
