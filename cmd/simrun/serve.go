package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/host/local"
)

// probes is the first JSON of serve.
type probes struct {
	Schema int      `json:"schema"`
	Type   string   `json:"type"` // "serving"
	Dir    string   `json:"dir"`
	Probes []string `json:"probes"` // URLs by node
}

// coordinates is the JSON of serve when all nodes serve.
type coordinates struct {
	Schema      int    `json:"schema"`
	Type        string `json:"type"` // "ready"
	Coordinator env.ID `json:"coordinator"`
}

// served is the last JSON of serve: how the client's signals ended.
type served struct {
	Schema  int    `json:"schema"`
	Type    string `json:"type"` // "served"
	Acked   uint64 `json:"acked"`
	Refused uint64 `json:"refused"`
	Unknown uint64 `json:"unknown"`
	Exit    int    `json:"exit"`
}

// serving holds the arguments of serve.
type serving struct {
	cluster, tenants, dir string
	port, rate            int
	length                time.Duration
}

// readyWithin is how long serve waits for the nodes, and for the desired state of tenants.
const readyWithin = time.Minute

func (c *command) serve() *cobra.Command {
	var s serving
	cmd := &cobra.Command{
		Use:   "serve [CLUSTER]",
		Short: "run a real cluster on this machine, with health and metrics over HTTP",
		Long: `Run the nodes of a cluster in this process, on real files and loopback TCP, until
interrupted: those that a cluster file founds, or three nodes with three shards and three
tenants. Each node answers HTTP requests to this machine: / shows what it knows of the whole
cluster, as tables; /health tells it as JSON; /metrics tells it to Prometheus, with what the
process counts; /livez and /readyz are for who restarts or routes to it. With --tenants the tenants are brought to what a tenants file
says, by commands that compare and set. A client sends --rate signals a second, 0 for none. Lines on stdin
are heeded one after the other: "drain NODE", which says what it waits for and lets the
others go on meanwhile, "undrain NODE", which also calls it off, "tenants FILE", and
"accept-loss SHARD" for a shard of which every disk that had what was acknowledged is lost:
it begins anew with what is there. Exit codes: 0 when it was interrupted or the time was over, 2 for wrong files and options.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				s.cluster = args[0]
			}
			return c.serves(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.tenants, "tenants", "", "tenants file: what is wanted of tenants")
	f.StringVar(&s.dir, "dir", "", "directory of the nodes, which stays; otherwise a temporary one")
	f.IntVar(&s.port, "port", 0, "port of the first node's probe, the others have those after it; 0 is any")
	f.IntVar(&s.rate, "rate", 100, "signals per second of a client; 0 is none")
	f.DurationVar(&s.length, "for", 0, "for how long; 0 is until it is interrupted")
	return cmd
}

// init founds a cluster that serve can run.
func (c *command) init() *cobra.Command {
	var s serving
	cmd := &cobra.Command{
		Use:   "init [CLUSTER]",
		Short: "found a cluster in a directory: name its data directories, before any process runs",
		Long: `Found a cluster in a directory: those nodes that a cluster file has, or three with three
shards and three tenants. Each data directory gets a name of 128 random bits, and the founding
file, beside them, says which node is founded in which: a disk that is replaced later is known
by it. "simrun serve --dir" runs what is founded there, and founds what is not. Exit codes: 0
when it is founded, 2 for wrong files and options, and where a cluster was founded before.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				s.cluster = args[0]
			}
			founded, _, err := s.files()
			if err != nil {
				return err
			}
			if err := local.Init(local.Options{Dir: s.dir, Cluster: founded}); err != nil {
				return fmt.Errorf("%w: %w", campaign.ErrUsage, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&s.dir, "dir", "", "directory of the nodes")
	return cmd
}

// serves runs the cluster in a directory that is there.
func (c *command) serves(ctx context.Context, s serving) error {
	if s.rate < 0 || s.rate > local.MaxRate {
		return &campaign.FlagError{Flag: "rate", Value: s.rate, Want: fmt.Sprintf("a number of signals per second, 0..%d", local.MaxRate)}
	}
	if s.length < 0 {
		return &campaign.FlagError{Flag: "for", Value: s.length, Want: "a time like 30s, or 0 for no end"}
	}
	founded, wanted, err := s.files()
	if err != nil {
		return err
	}
	stays := s.dir != ""
	if !stays {
		if s.dir, err = os.MkdirTemp("", "simrun-serve-"); err != nil {
			return err
		}
	}
	cluster, err := local.Start(local.Options{Dir: s.dir, Cluster: founded, Port: s.port})
	if errors.Is(err, local.ErrOptions) {
		err = fmt.Errorf("%w: %w", campaign.ErrUsage, err)
	}
	if err == nil {
		err = errors.Join(c.servesUntil(ctx, cluster, s, wanted), cluster.Close())
	}
	if err == nil {
		err = c.tellServed(cluster)
	}
	if !stays {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// files reads the files that it is to run by.
func (s *serving) files() (founded *control.Cluster, wanted []byte, err error) {
	founded = local.Example()
	if s.cluster != "" {
		data, err := readBounded(s.cluster)
		if err != nil {
			return nil, nil, err
		}
		if founded, err = control.DecodeCluster(data); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", s.cluster, err)
		}
	}
	if s.tenants == "" {
		return founded, nil, nil
	}
	if wanted, err = readBounded(s.tenants); err != nil {
		return nil, nil, err
	}
	if _, err = desired.Decode(wanted); err != nil { // errors that need the cluster show later
		return nil, nil, fmt.Errorf("%s: %w", s.tenants, err)
	}
	return founded, wanted, nil
}

// servesUntil brings the cluster to the desired state, and waits for the end.
func (c *command) servesUntil(ctx context.Context, cluster *local.Cluster, s serving, wanted []byte) error {
	if err := c.tellProbes(cluster, s.dir); err != nil {
		return err
	}
	err := c.begins(ctx, cluster, s, wanted)
	if s.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.length)
		defer cancel()
	}
	k := c.newConsole(ctx, cluster)
	defer k.end()
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case err = <-k.failed:
		case <-time.After(100 * time.Millisecond):
			err = cluster.Ended()
		}
	}
	if ctx.Err() != nil { // it was interrupted while it began
		return nil
	}
	return err
}

