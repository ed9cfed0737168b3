package observe

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// The truth, at every instant, about the figures that nodes report.

// Extent is the end of a log, or of a part of it, from an instant on.
type Extent struct {
	At  int64 // true time, ns
	Seq lineage.Seq
}

// Lead is when a node began to sequence a log in an epoch.
type Lead struct {
	Epoch  lineage.ShardEpoch
	At     int64       // true time, ns
	Seq    lineage.Seq // where the log ended
	Served int64       // true time, ns, when all that is before the epoch was committed; 0: never
}

// Tally is how many requests a leader had refused for a quota, in an epoch, from an
// instant on.
type Tally struct {
	At     int64 // true time, ns
	Epoch  lineage.ShardEpoch
	Counts [3]uint64 // for the rate, for entities, for bytes
}

// Track is one node's log of a slot over time.
type Track struct {
	Node    uint32
	Tenant  tenant.ID
	Slot    lineage.Slot
	Shard   lineage.Shard
	Created int64    // when the node made the log last, true time, ns
	Ends    []Extent // of the leader: the last record that it has appended
	Durable []Extent // the last record that is durable there
	Leads   []Lead
	Refused []Tally
}

// Track returns the track of a node's log, made if there is none. It is valid until
// another one is asked for.
func (h *Health) Track(node uint32, t tenant.ID, slot lineage.Slot, shard lineage.Shard) *Track {
	if k := h.TrackOf(node, t, slot); k != nil {
		return k
	}
	k := h.Tracks.Add(trackKey(node, t, slot))
	*k = Track{
		Node: node, Tenant: t, Slot: slot, Shard: shard,
		Ends: k.Ends[:0], Durable: k.Durable[:0], Leads: k.Leads[:0], Refused: k.Refused[:0],
	}
	return k
}

// TrackOf returns the track of a node's log, nil if nothing was seen of it.
func (h *Health) TrackOf(node uint32, t tenant.ID, slot lineage.Slot) *Track {
	return h.Tracks.Find(trackKey(node, t, slot))
}

func trackKey(node uint32, t tenant.ID, slot lineage.Slot) keyed.Key {
	return keyed.Key{A: uint64(t), B: uint64(node)<<32 | uint64(slot)}
}

// Append notes that the node, which sequences the log, gave a record its place.
func (k *Track) Append(seq lineage.Seq, at int64) { k.Ends = append(k.Ends, Extent{at, seq}) }

// Persist notes that the records up to seq, and no others, are known to be durable.
func (k *Track) Persist(seq lineage.Seq, at int64) {
	if n := len(k.Durable); n > 0 && k.Durable[n-1].Seq == seq {
		return
	}
	k.Durable = append(k.Durable, Extent{at, seq})
}

// Create notes that the node makes the log, which is empty.
func (k *Track) Create(at int64) {
	k.Created = at
	k.Persist(0, at)
}

// Lead notes that the node begins to sequence the log, which ends with a record.
func (k *Track) Lead(epoch lineage.ShardEpoch, seq lineage.Seq, at int64) {
	k.Leads = append(k.Leads, Lead{Epoch: epoch, At: at, Seq: seq})
	k.Refused = append(k.Refused, Tally{At: at, Epoch: epoch})
	k.Append(seq, at)
}

// Serve notes that all is committed that was before the epoch in which the node leads.
func (k *Track) Serve(at int64) {
	if n := len(k.Leads); n > 0 && k.Leads[n-1].Served == 0 {
		k.Leads[n-1].Served = at
	}
}

// Refuse notes that the node, which sequences the log, refused a request for a quota,
// counted from 1 as on the wire.
func (k *Track) Refuse(resource uint8, at int64) {
	n := len(k.Refused)
	if n == 0 {
		return
	}
	tally := k.Refused[n-1]
	tally.At = at
	tally.Counts[resource-1]++
	k.Refused = append(k.Refused, tally)
}

