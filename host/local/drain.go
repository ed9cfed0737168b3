package local

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
)

// Drain takes the duties of a node away, and returns when the node has none. If ctx ends
// before, the drain goes on in the control plane, until Undrain. Nodes may be drained beside
// each other and beside other commands, each node once at a time; the control plane has them
// wait for one another.
func (c *Cluster) Drain(ctx context.Context, node env.ID) error {
	return c.duties(ctx, c.drainer(node), control.Command{Kind: control.Drain, Node: node})
}

// Undrain lets a node have duties again. It also calls off a drain that is under way.
func (c *Cluster) Undrain(ctx context.Context, node env.ID) error {
	return c.duties(ctx, c.operator(), control.Command{Kind: control.Undrain, Node: node})
}

// DrainWaits returns the open conditions of a drain, in the words that follow "waits for"; none if
// only the control plane's final answer is missing.
func (c *Cluster) DrainWaits(ctx context.Context, node env.ID) ([]string, error) {
	plane, err := c.plane(ctx)
	if err != nil {
		return nil, err
	}
	return drainWaits(plane, node), nil
}

func drainWaits(plane *control.Plane, node env.ID) (waits []string) {
	if other := plane.Draining(); other != nil && other.ID != node {
		waits = append(waits, fmt.Sprintf("node %d to have duties again, as one node is drained at a time", other.ID))
	}
	var leads, holds []string
	for i := range plane.Shards() {
		s := &plane.Shards()[i]
		if !slices.ContainsFunc(s.InSync, func(m control.Member) bool { return m.Node == node }) {
			continue
		}
		id := strconv.FormatUint(uint64(s.ID), 10)
		if left := len(s.InSync) - 1; left < s.Min {
			waits = append(waits, fmt.Sprintf("another member in sync of shard %s, which without node %d has %d of %d", id, node, left, s.Min))
		}
		if s.Leader.Node == node {
			leads = append(leads, id)
		} else {
			holds = append(holds, id)
		}
	}
	if len(leads) > 0 {
		waits = append(waits, "others to lead "+shardsText(leads))
	}
	if len(holds) > 0 {
		waits = append(waits, fmt.Sprintf("the sets of %s to go on without it", shardsText(holds)))
	}
	return waits
}

func shardsText(ids []string) string {
	if len(ids) == 1 {
		return "shard " + ids[0]
	}
	return "shards " + strings.Join(ids, ", ")
}

// operator is the process that asks for the commands that are done one after the other.
func (c *Cluster) operator() env.ID { return env.ID(len(c.nodes) + 1) }

// drainer is the process that asks for the drain of a node. Each node has its own, so that one
// drain that waits holds up no other.
func (c *Cluster) drainer(node env.ID) env.ID { return c.operator() + 1 + node }
