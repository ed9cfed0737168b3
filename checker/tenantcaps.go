package checker

import (
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
)

// tenantCaps is one tenant on its way through the moments of all its slots: the sum of their uses,
// and the sum that they may use.
// A slot may come to use its share, or uses more already if its share was lowered below its use:
// the larger of the two is set aside for it. The sum of the set-aside amounts is within the limit,
// or else no slot has room: a limit that is lowered below the use takes nothing away, and lets
// nothing grow. This has to hold at every instant. Deletions in a slot make room for the slot
// itself if its share is above its remaining use, so shares that leave no room now may do so later.
type tenantCaps struct {
	*whole
	terms
	verdict *verdict
	parts   []part
	after   []usage // each entry of the tenant's logs laid end to end
	used    usage   // by all slots
	shares  usage   // of all slots
	aside   usage   // for all slots
	over    [2]bool // so the shares of entities and bytes are
}

// judgeTenantCaps judges all tenants, after each slot was recounted.
func judgeTenantCaps(v *verdict, s *Scratch, run *observe.Run) {
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
		t := tenantCaps{whole: w, terms: limits, verdict: v, parts: s.partsOf(w), after: s.recount.after[w.place:]}
		t.judge()
	}
}

func (t *tenantCaps) judge() {
	from := int32(0)
	for i, l := range t.logs {
		t.parts[i].from = from
		from += int32(len(l.Entries))
	}
	for i := range t.moments {
		m := &t.moments[i]
		t.reach(m.at)
		e := t.entryOf(m)
		p := &t.parts[m.slot]
		t.leave(p)
		before := p.use
		if e.Record.Kind == record.Config {
			p.takes(m, &e.Record)
		} else if m.entry >= p.next {
			p.use, p.next = t.after[p.from+m.entry], m.entry+1
		}
		t.enter(p)
		t.judgeGrowth(m, e, before, p.use)
		if t.endsInstant(i) {
			t.compare(m.at)
		}
	}
	t.reach(never - 1)
}

// reach applies the changes of limits up to an instant. Commands and answers of that instant come
// before the operations of the slots at it.
func (t *tenantCaps) reach(at int64) {
	for t.next <= at {
		now := t.next
		t.move(now)
		if now < at {
			t.compare(now)
		}
	}
}

// leave takes a slot out of the sums before its amounts change.
func (t *tenantCaps) leave(p *part) {
	t.used.entities -= p.use.entities
	t.used.bytes -= p.use.bytes
	t.shares.entities -= p.share.Entities
	t.shares.bytes -= p.share.Bytes
	t.aside.entities -= max(p.share.Entities, p.use.entities)
	t.aside.bytes -= max(p.share.Bytes, p.use.bytes)
}

// enter undoes leave.
func (t *tenantCaps) enter(p *part) {
	t.used.entities += p.use.entities
	t.used.bytes += p.use.bytes
	t.shares.entities += p.share.Entities
	t.shares.bytes += p.share.Bytes
	t.aside.entities += max(p.share.Entities, p.use.entities)
	t.aside.bytes += max(p.share.Bytes, p.use.bytes)
}

// judgeGrowth compares the use of a slot before and after a record.
func (t *tenantCaps) judgeGrowth(m *moment, e *observe.Entry, before, after usage) {
	if after.entities > before.entities {
		t.grows(m, e, observe.Entities, t.used.entities, t.largest.Entities)
	}
	if after.bytes > before.bytes {
		t.grows(m, e, observe.Bytes, t.used.bytes, t.largest.Bytes)
	}
}

// grows judges one cap.
func (t *tenantCaps) grows(m *moment, e *observe.Entry, what observe.Resource, used, limit uint64) {
	t.verdict.report.Checked++
	if used > limit {
		t.verdict.find("tenant-over-cap", e.At, nil, "%s: with the %s at seq %d (%s), admitted at %s, the %d slots of the tenant hold %d %s, and the largest limit that may be in force then is %d",
			place(t.tenant, t.logs[m.slot].Slot), e.Record.Kind, e.Record.Seq, does(&e.Record), instant(e.At), len(t.logs), used, what, limit)
	}
}

// compare looks at the amounts that are set aside.
func (t *tenantCaps) compare(at int64) {
	judgeShares(t.verdict, t.whole, at, &t.over[0], ", or what is held that is more, add up to %d entities", tooMuch(t.shares.entities, t.aside.entities, t.used.entities), t.largest.Entities)
	judgeShares(t.verdict, t.whole, at, &t.over[1], ", or what is held that is more, add up to %d bytes", tooMuch(t.shares.bytes, t.aside.bytes, t.used.bytes), t.largest.Bytes)
}

// tooMuch returns the sum that has to be within the limit: the set-aside amounts, or only the
// shares if no slot has room.
func tooMuch(shares, aside, used uint64) uint64 {
	if aside == used {
		return shares
	}
	return aside
}
