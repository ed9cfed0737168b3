package checker

const nameDeterminism = "determinism"

// TraceHash is the three hash chains over everything that happened in a run.
type TraceHash struct {
	Decisions uint64 // the decisions of the world
	State     uint64 // the states of the machines
	Clients   uint64 // the histories of the clients
}

// Determinism compares the traces of two runs of one seed. It is no member of
// All, because it judges two runs. Its one rule:
//
//	trace  a chain differs; the finding names the first that does
//
// The decisions come first: when they differ the rest follows.
func Determinism(a, b TraceHash) Report {
	v := newVerdict(nameDeterminism)
	chains := [...]struct {
		name string
		a, b uint64
	}{
		{"decisions", a.Decisions, b.Decisions},
		{"state", a.State, b.State},
		{"clients", a.Clients, b.Clients},
	}
	if a == (TraceHash{}) && b == (TraceHash{}) {
		v.cannotTell("nothing was traced")
		return v.done()
	}
	v.report.Checked = len(chains)
	for _, c := range chains {
		if c.a != c.b {
			v.find("trace", 0, nil, "two runs of one seed differ in the chain of %s: %016x and %016x", c.name, c.a, c.b)
			break
		}
	}
	return v.done()
}
