package probe

import (
	"bytes"
	"context"
	_ "embed" // the page's text
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
)

//go:embed page.html
var pageText string

// page shows a health.Cluster to people. Whatever a name contains is escaped.
var page = template.Must(template.New("page").Parse(pageText))

// shown is the content of the page.
type shown struct {
	Node         env.ID
	Coordination string // the node that knows all figures
	Index, Age   string
	Tables       []table
}

type table struct {
	Name, Title string
	Columns     []column
	Rows        [][]cell
}

type column struct {
	Name   string
	Number bool
}

// cell is text with a class of the page's style, "" for none.
type cell struct{ Text, Class string }

// page answers with the tables.
func (p *prober) page(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), p.patience)
	defer cancel()
	c, err := ask(ctx, p.inspect)
	if err != nil {
		fail(w, err)
		return
	}
	var text bytes.Buffer
	if err := page.Execute(&text, show(c)); err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	answer(w, "text/html; charset=utf-8", text.Bytes())
}

func show(c *health.Cluster) *shown {
	s := &shown{Node: c.Node, Coordination: "It does not know who coordinates, and figures of others are not told to it.", Index: plain(c.Index), Age: millis(c.AgeMs).Text}
	switch {
	case c.Coordinator.Known && c.Coordinator.Value == c.Node:
		s.Coordination = "It coordinates, and knows all figures."
	case c.Coordinator.Known:
		s.Coordination = fmt.Sprintf("Node %d coordinates: only there are all figures known.", c.Coordinator.Value)
	}
	s.Tables = []table{regions(c), nodes(c), shards(c), replicas(c), tenants(c)}
	return s
}

// columns reads names; a column with # before its name is of numbers.
func columns(names ...string) (list []column) {
	for _, name := range names {
		text, number := strings.CutPrefix(name, "#")
		list = append(list, column{text, number})
	}
	return list
}

func regions(c *health.Cluster) table {
	t := table{Name: "regions", Title: "Regions", Columns: columns("region", "status", "#nodes", "#heard", "#longest lag", "#age", "why")}
	for i := range c.Regions {
		r := &c.Regions[i]
		class := map[health.Status]string{health.Healthy: "well", health.Degraded: "warn", health.Offline: "ill"}[r.Status]
		t.Rows = append(t.Rows, []cell{{Text: string(r.Name)}, named(r.Status != health.StatusUnknown, r.Status, class),
			number64(r.Nodes), figure(r.NodesHeard), millis(r.LagMs), millis(r.AgeMs), {r.Reason, "text"}})
	}
	return t
}

func nodes(c *health.Cluster) table {
	t := table{Name: "nodes", Title: "Nodes", Columns: columns("node", "region", "state", "#life", "#silent", "#shards held", "#shards led", "#used", "#free", "#age of both")}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		class := map[health.NodeState]string{health.Draining: "warn", health.Drained: "warn"}[n.State]
		t.Rows = append(t.Rows, []cell{{Text: number(n.ID)}, {Text: string(n.Region)}, named(n.State != health.NodeUnknown, n.State, class), figure(n.Incarnation.Figure()),
			millis(n.SilentMs), figure(n.Replicas), figure(n.Leaderships), size(n.Disk.UsedBytes), size(n.Disk.FreeBytes), millis(n.Disk.AgeMs)})
	}
	return t
}

func shards(c *health.Cluster) table {
	t := table{Name: "shards", Title: "Shards", Columns: columns("shard", "region", "leader", "#epoch", "in sync", "#entities", "#signals/s", "#age", "waits for")}
	for i := range c.Shards {
		s := &c.Shards[i]
		leader, inSync := cell{Text: dash, Class: "unknown"}, cell{Text: dash, Class: "unknown"}
		if s.Leader != (health.Member{}) {
			leader = cell{Text: "node " + number(s.Leader.Node)}
		}
		if s.Version.Known {
			inSync = cell{Text: members(s.InSync)}
		}
		t.Rows = append(t.Rows, []cell{{Text: number(s.ID)}, {Text: string(s.Region)}, leader, figure(s.Epoch.Figure()), inSync,
			figure(s.Entities), figure(s.SignalsPerSecond()), millis(s.AgeMs), {s.Waits, "text warn"}})
	}
	return t
}

func replicas(c *health.Cluster) table {
	t := table{Name: "replicas", Title: "Replicas", Columns: columns("shard", "node", "in sync", "#lag, records", "#lag", "#age", "#used")}
	for i := range c.Shards {
		for j := range c.Shards[i].Replicas {
			r := &c.Shards[i].Replicas[j]
			t.Rows = append(t.Rows, []cell{{Text: number(c.Shards[i].ID)}, {Text: number(r.Node)}, truth(r.InSync),
				figure(r.LagRecords), millis(r.LagMs), millis(r.AgeMs), size(r.Disk.UsedBytes)})
		}
	}
	return t
}

func tenants(c *health.Cluster) table {
	t := table{Name: "tenants", Title: "Tenants", Columns: columns("tenant", "state", "residency", "compliant", "#slots", "#rate limit", "#entities", "#limit", "#bytes", "#limit", "#refused for rate", "#age")}
	for i := range c.Tenants {
		n := &c.Tenants[i]
		use, refusals, age := n.Total()
		class := map[health.TenantState]string{health.TenantDropping: "warn"}[n.State]
		t.Rows = append(t.Rows, []cell{{Text: n.ID.String()}, named(n.State != health.TenantUnknown, n.State, class), {Text: residency(n)}, truth(n.Compliant), number64(uint64(len(n.Slots))),
			figure(n.Quota.Rate), figure(use.Entities), figure(n.Quota.Entities), size(use.Bytes), size(n.Quota.Bytes), figure(refusals.Rate), millis(age)})
	}
	return t
}

func residency(t *health.Tenant) string {
	switch {
	case !t.Version.Known:
		return dash
	case len(t.Residency) == 0:
		return "any region"
	}
	var names []string
	for _, r := range t.Residency {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

func members(list []health.Member) string {
	var names []string
	for _, m := range list {
		names = append(names, number(m.Node))
	}
	return strings.Join(names, ", ")
}

// dash stands for an unknown figure.
const dash = "–"

func plain(f health.Figure) string {
	if !f.Known {
		return dash
	}
	return strconv.FormatUint(f.Value, 10)
}

func figure(f health.Figure) cell { return of(f, plain(f)) }

// millis shows a span of milliseconds.
func millis(f health.Figure) cell { return of(f, plain(f)+" ms") }

// size shows bytes in the largest unit that they fill at least once.
func size(f health.Figure) cell {
	value, unit := f.Value, 0
	for value >= 1<<10 && unit < len(sizes)-1 {
		value, unit = value>>10, unit+1
	}
	return of(f, fmt.Sprintf("%d %s", value, sizes[unit]))
}

var sizes = []string{"B", "KiB", "MiB", "GiB", "TiB"}

// of is a number, if it is known.
func of(f health.Figure, text string) cell {
	if !f.Known {
		return cell{dash, "n unknown"}
	}
	return cell{text, "n"}
}

func number64(n uint64) cell { return cell{strconv.FormatUint(n, 10), "n"} }

func named(known bool, name fmt.Stringer, class string) cell {
	if !known {
		return cell{dash, "unknown"}
	}
	return cell{name.String(), class}
}

func truth(t health.Truth) cell {
	switch t {
	case health.Yes:
		return cell{"yes", "well"}
	case health.No:
		return cell{"no", "warn"}
	}
	return cell{dash, "unknown"}
}
