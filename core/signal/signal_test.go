package signal_test

import (
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/signal"
)

var operations = rapid.Custom(func(t *rapid.T) signal.Operation {
	return signal.Operation{Session: rapid.Uint64().Draw(t, "session"), Request: rapid.Uint64().Draw(t, "request")}
})

func digestOf(ops []signal.Operation) (d signal.Digest) {
	for _, op := range ops {
		d = d.Add(op)
	}
	return d
}

func TestDigestDoesNotDependOnTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfN(operations, 2, 40).Draw(t, "ops")
		shuffled := rapid.Permutation(ops).Draw(t, "shuffled")
		if a, b := digestOf(ops), digestOf(shuffled); a != b {
			t.Fatalf("%v has digest %s, %v has %s", ops, a, shuffled, b)
		}
	})
}

// A loss together with a duplicate leaves every counter right; the digest shows it.
func TestDigestShowsALossBehindADuplicate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfNDistinct(operations, 2, 40, rapid.ID).Draw(t, "ops")
		lost := rapid.IntRange(0, len(ops)-1).Draw(t, "lost")
		twice := rapid.IntRange(0, len(ops)-1).Filter(func(i int) bool { return i != lost }).Draw(t, "twice")
		wrong := slices.Clone(ops)
		wrong[lost] = ops[twice]
		if digestOf(ops) == digestOf(wrong) {
			t.Fatalf("%v instead of %v goes unnoticed", ops[twice], ops[lost])
		}
		if digestOf(ops) == digestOf(append(slices.Clone(ops), ops[twice])) {
			t.Fatalf("%v applied twice goes unnoticed", ops[twice])
		}
		if digestOf(ops) == digestOf(slices.Delete(slices.Clone(ops), lost, lost+1)) {
			t.Fatalf("the loss of %v goes unnoticed", ops[lost])
		}
	})
}

// The digest is the sum modulo 2^128; big integers are the slower, obviously right
// model. The carry between the halves is what could go wrong.
func TestDigestIsASumModulo128Bits(t *testing.T) {
	modulus := new(big.Int).Lsh(big.NewInt(1), 128)
	rapid.Check(t, func(t *rapid.T) {
		start := signal.Digest{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
		op := operations.Draw(t, "op")
		var text []byte
		for i := range 16 {
			text = append(text, byte([2]uint64{op.Session, op.Request}[i/8]>>(i%8*8)))
		}
		h := xxh3.Hash128(text)
		sum := new(big.Int).Add(number(start), number(signal.Digest{Hi: h.Hi, Lo: h.Lo}))
		if got := number(start.Add(op)); got.Cmp(sum.Mod(sum, modulus)) != 0 {
			t.Fatalf("%s plus %v is %x, want %x", start, op, got, sum)
		}
	})
}

func number(d signal.Digest) *big.Int {
	n := new(big.Int).SetUint64(d.Hi)
	return n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(d.Lo))
}

// What the digests of a version are is compared between versions during an upgrade.
func TestDigestsStayWhatTheyWere(t *testing.T) {
	d := digestOf([]signal.Operation{{Session: 2, Request: 1}, {Session: 2, Request: 2}, {Session: 1 << 63, Request: 1<<64 - 1}})
	if got, want := d.String(), "1dc0e5fb1046702246589d659a957818"; got != want {
		t.Errorf("digest is %s, was %s", got, want)
	}
	if got, want := (signal.Digest{Lo: 10}).String(), "0000000000000000000000000000000a"; got != want {
		t.Errorf("digest prints as %s, want %s", got, want)
	}
}

func TestApplyAddsUpByKind(t *testing.T) {
	var s signal.State
	apply := func(seq uint64, kind signal.Kind, weight int32) {
		s.Apply(seq, signal.Operation{Session: 9, Request: seq}, &signal.Signal{Entity: 5, Kind: kind, Weight: weight})
	}
	apply(11, 0, 7)
	apply(12, 7, -3)
	apply(15, 0, -2147483648)
	want := signal.State{
		LastSeq: 15,
		Applied: digestOf([]signal.Operation{{Session: 9, Request: 11}, {Session: 9, Request: 12}, {Session: 9, Request: 15}}),
		Totals:  [signal.Kinds]signal.Total{0: {Count: 2, Weight: 7 - 2147483648}, 7: {Count: 1, Weight: -3}},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestSumsWrap(t *testing.T) {
	s := signal.State{Totals: [signal.Kinds]signal.Total{{Weight: 1<<63 - 1}}}
	s.Apply(1, signal.Operation{}, &signal.Signal{Weight: 1})
	if got := s.Totals[0].Weight; got != -1<<63 {
		t.Errorf("the largest sum plus 1 is %d, want the smallest", got)
	}
}

func TestValidate(t *testing.T) {
	for kind := range signal.Kind(signal.Kinds) {
		if err := (&signal.Signal{Kind: kind}).Validate(); err != nil {
			t.Error(err)
		}
	}
	err := (&signal.Signal{Kind: signal.Kinds}).Validate()
	if !errors.Is(err, signal.ErrInvalid) || err.Error() != "invalid signal: kind is 8, want 0..7" {
		t.Errorf("kind 8: %v", err)
	}
}

func TestApplyDoesNotAllocate(t *testing.T) {
	var s signal.State
	sig := signal.Signal{Kind: 1}
	if n := testing.AllocsPerRun(100, func() { s.Apply(1, signal.Operation{Session: 1, Request: 2}, &sig) }); n != 0 {
		t.Errorf("applying a signal allocates %v times, want 0", n)
	}
}
