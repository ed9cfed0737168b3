package metalog

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wal"
)

// unknown is a command that the tape does not know.
const unknown = "unknown"

// tape is a state machine that keeps its commands.
type tape struct{ told []byte }

func (t *tape) Apply(index Index, command []byte) ([]byte, error) {
	if string(command) == unknown {
		return nil, errors.New("kind 99")
	}
	t.told = append(append(t.told, byte(index)), command...)
	return slices.Clone(command), nil
}
func (t *tape) Snapshot() []byte           { return t.told }
func (t *tape) Restore(state []byte) error { t.told = slices.Clone(state); return nil }

func newFold(clients int) (*fold, *tape) {
	machine := &tape{}
	return &fold{machine: machine, maxClients: clients}, machine
}

// Commands come again, late, and from too many clients. Against a model that remembers
// everything: each is applied at most once, and told the same each time.
func TestFold(t *testing.T) {
	type request struct{ client, number uint64 }
	rapid.Check(t, func(t *rapid.T) {
		const clients = 3
		f, machine := newFold(clients)
		first, last := map[request]Outcome{}, map[uint64]uint64{}
		var want []byte
		for i := range rapid.IntRange(1, 60).Draw(t, "commands") {
			index := Index(i + 1)
			r := request{rapid.Uint64Range(1, clients+1).Draw(t, "client"), rapid.Uint64Range(1, 6).Draw(t, "number")}
			f.advance(&raftpb.Entry{Index: new(uint64(index))})
			out, err := f.apply(index, appendCommand(nil, r.client, r.number, []byte{byte(r.number)}))
			if err != nil {
				t.Fatal(err)
			}
			_, known := last[r.client]
			switch {
			case !known && len(last) == clients:
				if !errors.Is(out.Err, ErrClients) {
					t.Fatalf("a client too many: %+v", out)
				}
			case r.number < last[r.client]:
				if !errors.Is(out.Err, ErrSuperseded) {
					t.Fatalf("number %d after %d: %+v", r.number, last[r.client], out)
				}
			case r.number == last[r.client]:
				if out.Err != nil || out.Index != first[r].Index || string(out.Result) != string(first[r].Result) {
					t.Fatalf("again: %+v, first %+v", out, first[r])
				}
			default:
				want = append(want, byte(index), byte(r.number))
				first[r], last[r.client] = out, r.number
				if out.Err != nil || out.Index != index || out.Client != r.client || out.Number != r.number {
					t.Fatalf("a new command at %d: %+v", index, out)
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				state := f.append(nil)
				f, machine = newFold(clients)
				if err := f.restore(index, state); err != nil || string(f.append(nil)) != string(state) {
					t.Fatalf("restored state differs, error %v", err)
				}
			}
		}
		if string(machine.told) != string(want) {
			t.Fatalf("the machine was told %x, want %x", machine.told, want)
		}
	})
}

// A state that was cut says so.
func TestStateIsCut(t *testing.T) {
	f, _ := newFold(2)
	if _, err := f.apply(1, appendCommand(nil, 1, 1, []byte("result"))); err != nil {
		t.Fatal(err)
	}
	whole := f.append(nil)
	sessions := len(whole) - len(f.machine.Snapshot())
	for n := range sessions {
		g, _ := newFold(2)
		if err := g.restore(1, whole[:n]); !errors.Is(err, errState) {
			t.Errorf("%d of %d bytes: error %v", n, sessions, err)
		}
	}
}

// An entry that the fold cannot apply is an error, and changes nothing that a client would be told.
// Only a leader's empty entry has no command.
func TestUnknownEntries(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		says string
	}{
		{"a cut head", make([]byte, 15), "unknown format version, needs a newer binary: entry 1 has 15 bytes and no command: the bytes end within a field"},
		{"a kind that is not known", appendCommand(nil, 1, 1, []byte(unknown)), "unknown format version, needs a newer binary: entry 1: kind 99"},
	} {
		f, machine := newFold(2)
		out, err := f.apply(1, c.data)
		if err == nil || err.Error() != c.says || !errors.Is(err, wal.ErrVersion) || out.Number != 0 || len(machine.told) > 0 {
			t.Errorf("%s: %+v, error %v, want %s", c.name, out, err, c.says)
		}
	}
	f, _ := newFold(2)
	if out, err := f.apply(1, nil); err != nil || out.Number != 0 {
		t.Errorf("an empty entry: %+v, %v", out, err)
	}
}

