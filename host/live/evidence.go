package live

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/host"
)

// judges are the checkers that need no more than the evidence of this package: others want instants
// of tokens, or the platter.
var judges = []string{"no-loss", "exactly-once", "linearizable", "liveness"}

// gather collects the evidence for the judges: the node's contents after one more start, and then,
// from its files, every record that it ever kept.
func (r *run) gather() (*observe.Run, error) {
	seen := &observe.Run{History: r.result.History}
	if err := r.dump(seen); err != nil {
		return nil, err
	}
	cluster := r.config.cluster()
	for i := range cluster.Placements {
		if err := r.readLog(seen, core.IdentityOf(&cluster.Placements[i])); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// inspected is a node that can be looked at between its Steps. That it panics is a
// finding, and must not end the process that judges.
type inspected struct {
	mu     sync.Mutex
	node   *core.Node
	failed any // the value of its panic
}

// Step implements env.Machine.
func (i *inspected) Step(ev *env.Event) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failed != nil {
		return
	}
	defer func() { i.failed = recover() }()
	i.node.Step(ev)
}

// Status implements env.Machine.
func (i *inspected) Status(s *env.Status) { i.node.Status(s) }

func (i *inspected) settled() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed != nil || i.node.Settled()
}

// dump starts the node once more, in this process, and takes its contents.
func (r *run) dump(seen *observe.Run) error {
	cluster := r.config.cluster()
	var machine *inspected
	p, err := r.config.start(func(e env.Env) env.Machine {
		machine = &inspected{node: core.NewNode(e, cluster)}
		return machine
	})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(calmPatience); !machine.settled() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	p.Kill()
	<-p.Done()
	if machine.failed != nil {
		seen.Stalls = append(seen.Stalls, fmt.Sprintf("the node, which panicked: %v", machine.failed))
		return nil
	}
	if err := machine.node.Failure(); err != nil {
		seen.Stalls = append(seen.Stalls, fmt.Sprintf("the node, which answers nothing: %v", err))
	}
	for _, d := range machine.node.Dump() {
		if d.Phase != replica.Serving {
			seen.Stalls = append(seen.Stalls, fmt.Sprintf("tenant %s slot %d, which is %s: %v", d.Tenant, d.Slot, d.Phase, d.Failure))
			continue
		}
		dump := seen.AddDump(d.Tenant, d.Slot, d.Position)
		for _, e := range d.Entities {
			dump.Entities = append(dump.Entities, observe.EntityState{Entity: e.Entity, State: e.State})
		}
	}
	return nil
}

// readLog reads the whole log of a slot, from its first record: segments that the node has, and
// those that it removed. One recovery from nothing judges them. Damage that it finds becomes a
// finding, through the records that are missing.
func (r *run) readLog(seen *observe.Run, id wal.Identity) error {
	dir := filepath.FromSlash(id.Dir())
	segments := map[string][]byte{}
	kept, err := filepath.Glob(filepath.Join(r.config.Keep, dir, "*.seg", "*"))
	if err != nil {
		return err
	}
	here, err := filepath.Glob(filepath.Join(host.DataDir(r.config.Dir), dir, "*.seg"))
	if err != nil {
		return err
	}
	for _, path := range append(kept, here...) { // present files count more than those that were kept aside
		name := filepath.Base(path)
		if !strings.HasSuffix(name, ".seg") {
			name = filepath.Base(filepath.Dir(path))
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, err := wal.DecodeHeader(data); err == nil { // without a header no record of it counts
			segments[name] = data
		}
	}
	snapshots, _ := filepath.Glob(filepath.Join(host.DataDir(r.config.Dir), dir, "*.snap"))
	r.result.Snapshots += len(snapshots)
	out, err := wal.Recover(id, lineage.Position{}, ascending(segments), func(rec *record.Record, chain lineage.Chain) error {
		seen.Append(rec, chain, 0, 0, 0)
		return nil
	})
	if err != nil {
		seen.Stalls = append(seen.Stalls, fmt.Sprintf("the log of %v, which is damaged: %v", id, err))
	}
	r.result.Records += out.Records
	return nil
}

// ascending orders segments by their first record.
func ascending(segments map[string][]byte) []wal.Segment {
	list := make([]wal.Segment, 0, len(segments))
	for name, data := range segments {
		if _, _, ok := wal.ParseSegmentName(name); ok {
			list = append(list, wal.Segment{Name: name, Data: data})
		}
	}
	first := func(s wal.Segment) lineage.Seq {
		_, seq, _ := wal.ParseSegmentName(s.Name)
		return seq
	}
	slices.SortFunc(list, func(a, b wal.Segment) int { return cmp.Compare(first(a), first(b)) })
	return list
}

// judge asks the judges, and decides whether the run counts.
func (r *run) judge(seen *observe.Run) {
	r.result.Verdict = checker.Held
	for _, name := range judges {
		c, ok := checker.Lookup(name)
		if !ok {
			panic("live: there is no checker " + name)
		}
		report := c.Judge(seen, checker.Options{})
		r.result.Reports = append(r.result.Reports, report)
		r.result.Findings = append(r.result.Findings, report.Findings...)
		if report.Verdict == checker.Undecided && r.result.Why == "" {
			r.result.Verdict, r.result.Why = checker.Undecided, report.Checker+": "+report.Why
		}
	}
	switch {
	case len(r.result.Findings) > 0:
		r.result.Verdict = checker.Violated
	case r.result.Verdict == checker.Undecided:
	case r.result.Acked < MinAcked:
		r.result.Verdict, r.result.Why = checker.Undecided, fmt.Sprintf("%d operations were acknowledged, want at least %d", r.result.Acked, MinAcked)
	case r.result.Struck == 0:
		r.result.Verdict, r.result.Why = checker.Undecided, "no kill found a call under way"
	}
}
