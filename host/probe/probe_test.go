package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/host"
	"github.com/tidaldb/tidalsim/host/meter"
	"github.com/tidaldb/tidalsim/host/probe"
	"github.com/tidaldb/tidalsim/internal/golden"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew; right only as long as nobody has an alert on a metric")

func f(v uint64) health.Figure { return health.Of(v) }

// full has everything that a cluster can say, with a number of its own in each field.
func full(c *health.Cluster) {
	*c = health.Cluster{
		Node: 1, Coordinator: health.Of(env.ID(1)), Index: f(917), AgeMs: f(40), WatchedMs: f(86_400_000),
		Nodes: []health.Node{
			{ID: 0, Region: "us-east", Incarnation: health.Of(env.Incarnation(3)), State: health.Active, SilentMs: f(101),
				Disk: health.Disk{AgeMs: f(102), UsedBytes: f(1_000_001), FreeBytes: f(9_000_001)}, Replicas: f(2), Leaderships: f(1)},
			{ID: 1, Region: "eu-west", State: health.Draining, SilentMs: f(0)},
		},
		Shards: []health.Shard{{
			ID: 1, Region: "us-east", Epoch: health.Of(lineage.ShardEpoch(12)), Version: f(31), Leader: health.Member{Node: 0, Incarnation: 3},
			InSync: []health.Member{{Node: 0, Incarnation: 3}}, Excluded: f(4), AgeMs: f(55), Entities: f(1234), LogicalBytes: f(567_890),
			Signals: f(2999), WindowMs: f(2000), Replicas: []health.Replica{
				{Node: 0, InSync: health.Yes, AgeMs: f(55), LagRecords: f(0), LagMs: f(0), Disk: health.ReplicaDisk{AgeMs: f(56), UsedBytes: f(600_000)}},
				{Node: 1, InSync: health.No, AgeMs: f(57), LagRecords: f(17), LagMs: f(5001), Disk: health.ReplicaDisk{AgeMs: f(58), UsedBytes: f(500_000)}},
			},
		}},
		Tenants: []health.Tenant{{
			ID: 1<<64 - 2, Version: f(5), State: health.TenantActive, Residency: tenant.Residency{"us-east"},
			Quota: health.LimitsOf(tenant.Limits{Rate: 100, Burst: 200, Entities: 300, Bytes: 4000}),
			Slots: []health.Slot{
				{Slot: 0, Shard: 1, AgeMs: f(61), Used: health.Use{Entities: f(11), Bytes: f(1100)}, Refused: health.Refusals{Rate: f(5), Entities: f(6), Bytes: f(7)}},
				{Slot: 1, Shard: 1, AgeMs: f(62), Used: health.Use{Entities: f(12), Bytes: f(1200)}, Refused: health.Refusals{Rate: f(50), Entities: f(60), Bytes: f(70)}},
			},
		}},
	}
	c.Judge()
}

// blank has a row of each kind, and knows nothing of any.
func blank(c *health.Cluster) {
	*c = health.Cluster{
		Nodes:   []health.Node{{ID: 0, Region: "eu-west"}},
		Shards:  []health.Shard{{ID: 1, Region: "eu-west", Replicas: []health.Replica{{Node: 0}}}},
		Tenants: []health.Tenant{{ID: 7, Slots: []health.Slot{{Shard: 1}}}},
	}
	c.Judge()
}

// machine is a machine with a given health.
type machine struct {
	waits string // for what; "": it is ready
	tells func(*health.Cluster)
}

func (*machine) Step(*env.Event)            {}
func (*machine) Status(*env.Status)         {}
func (m *machine) Ready() (bool, string)    { return m.waits == "", m.waits }
func (m *machine) Health(c *health.Cluster) { m.tells(c) }

// mute is a machine that tells nothing.
type mute struct{}

func (mute) Step(*env.Event)    {}
func (mute) Status(*env.Status) {}

// of looks at a machine without Steps.
func of(m env.Machine) probe.Inspect {
	return func(_ context.Context, look func(env.Machine)) error {
		look(m)
		return nil
	}
}

// never comes to look.
func never(ctx context.Context, _ func(env.Machine)) error {
	<-ctx.Done()
	return errors.New("it is stuck")
}

