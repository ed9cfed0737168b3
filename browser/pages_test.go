package browser

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/page"
	"github.com/tidaldb/tidalsim/report"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// lazy is a disk on which a sync of a file completes without syncing.
type lazy struct{ env.Env }

func (l lazy) Submit(op env.Op) {
	if op.Kind == env.OpSync {
		op.Kind, op.Length = env.OpRead, 0
	}
	l.Env.Submit(op)
}

// failed is the page of the first seed of failover that a lazy disk violates.
func failed(t *testing.T) *report.Seed {
	t.Helper()
	found, err := scenarios.Find("failover")
	if err != nil {
		t.Fatal(err)
	}
	for seed := plan.Seed(1); seed <= 50; seed++ {
		got, err := scenarios.NewRunner().Run(found[0].Plan(seed), scenarios.Options{
			Story: true, Porcupine: true, Decorate: func(e env.Env) env.Env { return lazy{e} },
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Findings) > 0 && got.Findings[0].At > 0 {
			name := harness.Name("failover", seed)
			return report.Of(got, name, "simrun replay "+name, "test")
		}
	}
	t.Fatal("no seed in fifty is violated by a disk that does not sync")
	return nil
}

// synthetic is a page of so many lines: eight nodes and eight clients that talk for ten
// seconds, and a finding amid them.
func synthetic(lines int) *report.Seed {
	s := &report.Seed{Name: "synthetic", Verdict: "violated", Replay: "simrun replay synthetic", Plan: &scenarios.Plan{}, Simulated: 10e9}
	s.Plan.Cluster.Nodes, s.Plan.Cluster.Clients = 8, 8
	message := uint64(0)
	for i := range lines {
		t := scenarios.Told{
			At: int64(i) * 10e9 / int64(lines), Of: i - 1, Process: i * 7 % 16, Peer: -1, Tenant: tenant.ID(i % 40), Slot: i % 3, Shard: -1, Event: i,
		}
		switch i % 4 {
		case 0:
			message++
			t.Kind, t.Peer, t.Message, t.Until = scenarios.Send, (t.Process+3)%16, message, t.At+200e3
			t.Text = fmt.Sprintf("node %d    sends append to node %d: shard %d epoch 3, tenant %d slot %d: 4 records after %d, committed %d [m%d]", t.Process, t.Peer, i%5, i%40, i%3, i, i, message)
			if i%400 == 0 {
				t.Mark = scenarios.Lost
			}
		case 1:
			t.Kind, t.Peer, t.Message = scenarios.Arrive, (t.Process+3)%16, message
			t.Text = fmt.Sprintf("node %d    is reached by append of node %d [m%d]", t.Process, t.Peer, message)
		case 2:
			t.Kind, t.Until = scenarios.Submit, t.At+120e3
			t.Text = fmt.Sprintf("node %d    disk: append 128 bytes to tenants/%d/wal/%d-1/0-%d.seg", t.Process, i%40, i%3, i)
		case 3:
			t.Kind = scenarios.Durable
			t.Text = fmt.Sprintf("node %d    disk: tenants/%d/wal/%d-1/0-%d.seg is durable", t.Process, i%40, i%3, i)
		}
		if i == lines/2 {
			t.Kind, t.About, t.Text, t.Process, t.Peer, t.Message = scenarios.Object, scenarios.Fault, ">>>>>>>> FINDING durable-ack/missing: synthetic", -1, -1, 0
			s.Findings = append(s.Findings, report.Finding{Fingerprint: "durable-ack/missing", Text: "synthetic", At: t.At})
		}
		s.Story = append(s.Story, t)
	}
	return s
}

// crowd is a page of sixty nodes in five regions and fifty clients.
func crowd() *report.Seed {
	s := synthetic(20_000)
	s.Name = "crowd"
	c := &s.Plan.Cluster
	c.Nodes, c.Clients, c.Regions = 60, 50, nil
	for i := range c.Nodes {
		c.Regions = append(c.Regions, tenant.Region(fmt.Sprintf("region-%d", i/12)))
	}
	for i := range s.Story {
		if t := &s.Story[i]; t.Process >= 0 {
			t.Process = i / 4 * 7 % (c.Nodes + c.Clients)
			if t.Peer >= 0 {
				t.Peer = (t.Process + 3) % (c.Nodes + c.Clients)
			}
		}
	}
	for shard := range 30 {
		for version := range 1 + shard%4 {
			first := shard % 5 * 12
			l := scenarios.Leads{At: int64(version) * 2e9, Shard: lineage.Shard(shard), Version: uint64(version), Min: 2}
			l.Epoch = lineage.ShardEpoch(version + 1)
			for k := range 3 - version%2 {
				l.InSync = append(l.InSync, env.ID(first+(shard+version+k)%12))
			}
			l.Leader = l.InSync[0]
			s.Leads = append(s.Leads, l)
		}
	}
	return s
}

// wide is the page of a run of five thousand seeds with five kinds of findings.
func wide() *page.Run {
	r := &page.Run{ID: "20261130T120000.000-1", Build: "test", Started: "2026-11-30T12:00:00Z", Command: "simrun run --seeds 1000", Verdict: "violated", Seeds: 5000, Held: 4200, Violated: 790, Undecided: 10}
	for i, s := range scenarios.All() {
		p := page.PerScenario{Name: s.Name, Seeds: 180, Held: 180, Acked: 80000, Fired: 300, Deviated: 20}
		switch i {
		case 3:
			p.Held, p.Violated = 100, 80
		case 7:
			p.Held, p.Undecided = 170, 10
		}
		r.Scenarios = append(r.Scenarios, p)
	}
	for i := range 5 {
		k := page.Kind{Fingerprint: fmt.Sprintf("no-loss/kind-%d", i), Count: 158, Text: "tenant 0 slot 0: the node ends at seq 41, the log at seq 42", At: 266430956, LastFault: "kill process 1 at 267ms", Replay: "simrun replay failover:0x1", Page: "findings/no-loss/report.html"}
		for seed := range 20 {
			k.Seeds = append(k.Seeds, fmt.Sprintf("failover:0x%x", seed+1))
		}
		r.Kinds = append(r.Kinds, k)
	}
	for i := range 43 {
		r.Points = append(r.Points, page.Reached{Name: fmt.Sprintf("point.number-%d", i), Reached: i%9 > 0})
	}
	r.Vetoed = []string{"10 of 55 rot (18.1 %: node-file 5, unconfirmed-bytes 5)"}
	return r
}

// file writes a page into a directory of the test's own and returns its address.
func file(t *testing.T, write func(*bufio.Writer) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	if err := artifacts.WritePage(path, write); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// look keeps a screenshot, in the directory that PICTURES names, else in one that goes.
func look(t *testing.T, tab *Tab, name string) {
	t.Helper()
	png, err := tab.Screenshot()
	if err != nil || !bytes.HasPrefix(png, []byte("\x89PNG")) {
		t.Fatalf("%v: a screenshot of %d bytes", err, len(png))
	}
	dir := os.Getenv("PICTURES")
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}
