package shrink

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// clone copies what a candidate may change.
func clone(p *scenarios.Plan) *scenarios.Plan {
	q := *p
	q.Cluster.Tenants = slices.Clone(p.Cluster.Tenants)
	for i := range q.Cluster.Tenants {
		t := &q.Cluster.Tenants[i]
		t.Shards = slices.Clone(t.Shards)
	}
	q.Cluster.Shared = cloneShared(p.Cluster.Shared)
	q.Workload.Skip = slices.Clone(p.Workload.Skip)
	if p.Workload.Loyal != nil {
		loyal := *p.Workload.Loyal
		q.Workload.Loyal = &loyal
	}
	if p.Workload.Storm != nil {
		storm := *p.Workload.Storm
		q.Workload.Storm = &storm
	}
	q.Workload.Operators = slices.Clone(p.Workload.Operators)
	for i := range q.Workload.Operators {
		o := &q.Workload.Operators[i]
		o.Commands = slices.Clone(o.Commands)
	}
	w := &q.World
	w.Clocks, w.Terms = slices.Clone(w.Clocks), slices.Clone(w.Terms)
	w.Deviations, w.Disruptions, w.Links = slices.Clone(w.Deviations), slices.Clone(w.Disruptions), slices.Clone(w.Links)
	return &q
}

// numbers returns 0..n-1.
func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// minimize finds a minimal part of items; make returns the plans that have just
// that part, of which one that fails is enough.
func minimize[T any](s *search, items []T, make func(keep []T) []*scenarios.Plan) {
	Minimize(items, func(keep []T) bool { return slices.ContainsFunc(make(keep), s.try) })
}

// topology cuts nodes, clients, tenants and operators. Numbers of processes shift when one
// goes, and with them what clients draw, so each cut is tried with the workload as
// it is and as it was in the beginning: fewer entries are worth more operations.
func (s *search) topology() {
	s.groups()
	for _, whole := range []bool{false, true} {
		base := s.best
		minimize(s, numbers(base.Cluster.Nodes), func(keep []int) []*scenarios.Plan {
			return s.with(whole, onNodes(base, keep, true), onNodes(base, keep, false))
		})
		base = s.best
		minimize(s, numbers(base.Cluster.Clients), func(keep []int) []*scenarios.Plan {
			return s.with(whole, ofClients(base, keep))
		})
		base = s.best
		minimize(s, numbers(len(base.Cluster.Tenants)), func(keep []int) []*scenarios.Plan {
			return s.with(whole, ofTenants(base, keep))
		})
		base = s.best
		minimize(s, numbers(len(base.Workload.Operators)), func(keep []int) []*scenarios.Plan {
			return s.with(whole, ofOperators(base, keep))
		})
	}
}

// with returns the plans, with all operations of the beginning if whole. With
// everything kept there is nothing to run.
func (s *search) with(whole bool, plans ...*scenarios.Plan) []*scenarios.Plan {
	for _, p := range plans {
		if whole {
			w := clone(s.whole).Workload
			w.Skip = within(w.Skip, p.Cluster.Clients)
			w.Storm, w.Loyal, w.Operators = p.Workload.Storm, p.Workload.Loyal, p.Workload.Operators
			p.Workload = w
		}
	}
	return plans
}

// within leaves out what is skipped of clients that are not there.
func within(skip []scenarios.Skip, clients int) []scenarios.Skip {
	return slices.DeleteFunc(skip, func(k scenarios.Skip) bool { return k.Client >= clients })
}

// onNodes returns the plan without the nodes that are not kept, and without the commands of
// operators about them. Their tenants go too or, with move, to the first node that is kept. For
// replica groups see onSharedNodes.
func onNodes(p *scenarios.Plan, keep []int, move bool) *scenarios.Plan {
	if p.Cluster.Shared != nil {
		return onSharedNodes(p, keep, move)
	}
	var tenants []int
	for i, t := range p.Cluster.Tenants {
		if move || slices.Contains(keep, int(t.Node)) {
			tenants = append(tenants, i)
		}
	}
	return keepNodes(ofTenants(p, tenants), keep)
}

// keepNodes gives the nodes that are kept the numbers 0, 1, ...
func keepNodes(p *scenarios.Plan, keep []int) *scenarios.Plan {
	q := renumber(p, append(slices.Clone(keep), processesFrom(p.Cluster.Nodes, p.Cluster.Clients+len(p.Workload.Operators))...))
	q.Cluster.Nodes = len(keep)
	for i := range q.Cluster.Tenants {
		t := &q.Cluster.Tenants[i]
		t.Node = env.ID(max(slices.Index(keep, int(t.Node)), 0))
	}
	return q
}

