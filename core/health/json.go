package health

import (
	"cmp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// AppendJSON appends a cluster as JSON, described by docs/health.schema.json. Equal clusters give
// equal bytes: keys have a fixed order, each row has a line, and the last byte is a newline.
func AppendJSON(dst []byte, c *Cluster) []byte {
	w := &writer{dst: dst}
	w.begin('{', tall)
	w.uint("schema", Schema)
	w.uint("node", uint64(c.Node))
	number(w, "coordinator", c.Coordinator)
	number(w, "index", c.Index)
	number(w, "age_ms", c.AgeMs)
	number(w, "watched_ms", c.WatchedMs)
	rows(w, "regions", tall, c.Regions, (*writer).region, func(a, b *Region) int { return cmp.Compare(a.Name, b.Name) })
	rows(w, "nodes", tall, c.Nodes, (*writer).node, func(a, b *Node) int { return cmp.Compare(a.ID, b.ID) })
	rows(w, "shards", tall, c.Shards, (*writer).shard, func(a, b *Shard) int { return cmp.Compare(a.ID, b.ID) })
	rows(w, "tenants", tall, c.Tenants, (*writer).tenant, func(a, b *Tenant) int { return cmp.Compare(a.ID, b.ID) })
	rows(w, "migrations", tall, c.Migrations, (*writer).migration, func(a, b *Migration) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Slot, b.Slot))
	})
	w.null("upgrade")
	w.end('}')
	return append(w.dst, '\n')
}

var statusNames = [...]string{StatusUnknown: "", Healthy: "healthy", Degraded: "degraded", Offline: "offline"}

// String returns the name of s, "" if it is unknown.
func (s Status) String() string { return statusNames[s] }

var nodeStateNames = [...]string{NodeUnknown: "", Active: "active", Draining: "draining", Drained: "drained"}

// String returns the name of s, "" if it is unknown.
func (s NodeState) String() string { return nodeStateNames[s] }

var tenantStateNames = [...]string{TenantUnknown: "", TenantActive: "active", TenantDropping: "dropping"}

// String returns the name of s, "" if it is unknown.
func (s TenantState) String() string { return tenantStateNames[s] }

func (w *writer) region(r *Region) {
	w.text("name", string(r.Name))
	w.name("status", r.Status.String())
	w.text("reason", r.Reason)
	number(w, "age_ms", r.AgeMs)
	w.uint("nodes", r.Nodes)
	number(w, "nodes_heard", r.NodesHeard)
	number(w, "lag_ms", r.LagMs)
}

func (w *writer) node(n *Node) {
	w.uint("id", uint64(n.ID))
	w.text("region", string(n.Region))
	number(w, "incarnation", n.Incarnation)
	w.name("state", n.State.String())
	number(w, "silent_ms", n.SilentMs)
	w.key("disk")
	w.begin('{', flat)
	number(w, "age_ms", n.Disk.AgeMs)
	number(w, "used_bytes", n.Disk.UsedBytes)
	number(w, "free_bytes", n.Disk.FreeBytes)
	w.end('}')
	number(w, "replicas", n.Replicas)
	number(w, "leaderships", n.Leaderships)
}

func (w *writer) shard(s *Shard) {
	w.uint("id", uint64(s.ID))
	w.text("region", string(s.Region))
	number(w, "epoch", s.Epoch)
	number(w, "version", s.Version)
	if s.Leader == (Member{}) {
		w.null("leader")
	} else {
		w.key("leader")
		w.begin('{', flat)
		w.member(&s.Leader)
		w.end('}')
	}
	if s.Version.Known {
		rows(w, "in_sync", flat, s.InSync, (*writer).member, func(a, b *Member) int { return cmp.Compare(a.Node, b.Node) })
	} else {
		w.null("in_sync")
	}
	number(w, "excluded", s.Excluded)
	w.text("waits", s.Waits)
	number(w, "age_ms", s.AgeMs)
	number(w, "entities", s.Entities)
	number(w, "logical_bytes", s.LogicalBytes)
	number(w, "signals", s.Signals)
	number(w, "window_ms", s.WindowMs)
	number(w, "signals_per_second", s.SignalsPerSecond())
	rows(w, "replicas", tall, s.Replicas, (*writer).replica, func(a, b *Replica) int { return cmp.Compare(a.Node, b.Node) })
}

func (w *writer) member(m *Member) {
	w.uint("node", uint64(m.Node))
	w.uint("incarnation", uint64(m.Incarnation))
}

func (w *writer) replica(r *Replica) {
	w.uint("node", uint64(r.Node))
	w.truth("in_sync", r.InSync)
	number(w, "age_ms", r.AgeMs)
	number(w, "lag_records", r.LagRecords)
	number(w, "lag_ms", r.LagMs)
	w.key("disk")
	w.begin('{', flat)
	number(w, "age_ms", r.Disk.AgeMs)
	number(w, "used_bytes", r.Disk.UsedBytes)
	w.end('}')
}

func (w *writer) tenant(t *Tenant) {
	w.text("id", t.ID.String())
	number(w, "version", t.Version)
	w.name("state", t.State.String())
	if t.Version.Known {
		w.residency("residency", t.Residency)
	} else {
		w.null("residency")
	}
	w.truth("compliant", t.Compliant)
	w.limits("quota", &t.Quota)
	used, refused, age := t.Total()
	number(w, "age_ms", age)
	w.used(&used)
	w.refused(&refused)
	rows(w, "slots", tall, t.Slots, (*writer).slot, func(a, b *Slot) int { return cmp.Compare(a.Slot, b.Slot) })
}

