// Package core is the reference implementation of a node of tidalDB: the Node that keeps
// tenants' slots. It is a state machine over package env: it runs unchanged in a simulated
// world and on a real machine. Package client holds the machines that talk to it.
//
// Node.Step is the index of the protocol: one case per event and message. The rules
// themselves are in the packages below.
package core

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// IdentityOf returns the identity of the directory of a slot.
func IdentityOf(p *placement.Entry) wal.Identity {
	return wal.Identity{Tenant: p.Tenant.ID, Slot: p.Slot, Placement: p.Epoch, Shard: p.Shard}
}

// Cluster is the static configuration that nodes and clients share. Index makes
// looking things up in it fast; it must not be changed after that.
type Cluster struct {
	placement.Map
	Constants replica.Constants
	// Shared, if not nil, makes every shard a replica group under a control plane. Otherwise each
	// shard has one replica, on the node of its placements.
	Shared *Shared
	// Founding is the founding file of a cluster with one replica a shard; nil: any data directory
	// may serve. A cluster of replica groups has it in Shared.
	Founding *Founding
}

// Founding says which data directories a cluster is founded in. It is a part of the
// configuration of every process, and never in a data directory.
type Founding struct {
	ID    uint64 // of the cluster, never equal for two
	Nodes []Founder
}

// Founder is a node and the data directory that it is founded in.
type Founder struct {
	Node      env.ID
	Directory env.Nonce
}

// names reports whether a node is founded in a directory.
func (f *Founding) names(id env.ID, directory env.Nonce) bool {
	return slices.Contains(f.Nodes, Founder{id, directory})
}

// id returns the number of the cluster.
func (c *Cluster) id() uint64 {
	switch {
	case c.Shared != nil:
		return c.Shared.ID
	case c.Founding != nil:
		return c.Founding.ID
	}
	return 0
}

// Shared is the configuration of a cluster of replica groups.
type Shared struct {
	Control   *control.Cluster // as it was founded
	ID        uint64           // of the cluster, never equal for two
	Group     group.Patience
	Patience  control.Patience
	Meta      metalog.Constants
	Heartbeat env.Duration // between two signs of life of a node

	founded *control.Plane // what Control founds; PlaceShared makes it, and it never changes
}

// DefaultShared fits one region. A node that is silent for Patience.Silence is
// replaced: that is the detection bound.
var DefaultShared = Shared{
	ID: 1, Group: group.DefaultPatience, Patience: control.Patience{Silence: 300 * env.Millisecond, Replace: 5 * env.Second, Slow: 600 * env.Millisecond},
	Meta: metalog.DefaultConstants, Heartbeat: 50 * env.Millisecond,
}

// PlaceShared sets the placements of a cluster of replica groups: those of its founding
// configuration, if that is valid. Each placement names the node that leads its shard at first.
func (c *Cluster) PlaceShared() {
	c.Placements = c.Placements[:0]
	f := c.Shared.Control
	if f.Validate() != nil { // Validate reports the error
		return
	}
	c.Shared.founded = control.New(f)
	for i := range f.Tenants {
		t := &f.Tenants[i]
		for slot, shard := range t.Shards {
			home := f.Shard(shard).Replicas[0]
			c.Placements = append(c.Placements, placement.Entry{Tenant: t.Config, Slot: lineage.Slot(slot), Epoch: 1, Shard: shard, Node: home})
		}
	}
}

// founders returns the data directories of the founding members of the meta log.
func (s *Shared) founders() (directories []env.Nonce) {
	for _, id := range s.Control.Meta {
		directories = append(directories, s.Control.Node(id).Directory)
	}
	return directories
}

// region returns the region of a node; "" if the configuration names none.
func (s *Shared) region(id env.ID) tenant.Region {
	if n := s.Control.Node(id); n != nil {
		return n.Region
	}
	return ""
}

// Index builds the indexes of look-ups.
func (c *Cluster) Index() {
	c.Groups = nil
	if c.Shared != nil {
		for i := range c.Shared.Control.Shards {
			s := &c.Shared.Control.Shards[i]
			c.Groups = append(c.Groups, placement.Group{Shard: s.ID, Replicas: s.Replicas})
		}
	}
	c.Map.Index()
}

// ErrCluster is wrapped by every error of Validate.
var ErrCluster = errors.New("invalid cluster configuration")

// Validate reports the first contradiction.
func (c *Cluster) Validate() error {
	if err := c.Map.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrCluster, err)
	}
	if c.Shared != nil {
		if err := c.Shared.Control.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrCluster, err)
		}
	}
	k := &c.Constants
	if k.SegmentSize < wal.HeaderSize || k.SnapshotEvery < 1 || k.MaxSessions < 1 || k.MaxPending < 1 || k.MaxQueued < 1 ||
		k.ShipBytes < 0 || k.ChunkBytes < 0 ||
		k.Costs.Check < 0 || k.Costs.Append < 0 || k.Costs.PerKiB < 0 {
		return fmt.Errorf("%w: constants %+v: want segment_bytes >= %d, costs, ship_bytes and chunk_bytes >= 0 and the others >= 1", ErrCluster, *k, wal.HeaderSize)
	}
	return nil
}