func get(t *testing.T, h http.Handler, method, path string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnswers(t *testing.T) {
	well := of(&machine{tells: full})
	starts := of(&machine{waits: "2 slots are not open", tells: full})
	for _, c := range []struct {
		name         string
		inspect      probe.Inspect
		method, path string
		code         int
		says         string
	}{
		{"lives", well, "GET", "/livez", 200, "ok\n"},
		{"lives and is not ready", starts, "GET", "/livez", 200, "ok\n"},
		{"lives and tells nothing", of(mute{}), "GET", "/livez", 200, "ok\n"},
		{"is stuck", never, "GET", "/livez", 503, "it is stuck\n"},
		{"is ready", well, "GET", "/readyz", 200, "ok\n"},
		{"is not ready", starts, "GET", "/readyz", 503, "2 slots are not open\n"},
		{"is not ready when stuck", never, "GET", "/readyz", 503, "it is stuck\n"},
		{"does not tell whether it is ready", of(mute{}), "GET", "/readyz", 503, "the machine tells nothing of its health\n"},
		{"has no health when stuck", never, "GET", "/health", 503, "it is stuck\n"},
		{"does not tell its health", of(mute{}), "GET", "/health", 503, "the machine tells nothing of its health\n"},
		{"has no figures when stuck", never, "GET", "/metrics", 500, "it is stuck"},
		{"does not tell figures", of(mute{}), "GET", "/metrics", 500, "the machine tells nothing of its health"},
		{"cannot be changed", well, "POST", "/health", 405, "Method Not Allowed\n"},
		{"shows tables", well, "GET", "/", 200, "<h1>Health of the cluster</h1>"},
		{"shows none when stuck", never, "GET", "/", 503, "it is stuck\n"},
		{"has nothing else", well, "GET", "/nothing", 404, "404 page not found\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get(t, probe.Handler(&probe.Config{Inspect: c.inspect, Patience: time.Millisecond}), c.method, c.path)
			if text := body(t, r); r.StatusCode != c.code || !strings.Contains(text, c.says) {
				t.Errorf("%d %q, want %d %q", r.StatusCode, text, c.code, c.says)
			}
		})
	}
}

func TestHealthIsTheJSON(t *testing.T) {
	r := get(t, probe.Handler(&probe.Config{Inspect: of(&machine{tells: full})}), "GET", "/health")
	var c health.Cluster
	full(&c)
	if diff := cmp.Diff(string(health.AppendJSON(nil, &c)), body(t, r)); diff != "" {
		t.Error("-want +got\n" + diff)
	}
	for key, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"} {
		if got := r.Header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

// An unknown figure is no metric: a 0 would be believed.
func TestGoldenMetrics(t *testing.T) {
	for name, tells := range map[string]func(*health.Cluster){"full": full, "blank": blank} {
		r := get(t, probe.Handler(&probe.Config{Inspect: of(&machine{tells: tells})}), "GET", "/metrics")
		golden.Text(t, "testdata/"+name+".txt", withoutBuild(body(t, r)), *rewrite)
	}
}

// withoutBuild returns metrics without what differs between builds.
func withoutBuild(text string) string {
	lines := slices.Collect(strings.Lines(text))
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "tidal_build_info") }), "")
}

// Prometheus's own parser can read the metrics, and their names follow its rules. A client that
// asks for OpenMetrics gets that.
func TestMetricsAsTheyAreScraped(t *testing.T) {
	m := meter.New()
	m.Step(&env.Event{Kind: env.Timer}, time.Millisecond)
	h := probe.Handler(&probe.Config{Inspect: of(&machine{tells: full}), Counts: m})
	text := body(t, get(t, h, "GET", "/metrics"))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]dto.MetricType{
		"tidal_build_info": dto.MetricType_GAUGE, "tidal_control_index": dto.MetricType_GAUGE, "tidal_messages_sent_total": dto.MetricType_COUNTER,
		"tidal_step_seconds": dto.MetricType_HISTOGRAM, "tidal_disk_operation_seconds": dto.MetricType_HISTOGRAM,
	} {
		if f := families[name]; f == nil || f.GetType() != kind {
			t.Errorf("%s: %v, want a %v", name, f, kind)
		}
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(probe.Counts(m))
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v: %+v", err, problems)
	}
	request := httptest.NewRequest("GET", "/metrics", nil)
	request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request)
	text = body(t, w.Result())
	if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "application/openmetrics-text; version=1.0.0") || !strings.HasSuffix(text, "\n# EOF\n") {
		t.Errorf("%s: %s", kind, text)
	}
	for _, want := range []string{
		"# TYPE tidal_messages_sent counter\n", "tidal_messages_sent_total 0.0\n", "tidal_messages_sent_created ", "# TYPE tidal_step_seconds histogram\n",
		`tidal_step_seconds_bucket{event="timer",le="0.001024"} 1`, `tidal_step_seconds_count{event="timer"} 1`, "tidal_build_info{goversion=",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE|UNIT) [a-z_:]+ .+|[a-z_:]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+|# EOF)$`)
	for l := range strings.Lines(text) {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("a line is no OpenMetrics: %s", l)
		}
	}
}