func (w *writer) slot(s *Slot) {
	w.uint("slot", uint64(s.Slot))
	w.uint("shard", uint64(s.Shard))
	w.limits("share", &s.Share)
	number(w, "age_ms", s.AgeMs)
	number(w, "seq", s.Seq)
	w.used(&s.Used)
	w.refused(&s.Refused)
}

// residency writes the regions in ascending order: they are a set.
func (w *writer) residency(key string, r tenant.Residency) {
	w.key(key)
	w.begin('[', flat)
	for _, name := range slices.Sorted(slices.Values(r)) {
		w.next()
		w.quote(string(name))
	}
	w.end(']')
}

func (w *writer) limits(key string, l *Limits) {
	w.key(key)
	w.begin('{', flat)
	number(w, "rate", l.Rate)
	number(w, "burst", l.Burst)
	number(w, "entities", l.Entities)
	number(w, "bytes", l.Bytes)
	w.end('}')
}

func (w *writer) used(u *Use) {
	w.key("used")
	w.begin('{', flat)
	number(w, "entities", u.Entities)
	number(w, "bytes", u.Bytes)
	w.end('}')
}

func (w *writer) refused(r *Refusals) {
	w.key("refused")
	w.begin('{', flat)
	number(w, "rate", r.Rate)
	number(w, "entities", r.Entities)
	number(w, "bytes", r.Bytes)
	w.end('}')
}

func (w *writer) migration(m *Migration) {
	w.text("tenant", m.Tenant.String())
	w.uint("slot", uint64(m.Slot))
	w.uint("from", uint64(m.From))
	w.uint("to", uint64(m.To))
	w.text("phase", m.Phase)
}

// layout tells whether the elements of an object or a list have lines of their own.
type layout bool

const (
	flat layout = false
	tall layout = true
)

// maxDepth bounds the nesting of objects and lists.
const maxDepth = 8

// writer writes JSON.
type writer struct {
	dst    []byte
	depth  int // of the open object or list
	layout [maxDepth]layout
	filled [maxDepth]bool // it has an element
}

func (w *writer) begin(bracket byte, l layout) {
	w.dst = append(w.dst, bracket)
	w.depth++
	w.layout[w.depth], w.filled[w.depth] = l, false
}

func (w *writer) end(bracket byte) {
	broken := w.layout[w.depth] == tall && w.filled[w.depth]
	w.depth--
	if broken {
		w.line()
	}
	w.dst = append(w.dst, bracket)
}

// next separates the next element from the one before.
func (w *writer) next() {
	if w.filled[w.depth] {
		w.dst = append(w.dst, ',')
	}
	switch {
	case w.layout[w.depth] == tall:
		w.line()
	case w.filled[w.depth]:
		w.dst = append(w.dst, ' ')
	}
	w.filled[w.depth] = true
}

// line begins a line, indented for each open tall object or list.
func (w *writer) line() {
	w.dst = append(w.dst, '\n')
	for d := 1; d <= w.depth; d++ {
		if w.layout[d] == tall {
			w.dst = append(w.dst, "  "...)
		}
	}
}

func (w *writer) key(key string) {
	w.next()
	w.quote(key)
	w.dst = append(w.dst, ": "...)
}

func (w *writer) null(key string) {
	w.key(key)
	w.dst = append(w.dst, "null"...)
}

func (w *writer) uint(key string, value uint64) {
	w.key(key)
	w.dst = strconv.AppendUint(w.dst, value, 10)
}

func (w *writer) text(key, value string) {
	w.key(key)
	w.quote(value)
}

// name writes a name; "" becomes null.
func (w *writer) name(key, name string) {
	if name == "" {
		w.null(key)
		return
	}
	w.text(key, name)
}

func (w *writer) truth(key string, t Truth) {
	w.key(key)
	w.dst = append(w.dst, [...]string{Unknown: "null", No: "false", Yes: "true"}[t]...)
}

func number[T ~uint32 | ~uint64](w *writer, key string, m Maybe[T]) {
	if !m.Known {
		w.null(key)
		return
	}
	w.uint(key, uint64(m.Value))
}

func rows[T any](w *writer, key string, l layout, list []T, row func(*writer, *T), compare func(a, b *T) int) {
	w.key(key)
	w.begin('[', l)
	for i := range list {
		if i > 0 && compare(&list[i-1], &list[i]) >= 0 {
			assert.Fail("%s[%d]: %+v follows %+v", key, i, list[i], list[i-1])
		}
		w.next()
		w.begin('{', flat)
		row(w, &list[i])
		w.end('}')
	}
	w.end(']')
}

// quote writes a text. Bytes that are not UTF-8 become U+FFFD.
func (w *writer) quote(text string) {
	w.dst = append(w.dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			w.dst = append(w.dst, '\\', byte(r))
		case r < ' ':
			const digits = "0123456789abcdef"
			w.dst = append(w.dst, `\u00`...)
			w.dst = append(w.dst, digits[r>>4], digits[r&15])
		default:
			w.dst = utf8.AppendRune(w.dst, r)
		}
	}
	w.dst = append(w.dst, '"')
}