// processesFrom returns the numbers of n processes from first on.
func processesFrom(first, n int) []int {
	list := numbers(n)
	for i := range list {
		list[i] += first
	}
	return list
}

// ofClients returns the plan without the clients that are not kept.
func ofClients(p *scenarios.Plan, keep []int) *scenarios.Plan {
	processes := numbers(p.Cluster.Nodes)
	for _, client := range keep {
		processes = append(processes, p.Cluster.Nodes+client)
	}
	q := renumber(p, append(processes, processesFrom(p.Cluster.Nodes+p.Cluster.Clients, len(p.Workload.Operators))...))
	q.Cluster.Clients = len(keep)
	q.Workload.Skip = nil
	for _, k := range p.Workload.Skip {
		if k.Client = slices.Index(keep, k.Client); k.Client >= 0 {
			q.Workload.Skip = append(q.Workload.Skip, k)
		}
	}
	if loyal := q.Workload.Loyal; loyal != nil {
		first := p.Cluster.Clients - loyal.Clients
		loyal.Clients = len(slices.DeleteFunc(slices.Clone(keep), func(client int) bool { return client < first }))
		if loyal.Clients == 0 {
			q.Workload.Loyal = nil
		}
	}
	if storm := q.Workload.Storm; storm != nil {
		first := p.Cluster.Clients - storm.Clients
		storm.Clients = len(slices.DeleteFunc(slices.Clone(keep), func(client int) bool { return client < first }))
		if storm.Clients == 0 {
			q.Workload.Storm = nil
		}
	}
	return q
}

// ofOperators returns the plan without the operators that are not kept.
func ofOperators(p *scenarios.Plan, keep []int) *scenarios.Plan {
	processes, first := numbers(p.Cluster.Nodes+p.Cluster.Clients), p.Cluster.Nodes+p.Cluster.Clients
	var operators []scenarios.OperatorPlan
	for _, i := range keep {
		processes = append(processes, first+i)
		operators = append(operators, p.Workload.Operators[i])
	}
	q := renumber(p, processes)
	q.Workload.Operators = operators
	return q
}

// ofTenants returns the plan without the tenants that are not kept, and without
// what operators want of them. A storm goes with its tenant; its clients become
// ordinary ones.
func ofTenants(p *scenarios.Plan, keep []int) *scenarios.Plan {
	q := clone(p)
	q.Cluster.Tenants = nil
	for _, i := range keep {
		q.Cluster.Tenants = append(q.Cluster.Tenants, p.Cluster.Tenants[i])
	}
	if storm := q.Workload.Storm; storm != nil {
		if storm.Tenant = slices.Index(keep, storm.Tenant); storm.Tenant < 0 {
			q.Workload.Storm = nil
		}
	}
	for i := range q.Workload.Operators {
		o := &q.Workload.Operators[i]
		o.Commands = slices.DeleteFunc(o.Commands, func(c scenarios.CommandPlan) bool { return !c.OfNode() && !slices.Contains(keep, c.Tenant) })
		for j := range o.Commands {
			if c := &o.Commands[j]; !c.OfNode() {
				c.Tenant = slices.Index(keep, c.Tenant)
			}
		}
	}
	return q
}

// renumber returns the plan for the processes that are kept, which get the numbers
// 0, 1, ...; faults of the others go.
func renumber(p *scenarios.Plan, processes []int) *scenarios.Plan {
	q := clone(p)
	w := &q.World
	gone := func(process uint32) bool { return !slices.Contains(processes, int(process)) }
	number := func(process uint32) uint32 { return uint32(slices.Index(processes, int(process))) }
	w.Clocks = slices.DeleteFunc(w.Clocks, func(c plan.Clock) bool { return gone(c.Process) })
	for i := range w.Clocks {
		w.Clocks[i].Process = number(w.Clocks[i].Process)
	}
	w.Links = slices.DeleteFunc(w.Links, func(l network.LinkProfile) bool { return gone(l.From) || gone(l.To) })
	for i := range w.Links {
		w.Links[i].From, w.Links[i].To = number(w.Links[i].From), number(w.Links[i].To)
	}
	w.Terms = slices.DeleteFunc(w.Terms, func(t plan.Term) bool { return gone(t.Process) })
	for i := range w.Terms {
		w.Terms[i].Process = number(w.Terms[i].Process)
	}
	w.Disruptions = slices.DeleteFunc(w.Disruptions, func(d plan.Disruption) bool {
		return gone(d.Process) || gone(d.Waits()) || d.Kind.OfLinks() && d.Peer >= 0 && gone(uint32(d.Peer))
	})
	for i := range w.Disruptions {
		d := &w.Disruptions[i]
		d.Process = number(d.Process)
		if d.When.Of != 0 {
			d.When.Of = plan.Other(number(d.When.Of.Or(0)))
		}
		if d.Kind.OfLinks() && d.Peer >= 0 {
			d.Peer = int64(number(uint32(d.Peer)))
		}
	}
	w.Deviations = slices.DeleteFunc(w.Deviations, func(d plan.Deviation) bool {
		from, to, link := ends(&d)
		return gone(to) || link && gone(from)
	})
	for i := range w.Deviations {
		d := &w.Deviations[i]
		from, to, link := ends(d)
		d.Scope = uint64(number(to))
		if link {
			d.Scope |= uint64(number(from)) << 32
		}
	}
	return q
}

