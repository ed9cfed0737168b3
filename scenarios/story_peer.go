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

// What nodes say to each other, in words.

// sentToPeer tells a message between nodes, and reports whether it was one.
func (s *story) sentToPeer(from, to env.ID, payload []byte) bool {
	if len(payload) > 0 && payload[0] == core.MetaPrefix {
		s.sends(from, to, "meta-log", fmt.Sprintf("%d bytes", len(payload)))
		return true
	}
	if !peer.Is(payload) {
		return false
	}
	m := &s.peer
	if err := peer.Decode(payload, m); err != nil {
		s.sends(from, to, "message", fmt.Sprintf("%d bytes that are none: %v", len(payload), err))
		return true
	}
	t := s.sends(from, to, m.Kind.String(), describePeer(m))
	switch m.Kind {
	case peer.Append:
		t.Seq, t.To = uint64(m.At.Seq)+1, uint64(m.At.Seq)+uint64(countRecords(m.Tail))
		fallthrough
	case peer.Appended, peer.Pull, peer.Chunk, peer.AskIndex, peer.Index:
		t.Tenant, t.Slot, t.Shard = m.Tenant, int(m.Slot), int(m.Shard)
	case peer.Confirm, peer.Confirmed, peer.Survey, peer.Surveyed, peer.Outdated, peer.Verify, peer.Verified:
		t.Shard = int(m.Shard)
	}
	return true
}

// describePeer names what of a message between nodes tells it from others.
func describePeer(m *peer.Message) string {
	log := fmt.Sprintf("shard %d epoch %d, tenant %s slot %d", m.Shard, m.Epoch, m.Tenant, m.Slot)
	switch m.Kind {
	case peer.Append:
		return fmt.Sprintf("%s: %d records after %d, committed %d", log, countRecords(m.Tail), m.At.Seq, m.Commit)
	case peer.Appended:
		return fmt.Sprintf("%s: durable up to %d, applied %d", log, m.At.Seq, m.Commit)
	case peer.Pull:
		return fmt.Sprintf("%s: after %d, snapshot %d from %d", log, m.At.Seq, m.Mark, m.Offset)
	case peer.Chunk:
		return fmt.Sprintf("%s: snapshot at %d, bytes %d to %d of %d", log, m.At.Seq, m.Offset, m.Offset+uint64(len(m.Tail)), m.Size)
	case peer.AskIndex, peer.Index:
		return fmt.Sprintf("%s: question %x, %d", log, m.Round, m.At.Seq)
	case peer.Heartbeat:
		return fmt.Sprintf("incarnation %d, told up to %d, heard %x%s", m.From, m.Index, uint64(m.Mark), troubles(m.Tail))
	case peer.Configs:
		after, changes, err := control.DecodeChanges(m.Tail)
		text := fmt.Sprintf("number %x, after %d up to %d", uint64(m.Mark), after, m.Index)
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
	case peer.Poll:
		return fmt.Sprintf("round %x", m.Round)
	case peer.Report:
		return fmt.Sprintf("round %x, number %d", m.Round, m.Mark) + figures(m.Tail)
	case peer.Propose:
		c, err := control.DecodeCommand(m.Tail)
		if err != nil {
			return err.Error()
		}
		return c.String()
	case peer.Proposed:
		r, err := control.DecodeResult(m.Tail)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%v, epoch %d version %d", r.Refusal, r.Epoch, r.Version)
	}
	return fmt.Sprintf("shard %d epoch %d round %d", m.Shard, m.Epoch, m.Round)
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

// hitOfShard tells a fault point whose key names a shard, and reports whether it is
// one.
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

// maxWords bounds a line, bytes: what follows is only counted. One message of a large cluster
// may be about thousands of slots.
const maxWords = 1000

// figures tells what a node says of the shards that it leads.
func figures(tail []byte) (text string) {
	var f peer.Figures
	if err := peer.DecodeFigures(tail, &f); err != nil {
		return ": " + err.Error()
	}
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

// troubles says what a heartbeat says of shards.
func troubles(tail []byte) (text string) {
	found, err := peer.DecodeTroubles(tail, nil)
	for _, t := range found {
		text += fmt.Sprintf("; shard %d epoch %d: unconfirmed for %d ms, unsynced for %d ms", t.Shard, t.Epoch, t.Unconfirmed/env.Millisecond, t.Unsynced/env.Millisecond)
	}
	if err != nil {
		text += "; " + err.Error()
	}
	return text
}
