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
	ID        uint64           // of the cluster, never equal for two
	Control   *control.Cluster // as it was founded
	Pace

	founded *control.Plane // what Control founds; Place makes it, and it never changes
}

// Pace is how long the parts of a cluster wait for each other.
type Pace struct {
	Group     group.Patience
	Patience  control.Patience
	Meta      metalog.Constants
	Heartbeat env.Duration // between two heartbeats of a node
}

// DefaultPace fits one region. A node that is silent for Patience.Silence is replaced: that is the
// detection bound.
var DefaultPace = Pace{
	Group:    group.DefaultPatience,
	Patience: control.Patience{Silence: 300 * env.Millisecond, Replace: 5 * env.Second, Slow: 600 * env.Millisecond},
	Meta:     metalog.DefaultConstants, Heartbeat: 50 * env.Millisecond,
}

// Place sets the placements: those of the founding configuration, if that is valid. Each placement
// names the node that leads its shard at first.
func (c *Cluster) Place() {
	c.Placements = c.Placements[:0]
	f := c.Control
	if f.Validate() != nil { // Validate reports the error
		return
	}
	c.founded = control.New(f)
	for i := range f.Tenants {
		t := &f.Tenants[i]
		for slot, shard := range t.Shards {
			home := f.Shard(shard).Replicas[0]
			c.Placements = append(c.Placements, placement.Entry{Tenant: t.Config, Slot: lineage.Slot(slot), Epoch: 1, Shard: shard, Node: home})
		}
	}
}

// founders returns the data directories of the founding members of the meta log.
func (c *Cluster) founders() (directories []env.Nonce) {
	for _, id := range c.Control.Meta {
		directories = append(directories, c.Control.Node(id).Directory)
	}
	return directories
}

// region returns the region of a node; "" if the configuration names none.
func (c *Cluster) region(id env.ID) tenant.Region {
	if n := c.Control.Node(id); n != nil {
		return n.Region
	}
	return ""
}

// Index builds the indexes of look-ups.
func (c *Cluster) Index() {
	c.Groups = nil
	for i := range c.Control.Shards {
		s := &c.Control.Shards[i]
		c.Groups = append(c.Groups, placement.Group{Shard: s.ID, Replicas: s.Replicas})
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
	if err := c.Control.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrCluster, err)
	}
	k := &c.Constants
	if k.SegmentSize < wal.HeaderSize || k.SnapshotEvery < 1 || k.MaxSessions < 1 || k.MaxPending < 1 || k.MaxQueued < 1 ||
		k.ShipBytes < 0 || k.ChunkBytes < 0 ||
		k.Costs.Check < 0 || k.Costs.Append < 0 || k.Costs.PerKiB < 0 {
		return fmt.Errorf("%w: constants %+v: want segment_bytes >= %d, costs, ship_bytes and chunk_bytes >= 0 and the others >= 1", ErrCluster, *k, wal.HeaderSize)
	}
	return nil
}
