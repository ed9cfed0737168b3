// Package local runs a whole cluster on this machine: real nodes with shards that are replica
// groups, on real files and loopback TCP, each with its probe, all in this process. An operator
// brings its tenants to the desired state, and a client can be set to work.
//
// It serves engineers that look at a cluster: at its health, at its metrics, at the effect of a
// tenants file. It does not judge the cluster; the scenarios of the virtual world do.
//
// The one rule to remember: the founding configuration is that of the first start. Data of a
// cluster with another founding configuration is ignored, so that a directory belongs to one
// founding configuration for ever.
package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/host"
	"github.com/tidaldb/tidalsim/host/probe"
)

// MaxNodes is how many nodes a cluster here may have.
const MaxNodes = 16

// ErrOptions is wrapped by the errors for options that cannot be.
var ErrOptions = errors.New("invalid options")

// Options say which cluster to run.
type Options struct {
	// Dir has a directory for every process below it. Existing data is recovered.
	Dir string
	// Cluster is the founding configuration of the cluster. Its nodes are 0, 1, ...
	Cluster *control.Cluster
	// Port is that of the first node's probe; the others have the ports after it. 0 is
	// whichever are free.
	Port int
}

func (o *Options) validate() error {
	if o.Dir == "" || o.Cluster == nil {
		return fmt.Errorf("%w: no directory, or no cluster", ErrOptions)
	}
	if err := o.Cluster.Validate(); err != nil {
		return err
	}
	n := len(o.Cluster.Nodes)
	if n > MaxNodes || o.Cluster.Nodes[n-1].ID != env.ID(n-1) {
		return fmt.Errorf("%w: want at most %d nodes with the ids 0, 1, ..., and not %d of which the last is %d", ErrOptions, MaxNodes, n, o.Cluster.Nodes[n-1].ID)
	}
	if o.Port < 0 || o.Port > 1<<16-n {
		return fmt.Errorf("%w: port %d, want 0, or %d free ones up to 65535", ErrOptions, o.Port, n)
	}
	return nil
}

// Example is a cluster of three nodes in one region, with three tenants. Each node has a replica of
// three shards and leads one.
func Example() *control.Cluster {
	c := &control.Cluster{Meta: []env.ID{0, 1, 2}}
	for i := range env.ID(3) {
		c.Nodes = append(c.Nodes, control.NodeConfig{ID: i, Region: "local"})
		c.Shards = append(c.Shards, control.ShardConfig{ID: lineage.Shard(i + 1), Region: "local", Replicas: []env.ID{i, (i + 1) % 3, (i + 2) % 3}})
	}
	for i, limits := range []tenant.Limits{{Rate: 1000}, {Rate: 5000, Burst: 20_000, Entities: 1_000_000}, {Rate: 200, Bytes: 1_000_000_000}} {
		t := control.TenantConfig{Config: tenant.Config{ID: tenant.ID(i + 1), Version: 1, Limits: limits}, Shards: []lineage.Shard{lineage.Shard(i + 1)}}
		if i == 1 {
			t.Shards = []lineage.Shard{2, 3, 1}
		}
		c.Tenants = append(c.Tenants, t)
	}
	return c
}

// Cluster is a cluster that runs.
type Cluster struct {
	options   Options
	founded   *core.Cluster
	addresses map[env.ID]string
	nodes     []*host.Process
	probes    []*probe.Server
	client    *host.Process // nil: none is at work
	work      *worker
}

// Start starts the nodes of a cluster, and their probes. It does not wait until they serve.
func Start(o Options) (*Cluster, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	f, err := o.founded()
	if err != nil {
		return nil, err
	}
	o.Cluster = f.Cluster
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &Cluster{options: o, founded: configure(f), addresses: map[env.ID]string{}}
	listeners, err := c.listen()
	if err != nil {
		return nil, err
	}
	for i := range o.Cluster.Nodes {
		if err = c.startNode(env.ID(i), listeners[i]); err != nil {
			break
		}
	}
	if err != nil {
		for _, l := range listeners[len(c.nodes):] {
			err = errors.Join(err, l.Close())
		}
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// configure returns the configuration that processes of a cluster share.
func configure(f *founding) *core.Cluster {
	c := &core.Cluster{Constants: replica.DefaultConstants, ID: f.ID, Control: f.Cluster, Pace: core.DefaultPace}
	c.Place()
	c.Index()
	return c
}

// listen gives every node an address, and the processes that come and go, which listen there
// themselves: the client, the operator, and one for the drain of each node.
func (c *Cluster) listen() (nodes []net.Listener, err error) {
	n := len(c.options.Cluster.Nodes)
	for id := range env.ID(n + 2 + n) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, l := range nodes {
				err = errors.Join(err, l.Close())
			}
			return nil, err
		}
		c.addresses[id] = l.Addr().String()
		nodes = append(nodes, l)
	}
	for _, l := range nodes[n:] {
		err = errors.Join(err, l.Close())
	}
	return nodes[:n], err
}

