package probe

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidaldb/tidalsim/core/health"
)

// Collector hands the state of a cluster to Prometheus. Each scrape takes one look at the machine;
// a machine that does not answer in time fails the scrape. Unknown figures are absent.
type Collector struct {
	inspect  Inspect
	patience time.Duration
}

// NewCollector returns a collector that waits for the machine for so long at most.
func NewCollector(inspect Inspect, patience time.Duration) *Collector {
	return &Collector{inspect, patience}
}

// Describe implements prometheus.Collector.
func (*Collector) Describe(to chan<- *prometheus.Desc) {
	describe(to, ofCluster)
	describe(to, ofRegions)
	describe(to, ofNodes)
	describe(to, ofShards)
	describe(to, ofReplicas)
	describe(to, ofTenants)
	for _, d := range []*prometheus.Desc{regionStatus, nodeState, shardLeader, tenantState, refused} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	seen, err := ask(ctx, c.inspect)
	if err != nil {
		to <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		return
	}
	collect(to, ofCluster, seen)
	for i := range seen.Regions {
		collectRegion(to, &seen.Regions[i])
	}
	for i := range seen.Nodes {
		collectNode(to, &seen.Nodes[i])
	}
	for i := range seen.Shards {
		collectShard(to, &seen.Shards[i])
	}
	for i := range seen.Tenants {
		collectTenant(to, &seen.Tenants[i])
	}
}

func collectRegion(to chan<- prometheus.Metric, r *health.Region) {
	name := string(r.Name)
	collect(to, ofRegions, r, name)
	collectName(to, regionStatus, r.Status, health.Healthy, health.Offline, name)
}

func collectNode(to chan<- prometheus.Metric, n *health.Node) {
	labels := []string{number(n.ID), string(n.Region)}
	collect(to, ofNodes, n, labels...)
	collectName(to, nodeState, n.State, health.Active, health.Drained, labels...)
}

func collectShard(to chan<- prometheus.Metric, s *health.Shard) {
	labels := []string{number(s.ID), string(s.Region)}
	collect(to, ofShards, s, labels...)
	if s.Leader != (health.Member{}) {
		to <- prometheus.MustNewConstMetric(shardLeader, prometheus.GaugeValue, 1, append(labels, number(s.Leader.Node))...)
	}
	for i := range s.Replicas {
		collect(to, ofReplicas, &s.Replicas[i], append(labels, number(s.Replicas[i].Node))...)
	}
}

func collectTenant(to chan<- prometheus.Metric, t *health.Tenant) {
	id := t.ID.String()
	use, refusals, age := t.Total()
	collect(to, ofTenants, &total{t, use, age}, id)
	collectName(to, tenantState, t.State, health.TenantActive, health.TenantDropping, id)
	for _, r := range []struct {
		resource string
		figure   health.Figure
	}{{"rate", refusals.Rate}, {"entities", refusals.Entities}, {"bytes", refusals.Bytes}} {
		if r.figure.Known {
			to <- prometheus.MustNewConstMetric(refused, prometheus.GaugeValue, float64(r.figure.Value), id, r.resource)
		}
	}
}

// family is a gauge of each row of a kind.
type family[T any] struct {
	desc   *prometheus.Desc
	parts  float64 // that a figure counts, of the unit in the name
	figure func(*T) health.Figure
}

// gauge describes a gauge. The figure of a name that ends in seconds is in milliseconds.
func gauge[T any](name, help string, labels []string, figure func(*T) health.Figure) family[T] {
	f := family[T]{desc: desc(name, help, labels...), parts: 1, figure: figure}
	if strings.HasSuffix(name, "_seconds") {
		f.parts = 1000
	}
	return f
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tidal_"+name, help, labels, nil)
}

func describe[T any](to chan<- *prometheus.Desc, families []family[T]) {
	for i := range families {
		to <- families[i].desc
	}
}

// collect sends the known figures of a row.
func collect[T any](to chan<- prometheus.Metric, families []family[T], row *T, labels ...string) {
	for i := range families {
		f := &families[i]
		if v := f.figure(row); v.Known {
			to <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, float64(v.Value)/f.parts, labels...)
		}
	}
}

// collectName sends 1 for the name of the present state, 0 for the other names from first to last,
// and nothing if the state is unknown.
func collectName[T interface {
	~uint8
	String() string
}](to chan<- prometheus.Metric, d *prometheus.Desc, is, first, last T, labels ...string) {
	if is == 0 {
		return
	}
	for name := first; name <= last; name++ {
		value := 0.
		if name == is {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append(slices.Clone(labels), name.String())...)
	}
}

func number[T ~uint32](id T) string { return strconv.FormatUint(uint64(id), 10) }

// total is a tenant and the sum of its slots.
type total struct {
	*health.Tenant
	used health.Use
	age  health.Figure
}
