package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/host"
	"github.com/tidaldb/tidalsim/host/disk"
)

// Node is the address of the node; clients have those above.
const Node env.ID = 0

func clientID(i int) env.ID { return Node + 1 + env.ID(i) }

// NodeConfig is the configuration of a node process.
type NodeConfig struct {
	Dir       string            `json:"dir"`
	Keep      string            `json:"keep"` // where removed files are kept
	Addresses map[env.ID]string `json:"addresses"`
	Seed      uint64            `json:"seed"`
	Clients   int               `json:"clients"`
	Directory env.Nonce         `json:"directory"` // that the node is founded in
}

func (c *NodeConfig) write(path string) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

const (
	clusterID = 1
	region    = tenant.Region("home")
)

// found names the node's data directory.
func (c *NodeConfig) found() error {
	c.Directory = host.NewNonce()
	name, content := core.Founded(clusterID, c.Directory)
	return host.PutData(c.Dir, name, content)
}

// tenants is how many tenants there are.
const tenants = 3

// slotsOf is how many slots each of them has.
var slotsOf = [tenants]lineage.Slot{1, 2, 1}

// cluster is the configuration that node and clients share: three tenants, one of two slots and one
// with a quota that is met; segments and snapshots so small that they come and go within a few
// rounds.
func (c *NodeConfig) cluster() *core.Cluster {
	k := replica.DefaultConstants
	k.SegmentSize, k.SnapshotEvery, k.MaxSessions = 16<<10, 64<<10, c.Clients+1
	founding := &control.Cluster{
		Meta: []env.ID{Node}, Nodes: []control.NodeConfig{{ID: Node, Region: region, Directory: c.Directory}},
		Shards: []control.ShardConfig{{Region: region, Replicas: []env.ID{Node}}},
	}
	for i, limits := range [tenants]tenant.Limits{{Rate: 1_000_000}, {Rate: 1_000_000}, {Rate: 200, Burst: 20}} {
		config := tenant.Config{ID: tenant.ID(i), Version: 1, Limits: limits}
		founding.Tenants = append(founding.Tenants, control.TenantConfig{Config: config, Shards: make([]lineage.Shard, slotsOf[i])})
	}
	cluster := &core.Cluster{Constants: k, ID: clusterID, Control: founding, Pace: core.DefaultPace}
	cluster.Place()
	cluster.Index()
	return cluster
}

// reserve is how many bytes the node's disk writes ahead of a growing file: a sync
// need then not make a new size durable. It is less than a segment, so that kills meet
// segments that were filled once and more often, and no multiple of a block.
const reserve = 5000

// start starts the node in this process.
func (c *NodeConfig) start(program func(env.Env) env.Machine) (*host.Process, error) {
	if err := os.MkdirAll(c.Keep, 0o700); err != nil {
		return nil, err
	}
	return host.Start(host.Config{
		ID: Node, Dir: c.Dir, Addresses: c.Addresses, Seed: c.Seed, Disk: disk.Config{Keep: c.Keep, Reserve: reserve}, New: program,
	})
}

// ServeNode is the whole life of a node process: it runs the node that the
// configuration at path describes until it halts, or until its parent, which holds
// the other end of its standard input, is gone. decorate, if not nil, wraps the
// program, for planted mistakes.
func ServeNode(path string, stdin io.Reader, decorate func(env.Env, func(env.Env) env.Machine) env.Machine) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c NodeConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	cluster := c.cluster()
	program := func(e env.Env) env.Machine { return core.NewNode(e, cluster) }
	p, err := c.start(func(e env.Env) env.Machine {
		if decorate != nil {
			return decorate(e, program)
		}
		return program(e)
	})
	if err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, stdin)
		p.Kill()
	}()
	<-p.Done()
	if why := p.Halted(); why != "" {
		return fmt.Errorf("the node halted: %s", why)
	}
	return p.Failure()
}

// EndedError says that a node ended before it was killed.
type EndedError struct {
	State  string // of the process
	Stderr string // the beginning of its output
}

// Error says all of it.
func (e *EndedError) Error() string {
	return fmt.Sprintf("the node ended by itself (%s) and said: %s", e.State, e.Stderr)
}

// maxStderr bounds the part of a node's output that is kept, in bytes.
const maxStderr = 16 << 10

// words keeps the beginning of the output.
type words struct{ bytes.Buffer }

// Write implements io.Writer.
func (w *words) Write(p []byte) (int, error) {
	w.Buffer.Write(p[:min(len(p), maxStderr-w.Len())])
	return len(p), nil
}

// node is a node process.
type node struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr words
	ended  chan struct{} // closed when the process is gone
}

func startNode(command []string, path string) (*node, error) {
	n := &node{ended: make(chan struct{})}
	n.cmd = exec.Command(command[0], append(command[1:len(command):len(command)], path)...)
	n.cmd.Stderr = &n.stderr
	stdin, err := n.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	n.stdin = stdin
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}
	go func() {
		n.cmd.Wait() // its state has the result
		close(n.ended)
	}()
	return n, nil
}

// live waits. It is an EndedError if the node ended meanwhile.
func (n *node) live(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-n.ended:
		return n.failure()
	case <-t.C:
		return nil
	}
}

func (n *node) failure() error {
	return &EndedError{State: n.cmd.ProcessState.String(), Stderr: n.stderr.String()}
}

// kill ends the node with SIGKILL. It is an EndedError if there was none to kill.
func (n *node) kill() error {
	err := n.cmd.Process.Kill()
	<-n.ended
	n.stdin.Close()
	if errors.Is(err, os.ErrProcessDone) || n.cmd.ProcessState.Exited() {
		return n.failure()
	}
	return err
}