// LeadOf returns when the node began to lead in an epoch, nil if it did not.
func (k *Track) LeadOf(epoch lineage.ShardEpoch) *Lead {
	for i := range k.Leads {
		if k.Leads[i].Epoch == epoch {
			return &k.Leads[i]
		}
	}
	return nil
}

// Within returns the least and the highest record that a list reaches at some instant
// from one to another. Before its first entry it reaches nothing.
func Within(list []Extent, from, to int64) (least, most lineage.Seq) {
	first, _ := slices.BinarySearchFunc(list, from+1, func(e Extent, at int64) int { return cmp.Compare(e.At, at) })
	if first > 0 {
		least, most = list[first-1].Seq, list[first-1].Seq
	}
	for _, e := range list[first:] {
		if e.At > to {
			break
		}
		least, most = min(least, e.Seq), max(most, e.Seq)
	}
	return least, most
}

// TallyAt returns how many requests were refused in an epoch up to an instant.
func (k *Track) TallyAt(epoch lineage.ShardEpoch, at int64) (counts [3]uint64) {
	next, _ := slices.BinarySearchFunc(k.Refused, at+1, func(t Tally, at int64) int { return cmp.Compare(t.At, at) })
	for i := next - 1; i >= 0; i-- {
		if t := &k.Refused[i]; t.Epoch == epoch {
			return t.Counts
		}
	}
	return counts
}

// Report is the truth about a node in the Step in which it reported its own figures.
type Report struct {
	By     Process
	Number uint64
	At     int64 // true time, ns
	Local  int64 // the node's monotonic clock, ns
	Free   uint64
	Copies []Copy
}

// Copy is the size of a node's files of a shard.
type Copy struct {
	Shard lineage.Shard
	Bytes uint64 // of the logs that are the node's
	Waits uint64 // of logs that are to be removed, and may have been let go
}

// AddReport adds a report without copies, and returns it; it is valid until the next one.
func (h *Health) AddReport(by Process, number uint64, at, local int64) *Report {
	r := another(&h.Reports)
	*r = Report{By: by, Number: number, At: at, Local: local, Copies: r.Copies[:0]}
	return r
}

// Of returns the size that is noted of a shard.
func (r *Report) Of(shard lineage.Shard) Copy {
	for _, c := range r.Copies {
		if c.Shard == shard {
			return c
		}
	}
	return Copy{Shard: shard}
}

// Copy returns the entry of a shard, to be added to, and makes it if there is none.
func (r *Report) Copy(shard lineage.Shard) *Copy {
	for i := range r.Copies {
		if r.Copies[i].Shard == shard {
			return &r.Copies[i]
		}
	}
	r.Copies = append(r.Copies, Copy{Shard: shard})
	return &r.Copies[len(r.Copies)-1]
}

// Delivery is a report that reached a process.
type Delivery struct {
	To     Process
	Report int32 // place in Reports
	At     int64 // true time, ns
}

// Delivered notes that a report reached a process. A report that the observer did not see leave is
// not noted.
func (h *Health) Delivered(to, by Process, number uint64, at int64) {
	for i := len(h.Reports) - 1; i >= 0; i-- {
		if r := &h.Reports[i]; r.By == by && r.Number == number {
			h.Deliveries = append(h.Deliveries, Delivery{to, int32(i), at})
			return
		}
	}
}

// Applied is how far the meta log was applied somewhere at an instant, at least.
type Applied struct {
	At    int64 // true time, ns
	Index uint64
}

// Reached notes the highest entry of the meta log that any node has applied.
func (h *Health) Reached(index uint64, at int64) {
	if n := len(h.Applied); n == 0 || h.Applied[n-1].Index < index {
		h.Applied = append(h.Applied, Applied{at, index})
	}
}

// LedBy notes that a node led the meta log.
func (h *Health) LedBy(node uint32) {
	if !slices.Contains(h.Led, node) {
		h.Led = append(h.Led, node)
	}
}
