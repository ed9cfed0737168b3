// Package control is the control plane: the state machine on the meta log, and the rules by which
// the coordinator proposes commands. It knows the registered processes, the replicas of each shard,
// its leader, the members that may be promoted, and the tenants. It is no consensus protocol and
// sends no messages; its input is commands, sightings of nodes, and the time.
//
// A Plane is a fold of commands. Decide compares a Plane with the sightings and returns commands.
// Before a command is applied, the state may have changed, and another coordinator may have decided
// too. The one rule to remember: a command names the state that it was decided on, and Apply checks
// everything again.
package control

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/strict"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Bounds of a cluster. They bound the state, because every compaction of the meta log writes all of
// it.
const (
	MaxNodes    = 1024  // nodes
	MaxShards   = 4096  // shards
	MaxReplicas = 7     // replicas of a shard
	MaxTenants  = 65536 // tenants, the dropped ones included
	// MaxSlots bounds the slots of a tenant: one message holds every change of a tenant.
	MaxSlots = 1024
	// MaxAllSlots bounds the slots of all tenants together.
	MaxAllSlots = 1 << 20
	// MaxExclusions bounds the exclusions of a shard. A member with thousands of failed logs should
	// be removed as a whole.
	MaxExclusions = 1024
)

// Cluster is the founding configuration of a control plane, and the content of a cluster file.
// Lists ascend by id, without duplicates.
type Cluster struct {
	// Meta are the addresses of the founding members of the meta log: 1, 3 or 5,
	// ascending, each one of Nodes.
	Meta   []env.ID      `json:"meta"`
	Nodes  []NodeConfig  `json:"nodes"`
	Shards []ShardConfig `json:"shards"`
	// Tenants may be empty; an operator creates tenants at run time.
	Tenants []TenantConfig `json:"tenants"`
}

// NodeConfig is a node: its address, its region, and the data directory that it is founded in.
type NodeConfig struct {
	ID     env.ID        `json:"id"`
	Region tenant.Region `json:"region"`
	// Directory is the name that the founding file gives to the node's data directory. It is
	// written into the directory before any process runs; any other directory has no records that
	// the in-sync sets count on. Zero: unknown, and the first directory that registers is taken.
	Directory env.Nonce `json:"directory,omitzero"`
}

// ShardConfig is a shard and its replicas, all in the shard's region.
type ShardConfig struct {
	ID     lineage.Shard `json:"id"`
	Region tenant.Region `json:"region"`
	// Replicas are 1..MaxReplicas distinct nodes; the first one leads at first.
	Replicas []env.ID `json:"replicas"`
}

// TenantConfig is a tenant and the shards that host its slots. In JSON it is a tenant.Config with
// one more key, "shards".
type TenantConfig struct {
	tenant.Config
	// Shards has the shard of each slot, by slot: P = len(Shards) is
	// 1..MaxSlots, and at most rate and burst: see Config.ValidateSlots.
	Shards []lineage.Shard `json:"shards"`
}

// ErrCluster is wrapped by every error about a cluster.
var ErrCluster = errors.New("invalid cluster")

// FieldError names the invalid field of a cluster and the reason. It wraps ErrCluster.
type FieldError = strict.Error

func wrong(path, format string, operands ...any) error {
	return &FieldError{Of: ErrCluster, Path: path, What: fmt.Sprintf(format, operands...)}
}

func caused(path string, err error) error {
	return &FieldError{Of: ErrCluster, Path: path, What: err.Error(), Err: err}
}

