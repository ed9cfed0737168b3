package checker

import (
	"math"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

const nameCaps = "caps"

// judgeCaps counts live entities and logical bytes once more, slot by slot, from the
// records alone, and checks both sides of the caps on them, and across the slots of a
// tenant. Its rules:
//
//	over-cap           a record made the slot grow beyond the cap in force there
//	tenant-over-cap    a record made all slots of a tenant together grow beyond its limit
//	shares-over-limit  the shares of a tenant's slots, or the sum that they may hold, are more
//	                   than its limit
//	refused-with-room  a cap refused an operation that would not have passed it
//	wrong-resource     one cap refused an operation that another one comes before
//	wrong-figures      a refusal names another limit or use than the actual one
//	wrong-count        a node's final counts differ from the sums of its log
//	wrong-limits       the limits that a node says are in force are not those of its log
//
// Logical bytes are the encoded sizes of the Signal records of live entities. A cap refuses growth
// only: with a limit lowered below the use, operations that do not grow it go on. Refusals are
// judged at the instant at which they left. All records that were admitted count then, durable or
// not. While an admitted record was never seen, nothing is judged.
//
// In replica groups the caps of a slot are its share, which is in the Config records of its log.
// The caps of the run and of commands are the tenant's, and only there the slots are judged
// together. Elsewhere each slot has the caps of the run to itself.
func judgeCaps(run *observe.Run, o Options) Report {
	v, s := newVerdict(nameCaps), o.scratch()
	s.indexChanges(run.Ops())
	s.indexDumps(run)
	c, strangers := &s.recount, 0
	c.after = c.after[:0]
	for _, l := range run.Logs {
		c.judgeLog(v, s, run, l)
		strangers += c.judgeRefusals(v, s, run, l)
	}
	judgeTenantCaps(v, s, run)
	if strangers > 0 {
		v.leftOut("%d refusals of requests that the history does not know were not judged", strangers)
	}
	if v.report.Checked == 0 {
		v.cannotTell("nothing grew and no cap refused anything")
	}
	return v.done()
}

// usage is the use of a slot: live entities and logical bytes.
type usage struct{ entities, bytes uint64 }

// ceilings are the caps in force, if they are known.
type ceilings struct {
	known bool
	usage
}

// tally is one entity.
type tally struct {
	live  bool
	bytes uint64
}

// recount counts a slot's entities and bytes record by record, and can take the last
// records back.
//
// Invariant: held is the sum of tallies; undo ascends in the seqs of operations.
type recount struct {
	entities index   // entity: its place in tallies
	tallies  []tally //
	held     usage
	caps     ceilings
	unseen   bool // the counts may include a record that was admitted and never seen
	undo     []undo
	after    []usage // in replica groups: after each entry of all logs laid end to end
}

// undo is the state before a record.
type undo struct {
	seq    lineage.Seq
	place  int32 // of the entity that it touches, or none
	tally  tally
	held   usage
	caps   ceilings
	unseen bool
}

// reset begins anew, with room for n entities. There are no caps until the log says so.
func (c *recount) reset(n int) {
	c.entities.reset(n)
	c.tallies, c.undo = c.tallies[:0], c.undo[:0]
	c.held, c.caps, c.unseen = usage{}, ceilings{}, false
}

// add counts a record, and returns by how much it made the slot grow. limits are
// those of a Config record.
func (c *recount) add(seq lineage.Seq, k record.Kind, e signal.Entity, limits *record.Limits) (grown usage) {
	if k == record.EpochStart || k == record.Session {
		return grown
	}
	n := len(c.undo)
	c.undo = slices.Grow(c.undo, 1)[:n+1]
	before := &c.undo[n]
	before.seq, before.place, before.tally = seq, none, tally{}
	before.held, before.caps, before.unseen = c.held, c.caps, c.unseen
	switch k {
	case record.Config:
		c.caps = ceilings{known: true, usage: usage{limits.Entities, limits.Bytes}}
	case record.Signal, record.EntityPut, record.EntityDelete:
		before.place = c.place(e)
		before.tally = c.tallies[before.place]
		grown = c.touch(&c.tallies[before.place], k)
	}
	return grown
}

func (c *recount) place(e signal.Entity) int32 {
	place, fresh := c.entities.dense(key{a: uint64(e)})
	if fresh {
		c.tallies = append(c.tallies, tally{})
	}
	return place
}

func (c *recount) touch(t *tally, k record.Kind) usage {
	if k == record.EntityDelete {
		if t.live {
			c.held.entities--
		}
		c.held.bytes -= t.bytes
		*t = tally{}
		return usage{}
	}
	grown := c.growth(t, k == record.Signal)
	t.live = true
	t.bytes += grown.bytes
	c.held.entities += grown.entities
	c.held.bytes += grown.bytes
	return grown
}

// growth is by how much a signal on an entity, or its creation, makes the slot grow.
func (c *recount) growth(t *tally, isSignal bool) (grown usage) {
	if !t.live {
		grown.entities = 1
	}
	if isSignal {
		grown.bytes = uint64(record.Size(record.Signal))
	}
	return grown
}

// cut takes back the records from seq on.
func (c *recount) cut(seq lineage.Seq) {
	for last := len(c.undo) - 1; last >= 0 && c.undo[last].seq >= seq; last-- {
		u := &c.undo[last]
		if u.place != none {
			c.tallies[u.place] = u.tally
		}
		c.held, c.caps, c.unseen = u.held, u.caps, u.unseen
		c.undo = c.undo[:last]
	}
}

// judgeLog recounts the final log.
func (c *recount) judgeLog(v *verdict, s *Scratch, run *observe.Run, l *observe.Log) {
	c.reset(len(l.Entries))
	uncapped := false
	config := (*record.Limits)(nil)
	for i := range l.Entries {
		rec := &l.Entries[i].Record
		if rec.Kind == record.Config {
			config = &rec.Limits
		}
		entity, _ := rec.Subject()
		switch grown := c.add(rec.Seq, rec.Kind, entity, &rec.Limits); {
		case grown == (usage{}):
		case !c.caps.known:
			uncapped = true
		default:
			v.report.Checked++
			c.judgeGrowth(v, l, &l.Entries[i], grown)
		}
		c.after = append(c.after, c.held)
	}
	if uncapped {
		v.cannotTell("the limits of %s are not known", place(l.Tenant, l.Slot))
	}
	for i := s.dumps.first(slotKey(l.Tenant, l.Slot)); i != none; i = s.dumps.items[i].next {
		d := &run.Dumps[s.dumps.items[i].value]
		if d.Counts.Known && d.Position.Seq == l.End().Seq {
			v.report.Checked++
			c.judgeCounts(v, d, config)
		}
	}
}

func (c *recount) judgeGrowth(v *verdict, l *observe.Log, e *observe.Entry, grown usage) {
	for _, r := range [...]struct {
		resource           observe.Resource
		grown, held, limit uint64
	}{
		{observe.Entities, grown.entities, c.held.entities, c.caps.entities},
		{observe.Bytes, grown.bytes, c.held.bytes, c.caps.bytes},
	} {
		if r.grown > 0 && r.held > r.limit {
			v.find("over-cap", e.At, nil, "%s: with the %s at seq %d (%s), admitted at %s, the slot holds %d %s, the limit is %d",
				place(l.Tenant, l.Slot), e.Record.Kind, e.Record.Seq, does(&e.Record), instant(e.At), r.held, r.resource, r.limit)
		}
	}
}

func (c *recount) judgeCounts(v *verdict, d *observe.Dump, config *record.Limits) {
	where, have := place(d.Tenant, d.Slot), &d.Counts
	if have.Live != c.held.entities || have.Bytes != c.held.bytes {
		v.find("wrong-count", 0, nil, "%s: at seq %d the node counts %d live entities and %d bytes, the log adds up to %d and %d",
			where, d.Position.Seq, have.Live, have.Bytes, c.held.entities, c.held.bytes)
	}
	if config != nil && have.Limits != *config {
		v.find("wrong-limits", 0, nil, "%s: at seq %d the node has the limits %+v, the log %+v", where, d.Position.Seq, have.Limits, *config)
	}
}

// judgeRefusals follows the slot through its events. It returns the number of refusals whose
// requests the history lacks.
func (c *recount) judgeRefusals(v *verdict, s *Scratch, run *observe.Run, l *observe.Log) (strangers int) {
	c.reset(len(l.Events))
	for i := range l.Events {
		ev := &l.Events[i]
		switch ev.Kind {
		case observe.Recovered:
			c.cut(ev.Seq + 1)
		case observe.GivenBack:
			if ev.Seq > 0 {
				c.cut(ev.Seq)
			}
		case observe.Admitted, observe.Appended:
			c.follow(l, ev)
		case observe.Capped:
			first := s.changes.first(operationKey(l.Tenant, l.Slot, l.RefusalOf(ev).Op))
			if first == none {
				strangers++
			} else if !c.unseen && c.caps.known {
				v.report.Checked++
				c.judgeRefusal(v, run, l, ev, int(s.changes.items[first].value))
			}
		}
	}
	return strangers
}

// follow counts a record that was admitted. An earlier record at its place was given back, and so
// were those behind that. Operations get their seqs in the order in which they were charged. Other
// records may be numbered before operations that wait, so they cut none of those.
func (c *recount) follow(l *observe.Log, ev *observe.Event) {
	switch {
	case !ev.Written:
		seq := ev.Seq
		if seq == 0 { // it was charged, and never got one
			seq = math.MaxUint64
		}
		c.add(seq, 0, 0, nil)
		c.unseen = true
	case ev.Record.IsOperation():
		c.cut(ev.Seq)
		c.add(ev.Seq, ev.Record, ev.Entity, nil)
	default:
		for last := len(c.undo) - 1; last >= 0 && c.undo[last].replacedAt(ev.Seq); last-- {
			c.cut(c.undo[last].seq)
		}
		limits := l.LimitsOf(ev)
		c.add(ev.Seq, ev.Record, ev.Entity, &limits)
	}
}

// replacedAt reports whether the record before which u was is given back for sure if
// seq is numbered anew: it has a seq and is no operation's, or was never seen.
func (u *undo) replacedAt(seq lineage.Seq) bool {
	return u.place == none && u.seq >= seq && u.seq < math.MaxUint64
}

// judgeRefusal judges the refusal of operation i at this point of its slot's events.
func (c *recount) judgeRefusal(v *verdict, run *observe.Run, l *observe.Log, ev *observe.Event, i int) {
	op, told := &run.Ops()[i], l.RefusalOf(ev)
	var grown usage
	if op.Kind != history.Delete {
		grown = c.growth(&c.tallies[c.place(op.Signal.Entity)], op.Kind == history.Write)
	}
	limit, used := c.caps.entities, c.held.entities
	refused := exceeds(limit, used, grown.entities)
	if told.Resource == observe.Bytes {
		if refused {
			v.find("wrong-resource", ev.At, []int{i}, "%s was refused for its bytes at %s, although %d of %d entities come first",
				describe(run.Ops(), i), instant(ev.At), used, limit)
		}
		limit, used = c.caps.bytes, c.held.bytes
		refused = exceeds(limit, used, grown.bytes)
	}
	switch {
	case !refused:
		v.find("refused-with-room", ev.At, []int{i}, "%s was refused for %s at %s, although the slot held %d of %d and the operation does not pass that",
			describe(run.Ops(), i), told.Resource, instant(ev.At), used, limit)
	case told.Limit != limit || told.Used != used:
		v.find("wrong-figures", ev.At, []int{i}, "%s was refused for %s at %s, and told %d of %d; it was %d of %d",
			describe(run.Ops(), i), told.Resource, instant(ev.At), told.Used, told.Limit, used, limit)
	}
}

// exceeds reports whether growing from used by grown passes the limit. A lowered limit may be below
// used.
func exceeds(limit, used, grown uint64) bool {
	return grown > 0 && (used >= limit || grown > limit-used)
}
