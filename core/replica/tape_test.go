package replica_test

import (
	"encoding/binary"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
)

// tape is a log as its sequencers wrote it, to be played to followers: the records by
// seq, and the position behind each. Forks of a tape share its beginning.
type tape struct {
	bytes [][]byte           // of record i+1
	ends  []lineage.Position // ends[i] is behind record i
	epoch lineage.ShardEpoch
}

func newTape() *tape { return &tape{ends: []lineage.Position{{}}} }

// fork returns a tape that has the records up to seq and will have others then.
func (p *tape) fork(seq int) *tape {
	return &tape{bytes: p.bytes[:seq:seq], ends: p.ends[: seq+1 : seq+1], epoch: p.epoch}
}

// begin begins an epoch, with the limits and the session that every log has if it is
// the first one.
func (p *tape) begin(epoch lineage.ShardEpoch) *tape {
	p.epoch = epoch
	p.add(record.Record{Kind: record.EpochStart})
	if p.end() == 1 {
		p.add(record.Record{Kind: record.Config, Limits: record.Limits{Version: 1, Rate: 1_000_000, Burst: 1_000_000, Entities: 1 << 40, Bytes: 1 << 40}})
		p.add(record.Record{Kind: record.Session, Session: record.SessionStart{Client: uint64(client), Nonce: 1}})
	}
	return p
}

// signals adds n signals, each of its own request and on its own entity.
func (p *tape) signals(n int) *tape {
	for range n {
		request := uint64(p.end() + 1)
		p.add(record.Record{
			Kind: record.Signal, Client: 3, Request: request, Floor: max(request, 8) - 7,
			Signal: signal.Signal{Entity: signal.Entity(request), Weight: int32(p.epoch), Kind: 1},
		})
	}
	return p
}

func (p *tape) add(r record.Record) {
	last := p.ends[p.end()]
	r.Tenant, r.Slot, r.Placement, r.Epoch = home.Tenant, home.Slot, home.Placement, p.epoch
	r.Seq, r.Prev = last.Next(), last.Chain
	if r.Level == 0 {
		r.Level = int64(1_000_000-r.Seq) * 1_000_000_000
	}
	b := record.Append(nil, &r)
	p.bytes = append(p.bytes, b)
	p.ends = append(p.ends, lineage.Position{Seq: r.Seq, Chain: record.ChainOf(b)})
}

func (p *tape) end() int { return len(p.bytes) }

// between is the records behind from, up to to, as messages carry them.
func (p *tape) between(from, to int) (records []byte) {
	for _, b := range p.bytes[from:to] {
		records = binary.LittleEndian.AppendUint32(records, uint32(len(b)))
		records = append(records, b...)
	}
	return records
}

// following returns a host with an open log that has the first records of a tape, with a given
// commit index.
func following(t tester, c replica.Constants, p *tape, records, committed int) *host {
	h := newHost(t, c)
	h.follows = true
	h.restart()
	if h.Phase() != replica.Following {
		h.Fatalf("a log that was opened is %v", h.Phase())
	}
	for seq := range records { // one at a time, so that each is a batch of its own
		h.hear(p, seq, seq+1, min(committed, seq+1))
		h.run()
	}
	if got := h.Durable(); got != p.ends[records] {
		h.Fatalf("the log ends durably at %v, want %v", got, p.ends[records])
	}
	if got := h.State().Position; got != p.ends[committed] {
		h.Fatalf("the log is folded up to %v, want %v", got, p.ends[committed])
	}
	return h
}

// hear lets the log receive the records of a tape behind from, up to to.
func (h *host) hear(p *tape, from, to, committed int) replica.Verdict {
	return h.Receive(h, p.ends[from], lineage.Seq(committed), p.between(from, to))
}

// holds reports whether the log is a prefix of a tape: each unfolded record has the tape's chain.
func (h *host) holds(p *tape) bool {
	end := h.End()
	if int(end.Seq) > p.end() {
		return false
	}
	for seq := h.State().Position.Seq; seq <= end.Seq; seq++ {
		if chain, known := h.ChainAt(seq); !known || chain != p.ends[seq].Chain {
			return false
		}
	}
	return true
}
