package peer_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/internal/golden"
)

// figures are of a node that tells everything that there is, with a number of its own in
// each field.
func figures() peer.Figures {
	return peer.Figures{
		Own: true, Free: 0x0101010101010101,
		Copies: []peer.CopyFigures{{Shard: 0x02020202, Bytes: 0x0303030303030303, Known: true}, {Shard: 0x04040404}},
		Led: []peer.ShardFigures{{
			Shard: 0x05050505, Epoch: 0x0606060606060606, Sole: 0x0707070707070707, Entities: 0x0808080808080808, Bytes: 0x0909090909090909,
			Signals: 0x0a0a0a0a0a0a0a0a, Window: 0x0b0b0b0b0b0b0b0b, Whole: true,
			Others: []peer.OtherFigures{{Node: 0x0c0c0c0c, Heard: true, Quiet: 0x0d0d0d0d0d0d0d0d, Records: 0x0e0e0e0e0e0e0e0e, Lag: 0x0f0f0f0f0f0f0f0f}, {Node: 0x10101010}},
			Slots: []peer.SlotFigures{{
				Tenant: 0x1111111111111111, Slot: 0x12121212, Granted: 0x1313131313131313, Seq: 0x1414141414141414, Entities: 0x1515151515151515, Bytes: 0x1616161616161616,
				Refused: [3]uint64{0x1717171717171717, 0x1818181818181818, 0x1919191919191919}, Needs: [4]uint8{0x1a, 0x1b, 0x1c, 0x1d},
			}},
		}, {Shard: 0x1e1e1e1e}},
	}
}

func anyFigures(t *rapid.T) peer.Figures {
	word := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
	span := func(name string) env.Duration {
		return env.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, name))
	}
	is := func(name string) bool { return rapid.Bool().Draw(t, name) }
	f := peer.Figures{Own: is("own"), Free: word("free")}
	for range rapid.IntRange(0, 3).Draw(t, "copies") {
		f.Copies = append(f.Copies, peer.CopyFigures{Shard: lineage.Shard(word("shard")), Bytes: word("bytes"), Known: is("known")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "led") {
		s := peer.ShardFigures{
			Shard: lineage.Shard(word("shard")), Epoch: lineage.ShardEpoch(word("epoch")), Sole: span("sole"), Entities: word("entities"), Bytes: word("bytes"),
			Signals: word("signals"), Window: span("window"), Whole: is("whole"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "others") {
			s.Others = append(s.Others, peer.OtherFigures{Node: env.ID(word("node")), Heard: is("heard"), Quiet: span("quiet"), Records: word("records"), Lag: span("lag")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "slots") {
			x := peer.SlotFigures{
				Tenant: tenant.ID(word("tenant")), Slot: lineage.Slot(word("slot")), Granted: word("granted"), Seq: lineage.Seq(word("seq")),
				Entities: word("entities"), Bytes: word("bytes"), Refused: [3]uint64{word("rate"), word("caps"), word("storage")},
			}
			for r := range x.Needs {
				x.Needs[r] = rapid.Uint8().Draw(t, "need")
			}
			s.Slots = append(s.Slots, x)
		}
		f.Led = append(f.Led, s)
	}
	return f
}

// What is told arrives, and nothing of what was told before shows through.
func TestFiguresReadBackAsWritten(t *testing.T) {
	back := figures()
	rapid.Check(t, func(t *rapid.T) {
		f := anyFigures(t)
		b := f.Append([]byte("before"))
		if err := peer.DecodeFigures(b[len("before"):], &back); err != nil || string(b[:len("before")]) != "before" {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, back, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(peer.Figures{})); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
	})
}

// Figures that are cut, or go on, or have a number out of its range, are an error; whatever
// is done to them, they are no more than that, or other figures.
func TestDamagedFigures(t *testing.T) {
	whole := figures()
	good := whole.Append(nil)
	const own, copies, known, led, sole, others, heard, quiet = 0, 9, 25, 39, 55, 96, 104, 105
	for n := range good {
		if err := peer.DecodeFigures(good[:n], new(peer.Figures)); !errors.Is(err, peer.ErrMalformed) {
			t.Errorf("%d of %d bytes: %v", n, len(good), err)
		}
	}
	if err := peer.DecodeFigures(append(bytes.Clone(good), 0), new(peer.Figures)); !errors.Is(err, peer.ErrMalformed) {
		t.Errorf("and a byte: %v", err)
	}
	for name, spoil := range map[string]func(b []byte){
		"own":            func(b []byte) { b[own] = 2 },
		"known":          func(b []byte) { b[known] = 2 },
		"heard":          func(b []byte) { b[heard] = 2 },
		"many copies":    func(b []byte) { binary.LittleEndian.PutUint32(b[copies:], math.MaxUint32) },
		"many shards":    func(b []byte) { binary.LittleEndian.PutUint32(b[led:], 1<<20) },
		"many others":    func(b []byte) { binary.LittleEndian.PutUint32(b[others:], 1<<30) },
		"an age below 0": func(b []byte) { b[sole+7] = 0x80 },
		"a silence to be": func(b []byte) {
			binary.LittleEndian.PutUint64(b[quiet:], math.MaxUint64)
		},
	} {
		b := bytes.Clone(good)
		spoil(b)
		f := figures()
		if err := peer.DecodeFigures(b, &f); !errors.Is(err, peer.ErrMalformed) || bytes.Equal(b, good) {
			t.Errorf("%s: %v, %+v", name, err, f)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := anyFigures(t)
		b := f.Append(nil)
		for range rapid.IntRange(1, 4).Draw(t, "damages") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		var back peer.Figures
		if err := peer.DecodeFigures(b, &back); err != nil {
			if !errors.Is(err, peer.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again := back.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("% x is read as %+v", b, back)
		}
	})
}

// The bytes of version 2 as they were written when it was new.
func TestGoldenFigures(t *testing.T) {
	var empty, back peer.Figures
	whole := figures()
	text := fmt.Sprintf("empty %x\nwhole %x\n", empty.Append(nil), whole.Append(nil))
	stored := golden.Text(t, "testdata/v2/figures.txt", text, *rewrite)
	_, last, _ := strings.Cut(strings.TrimSpace(stored), "whole ")
	b, err := hex.DecodeString(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.DecodeFigures(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole, back, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(peer.Figures{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzDecodeFigures(f *testing.F) {
	whole := figures()
	f.Add(whole.Append(nil))
	f.Add(new(peer.Figures).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var back peer.Figures
		if err := peer.DecodeFigures(b, &back); err != nil {
			if !errors.Is(err, peer.ErrMalformed) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		if again := back.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
	})
}

// A node that is told again and again uses its memory again: only the lists of a shard are
// new.
func TestFiguresUseTheirMemoryAgain(t *testing.T) {
	f := peer.Figures{Own: true, Copies: figures().Copies, Led: []peer.ShardFigures{{Shard: 1}, {Shard: 2}}}
	buf, back := make([]byte, 0, 4096), peer.Figures{}
	if n := testing.AllocsPerRun(100, func() {
		if err := peer.DecodeFigures(f.Append(buf), &back); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("figures written and read allocate %v times, want 0", n)
	}
}
