package observe

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Figure is a number that a node reported. The zero value is a number that the node reported as
// unknown.
type Figure struct {
	Known bool
	Value uint64 // 0 if not known
}

// Is returns a figure with a known value.
func Is(value uint64) Figure { return Figure{Known: true, Value: value} }

// Telling is a report on the health of the cluster, as a node gave it behind one of its Steps. Ages
// are milliseconds of its clock, rounded up.
//
// Invariant: its lists ascend by ID, Objects by kind before that.
type Telling struct {
	By   Process
	At   int64 // true time of the Step, ns
	Boot int64 // true time when By started, ns

	// Member says that By hosts a member of the meta log, so that it knows all that is
	// configured.
	Member      bool
	Coordinator Figure // a node
	Index       Figure // the last entry of the meta log that its configuration includes
	Age         Figure // of that
	Watched     Figure // for how long it has received heartbeats, ms

	Nodes   []ToldNode
	Shards  []ToldShard
	Tenants []ToldTenant
	Regions []ToldRegion
	Objects []Object // the configured objects by its account; their Index is not meaningful

	// of all tenants, and of all objects, which have parts of it
	slots   []ToldSlot
	numbers []uint64
}

// ToldNode is a node in a report.
type ToldNode struct {
	ID       uint32
	Region   tenant.Region
	Draining bool // it is to have no duties, or has none
	Idle     bool // it has none
	Replicas Figure
	Leads    Figure // shards
	Silent   Figure // ms
	Disk     ToldDisk
	// Heard is when the process's last heartbeat reached the reporting node, both in their present
	// incarnations: true time, ns; 0: never.
	Heard int64
}

// ToldDisk is the reported size of files.
type ToldDisk struct {
	Age  Figure
	Used Figure
	Free Figure // of a node
}

// ToldShard is a shard in a report.
type ToldShard struct {
	ID     lineage.Shard
	Region tenant.Region
	// Configured says that the report has the shard's configuration; else Epoch, Leader and InSync
	// are not meaningful.
	Configured bool
	Version    uint64
	// Newest says that no node knew of a later configuration at the time of the report.
	Newest          bool
	Epoch           lineage.ShardEpoch
	Leader          Process
	InSync          []Process
	Age             Figure
	Entities, Bytes Figure
	Signals, Window Figure // Window: ms
	Replicas        []ToldReplica
}

// ToldReplica is a replica of a shard in a report.
type ToldReplica struct {
	Node         uint32
	Age          Figure
	Records, Lag Figure // Lag: ms
	Disk         ToldDisk
	// Heard is when its last confirmation reached the leader, in the reported epoch: true time, ns;
	// 0: never.
	Heard int64
}

// Compliance is whether a tenant was said to be where it may be. The zero value is unknown.
type Compliance uint8

// The compliances of a tenant.
const (
	Strays Compliance = iota + 1 // some of it is elsewhere
	Complies
)

// ToldTenant is a tenant in a report.
type ToldTenant struct {
	ID         tenant.ID
	Compliance Compliance
	Slots      []ToldSlot
}

// ToldSlot is a slot of a tenant in a report.
type ToldSlot struct {
	Slot            lineage.Slot
	Shard           lineage.Shard
	Age             Figure
	Seq             Figure
	Entities, Bytes Figure
	Refused         [3]Figure // for the rate, for entities, for bytes
}

// Status is how a region was said to be. The zero value is unknown.
type Status uint8

// The states of a region.
const (
	Healthy Status = iota + 1
	Degraded
	Offline
)

var statusNames = [...]string{"unknown", "healthy", "degraded", "offline"}

// String returns the name of s.
func (s Status) String() string { return statusNames[s] }

// ToldRegion is a region, as the reporting node has judged it.
type ToldRegion struct {
	Name     tenant.Region
	Status   Status
	Reasoned bool // a reason was given
	Age      Figure
	Nodes    uint64
	Heard    Figure // nodes
	Lag      Figure // ms
}

// ObjectKind is the kind of an object.
type ObjectKind uint8