func (c *Cluster) startNode(id env.ID, l net.Listener) error {
	p, err := c.start(id, l, func(e env.Env) env.Machine { return core.NewNode(e, c.founded) })
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, p)
	address := "127.0.0.1:0"
	if c.options.Port > 0 {
		address = "127.0.0.1:" + strconv.Itoa(c.options.Port+int(id))
	}
	s, err := probe.Serve(probe.Config{Address: address, Inspect: p.Inspect, Counts: p.Meter()})
	if err != nil {
		return fmt.Errorf("the probe of node %d: %w", id, err)
	}
	c.probes = append(c.probes, s)
	return nil
}

func (c *Cluster) start(id env.ID, l net.Listener, machine func(env.Env) env.Machine) (*host.Process, error) {
	p, err := host.Start(host.Config{
		ID: id, Dir: c.options.dirOf(id), Addresses: c.addresses, Listener: l, New: machine,
	})
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", id, err)
	}
	return p, nil
}

// Nodes returns how many nodes the cluster has.
func (c *Cluster) Nodes() int { return len(c.nodes) }

// Probe returns the address of a node's probe: the paths below it are livez, readyz, health
// and metrics.
func (c *Cluster) Probe(node env.ID) string { return "http://" + c.probes[node].Addr().String() }

// Close ends all processes, as a kill does, and waits until their directories are free.
func (c *Cluster) Close() error {
	var err error
	for _, s := range c.probes {
		err = errors.Join(err, s.Close())
	}
	for _, p := range append(slices.Clone(c.nodes), c.client) {
		if p != nil {
			err = errors.Join(err, end(p))
		}
	}
	return err
}

func end(p *host.Process) error {
	p.Kill()
	<-p.Done()
	return p.Failure()
}

// Ended returns an error about a node that has ended by itself, nil if all run.
func (c *Cluster) Ended() error {
	for i, p := range c.nodes {
		select {
		case <-p.Done():
			return errors.Join(fmt.Errorf("node %d has ended: %s", i, p.Halted()), p.Failure())
		default:
		}
	}
	return nil
}

// look calls f with a node between two of its Steps.
func (c *Cluster) look(ctx context.Context, node int, f func(*core.Node)) error {
	return c.nodes[node].Inspect(ctx, func(m env.Machine) { f(m.(*core.Node)) })
}

// Ready waits until every node serves. If ctx ends before, the error names the nodes that do not.
func (c *Cluster) Ready(ctx context.Context) error {
	for i := range c.nodes {
		if err := c.readyNode(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) readyNode(ctx context.Context, node int) error {
	for why := "it was not looked at yet"; ; {
		ready, reason := false, ""
		err := c.look(ctx, node, func(n *core.Node) { ready, reason = n.Ready() })
		switch {
		case err == nil && ready:
			return nil
		case err == nil:
			why = reason
		}
		if err := errors.Join(c.Ended(), pause(ctx)); err != nil {
			return fmt.Errorf("node %d does not serve: %s: %w", node, why, err)
		}
	}
}

// pause waits a little, or until ctx ends.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}

// Coordinator returns the node that leads the control plane and so knows all figures of the
// cluster's health. It waits for one.
func (c *Cluster) Coordinator(ctx context.Context) (env.ID, error) {
	for {
		for i := range c.nodes {
			var h health.Cluster
			err := c.look(ctx, i, func(n *core.Node) { n.Health(&h) })
			if leads := h.Coordinator; err == nil && leads.Known && leads.Value == env.ID(i) {
				return leads.Value, nil
			}
		}
		if err := errors.Join(c.Ended(), pause(ctx)); err != nil {
			return 0, fmt.Errorf("nobody leads the control plane: %w", err)
		}
	}
}

// plane returns the control plane as the member of the meta log knows it that knows most.
func (c *Cluster) plane(ctx context.Context) (*control.Plane, error) {
	var newest *control.Plane
	for _, id := range c.options.Cluster.Meta {
		var copied *control.Plane
		err := c.look(ctx, int(id), func(n *core.Node) {
			if p, _ := n.Plane(); p != nil {
				copied = p.Clone()
			}
		})
		if err != nil {
			return nil, fmt.Errorf("the control plane on node %d: %w", id, err)
		}
		if copied != nil && (newest == nil || copied.Index() > newest.Index()) {
			newest = copied
		}
	}
	if newest == nil {
		return nil, errors.New("no member of the meta log has the control plane")
	}
	return newest, nil
}
