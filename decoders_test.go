package tidalsim_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"hash/crc32"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// storm is how many damaged inputs TestDecodersInAStorm gives to each decoder.
// Fuzzing looks for new paths; this looks often.
var storm = flag.Uint64("storm", 100_000, "damaged inputs for each decoder")

// codec is a decoder, whole samples for it, and how a checksum is mended.
type codec struct {
	name    string
	samples [][]byte
	mend    func(b []byte) // makes the checksum right again, if there is room for one
	// again decodes b and encodes the result; nil if b is refused.
	again func(b []byte) []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Whatever is done to what was encoded: a decoder refuses it, or gives what encodes
// to the very same bytes. Half of the inputs get a right checksum, so that damage
// reaches what is behind it.
func TestDecodersInAStorm(t *testing.T) {
	for _, c := range codecs() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			accepted, buf := uint64(0), []byte(nil)
			for i := range *storm {
				chance := func(what uint64) uint64 { return chance.Hash(1, 0, what, env.Key{A: i}) }
				sample := c.samples[i%uint64(len(c.samples))]
				buf = damage(append(buf[:0], sample...), sample, chance)
				if chance(100)%2 == 0 {
					c.mend(buf)
				}
				if out := c.again(buf); out != nil {
					accepted++
					if !bytes.Equal(out, buf) {
						t.Fatalf("input %d, %x, is accepted and encodes to %x", i, buf, out)
					}
				}
			}
			if accepted == 0 {
				t.Errorf("none of %d inputs was accepted: the storm never gets behind the first check", *storm)
			}
		})
	}
}

// damage changes b, a copy of sample, in up to four places.
func damage(b, sample []byte, chance func(uint64) uint64) []byte {
	for k := range 1 + chance(0)%4 {
		if len(b) == 0 {
			return b
		}
		h := chance(k + 1)
		at := h >> 8 % uint64(len(b))
		switch h % 8 {
		case 0, 1:
			b[at] ^= 1 << (h >> 60)
		case 2:
			b[at] = byte(h >> 50)
		case 3: // a number that is small, or as large as it gets
			if at &^= 7; at+8 <= uint64(len(b)) {
				binary.LittleEndian.PutUint64(b[at:], []uint64{0, 1, 1 << 63, ^uint64(0)}[h>>50%4])
			}
		case 4:
			b = b[:at]
		case 5:
			b = append(b, sample[:h>>50%uint64(len(sample)+1)]...)
		case 6:
			copy(b[at:], sample[h>>40%uint64(len(sample)):])
		default: // untouched here
		}
	}
	return b
}

// sumAt mends a CRC-32C that stands at an offset and covers parts.
func sumAt(at int, parts func(b []byte) [][]byte) func([]byte) {
	return func(b []byte) {
		if len(b) < at+4 {
			return
		}
		sum := uint32(0)
		for _, part := range parts(b) {
			sum = crc32.Update(sum, castagnoli, part)
		}
		binary.LittleEndian.PutUint32(b[at:], sum)
	}
}

func envelope(b []byte) [][]byte {
	if len(b) < 16 {
		return nil
	}
	return [][]byte{b[4:12], b[16:]}
}

// between is a message between nodes of each kind: the golden ones.
func between() (all [][]byte) {
	text, err := os.ReadFile("core/peer/testdata/v2/messages.txt")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(text)) {
		_, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			panic(err)
		}
		all = append(all, b)
	}
	return all
}

