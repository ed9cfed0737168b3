package shrink

import "github.com/tidaldb/tidalsim/harness"

// Shape says what the plans of a suite consist of beside their worlds, and how they do
// without parts of it. The zero value is right for plans of which only the world, its
// faults and its properties, can become smaller. Plans that its functions return share
// nothing with those that they are given.
type Shape struct {
	// Axes are lists of which a plan can do without some members: processes, tenants. Each is
	// made minimal in turn.
	Axes []Axis
	// Groups, if not nil, is called before that, for cuts that no axis has.
	Groups func(*Search)
	// Whole returns the plan without an entry that it has at most once, nil if it has none.
	Whole []func(harness.Plan) harness.Plan
	// Faults are entries that are cut one by one, together with those of the world.
	Faults Axis
	// Calls are the operations of clients, and Halve returns the plan with half of them, nil
	// if it has one or none.
	Calls Axis
	Halve func(harness.Plan) harness.Plan
	// Restore gives p, some members of whose axes were cut, the operations of whole, the plan
	// as it was recorded: numbers of processes shift when one goes, and with them what
	// clients draw. Nil: they are never given back.
	Restore func(p, whole harness.Plan)
	// Usual make whole parts of a plan the usual ones.
	Usual []func(harness.Plan)
	// Values lists the numbers of a plan that may become simpler; nil stands for FaultValues
	// and ProfileValues.
	Values func(harness.Plan) []Value
	// Size measures the part of a plan beside its world; nil: there is none.
	Size func(harness.Plan) Size
}

// Axis is a list of which a plan can do without some members. The zero value is an empty list.
type Axis struct {
	// Count returns how many members there are.
	Count func(harness.Plan) int
	// Keep returns plans that have only the members that are kept, which ascend. One of them
	// that fails is enough.
	Keep func(p harness.Plan, keep []int) []harness.Plan
	// Bold cuts are tried with the same families of deviations everywhere too; see bold.
	Bold bool
}

// count is the number of members.
func (a *Axis) count(p harness.Plan) int {
	if a.Count == nil {
		return 0
	}
	return a.Count(p)
}

// Size is the size of the part of a plan beside its world, in order of weight; see size.
type Size struct {
	Entries int // that can be left out: members of axes beyond those that there have to be, faults
	Parts   int // that those consist of
	Calls   int // operations that clients begin
	Last    int // the last one's number: what is left out behind it is cut off
}

func (s *Shape) size(p harness.Plan) Size {
	if s.Size == nil {
		return Size{}
	}
	return s.Size(p)
}

func (s *Shape) values(p harness.Plan) []Value {
	if s.Values == nil {
		return append(FaultValues(p), ProfileValues()...)
	}
	return s.Values(p)
}

// Entries counts the entries that can be cut from a plan.
func (s *Shape) Entries(p harness.Plan) int {
	w := p.Parts().World
	return s.size(p).Entries + len(w.Disruptions) + len(w.Deviations) + len(w.Clocks) + len(w.Terms) + len(w.Links)
}
