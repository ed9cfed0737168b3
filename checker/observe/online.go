package observe

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// EarlyAck is an acknowledgement whose record was not durable yet.
type EarlyAck struct {
	Tenant tenant.ID
	Slot   lineage.Slot
	Seq    lineage.Seq
	At     int64  // true time, ns
	Detail string // the missing part, in words
}

// DurableAck records, at the instant of every acknowledgement, whether its
// record was durable on the disks that the ack rule names.
type DurableAck struct {
	Count int        // acknowledgements
	Early []EarlyAck // acknowledgements that came too early, at most maxNoted
	More  int        // early ones beyond those
}

func (d *DurableAck) reset() { d.Count, d.Early, d.More = 0, d.Early[:0], 0 }

// Acked notes one acknowledgement. detail is kept only if it was too early.
func (d *DurableAck) Acked(t tenant.ID, slot lineage.Slot, seq lineage.Seq, at int64, durable bool, detail string) {
	d.Count++
	if durable {
		return
	}
	if len(d.Early) == maxNoted {
		d.More++
		return
	}
	d.Early = append(d.Early, EarlyAck{Tenant: t, Slot: slot, Seq: seq, At: at, Detail: detail})
}

// Touch is one disk operation: the tenant that owns the directory of its path, and the tenant that
// its key names.
type Touch struct {
	Path    string
	OfPath  tenant.ID // meaningful if HasPath; else the path is the node's own
	HasPath bool
	OfKey   tenant.ID // meaningful if HasKey; else the work is the node's own
	HasKey  bool
	At      int64 // true time, ns
}

// Islands records disk operations that serve one tenant in the directory of
// another.
type Islands struct {
	Count   int     // disk operations
	Foreign []Touch // operations that crossed, at most maxNoted
	More    int     // crossings beyond those
}

func (s *Islands) reset() { s.Count, s.Foreign, s.More = 0, s.Foreign[:0], 0 }

// Touched notes one disk operation. Either the path and the key both name a
// tenant, and the same one, or neither does.
func (s *Islands) Touched(path string, ofPath tenant.ID, hasPath bool, ofKey tenant.ID, hasKey bool, at int64) {
	s.Count++
	if hasPath == hasKey && (!hasPath || ofPath == ofKey) {
		return
	}
	if len(s.Foreign) == maxNoted {
		s.More++
		return
	}
	s.Foreign = append(s.Foreign, Touch{Path: path, OfPath: ofPath, HasPath: hasPath, OfKey: ofKey, HasKey: hasKey, At: at})
}

// Reply is the refusal of one request for a quota.
type Reply struct {
	Tenant  tenant.ID
	Slot    lineage.Slot
	Op      signal.Operation
	Arrived int64 // true time, ns, when the request reached the node's input queue
	Left    int64 // true time, ns, when the refusal was handed to the network
	Paused  int64 // ns between the two in which the whole node was paused
}

// Refusals records how long every refusal for a quota took.
type Refusals struct {
	Replies []Reply
}

func (r *Refusals) reset() { r.Replies = r.Replies[:0] }

// Answered notes one refusal.
func (r *Refusals) Answered(reply Reply) { r.Replies = append(r.Replies, reply) }