// The kinds of objects.
const (
	NodeObject ObjectKind = iota + 1
	ShardObject
	TenantObject
)

// Object is the control plane's decision about a node, a shard or a tenant, as numbers in one
// order, which the checker names.
type Object struct {
	Kind    ObjectKind
	ID      uint64
	Index   uint64 // of the entry of the meta log that changed it last
	At      int64  // true time, ns, when it was seen
	Gone    bool   // a tenant that was dropped
	Numbers []uint64
}

// Health holds the reports of nodes on the health of the cluster, and the truth to compare them
// with. The zero value is empty and ready.
//
// Invariant: each list, and each list in a Track, ascends in time.
type Health struct {
	Tellings []Telling
	More     int // tellings beyond maxTellings

	Tracks     keyed.List[Track] // by node and log
	Reports    []Report
	Deliveries []Delivery
	Decided    []Object  // newest states that were seen
	Applied    []Applied // how far the meta log was applied anywhere
	Led        []uint32  // nodes that led the meta log
}

// maxTellings bounds the reports that are kept. It is several times the need of a run.
const maxTellings = 4096

func (h *Health) reset() {
	h.Tellings, h.Reports, h.Deliveries = h.Tellings[:0], h.Reports[:0], h.Deliveries[:0]
	h.Tracks.Reset()
	h.Decided, h.Applied, h.Led, h.More = h.Decided[:0], h.Applied[:0], h.Led[:0], 0
}

// AddTelling adds an empty telling, to be filled by the caller before the next one is
// added; nil if there are too many. Its lists have the memory of an earlier run.
func (h *Health) AddTelling() *Telling {
	if len(h.Tellings) == maxTellings {
		h.More++
		return nil
	}
	t := another(&h.Tellings)
	*t = Telling{
		Nodes: t.Nodes[:0], Shards: t.Shards[:0], Tenants: t.Tenants[:0], Regions: t.Regions[:0], Objects: t.Objects[:0],
		slots: t.slots[:0], numbers: t.numbers[:0],
	}
	return t
}

// AddNode adds an empty node.
func (t *Telling) AddNode() *ToldNode {
	n := another(&t.Nodes)
	*n = ToldNode{}
	return n
}

// AddShard adds an empty shard.
func (t *Telling) AddShard() *ToldShard {
	s := another(&t.Shards)
	*s = ToldShard{InSync: s.InSync[:0], Replicas: s.Replicas[:0]}
	return s
}

// Expect makes room for so many tenants.
func (t *Telling) Expect(tenants int) {
	t.Tenants = slices.Grow(t.Tenants, tenants)
	t.slots = slices.Grow(t.slots, tenants)
	t.Objects = slices.Grow(t.Objects, tenants)
	t.numbers = slices.Grow(t.numbers, 12*tenants) // a tenant of one slot
}

// AddTenant adds a tenant with so many slots, and nothing in them.
func (t *Telling) AddTenant(slots int) *ToldTenant {
	t.Tenants = append(t.Tenants, ToldTenant{Slots: part(&t.slots, slots)})
	return &t.Tenants[len(t.Tenants)-1]
}

// AddObject adds an object, with room for so many numbers.
func (t *Telling) AddObject(kind ObjectKind, id uint64, numbers int) *Object {
	t.Objects = append(t.Objects, Object{Kind: kind, ID: id, Numbers: part(&t.numbers, numbers)[:0]})
	return &t.Objects[len(t.Objects)-1]
}

// part adds so many empty elements to a list, and returns them.
func part[T any](list *[]T, n int) []T {
	from := len(*list)
	*list = slices.Grow(*list, n)[:from+n]
	added := (*list)[from : from+n : from+n]
	clear(added)
	return added
}

// AddObject adds an object to a list, without numbers.
func AddObject(list *[]Object, kind ObjectKind, id uint64) *Object {
	o := another(list)
	*o = Object{Kind: kind, ID: id, Numbers: o.Numbers[:0]}
	return o
}
