package trace

import (
	"testing"

	"pgregory.net/rapid"
)

type note struct {
	at         int64
	process    uint32
	what       What
	a, b, c, d uint64
}

func (n note) into(t *Trace) { t.Note(n.at, n.process, n.what, n.a, n.b, n.c, n.d) }

func drawNote(t *rapid.T) note {
	small := rapid.Uint64Range(0, 2) // zeros must not make a hash forget
	return note{
		at: rapid.Int64Range(0, 3).Draw(t, "at"), process: rapid.Uint32Range(0, 2).Draw(t, "process"),
		what: What(rapid.IntRange(int(Step), int(Client)).Draw(t, "what")),
		a:    small.Draw(t, "a"), b: small.Draw(t, "b"), c: small.Draw(t, "c"), d: small.Draw(t, "d"),
	}
}

func fold(notes []note) (*Trace, Hash) {
	t := new(Trace)
	t.Reset(true)
	for _, n := range notes {
		n.into(t)
	}
	return t, t.Hash()
}

// Any change of any number of any entry changes the hash, and FirstDifference
// finds it.
func TestEveryNumberMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		notes := rapid.SliceOfN(rapid.Custom(drawNote), 1, 20).Draw(t, "notes")
		a, hash := fold(notes)
		if _, again := fold(notes); again != hash {
			t.Fatalf("equal entries fold to %s and %s", hash, again)
		}
		i := rapid.IntRange(0, len(notes)-1).Draw(t, "changed")
		changed := append([]note{}, notes...)
		n := &changed[i]
		switch rapid.IntRange(0, 6).Draw(t, "number") {
		case 0:
			n.at++
		case 1:
			n.process++
		case 2:
			n.what = n.what%Client + 1
		case 3:
			n.a++
		case 4:
			n.b++
		case 5:
			n.c++
		case 6:
			n.d++
		}
		b, other := fold(changed)
		if other == hash || other.Fold() == hash.Fold() {
			t.Fatalf("entries that differ fold to one hash %s", hash)
		}
		if got := FirstDifference(a.Entries(), b.Entries()); got != i {
			t.Fatalf("they differ in entry %d, want %d", got, i)
		}
	})
}

// Order matters within a chain; a difference says which chain it is in.
func TestThreeChains(t *testing.T) {
	base := []note{{what: Boot}, {what: Step}, {what: Client}}
	_, hash := fold(base)
	for what, differs := range map[What]Hash{
		Deviation: {Decisions: 1}, Crash: {Decisions: 1}, Boot: {Decisions: 1}, Disrupt: {Decisions: 1}, Calm: {Decisions: 1},
		Step: {State: 1}, Status: {State: 1}, Send: {State: 1}, Submit: {State: 1}, SetTimer: {State: 1}, Hit: {State: 1}, Halt: {State: 1},
		Client: {Clients: 1},
	} {
		_, got := fold(append(base[:3:3], note{what: what}))
		changed := Hash{}
		if got.Decisions != hash.Decisions {
			changed.Decisions = 1
		}
		if got.State != hash.State {
			changed.State = 1
		}
		if got.Clients != hash.Clients {
			changed.Clients = 1
		}
		if changed != differs {
			t.Errorf("%s changes the chains %+v, want %+v", what, changed, differs)
		}
	}
	_, ab := fold([]note{{what: Step, a: 1}, {what: Step, a: 2}})
	_, ba := fold([]note{{what: Step, a: 2}, {what: Step, a: 1}})
	if ab == ba {
		t.Error("the order of two entries does not matter")
	}
}

func TestEntriesAreKeptOnRequest(t *testing.T) {
	var tr Trace
	tr.Reset(false)
	note{what: Step}.into(&tr)
	if len(tr.Entries()) != 0 || tr.Count() != 1 {
		t.Errorf("%d entries kept of %d", len(tr.Entries()), tr.Count())
	}
	a, _ := fold([]note{{what: Step}, {what: Boot, at: 7, process: 3, a: 10}})
	if got, want := a.Entries()[1].String(), "           7 ns  process 3  boot      a 0 0 0"; got != want {
		t.Errorf("prints %q, want %q", got, want)
	}
	if got := FirstDifference(a.Entries(), a.Entries()[:1]); got != 1 {
		t.Errorf("a beginning differs at %d, want 1", got)
	}
	if got := FirstDifference(a.Entries(), a.Entries()); got != -1 {
		t.Errorf("equal entries differ at %d", got)
	}
	empty := new(Trace)
	empty.Reset(true)
	first := a.Hash()
	a.Reset(true)
	if a.Hash() != empty.Hash() || a.Hash() == first || len(a.Entries()) != 0 {
		t.Errorf("after a reset: %s with %d entries", a.Hash(), len(a.Entries()))
	}
}

func TestEveryKindOfEntryHasAName(t *testing.T) {
	seen := map[string]bool{}
	for w := Step; w <= Client; w++ {
		if name := w.String(); name == "" || name == "unknown" || seen[name] {
			t.Errorf("kind %d is called %q", w, name)
		}
		seen[w.String()] = true
	}
}