// The collector sends the metrics that it has described, and names them as Prometheus wants.
func TestMetricsArePedantic(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(probe.NewCollector(of(&machine{tells: full}), time.Second))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %+v", err, problems)
	}
}

// A cluster that says everything shows every metric that there is.
func TestEveryMetricIsInTheExample(t *testing.T) {
	c := probe.NewCollector(of(&machine{tells: full}), time.Second)
	described := make(chan *prometheus.Desc, 1000)
	c.Describe(described)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil || len(families) != len(described) {
		t.Errorf("%d metrics are described, %d are told: %v", len(described), len(families), err)
	}
}

func TestOneLookForAScrape(t *testing.T) {
	looks := 0
	inspect := func(_ context.Context, look func(env.Machine)) error {
		looks++
		look(&machine{tells: full})
		return nil
	}
	get(t, probe.Handler(&probe.Config{Inspect: inspect}), "GET", "/metrics")
	if looks != 1 {
		t.Errorf("%d looks", looks)
	}
}

// A process, its loop and a socket.
func TestProcess(t *testing.T) {
	held := make(chan struct{})
	p, err := host.Start(host.Config{
		ID: 1, Dir: t.TempDir(), Addresses: map[env.ID]string{1: "127.0.0.1:0"},
		New: func(e env.Env) env.Machine { return &sleeper{machine{tells: full}, e, held} },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); <-p.Done() })
	s, err := probe.Serve(probe.Config{Address: "127.0.0.1:0", Inspect: p.Inspect})
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(path string) (int, string) {
		r, err := http.Get("http://" + s.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r.StatusCode, body(t, r)
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if code, text := fetch(path); code != 200 {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if code, text := fetch("/health"); code != 200 || !json.Valid([]byte(text)) {
		t.Errorf("/health: %d %s", code, text)
	}
	if err := p.Inspect(t.Context(), func(m env.Machine) { m.(*sleeper).env.SetTimer(0, 0) }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	code, text := fetch("/livez")
	if took := time.Since(began); code != 503 || !strings.Contains(text, "process 1") || took > probe.Patience+5*time.Second {
		t.Errorf("stuck in a Step: %d %s after %s", code, text, took)
	}
	close(held)
	if code, text := fetch("/livez"); code != 200 {
		t.Errorf("stuck no more: %d %s", code, text)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("the server is closed, and somebody listens")
	}
}

// sleeper sleeps in the Step of a timer until it is let go.
type sleeper struct {
	machine
	env  env.Env
	held chan struct{}
}

func (s *sleeper) Step(ev *env.Event) {
	if ev.Kind == env.Timer {
		<-s.held
	}
}

func TestOnlyThisMachineMayAsk(t *testing.T) {
	_, err := probe.Serve(probe.Config{Address: "0.0.0.0:0", Inspect: never})
	if !errors.Is(err, probe.ErrNotLoopback) {
		t.Fatalf("listening everywhere: %v", err)
	}
	s, err := probe.Serve(probe.Config{Address: "0.0.0.0:0", Anywhere: true, Inspect: never})
	if err != nil {
		t.Fatalf("listening everywhere, as is wanted: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A client that finds all connections taken waits until one ends.
func TestConnectionsAreBounded(t *testing.T) {
	s, err := probe.Serve(probe.Config{Address: "127.0.0.1:0", Inspect: of(mute{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	var taken []net.Conn
	for range probe.MaxConnections {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, c)
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: here\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 1 {
			t.Fatalf("connection %d has no answer: %v", len(taken), err)
		}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answered := make(chan error)
	go func() {
		_, err := client.Get("http://" + s.Addr().String() + "/livez")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("one connection more has an answer: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	taken[0].Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// A server ends, although its connections are taken and more wait for one.
func TestCloseWithConnectionsTaken(t *testing.T) {
	s, err := probe.Serve(probe.Config{Address: "127.0.0.1:0", Inspect: of(mute{})})
	if err != nil {
		t.Fatal(err)
	}
	for range probe.MaxConnections + 1 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server does not end")
	}
}