// begins waits until all nodes serve, carries out the desired state, and lets a client work.
func (c *command) begins(ctx context.Context, cluster *local.Cluster, s serving, wanted []byte) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := cluster.Ready(ctx); err != nil {
		return err
	}
	if err := c.tellCoordinator(ctx, cluster); err != nil {
		return err
	}
	if wanted != nil {
		if err := c.wants(ctx, cluster, s.tenants, wanted); err != nil {
			return err
		}
	}
	if s.rate == 0 {
		return nil
	}
	return cluster.Work(ctx, s.rate)
}

// wants brings tenants to the desired state of a file, and prints the commands that did so.
func (c *command) wants(ctx context.Context, cluster *local.Cluster, name string, file []byte) error {
	done, err := cluster.Want(ctx, file)
	for i := range done {
		if !c.json {
			fmt.Fprintln(c.stdout, &done[i])
		} else if err := c.line(asNeeded(&done[i])); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (c *command) tellProbes(cluster *local.Cluster, dir string) error {
	told := probes{Schema: campaign.Schema, Type: "serving", Dir: dir}
	for node := range cluster.Nodes() {
		told.Probes = append(told.Probes, cluster.Probe(env.ID(node)))
	}
	if c.json {
		return c.line(told)
	}
	for node, url := range told.Probes {
		fmt.Fprintf(c.stdout, "node %d  %s/  /health  /metrics  /livez  /readyz\n", node, url)
	}
	return nil
}

func (c *command) tellCoordinator(ctx context.Context, cluster *local.Cluster) error {
	id, err := cluster.Coordinator(ctx)
	switch {
	case err != nil:
		return err
	case c.json:
		return c.line(coordinates{Schema: campaign.Schema, Type: "ready", Coordinator: id})
	}
	_, err = fmt.Fprintf(c.stdout, "all serve; node %d coordinates, and knows all figures\n", id)
	return err
}

func (c *command) tellServed(cluster *local.Cluster) error {
	w := cluster.Worked()
	if c.json {
		return c.line(served{Schema: campaign.Schema, Type: "served", Acked: w.Acked, Refused: w.Refused, Unknown: w.Unknown})
	}
	_, err := fmt.Fprintf(c.stdout, "signals: %d acked, %d refused, %d unknown\n", w.Acked, w.Refused, w.Unknown)
	return err
}
