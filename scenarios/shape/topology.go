package shape

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/scenarios"
)

// numbers returns 0..n-1.
func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// within leaves out the skipped operations of clients that are not there.
func within(skip []scenarios.Skip, clients int) []scenarios.Skip {
	return slices.DeleteFunc(skip, func(k scenarios.Skip) bool { return k.Client >= clients })
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

// ofTenants returns the plan without the tenants that are not kept, and without the operators'
// commands about them. A storm goes with its tenant; its clients become ordinary ones.
func ofTenants(p *scenarios.Plan, keep []int) *scenarios.Plan {
	q := p.Copy()
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
	q := p.Copy()
	shrink.Renumber(&q.World, processes)
	return q
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

// withCommands returns the plan with only the commands of operators that are kept, by their
// places in commandsOf.
func withCommands(p *scenarios.Plan, keep []int) *scenarios.Plan {
	q := p.Copy()
	for i := range q.Workload.Operators {
		q.Workload.Operators[i].Commands = []scenarios.CommandPlan{}
	}
	all := commandsOf(p)
	for _, i := range keep {
		c := all[i]
		o := &q.Workload.Operators[c.operator]
		o.Commands = append(o.Commands, p.Workload.Operators[c.operator].Commands[c.index])
	}
	return q
}