// ends returns the processes that the scope of a deviation names: those of a link,
// or the one of a disk.
func ends(d *plan.Deviation) (from, to uint32, link bool) {
	return uint32(d.Scope >> 32), uint32(d.Scope), d.Site.OfLink()
}

// fault is the place of one entry that is neither a process nor a tenant.
type fault struct {
	list  list
	index int
}

// list is one of a plan's lists of entries.
type list uint8

const (
	disruptions list = iota
	clocks
	terms
	links
	commands // of operators, one operator after the other
	deviations
)

// faultsOf lists the entries of a plan that are not processes or tenants.
func faultsOf(p *scenarios.Plan) (all []fault) {
	w := &p.World
	for l, n := range []int{len(w.Disruptions), len(w.Clocks), len(w.Terms), len(w.Links), len(commandsOf(p)), len(w.Deviations)} {
		for i := range n {
			all = append(all, fault{list(l), i})
		}
	}
	return all
}

// command is the place of one command of an operator.
type command struct{ operator, index int }

func commandsOf(p *scenarios.Plan) (all []command) {
	for i := range p.Workload.Operators {
		for j := range p.Workload.Operators[i].Commands {
			all = append(all, command{i, j})
		}
	}
	return all
}

// withFaults returns the plan with only the faults that are kept.
func withFaults(p *scenarios.Plan, keep []fault) *scenarios.Plan {
	q := clone(p)
	w := &q.World
	w.Disruptions, w.Clocks, w.Terms, w.Links, w.Deviations = []plan.Disruption{}, nil, nil, nil, []plan.Deviation{}
	for i := range q.Workload.Operators {
		q.Workload.Operators[i].Commands = []scenarios.CommandPlan{}
	}
	all := commandsOf(p)
	for _, f := range keep {
		switch f.list {
		case disruptions:
			w.Disruptions = append(w.Disruptions, p.World.Disruptions[f.index])
		case clocks:
			w.Clocks = append(w.Clocks, p.World.Clocks[f.index])
		case terms:
			w.Terms = append(w.Terms, p.World.Terms[f.index])
		case links:
			w.Links = append(w.Links, p.World.Links[f.index])
		case commands:
			c := all[f.index]
			o := &q.Workload.Operators[c.operator]
			o.Commands = append(o.Commands, p.Workload.Operators[c.operator].Commands[c.index])
		case deviations:
			w.Deviations = append(w.Deviations, p.World.Deviations[f.index])
		}
	}
	return q
}

// family tells which faults are cut together first: those of one list, and
// deviations of one site.
func (f fault) family(w *plan.Plan) int {
	if f.list == deviations {
		return int(deviations) + int(w.Deviations[f.index].Site)
	}
	return int(f.list)
}

// wholeFamilies cuts the storm and whole families of faults.
func (s *search) wholeFamilies() {
	if s.best.Workload.Storm != nil {
		calm := clone(s.best)
		calm.Workload.Storm = nil
		s.try(calm)
	}
	for family := range int(deviations) + int(chance.Deviations) {
		base := s.best
		all := faultsOf(base)
		rest := slices.DeleteFunc(slices.Clone(all), func(f fault) bool { return f.family(&base.World) == family })
		if len(rest) < len(all) {
			s.try(withFaults(base, rest))
		}
	}
}

// faults cuts single faults.
func (s *search) faults() {
	base := s.best
	minimize(s, faultsOf(base), func(keep []fault) []*scenarios.Plan {
		return []*scenarios.Plan{withFaults(base, keep)}
	})
}
