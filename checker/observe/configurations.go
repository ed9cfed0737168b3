package observe

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// SlotExclusion says that a configuration does not count on a member's log of a slot.
type SlotExclusion struct {
	Member Process
	Tenant tenant.ID
	Slot   lineage.Slot
}

// Configuration is one version of a shard's configuration, as the coordinator sent it to a node.
// Its lists belong to the Configurations that it was read from.
type Configuration struct {
	Shard    lineage.Shard
	Version  uint64 // counts the changes of the shard, from 1
	Index    uint64 // of the control plane's entry that made it
	Epoch    lineage.ShardEpoch
	Leader   Process
	InSync   []Process // ascending by node
	Eligible []Process // the member that left the set last, and may lead if no member in sync can; at most one
	Replicas []uint32  // nodes, ascending
	Excluded []SlotExclusion
	Ungiven  []Process // members whose running incarnations do not durably know of their directories
	Min      int
	Reformed bool  // the set is being reformed
	At       int64 // when it was first seen on a wire, true time, ns
}

// Registration says that the control plane took an incarnation of a node for its current one.
type Registration struct {
	Process
	Index uint64 // of the entry
}

// Configurations are the configurations of all shards that were seen, each version once, in the
// order in which they were seen first. A version is missing if a later one had overtaken it before
// any node received it. The zero value is empty and ready.
type Configurations struct {
	List  []Configuration
	Lives []Registration
	// Unstarted are registrations of nodes beyond how often these had been started.
	Unstarted []Registration

	// Memory that the lists of List are parts of.
	processes []Process
	nodes     []uint32
	excluded  []SlotExclusion
}

func (c *Configurations) reset() {
	*c = Configurations{
		List: c.List[:0], Lives: c.Lives[:0], Unstarted: c.Unstarted[:0],
		processes: c.processes[:0], nodes: c.nodes[:0], excluded: c.excluded[:0],
	}
}

// Told notes a configuration. Its lists are copied.
func (c *Configurations) Told(told Configuration) {
	for i := len(c.List) - 1; i >= 0; i-- {
		if known := &c.List[i]; known.Shard == told.Shard && known.Version == told.Version {
			return
		}
	}
	told.InSync = tail(&c.processes, told.InSync)
	told.Eligible = tail(&c.processes, told.Eligible)
	told.Replicas = tail(&c.nodes, told.Replicas)
	told.Excluded = tail(&c.excluded, told.Excluded)
	told.Ungiven = tail(&c.processes, told.Ungiven)
	c.List = append(c.List, told)
}

// tail appends a copy of list to memory, and returns the copy. Copies made before stay valid
// when memory has to grow: they keep the old one.
func tail[T any](memory *[]T, list []T) []T {
	from := len(*memory)
	*memory = append(*memory, list...)
	return slices.Clip((*memory)[from:])
}

// Registered notes the registered incarnation of a node.
func (c *Configurations) Registered(r Registration) {
	if !slices.Contains(c.Lives, r) {
		c.Lives = append(c.Lives, r)
	}
}

// Contains reports whether a process is in the set.
func (c *Configuration) Contains(p Process) bool { return slices.Contains(c.InSync, p) }

// On returns the member on a node, false if there is none.
func (c *Configuration) On(node uint32) (Process, bool) {
	for _, p := range c.InSync {
		if p.Node == node {
			return p, true
		}
	}
	return Process{}, false
}

// Excludes reports whether a member lacks records of any slot.
func (c *Configuration) Excludes(p Process) bool {
	return slices.ContainsFunc(c.Excluded, func(x SlotExclusion) bool { return x.Member == p })
}