func codecs() []codec {
	id := wal.Identity{Tenant: 7, Slot: 2, Placement: 3, Shard: 4}
	var records []record.Record
	for kind := record.Signal; kind <= record.EntityDelete; kind++ {
		records = append(records, record.Record{
			Tenant: 7, Slot: 2, Kind: kind, Placement: 3, Epoch: 5, Seq: 41, Prev: 9, Client: 3, Request: 2, Floor: 1, Level: 77,
			Signal: signal.Signal{Kind: 3, Weight: -1}, Entity: 8,
		})
	}
	var encoded, frames, messages [][]byte
	for i := range records {
		r := &records[i]
		if r.Kind != record.Signal {
			r.Signal = signal.Signal{}
		}
		if r.Kind != record.EntityPut && r.Kind != record.EntityDelete {
			r.Entity = 0
		}
		encoded = append(encoded, record.Append(nil, r))
		frame, _ := wal.AppendFrame(nil, 40, r)
		frames = append(frames, frame)
	}
	for kind := range wire.KindNames() {
		if kind > 0 {
			messages = append(messages, wire.Append(nil, &wire.Message{Kind: wire.Kind(kind), Frame: 3, Tail: commands()[kind%8]}))
		}
	}
	var inbox peer.Inbox
	headed := sumAt(4, func(b []byte) [][]byte { return [][]byte{b[:4], b[8:]} })
	folded := fold()
	header := wal.AppendHeader(nil, &wal.Header{Identity: id, First: 41, Before: 9, Synced: 40})
	envelopes := sumAt(12, envelope)
	return []codec{
		{"record", encoded, func([]byte) {}, func(b []byte) []byte {
			var r record.Record
			if record.Decode(b, &r) != nil {
				return nil
			}
			return record.Append(nil, &r)
		}},
		{"message", messages, headed, func(b []byte) []byte {
			var m wire.Message
			if wire.Decode(b, &m) != nil {
				return nil
			}
			return wire.Append(nil, &m)
		}},
		{"message between nodes", between(), headed, func(b []byte) []byte {
			m, err := inbox.Decode(b)
			if err != nil {
				return nil
			}
			return m.Encode(nil)
		}},
		{"state", [][]byte{state.New().Append(nil), folded}, func([]byte) {}, func(b []byte) []byte {
			s, err := state.Decode(b)
			if err != nil || b[0] == 1 { // version 1 is read, and written no more
				return nil
			}
			return s.Append(nil)
		}},
		{"frame", frames, envelopes, func(b []byte) []byte {
			var r record.Record
			size, synced, _, err := wal.DecodeFrame(b, &r)
			if err != nil {
				return nil
			}
			out, _ := wal.AppendFrame(nil, synced, &r)
			return append(out, b[size:]...)
		}},
		{"segment header", [][]byte{header}, envelopes, func(b []byte) []byte {
			h, err := wal.DecodeHeader(b)
			if err != nil {
				return nil
			}
			return append(wal.AppendHeader(nil, &h), b[wal.HeaderSize:]...)
		}},
		{"manifest", [][]byte{wal.AppendManifest(nil, id)}, envelopes, func(b []byte) []byte {
			got, err := wal.DecodeManifest(b)
			if err != nil {
				return nil
			}
			return wal.AppendManifest(nil, got)
		}},
		{"snapshot", [][]byte{wal.AppendSnapshot(nil, id, lineage.Position{Seq: 3, Chain: 4}, folded)}, envelopes, func(b []byte) []byte {
			got, at, opaque, err := wal.DecodeSnapshot(b)
			if err != nil {
				return nil
			}
			return wal.AppendSnapshot(nil, got, at, opaque)
		}},
		{"node file", [][]byte{new(core.Catalog).Append(nil)}, func(b []byte) {
			if n := len(b) - 4; n >= 0 {
				binary.LittleEndian.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli))
			}
		}, func(b []byte) []byte {
			c, err := core.DecodeCatalog(b)
			if err != nil || b[4] != 3 { // what an older version wrote is written anew
				return nil
			}
			return c.Append(nil)
		}},
		{"command", commands(), func([]byte) {}, func(b []byte) []byte {
			c, err := control.DecodeCommand(b)
			if err != nil {
				return nil
			}
			return c.Append(nil)
		}},
		{"result of a command", [][]byte{(&control.Result{Refusal: control.Stale, Index: 3, Epoch: 4, Version: 5}).Append(nil)}, func([]byte) {}, func(b []byte) []byte {
			r, err := control.DecodeResult(b)
			if err != nil {
				return nil
			}
			return r.Append(nil)
		}},
		{"changes", changes(), func([]byte) {}, func(b []byte) []byte {
			after, all, err := control.DecodeChanges(b)
			if err != nil {
				return nil
			}
			out, _ := control.AppendChanges(nil, after, after, all, math.MaxInt)
			return out
		}},
		{"figures", figures(), func([]byte) {}, func(b []byte) []byte {
			var f peer.Figures
			if peer.DecodeFigures(b, &f) != nil {
				return nil
			}
			return f.Append(nil)
		}},
		{"cluster", [][]byte{[]byte(clusterText)}, func([]byte) {}, func(b []byte) []byte {
			c, err := control.DecodeCluster(b)
			if err != nil {
				return nil
			}
			if err := c.Validate(); err != nil {
				return []byte(err.Error()) // what is read is valid
			}
			return b // a text may be written in many ways
		}},
		{"tenants file", [][]byte{[]byte(tenantsText)}, func([]byte) {}, func(b []byte) []byte {
			s, err := desired.Decode(b)
			if err != nil {
				return nil
			}
			if err := s.Validate(); err != nil {
				return []byte(err.Error())
			}
			return b
		}},
	}
}

