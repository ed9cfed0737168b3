package checker

import (
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// tenantRate is one tenant on its way through the moments of all its slots: their shares, and one
// envelope for all admitted operations. An operation overdraws the envelope exactly if some window
// ends at it, begins at any instant, and admitted more than
//
//	the burst that may be in force when it begins
//	+ the earnings in it of the rate that may be in force, times 1 + rho
//	+ 1
//
// which is R3 word for word while the limits stay as they are. "May be in force" is the largest
// value of terms, rate and burst each on its own: while a command is open some slots may have the
// old limits and others the new ones. A burst that is raised later than the window begins does not
// count in it, because it arrives empty. A burst that is lowered counts from the answer on, because
// every bucket has been cut by then.
//
// An honest tenant is never accused. Let T be the sum of the levels of all its slots' buckets, each
// by the records of the final log, a bucket without a share being empty. Then the envelope always
// holds T and some more:
//
//   - T is never above the burst that may be in force. No level is above its slot's share
//     of the burst; shares add up to the burst in force at most (shares-over-limit),
//     because the mover takes before it gives; a first share, which comes full, is part of that
//     sum, and a later one arrives with its addition empty.
//   - T grows by the rate that may be in force at most, times 1 + rho: rates add up too,
//     and rho is the bound of every node's clock, however differently they drift.
//   - Every operation of the final logs takes a token from T at the instant at which it
//     was charged. Charges of a replaced leader for records that the final log lacks are gone
//     with its bucket.
//   - No bucket gains by a change of its leader, or by a restart. The next leader goes on
//     from the level in the last record that it has, and earns since it got that record;
//     the record was charged before. The time between the two is lost.
//
// The token on top is for clocks that tell whole nanoseconds. Between two readings of one clock
// almost a nanosecond more may seem to have passed than has. Think of the rate as made of many
// small parts, each of which earns at one slot on one node at a time. A part that moves earns
// nothing for longer than that nanosecond: the next leader must first receive the record, and a
// slot that is given a share waits until the record that takes it is committed and announced. So
// all stretches of a part but its last pay for the time that they gained. All parts together are
// ahead by less than rate * 1 ns, which is less than one token because no rate is above
// tenant.MaxRate. One token is enough for any number of slots, nodes, moves and failovers.
type tenantRate struct {
	*whole
	terms
	verdict  *verdict
	envelope envelope
	drift    int64
	parts    []part
	overrun  bool    // a window was too full
	over     [2]bool // the shares of rate and burst are too large
	changed  bool    // shares or limits are other ones than when they were last compared
}

// judgeTenantRates judges all tenants.
func judgeTenantRates(v *verdict, s *Scratch, run *observe.Run) {
	wholes := s.inOrder(run)
	for i := range wholes {
		w := &wholes[i]
		if len(w.moments) == 0 {
			continue
		}
		limits, known := termsOf(run, w.tenant)
		if !known {
			v.cannotTell("the limits of tenant %s are not known", w.tenant)
			continue
		}
		t := tenantRate{whole: w, terms: limits, verdict: v, drift: run.DriftPPM, parts: s.partsOf(w)}
		t.judge()
	}
}

func (t *tenantRate) judge() {
	// Limits that changed before any slot had a share are the founding limits of the shares.
	first := &t.moments[0]
	for t.entryOf(first).Record.Kind == record.Config && t.next < first.at {
		t.move(t.next)
		t.changed = true
	}
	t.envelope = newEnvelope(min(t.largest.Rate, tenant.MaxRate), min(t.largest.Burst, tenant.MaxBurst), t.drift)
	t.envelope.at = min(t.next, first.at)
	for i := range t.moments {
		m := &t.moments[i]
		t.reach(m.at)
		e := t.entryOf(m)
		if e.Record.Kind == record.Config {
			t.parts[m.slot].takes(m, &e.Record)
			t.changed = true
		} else {
			t.admits(m, e)
		}
		if t.endsInstant(i) {
			t.compare(m.at)
		}
	}
	t.reach(never - 1)
}

// reach applies the changes of limits up to an instant. Commands and answers of that instant come
// before the operations of the slots at it.
func (t *tenantRate) reach(at int64) {
	for t.next <= at {
		now := t.next
		t.move(now)
		t.envelope.refill(now)
		t.envelope.set(min(t.largest.Rate, tenant.MaxRate), min(t.largest.Burst, tenant.MaxBurst), t.drift)
		t.changed = true
		if now < at {
			t.compare(now)
		}
	}
}

// admits judges an operation. Windows that overlap a full one repeat the finding and are counted.
func (t *tenantRate) admits(m *moment, e *observe.Entry) {
	v, l := t.verdict, t.logs[m.slot]
	v.report.Checked++
	if t.parts[m.slot].config == 0 {
		v.find("without-share", e.At, nil, "%s: the %s at seq %d was admitted at %s, and the slot had no share of its tenant's limits yet",
			place(t.tenant, l.Slot), e.Record.Kind, e.Record.Seq, instant(e.At))
	}
	switch ok := t.envelope.take(e.At); {
	case ok:
	case t.overrun:
		v.report.More++
	default:
		t.overrun = true
		v.find("tenant-window", e.At, nil, "tenant %s: %d operations in its %d slots took a token from %s to %s, where the last is seq %d of slot %d; rate %d per second and burst %d, the largest that may be in force then, at a drift of %d ppm allow %d",
			t.tenant, t.envelope.taken, len(t.logs), instant(t.envelope.from), instant(e.At), e.Record.Seq, l.Slot,
			t.largest.Rate, t.largest.Burst, t.drift, int64(t.envelope.taken)-overdraft(&t.envelope))
	}
}

// compare adds up the shares if they, or the limits, have changed.
func (t *tenantRate) compare(at int64) {
	if !t.changed {
		return
	}
	t.changed = false
	var sum record.Limits
	for i := range t.parts {
		sum.Rate += t.parts[i].share.Rate
		sum.Burst += t.parts[i].share.Burst
	}
	judgeShares(t.verdict, t.whole, at, &t.over[0], " add up to a rate of %d", sum.Rate, t.largest.Rate)
	judgeShares(t.verdict, t.whole, at, &t.over[1], " add up to a burst of %d", sum.Burst, t.largest.Burst)
}
