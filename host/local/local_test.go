package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/local"
)

// start starts the example in a directory and waits until it serves.
func start(t *testing.T, dir string) (*local.Cluster, context.Context) {
	t.Helper()
	c, err := local.Start(local.Options{Dir: dir, Cluster: local.Example()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return c, ctx
}

// get returns the answer of a probe.
func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", url, r.Status, err, body)
	}
	return string(body)
}

// told is the part of /health that the test reads.
type told struct {
	Coordinator *env.ID
	Tenants     []struct {
		ID    string
		Quota struct{ Rate *uint64 }
		Used  struct{ Entities *uint64 }
	}
}

// until asks all probes until one gives the wanted answer.
func until(t *testing.T, c *local.Cluster, what string, wanted func(*told) bool) {
	t.Helper()
	said := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for node := range env.ID(3) {
			var h told
			if said = get(t, c.Probe(node)+"/health"); json.Unmarshal([]byte(said), &h) != nil {
				t.Fatalf("no JSON: %s", said)
			}
			if h.Coordinator != nil && *h.Coordinator == node && wanted(&h) {
				return
			}
		}
	}
	t.Fatalf("nobody tells that %s; the last one told:\n%s", what, said)
}

func TestAClusterIsBroughtToWhatIsWanted(t *testing.T) {
	dir := t.TempDir()
	c, ctx := start(t, dir)
	if err := c.Work(ctx, 500); err != nil {
		t.Fatal(err)
	}
	if err := c.Work(ctx, 500); !errors.Is(err, local.ErrWorks) {
		t.Errorf("a second client: %v, want ErrWorks", err)
	}
	until(t, c, "three tenants have entities", func(h *told) bool {
		n := 0
		for _, x := range h.Tenants {
			if x.Used.Entities != nil && *x.Used.Entities > 0 {
				n++
			}
		}
		return n == 3
	})
	file := []byte(`{"tenants": [{"id": "1", "limits": {"rate": 1234}}, {"id": "9", "limits": {"rate": 50}, "slots": 3}], "drop": ["3"]}`)
	done, err := c.Want(ctx, file)
	if err != nil || len(done) != 3 {
		t.Fatalf("%d commands, %v: %v; want to change one tenant, create one and drop one", len(done), done, err)
	}
	if done, err = c.Want(ctx, file); err != nil || len(done) != 0 {
		t.Errorf("wanted once more: %v, %v; want no command", done, err)
	}
	wanted := func(h *told) bool {
		return len(h.Tenants) == 3 && h.Tenants[0].Quota.Rate != nil && *h.Tenants[0].Quota.Rate == 1234 && h.Tenants[2].ID == "9"
	}
	until(t, c, "tenants are as wanted", wanted)
	if w := c.Worked(); w.Acked == 0 {
		t.Errorf("the client's signals ended as %+v", w)
	}
	coordinator, err := c.Coordinator(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range []string{"tidal_tenant_used_entities", "tidal_node_silent_seconds"} {
		if text := get(t, c.Probe(coordinator)+"/metrics"); !strings.Contains(text, family) {
			t.Errorf("no %s in\n%s", family, text)
		}
	}
	get(t, c.Probe(1)+"/livez")
	get(t, c.Probe(2)+"/readyz")

	// Decisions are there after a restart.
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := start(t, dir)
	until(t, again, "tenants are as they were", wanted)
}

func TestAWrongFileIsRefusedWhole(t *testing.T) {
	c, ctx := start(t, t.TempDir())
	done, err := c.Want(ctx, []byte(`{"tenants": [{"id": "8", "limits": {"rate": 10}}, {"id": "9", "limits": {"rat": 50}}]}`))
	if !errors.Is(err, desired.ErrInvalid) || !strings.Contains(err.Error(), `did you mean "rate"?`) || len(done) > 0 {
		t.Fatalf("%v, %v; want an error with what was meant", done, err)
	}
	until(t, c, "nothing has changed", func(h *told) bool { return len(h.Tenants) == 3 && h.Tenants[2].ID == "3" })
}

func TestWrongOptions(t *testing.T) {
	change := func(f func(*local.Options)) local.Options {
		o := local.Options{Dir: t.TempDir(), Cluster: local.Example()}
		f(&o)
		return o
	}
	for name, c := range map[string]struct {
		options local.Options
		want    error
	}{
		"no directory":      {change(func(o *local.Options) { o.Dir = "" }), local.ErrOptions},
		"no cluster":        {change(func(o *local.Options) { o.Cluster = nil }), local.ErrOptions},
		"a port beyond all": {change(func(o *local.Options) { o.Port = 65534 }), local.ErrOptions},
		"a node without id": {change(func(o *local.Options) { o.Cluster.Nodes[2].ID = 7 }), control.ErrCluster},
		"ids with a gap": {change(func(o *local.Options) {
			o.Cluster.Nodes = append(o.Cluster.Nodes, control.NodeConfig{ID: 9, Region: "local"})
		}), local.ErrOptions},
		"a directory's file": {change(func(o *local.Options) { o.Dir += "/file"; os.WriteFile(o.Dir, nil, 0o600) }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, err := local.Start(c.options)
			if err == nil {
				cluster.Close()
			}
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}