// commands returns one of each kind.
func commands() (all [][]byte) {
	config := tenant.Config{ID: 7, Version: 2, Limits: tenant.Limits{Rate: 10, Burst: 20}, Residency: tenant.Residency{"eu"}}
	for kind := control.Register; kind <= control.AcceptLoss; kind++ {
		all = append(all, (&control.Command{
			Kind: kind, Shard: 1, Epoch: 2, Version: 3, Member: control.Member{Node: 4, Incarnation: 5}, By: control.Member{Node: 6, Incarnation: 7},
			Node: 8, In: 9, Tenant: 10, Slot: 11, Base: 12, Config: config, Shards: []lineage.Shard{1, 2}, Share: quota.Share{13, 14, 15, 16},
		}).Append(nil))
	}
	return all
}

// changes returns what nodes are told: of nothing, of a shard, and of one object of each
// kind.
func changes() (all [][]byte) {
	shard := control.Shard{
		ID: 1, Region: "eu", Epoch: 2, Version: 3, Leader: control.Member{Node: 1, Incarnation: 2}, Min: 2, Index: 9,
		InSync: []control.Member{{Node: 1, Incarnation: 2}, {Node: 2, Incarnation: 1}}, Replicas: []env.ID{1, 2, 3}, Since: []uint64{1, 1, 7},
		Excluded: []control.Exclusion{{Member: control.Member{Node: 2, Incarnation: 1}, Tenant: 7}},
	}
	other := shard
	other.ID, other.Reformed, other.Excluded = 2, true, nil
	tenants := control.Tenant{
		Config: tenant.Config{ID: 7, Version: 2, Limits: tenant.Limits{Rate: 10, Burst: 20}, Residency: tenant.Residency{"eu"}},
		Shards: []lineage.Shard{1, 2}, Slots: []control.Slot{{Grant: quota.Share{1, 2, 3, 4}, Granted: 8, Held: quota.Share{5, 6, 7, 8}, Taken: 7}, {Closed: true}},
		Dropping: true, Index: 8,
	}
	for _, list := range [][]control.Change{
		nil,
		{{Index: 9, Shard: &shard}},
		{{Index: 3, Node: &control.Node{ID: 4, Region: "us", Incarnation: 5, Draining: true, Index: 3}}, {Index: 5, Dropped: &control.Tombstone{Tenant: 6, Index: 5}},
			{Index: 8, Tenant: &tenants}, {Index: 9, Shard: &other}},
	} {
		b, _ := control.AppendChanges(nil, 2, 9, list, math.MaxInt)
		all = append(all, b)
	}
	return all
}

// figures returns reports: of nothing, and of a node that leads a shard.
func figures() [][]byte {
	full := peer.Figures{
		Own: true, Free: 1 << 30, Copies: []peer.CopyFigures{{Shard: 1, Bytes: 77, Known: true}, {Shard: 2}},
		Led: []peer.ShardFigures{{
			Shard: 1, Epoch: 2, Entities: 3, Bytes: 4, Signals: 5, Window: env.Second, Whole: true,
			Others: []peer.OtherFigures{{Node: 2, Heard: true, Quiet: 6, Records: 7, Lag: 8}, {Node: 3}},
			Slots:  []peer.SlotFigures{{Tenant: 7, Slot: 1, Granted: 9, Seq: 10, Entities: 11, Bytes: 12, Refused: [3]uint64{13, 14, 15}, Needs: [4]uint8{0, 1, 2, 3}}},
		}},
	}
	return [][]byte{new(peer.Figures).Append(nil), full.Append(nil)}
}

// clusterText is a small configuration file.
const clusterText = `{"meta": [0, 1, 2],
 "nodes": [{"id": 0, "region": "eu"}, {"id": 1, "region": "eu"}, {"id": 2, "region": "eu"}],
 "shards": [{"id": 1, "region": "eu", "replicas": [1, 0, 2]}],
 "tenants": [{"id": "7", "version": 1, "limits": {"rate": 100}, "shards": [1]}]}`

// tenantsText is a small tenants file.
const tenantsText = `{"tenants": [{"id": "7", "limits": {"rate": 100}, "residency": ["eu"], "slots": 2}], "drop": ["8"]}`

// fold returns the state of a short log.
func fold() []byte {
	s := state.New()
	prev := lineage.Chain(0)
	for i, kind := range []record.Kind{record.EpochStart, record.Config, record.Session, record.Signal, record.EntityPut, record.Signal} {
		r := record.Record{Kind: kind, Seq: lineage.Seq(i + 1), Prev: prev, Epoch: 1, Level: 5}
		if kind.IsOperation() {
			r.Client, r.Request, r.Floor = 3, uint64(i), 1
			r.Signal.Entity, r.Entity = signal.Entity(i%2), 4
		}
		prev = record.ChainOf(record.Append(nil, &r))
		s.Apply(&r, prev)
	}
	return s.Append(nil)
}
