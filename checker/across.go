package checker

import (
	"cmp"
	"math"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// In replica groups a tenant has one set of limits, and each of its slots has a share of them: the
// last Config record of its log. Shares move while the cluster runs. The mover takes before it
// gives: the record with less is committed before the one with more is appended. So the judges
// across the slots of a tenant add up all their logs, in the order of true time.

// whole is one tenant with all its slots.
type whole struct {
	tenant  tenant.ID
	logs    []*observe.Log
	place   int      // of the first entry of its first log, in all logs laid end to end
	moments []moment // ascending in at
}

// moment is when a record was admitted that takes a token, or is a share.
type moment struct {
	at    int64 // true time, ns
	slot  int32 // place in the tenant's logs
	entry int32
}

// inOrder returns the tenants of a run, each with the moments of all its slots.
func (s *Scratch) inOrder(run *observe.Run) []whole {
	if s.hasWholes {
		return s.wholes
	}
	s.hasWholes = s.together
	total := 0
	for _, l := range run.Logs {
		total += len(l.Entries)
	}
	s.wholes, s.moments = s.wholes[:0], slices.Grow(s.moments[:0], total)
	place := 0
	for from := 0; from < len(run.Logs); {
		w := whole{tenant: run.Logs[from].Tenant, place: place}
		to := from
		for ; to < len(run.Logs) && run.Logs[to].Tenant == w.tenant; to++ {
			place += len(run.Logs[to].Entries)
		}
		w.logs = run.Logs[from:to]
		first := len(s.moments)
		s.moments = w.gather(s.moments)
		w.moments = s.moments[first:]
		s.wholes = append(s.wholes, w)
		from = to
	}
	return s.wholes
}

// gather appends the moments of the tenant to a list that has room for them.
func (w *whole) gather(moments []moment) []moment {
	first, sorted := len(moments), true
	for slot, l := range w.logs {
		for i := range l.Entries {
			e := &l.Entries[i]
			if k := e.Record.Kind; !k.IsOperation() && k != record.Config {
				continue
			}
			sorted = sorted && (len(moments) == first || moments[len(moments)-1].at <= e.At)
			moments = append(moments, moment{at: e.At, slot: int32(slot), entry: int32(i)})
		}
	}
	if !sorted {
		slices.SortFunc(moments[first:], func(a, b moment) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.slot, b.slot), cmp.Compare(a.entry, b.entry))
		})
	}
	return moments
}

// entryOf returns the entry of a moment.
func (w *whole) entryOf(m *moment) *observe.Entry { return &w.logs[m.slot].Entries[m.entry] }

// endsInstant reports whether moment i is the last one of its instant. Acts of several slots at one
// instant have no order, so sums over them are looked at when it is over.
func (w *whole) endsInstant(i int) bool {
	return i+1 == len(w.moments) || w.moments[i+1].at > w.moments[i].at
}

// never is later than everything.
const never = math.MaxInt64

// terms are the limits that a tenant may have at an instant, as operators know it. From the
// invocation of a command its limits may be in force, in some slots or in all. From its answer on
// no limits of a lower version are in force anywhere, because it is answered only then. The limits
// of a command that is never answered may be in force for ever, unless a later command is answered:
// a command replaces the limits of the version that it names, and versions only grow. The limits of
// a refused command are never in force.
//
// Answers may overtake each other, and commands may be open together. So the order of the versions
// decides which limits came last, not the order of the answers.
type terms struct {
	commands []observe.Command
	whose    tenant.ID
	founding tenant.Limits
	largest  record.Limits // of each resource on its own
	only     bool          // nothing else may be in force
	next     int64         // when that changes; never if it does not
}

// termsOf returns the limits that a tenant may have before anything happens; false if its founding
// limits are not known.
func termsOf(run *observe.Run, t tenant.ID) (terms, bool) {
	founding, known := run.LimitsOf(t)
	x := terms{commands: run.Commands, whose: t, founding: founding}
	x.move(math.MinInt64)
	return x, known
}

// move goes on to instant at, which is not before the last one.
func (x *terms) move(at int64) {
	x.largest, x.only, x.next = record.Limits{}, true, never
	oldest := uint64(0)
	for i := range x.commands {
		c := &x.commands[i]
		if !x.counts(c) {
			continue
		}
		x.changesAt(c.AskedAt, at)
		if c.Outcome == history.Acked {
			x.changesAt(c.EndedAt, at)
			if c.EndedAt <= at {
				oldest = max(oldest, c.Version)
			}
		}
	}
	some := oldest == 0
	if some {
		x.largest = absolute(x.founding)
	}
	for i := range x.commands {
		c := &x.commands[i]
		if !x.counts(c) || c.AskedAt > at || c.Version < oldest || c.Version == oldest && c.Outcome != history.Acked {
			continue
		}
		may := absolute(c.Limits)
		x.only = x.only && (!some || may == x.largest)
		x.largest, some = larger(x.largest, may), true
	}
}

// counts reports whether a command may have changed the tenant's limits.
func (x *terms) counts(c *observe.Command) bool {
	return c.Kind == observe.Configure && c.Tenant == x.whose && c.Outcome != history.Refused
}

func (x *terms) changesAt(change, now int64) {
	if change > now {
		x.next = min(x.next, change)
	}
}

// absolute are limits as a Config record has them, without a version.
func absolute(l tenant.Limits) record.Limits {
	return sane(record.Limits{Rate: l.Rate, Burst: l.EffectiveBurst(), Entities: l.EffectiveEntities(), Bytes: l.EffectiveBytes()})
}

// absurd is above every legal limit, and small enough to be added up over many slots.
const absurd = math.MaxUint64 >> 10

// sane bounds absurd numbers. Records, and commands that were never answered, are evidence, not
// validated configuration.
func sane(l record.Limits) record.Limits {
	return record.Limits{Rate: min(l.Rate, absurd), Burst: min(l.Burst, absurd), Entities: min(l.Entities, absurd), Bytes: min(l.Bytes, absurd)}
}

func larger(a, b record.Limits) record.Limits {
	return record.Limits{
		Rate: max(a.Rate, b.Rate), Burst: max(a.Burst, b.Burst), Entities: max(a.Entities, b.Entities), Bytes: max(a.Bytes, b.Bytes),
	}
}

// part is the share and the use of one slot of a tenant.
type part struct {
	share  record.Limits // zero before its first one
	config int32         // entries from here on are not older than the share
	use    usage
	next   int32 // entries before are counted in use
	from   int32 // place of its log in those of the tenant laid end to end
}

// partsOf makes room for the slots of a tenant, which have nothing yet.
func (s *Scratch) partsOf(w *whole) []part {
	s.parts = slices.Grow(s.parts[:0], len(w.logs))[:len(w.logs)]
	clear(s.parts)
	return s.parts
}

// takes gives a slot the share in an entry of its log, unless it has a later one.
func (p *part) takes(m *moment, rec *record.Record) {
	if m.entry >= p.config {
		p.share, p.config = sane(rec.Limits), m.entry+1
	}
}

// judgeShares reports that the sum of the slots' shares, named in words, is above the largest limit
// that may be in force, once until it no longer is.
func judgeShares(v *verdict, w *whole, at int64, over *bool, words string, sum, limit uint64) {
	switch {
	case sum <= limit:
		*over = false
	case *over:
		v.report.More++
	default:
		*over = true
		v.find("shares-over-limit", at, nil, "tenant %s: from %s on the shares of its %d slots"+words+", and the largest limit that may be in force then is %d",
			w.tenant, instant(at), len(w.logs), sum, limit)
	}
}
