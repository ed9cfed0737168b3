package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/host/local"
)

// heeded is the JSON of serve for a line of stdin that has been carried out.
type heeded struct {
	Schema int    `json:"schema"`
	Type   string `json:"type"` // "heeded"
	Line   string `json:"line"`
	Done   bool   `json:"done"`
	Why    string `json:"why,omitempty"` // not done
}

// waiting is the JSON of serve for a line that takes its time.
type waiting struct {
	Schema int      `json:"schema"`
	Type   string   `json:"type"` // "waiting"
	Line   string   `json:"line"`
	For    []string `json:"for"`
}

// console heeds the lines of stdin, one after the other. A drain goes on beside the lines that
// follow, since it may wait for long, and for one of them.
type console struct {
	c       *command
	ctx     context.Context
	cancel  context.CancelFunc
	cluster *local.Cluster
	failed  chan error // the first message that could not be printed
	work    sync.WaitGroup

	mu     sync.Mutex        // of the output, and of:
	drains map[env.ID]*drain // under way
}

// drain is a drain that is under way.
type drain struct {
	callOff context.CancelCauseFunc
	ended   chan struct{}
}

// newConsole begins to heed lines. A stdin that has ended has no lines.
func (c *command) newConsole(ctx context.Context, cluster *local.Cluster) *console {
	k := &console{c: c, cluster: cluster, failed: make(chan error, 1), drains: map[env.ID]*drain{}}
	k.ctx, k.cancel = context.WithCancel(ctx)
	lines := make(chan string)
	go func() { // blocks in a read while the operator types nothing
		defer close(lines)
		for s := bufio.NewScanner(c.in); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-k.ctx.Done():
				return
			}
		}
	}()
	k.work.Go(func() {
		for {
			select {
			case line, ok := <-lines:
				if !ok {
					return
				}
				k.heed(line)
			case <-k.ctx.Done():
				return
			}
		}
	})
	return k
}

// end waits until nothing is under way.
func (k *console) end() {
	k.cancel()
	k.work.Wait()
}

// heed carries out a line, and prints how it ended. An error is printed, and does not end the
// command.
func (k *console) heed(line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(k.ctx, readyWithin)
	defer cancel()
	if node, is := k.node(words); is && words[0] == "drain" {
		k.begin(line, node)
		return
	}
	k.ended(line, k.obey(ctx, line, words))
}

// node returns the node that the second word names, if it names one.
func (k *console) node(words []string) (env.ID, bool) {
	if len(words) != 2 {
		return 0, false
	}
	node, err := strconv.ParseUint(words[1], 10, 32)
	return env.ID(node), err == nil && node < uint64(k.cluster.Nodes())
}

func (k *console) obey(ctx context.Context, line string, words []string) error {
	const usage = `want "drain NODE", "undrain NODE", "accept-loss SHARD" or "tenants FILE"`
	verbs := []string{"drain", "undrain", "accept-loss", "tenants"}
	if hint := didYouMean(words[0], "", verbs); !slices.Contains(verbs, words[0]) {
		return errors.New(usage + hint)
	}
	if len(words) != 2 {
		return errors.New(usage)
	}
	switch words[0] {
	case "tenants":
		file, err := readBounded(words[1])
		if err != nil {
			return err
		}
		return k.wants(ctx, words[1], file)
	case "accept-loss":
		shard, err := strconv.ParseUint(words[1], 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no shard, want its number", words[1])
		}
		return k.cluster.AcceptLoss(ctx, lineage.Shard(shard))
	}
	node, is := k.node(words)
	if !is {
		return fmt.Errorf("%q is no node, want 0..%d", words[1], k.cluster.Nodes()-1)
	}
	k.callOff(line, node)
	return k.cluster.Undrain(ctx, node)
}

// begin starts a drain, and prints at once the conditions that it waits for.
func (k *console) begin(line string, node env.ID) {
	ctx, callOff := context.WithCancelCause(k.ctx)
	d := &drain{callOff, make(chan struct{})}
	k.mu.Lock()
	_, twice := k.drains[node]
	if !twice {
		k.drains[node] = d
	}
	k.mu.Unlock()
	if twice {
		callOff(nil)
		k.ended(line, fmt.Errorf("node %d is being drained already", node))
		return
	}
	waits := k.waits(ctx, line, node, "")
	k.work.Go(func() {
		defer close(d.ended)
		defer callOff(nil)
		err := k.drain(ctx, line, node, waits)
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		k.mu.Lock()
		delete(k.drains, node)
		k.mu.Unlock()
		if k.ctx.Err() == nil || err == nil { // else it is interrupted, as all is
			k.ended(line, err)
		}
	})
}

// knownWithin is how long a drain waits to learn its open conditions.
const knownWithin = time.Second

// toldAgain is how often a drain asks for its open conditions.
const toldAgain = 250 * time.Millisecond

// drain drains a node, and prints its open conditions whenever they have changed.
func (k *console) drain(ctx context.Context, line string, node env.ID, waits string) error {
	ended := make(chan error, 1)
	go func() { ended <- k.cluster.Drain(ctx, node) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(toldAgain):
			waits = k.waits(ctx, line, node, waits)
		}
	}
}

// waits prints the open conditions of a drain, unless they were printed last, and returns them.
func (k *console) waits(ctx context.Context, line string, node env.ID, told string) string {
	ctx, cancel := context.WithTimeout(ctx, knownWithin)
	defer cancel()
	waits, err := k.cluster.DrainWaits(ctx, node)
	switch {
	case err != nil && told != "":
		return told // unknown at the moment; the drain goes on all the same
	case err != nil:
		waits = []string{"the control plane, which does not answer"}
	case len(waits) == 0:
		waits = []string{"the control plane to say that it is so"}
	}
	text := strings.Join(waits, "; ")
	if text == told {
		return told
	}
	k.print(waiting{Schema: campaign.Schema, Type: "waiting", Line: line, For: waits}, fmt.Sprintf("%s: waits for %s", line, text))
	return text
}

// callOff ends the drain of a node that is under way, and waits until its goroutine has ended.
func (k *console) callOff(line string, node env.ID) {
	k.mu.Lock()
	d := k.drains[node]
	k.mu.Unlock()
	if d != nil {
		d.callOff(fmt.Errorf("called off by %q", line))
		<-d.ended
	}
}

// wants brings tenants to the desired state of a file.
func (k *console) wants(ctx context.Context, name string, file []byte) error {
	done, err := k.cluster.Want(ctx, file)
	for i := range done {
		k.print(asNeeded(&done[i]), fmt.Sprint(&done[i]))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// ended prints how a line has ended.
func (k *console) ended(line string, err error) {
	told, text := heeded{Schema: campaign.Schema, Type: "heeded", Line: line, Done: err == nil}, line+": done"
	if err != nil {
		told.Why, text = err.Error(), fmt.Sprintf("%s: %v", line, err)
	}
	k.print(told, text)
}

// print prints one thing, as JSON or as text.
func (k *console) print(v any, text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var err error
	if k.c.json {
		err = k.c.line(v)
	} else {
		_, err = fmt.Fprintln(k.c.stdout, text)
	}
	if err != nil {
		select {
		case k.failed <- err:
		default:
		}
	}
}
