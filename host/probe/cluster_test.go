package probe_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/client"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/host"
	"github.com/tidaldb/tidalsim/host/probe"
)

// The cluster: three nodes, a shard that all of them hold, and a tenant of two slots.
const (
	nodes    = 3
	clientID = env.ID(nodes)
	entities = 10
	shard    = lineage.Shard(5)
	who      = tenant.ID(7)
)

func cluster() *core.Cluster {
	founded := &control.Cluster{
		Meta: []env.ID{0, 1, 2},
		Nodes: []control.NodeConfig{
			{ID: 0, Region: "eu", Directory: env.Nonce{A: 1}}, {ID: 1, Region: "eu", Directory: env.Nonce{A: 2}}, {ID: 2, Region: "eu", Directory: env.Nonce{A: 3}},
		},
		Shards: []control.ShardConfig{{ID: shard, Region: "eu", Replicas: []env.ID{1, 2, 0}}},
		Tenants: []control.TenantConfig{{
			Config: tenant.Config{ID: who, Version: 1, Limits: tenant.Limits{Rate: 1000, Entities: 100}, Residency: tenant.Residency{"eu"}},
			Shards: []lineage.Shard{shard, shard},
		}},
	}
	c := &core.Cluster{Constants: replica.DefaultConstants, ID: 1, Control: founded, Pace: core.DefaultPace}
	c.Place()
	c.Index()
	return c
}

// writer creates entities, one after the other.
type writer struct {
	*client.Client
	left int
	done chan error
}

func (w *writer) Step(ev *env.Event) {
	results := w.Client.Step(ev)
	for i := range results {
		if r := &results[i]; r.Outcome != client.Acked {
			w.done <- fmt.Errorf("%v: %v", r.Outcome, r.Code)
			return
		}
	}
	if ev.Kind != env.Started && len(results) == 0 {
		return
	}
	if w.left == 0 {
		close(w.done)
		return
	}
	w.left--
	w.Put(who, signal.Entity(w.left))
}

func (*writer) Status(*env.Status) {}

// said is the part of /health that a test reads.
type said struct {
	Coordinator *env.ID
	Regions     []struct{ Status *string }
	Nodes       []struct {
		SilentMs *uint64 `json:"silent_ms"`
		Disk     struct {
			Free *uint64 `json:"free_bytes"`
		}
	}
	Shards []struct {
		AgeMs    *uint64 `json:"age_ms"`
		Entities *uint64
		InSync   []struct{ Node env.ID } `json:"in_sync"`
		Replicas []struct {
			LagRecords *uint64 `json:"lag_records"`
			Disk       struct {
				Used *uint64 `json:"used_bytes"`
			}
		}
	}
	Tenants []struct {
		Compliant *bool
		Used      struct{ Entities *uint64 }
	}
}

// start starts the nodes and a client; the returned function asks a node.
func start(t *testing.T, w *writer) (processes []*host.Process, ask func(node env.ID) (said, string)) {
	c, dir := cluster(), t.TempDir()
	addresses, listeners := map[env.ID]string{}, []net.Listener{}
	for id := range clientID + 1 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses[id], listeners = l.Addr().String(), append(listeners, l)
	}
	for i, l := range listeners {
		if at := c.Control.Node(env.ID(i)); at != nil {
			name, content := core.Founded(c.ID, at.Directory)
			if err := host.PutData(filepath.Join(dir, fmt.Sprint(i)), name, content); err != nil {
				t.Fatal(err)
			}
		}
		p, err := host.Start(host.Config{
			ID: env.ID(i), Dir: filepath.Join(dir, fmt.Sprint(i)), Addresses: addresses, Listener: l,
			New: func(e env.Env) env.Machine {
				if e.Self() != clientID {
					return core.NewNode(e, c)
				}
				w.Client = client.New(e, &c.Map, client.DefaultPatience)
				return w
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Kill(); <-p.Done() })
		processes = append(processes, p)
	}
	return processes, func(node env.ID) (s said, text string) {
		r := httptest.NewRecorder()
		h := probe.Handler(&probe.Config{Inspect: processes[node].Inspect, Patience: 10 * time.Second})
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/health", nil))
		text = r.Body.String()
		if r.Code != http.StatusOK { // the node is gone
			return said{}, text
		}
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err, text)
		}
		return s, text
	}
}

// until asks a node until it gives the wanted answer.
func until(t *testing.T, what string, ask func(env.ID) (said, string), node func() env.ID, wanted func(*said) bool) {
	t.Helper()
	text := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var s said
		if s, text = ask(node()); len(s.Shards) > 0 && wanted(&s) {
			return
		}
	}
	t.Fatalf("nobody says that %s:\n%s", what, text)
}

func is(got *uint64, want uint64) bool { return got != nil && *got == want }

// Real nodes, real files and sockets: the coordinator says what there is, and of a node
// that is gone that it is silent.
func TestHealthOfARealCluster(t *testing.T) {
	w := &writer{left: entities, done: make(chan error, 1)}
	processes, ask := start(t, w)
	if err := <-w.done; err != nil {
		t.Fatal(err)
	}
	coordinator := func() env.ID {
		for node := range env.ID(nodes) {
			if s, _ := ask(node); s.Coordinator != nil && *s.Coordinator == node {
				return node
			}
		}
		return 0
	}
	until(t, "all is well", ask, coordinator, func(s *said) bool {
		well := s.Regions[0].Status != nil && *s.Regions[0].Status == "healthy" && is(s.Shards[0].Entities, entities) && len(s.Shards[0].InSync) == nodes
		for _, n := range s.Nodes {
			well = well && n.SilentMs != nil && n.Disk.Free != nil && *n.Disk.Free > 0
		}
		for _, r := range s.Shards[0].Replicas {
			well = well && is(r.LagRecords, 0) && r.Disk.Used != nil && *r.Disk.Used > 0
		}
		return well && is(s.Tenants[0].Used.Entities, entities) && s.Tenants[0].Compliant != nil && *s.Tenants[0].Compliant
	})
	self := coordinator()
	other := (self + 1) % nodes
	if s, text := ask(other); s.Shards[0].Entities != nil || s.Shards[0].AgeMs != nil {
		t.Errorf("node %d is no coordinator and knows what it was not told:\n%s", other, text)
	}
	processes[other].Kill()
	<-processes[other].Done()
	until(t, "a node is gone", ask, coordinator, func(s *said) bool {
		return s.Nodes[other].SilentMs != nil && *s.Nodes[other].SilentMs > 500 && len(s.Shards[0].InSync) == nodes-1 && is(s.Shards[0].Entities, entities)
	})
}