// Validate reports the first contradiction as a *FieldError. It checks the nodes first, because the
// other parts name them, then the rest in the order of the file.
func (c *Cluster) Validate() error {
	for _, validate := range [...]func(*Cluster) error{
		(*Cluster).validateNodes, (*Cluster).validateMeta, (*Cluster).validateShards, (*Cluster).validateTenants,
	} {
		if err := validate(c); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) validateNodes() error {
	if n := len(c.Nodes); n > MaxNodes {
		return wrong("nodes", "%d nodes, want at most %d", n, MaxNodes)
	}
	for i, n := range c.Nodes {
		path := fmt.Sprintf("nodes[%d].", i)
		if i > 0 && c.Nodes[i-1].ID >= n.ID {
			return wrong(path+"id", "%d follows %d; want them ascending, each once", n.ID, c.Nodes[i-1].ID)
		}
		if err := n.Region.Validate(); err != nil {
			return caused(path+"region", err)
		}
	}
	return nil
}

func (c *Cluster) validateMeta() error {
	if n := len(c.Meta); n != 1 && n != 3 && n != 5 {
		return wrong("meta", "%d addresses, want 1, 3 or 5", n)
	}
	for i, id := range c.Meta {
		path := fmt.Sprintf("meta[%d]", i)
		if i > 0 && c.Meta[i-1] >= id {
			return wrong(path, "%d follows %d; want them ascending, each once", id, c.Meta[i-1])
		}
		if c.Node(id) == nil {
			return wrong(path, "%d is no node's id", id)
		}
	}
	return nil
}

func (c *Cluster) validateShards() error {
	if n := len(c.Shards); n == 0 || n > MaxShards {
		return wrong("shards", "%d shards, want 1..%d", n, MaxShards)
	}
	for i := range c.Shards {
		s, path := &c.Shards[i], fmt.Sprintf("shards[%d].", i)
		if i > 0 && c.Shards[i-1].ID >= s.ID {
			return wrong(path+"id", "%d follows %d; want them ascending, each once", s.ID, c.Shards[i-1].ID)
		}
		if err := s.Region.Validate(); err != nil {
			return caused(path+"region", err)
		}
		if err := c.validateReplicas(s, path+"replicas"); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) validateReplicas(s *ShardConfig, path string) error {
	if n := len(s.Replicas); n == 0 || n > MaxReplicas {
		return wrong(path, "%d replicas, want 1..%d", n, MaxReplicas)
	}
	there := 0
	for _, n := range c.Nodes {
		if n.Region == s.Region {
			there++
		}
	}
	if n := len(s.Replicas); n > there {
		return wrong(path, "%d replicas, but region %q has %d nodes; add nodes there or take fewer replicas", n, s.Region, there)
	}
	for i, id := range s.Replicas {
		path := fmt.Sprintf("%s[%d]", path, i)
		n := c.Node(id)
		switch {
		case n == nil:
			return wrong(path, "%d is no node's id", id)
		case n.Region != s.Region:
			return wrong(path, "node %d is in region %q, the shard in %q", id, n.Region, s.Region)
		case slices.Contains(s.Replicas[:i], id):
			return wrong(path, "node %d is there twice", id)
		}
	}
	return nil
}

func (c *Cluster) validateTenants() error {
	if n := len(c.Tenants); n > MaxTenants {
		return wrong("tenants", "%d tenants, want at most %d", n, MaxTenants)
	}
	slots := 0
	for i := range c.Tenants {
		slots += len(c.Tenants[i].Shards)
	}
	if slots > MaxAllSlots {
		return wrong("tenants", "%d slots, want at most %d", slots, MaxAllSlots)
	}
	for i := range c.Tenants {
		t, path := &c.Tenants[i], fmt.Sprintf("tenants[%d]", i)
		if i > 0 && c.Tenants[i-1].ID >= t.ID {
			return wrong(path+".id", "%s follows %s; want them ascending, each once", t.ID, c.Tenants[i-1].ID)
		}
		if err := t.Validate(); err != nil {
			return invalidTenant(path, err)
		}
		if err := c.validateHomes(t, path); err != nil {
			return err
		}
	}
	return nil
}

// invalidTenant is the error about the configuration of the tenant at a path.
func invalidTenant(path string, err error) error {
	var field *tenant.ConfigError
	if errors.As(err, &field) {
		path += "." + field.Field
	}
	return caused(path, err)
}

func (c *Cluster) validateHomes(t *TenantConfig, path string) error {
	if !slices.ContainsFunc(c.Shards, func(s ShardConfig) bool { return t.Residency.Permits(s.Region) }) {
		return wrong(path+".residency", "no shard is in a region of %v", t.Residency)
	}
	if n := len(t.Shards); n == 0 || n > MaxSlots {
		return wrong(path+".shards", "%d slots, want 1..%d", n, MaxSlots)
	}
	if err := t.ValidateSlots(len(t.Shards)); err != nil {
		return invalidTenant(path, err)
	}
	for slot, id := range t.Shards {
		path := fmt.Sprintf("%s.shards[%d]", path, slot)
		s := c.Shard(id)
		switch {
		case s == nil:
			return wrong(path, "%d is no shard's id", id)
		case !t.Residency.Permits(s.Region):
			return wrong(path, "shard %d is in region %q, which the tenant's residency %v forbids", id, s.Region, t.Residency)
		}
	}
	return nil
}

// Node finds a node by its id, nil if there is none. The nodes must ascend.
func (c *Cluster) Node(id env.ID) *NodeConfig {
	i, found := slices.BinarySearchFunc(c.Nodes, id, func(n NodeConfig, id env.ID) int { return cmp.Compare(n.ID, id) })
	if !found {
		return nil
	}
	return &c.Nodes[i]
}

// Shard finds a shard by its id, nil if there is none. The shards must ascend.
func (c *Cluster) Shard(id lineage.Shard) *ShardConfig {
	i, found := slices.BinarySearchFunc(c.Shards, id, func(s ShardConfig, id lineage.Shard) int { return cmp.Compare(s.ID, id) })
	if !found {
		return nil
	}
	return &c.Shards[i]
}
