// Package live runs a real node under load, kills it with SIGKILL at random moments, starts it
// again, and lets the checkers judge the clients' answers. The node is a process of its own on a
// directory of its own. The clients are processes of package host in this one. They talk to each
// other over TCP only. The package is to a real machine as package scenarios is to the virtual
// world, with the same Node, the same Client and the same judges.
//
// It refuses to claim more than it can observe. SIGKILL leaves the page cache as it is, so a node
// that never synced would pass. The virtual world, which has power failures, shows that a sync
// comes before an answer. This package shows that a process that dies between any two instructions
// recovers the state of its answers, on real files, through real connections.
//
// The one rule to remember: the evidence comes from files and from the clients' answers. A segment
// that the node removes is kept aside, so that the whole log is there to be judged.
package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/env"
)

// MinAcked is how many operations must be acknowledged for a run to count.
const MinAcked = 100

// ErrUsage is wrapped by the errors for options that cannot be.
var ErrUsage = errors.New("invalid options")

// Options say how to run.
type Options struct {
	Command []string      // starts a node when the path of its configuration is appended; see ServeNode
	Rounds  int           // how often the node is killed, at least 1
	Round   time.Duration // mean time from a start to the kill
	Clients int           // 1..16
	Seed    uint64        // of the workload and of the moments; the machine adds its own chance
	Dir     string        // for everything; must not be there yet, or be empty
	// Progress, if not nil, is called after every round.
	Progress func(round int)
}

// The bounds of Options.Clients and Options.Rounds.
const (
	MaxClients = 16
	MaxRounds  = 1_000_000
)

func (o *Options) validate() error {
	switch {
	case len(o.Command) == 0:
		return fmt.Errorf("%w: no command that starts a node", ErrUsage)
	case o.Rounds < 1 || o.Rounds > MaxRounds:
		return fmt.Errorf("%w: %d rounds, want 1..%d", ErrUsage, o.Rounds, MaxRounds)
	case o.Clients < 1 || o.Clients > MaxClients:
		return fmt.Errorf("%w: %d clients, want 1..%d", ErrUsage, o.Clients, MaxClients)
	case o.Round <= 0 || o.Round > time.Minute:
		return fmt.Errorf("%w: rounds of %s, want up to a minute", ErrUsage, o.Round)
	}
	entries, err := os.ReadDir(o.Dir)
	if err == nil && len(entries) > 0 {
		return fmt.Errorf("%w: %s is not empty", ErrUsage, o.Dir)
	}
	return nil
}

// Result is the result of a run.
type Result struct {
	Kills     int // signals that found the node alive
	Struck    int // of these, how many found calls under way
	Unserved  int // of these, how many came before the node had answered since its start
	Acked     int
	Refused   int
	Unknown   int
	Records   int // in the logs at the end
	Snapshots int // that were there at the end
	Elapsed   time.Duration

	Verdict  checker.Verdict
	Why      string // undecided: why
	Findings []checker.Finding
	Reports  []checker.Report
	History  *history.History
}

// Run lives through all rounds and judges. An error says that it could not be run, or that ctx
// ended it; every fault of the node is a finding.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	began := time.Now()
	r, err := newRun(&o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	err = r.rounds(ctx)
	if err == nil {
		err = r.calm(ctx)
	}
	r.close()
	if err = r.conclude(err); err != nil {
		return nil, err
	}
	r.result.Elapsed = time.Since(began)
	return r.result, nil
}

// run is a run under way.
type run struct {
	options *Options
	config  NodeConfig
	path    string // of the node's configuration
	chance  *rand.Rand
	record  *recorder
	clients []*caller
	result  *Result
}

// firstPort is below the ports that systems give to outgoing connections by themselves, so that the
// node finds its port free again after a kill.
const firstPort = 20000

// freeAddress returns an address without a listener.
func freeAddress(chance *rand.Rand) (string, error) {
	var failed error
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+chance.IntN(10000))
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
		failed = err
	}
	return "", fmt.Errorf("no port is free: %w", failed)
}

func newRun(o *Options) (*run, error) {
	r := &run{options: o, chance: rand.New(rand.NewPCG(o.Seed, 0)), record: newRecorder(), result: &Result{}}
	// The port must not hang on the seed: two runs at once may have one.
	address, err := freeAddress(rand.New(rand.NewPCG(rand.Uint64(), 0)))
	if err != nil {
		return nil, err
	}
	r.config = NodeConfig{
		Dir: filepath.Join(o.Dir, "node"), Keep: filepath.Join(o.Dir, "kept"),
		Addresses: map[env.ID]string{Node: address}, Seed: o.Seed, Clients: o.Clients,
	}
	listeners := make([]net.Listener, o.Clients)
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
		r.config.Addresses[clientID(i)] = listeners[i].Addr().String()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := r.config.found(); err != nil {
		return nil, err
	}
	r.path = filepath.Join(o.Dir, "node.json")
	if err := r.config.write(r.path); err != nil {
		return nil, err
	}
	for i, l := range listeners {
		c, err := startClient(&r.config, i, l, filepath.Join(o.Dir, fmt.Sprintf("client-%d", i)), r.record)
		if err != nil {
			return nil, err
		}
		r.clients = append(r.clients, c)
	}
	return r, nil
}

// close ends the clients.
func (r *run) close() {
	for _, c := range r.clients {
		c.process.Kill()
		<-c.process.Done()
	}
}

// rounds starts and kills the node.
func (r *run) rounds(ctx context.Context) error {
	for round := range r.options.Rounds {
		n, err := startNode(r.options.Command, r.path)
		if err != nil {
			return err
		}
		before := r.record.answered()
		err = n.live(ctx, time.Duration(1+r.chance.Int64N(2*int64(r.options.Round))))
		open := r.record.underWay()
		if err = errors.Join(err, n.kill()); err != nil {
			return err
		}
		r.result.Kills++
		if open > 0 {
			r.result.Struck++
		}
		if r.record.answered() == before {
			r.result.Unserved++
		}
		if r.options.Progress != nil {
			r.options.Progress(round + 1)
		}
	}
	return nil
}

// Patience of the end of a run: calls that are still open then never end.
const calmPatience = 60 * time.Second

// calm lets a node live undisturbed until every call has ended, and every entity was
// read.
func (r *run) calm(ctx context.Context) error {
	n, err := startNode(r.options.Command, r.path)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(calmPatience)
	for p := stopping; p <= sweeping && err == nil; p++ {
		r.record.enter(p)
		for err == nil && !r.record.over(p) && time.Now().Before(deadline) {
			err = n.live(ctx, time.Millisecond)
		}
	}
	return errors.Join(err, n.kill())
}

// conclude judges the evidence. failed is the reason why the run ended before its time: the node's
// end is a finding, everything else an error. A signal that interrupts this process may have ended
// the node too.
func (r *run) conclude(failed error) error {
	var ended *EndedError
	if failed != nil && (!errors.As(failed, &ended) || errors.Is(failed, context.Canceled)) {
		return failed
	}
	r.result.History = r.record.take()
	r.count()
	if ended != nil {
		r.result.Verdict = checker.Violated
		r.result.Findings = []checker.Finding{{Checker: "panic", Rule: "ended", Text: ended.Error()}}
		return nil
	}
	evidence, err := r.gather()
	if err != nil {
		return err
	}
	r.judge(evidence)
	return nil
}

func (r *run) count() {
	for i := range r.result.History.Ops {
		switch r.result.History.Ops[i].Outcome {
		case history.Acked:
			r.result.Acked++
		case history.Refused:
			r.result.Refused++
		default:
			r.result.Unknown++
		}
	}
}