// Equal entries have equal chains; any difference shows.
func TestChain(t *testing.T) {
	entry := func(term uint64, data string) *raftpb.Entry {
		return &raftpb.Entry{Index: new(uint64(1)), Term: new(term), Data: []byte(data)}
	}
	chain := func(e *raftpb.Entry) uint64 {
		f, _ := newFold(1)
		f.advance(e)
		return f.applied.Chain
	}
	if first, again := chain(entry(1, "a")), chain(entry(1, "a")); first != again {
		t.Error("equal entries have different chains")
	}
	if chain(entry(1, "a")) == chain(entry(2, "a")) || chain(entry(1, "a")) == chain(entry(1, "b")) {
		t.Error("different entries have equal chains")
	}
}

func TestMemberID(t *testing.T) {
	for id, want := range map[MemberID]string{0: "nobody", Founder(0): "0", Founder(4): "4", joiner(0, 2): "0/2", joiner(7, 300): "7/300"} {
		if got := id.String(); got != want {
			t.Errorf("member %x is %q, want %q", uint64(id), got, want)
		}
	}
	if id := joiner(7, 300); id.Address() != 7 || id.Joined() != 300 || binary.Size(id) != 8 {
		t.Errorf("member %v: address %d, joined %d", id, id.Address(), id.Joined())
	}
}

// A directory is one member for all time, and no two admissions have one number.
func TestAdmissions(t *testing.T) {
	f, _ := newFold(4)
	one, other := env.Nonce{A: 1}, env.Nonce{A: 1, B: 1}
	f.admit(Founder(0), one)
	f.admit(joiner(0, 3), one) // it is admitted already
	f.admit(joiner(0, 4), other)
	if f.memberOf(one) != Founder(0) || f.memberOf(other) != joiner(0, 4) || f.memberOf(env.Nonce{B: 1}) != 0 {
		t.Errorf("members %v", f.members)
	}
	restored, _ := newFold(4)
	if err := restored.restore(1, f.append(nil)); err != nil || !slices.Equal(restored.members, f.members) {
		t.Errorf("restored: %v, %v; want %v", restored.members, err, f.members)
	}
	numbers := map[uint32]bool{}
	for term := Term(1); term < 4; term++ {
		for count := range uint32(maxAdmissions) {
			n, ok := admission(term, count)
			if !ok || n == 0 || numbers[n] {
				t.Fatalf("admission %d of term %d: %d, %v", count, term, n, ok)
			}
			numbers[n] = true
		}
		if _, ok := admission(term, maxAdmissions); ok {
			t.Errorf("term %d admits too many", term)
		}
	}
}

// The file of a member names its last starts, and each has the next number.
func TestStartsOfAMemberAreBounded(t *testing.T) {
	var starts []start
	for n := uint64(1); n <= 3*maxStarts; n++ {
		starts = startAgain(starts, env.Nonce{A: n})
		if want := (start{n, env.Nonce{A: n}}); lastOf(starts) != want || len(starts) != int(min(n, maxStarts)) {
			t.Fatalf("start %d: the last of %d is %v, want %v", n, len(starts), lastOf(starts), want)
		}
	}
	if first := starts[0].number; first != 2*maxStarts+1 {
		t.Errorf("the first start that is named is %d, want %d", first, 2*maxStarts+1)
	}
}

// The last start that was seen of a member never goes back.
func TestSightings(t *testing.T) {
	var seen []sighting
	of := func(id MemberID, number uint64) sighting { return sighting{id, start{number: number}} }
	for _, s := range []sighting{of(Founder(2), 4), of(Founder(1), 2), of(Founder(2), 3), of(Founder(1), 5)} {
		seen = see(seen, s)
	}
	if !slices.Equal(seen, []sighting{of(Founder(1), 5), of(Founder(2), 4)}) || seenOf(seen, Founder(2)).number != 4 || seenOf(seen, Founder(0)) != (start{}) {
		t.Errorf("seen %v", seen)
	}
}
