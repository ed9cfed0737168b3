package checker

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

const nameRate = "rate"

// judgeRate checks both sides of a quota, slot by slot and across the slots of a tenant.
// Its rules:
//
//	window              some window of a slot admitted more than burst + rate*w*(1+rho) + 1
//	tenant-window       so did one of all slots of a tenant together, by the tenant's limits
//	shares-over-limit   the shares of a tenant's slots add up to more than its rate or its burst
//	without-share       an operation was admitted in a slot that had no share yet
//	refused-with-token  an operation was refused although the bucket had a token
//	wrong-figures       a refusal names another limit, use or time than the rule gives
//	refused-otherwise   a cap refused an operation that the rate, which comes first, had to refuse
//	wrong-level         a record carries another bucket level than the rule gives
//
// Windows are in true time, over the operations of the final log (signals, and the
// creation and deletion of entities), at the instants at which their tokens were
// taken. Refusals and levels are computed once more from the node's own clock:
// level = min(burst, level of the last record + rate times the time since). An operation that
// the disk has no room for gives its token back. A larger burst arrives empty.
//
// In replica groups the limits of a slot are its share, which is in the Config records of its log,
// from their seq on. Before the first one the level of the slot is unknown. The limits of the run
// and of commands are the tenant's, and only there the slots are judged together. Elsewhere each
// slot has the limits of the run to itself, and from their seq on those of its Config records.
func judgeRate(run *observe.Run, o Options) Report {
	v, s := newVerdict(nameRate), o.scratch()
	for _, l := range run.Logs {
		limits, known := initialLimits(l)
		if !known {
			continue // the log never had a share, so that nothing was admitted
		}
		judgeWindows(v, s, run, l, limits)
		judgeLevels(v, s, run, l, limits)
	}
	judgeTenantRates(v, s, run)
	if v.report.Checked == 0 {
		v.cannotTell("no operation was admitted and none refused")
	}
	return v.done()
}

// initialLimits are those of the first Config record: the first share. Before it there is nothing
// to limit.
func initialLimits(l *observe.Log) (tenant.Limits, bool) {
	for i := range l.Entries {
		if rec := &l.Entries[i].Record; rec.Kind == record.Config {
			return limitsOf(&rec.Limits), true
		}
	}
	return tenant.Limits{}, false
}

// limitsOf reads the limits of a Config record. Records are evidence, not validated configuration:
// absurd limits are cut to the capacity of a bucket.
func limitsOf(l *record.Limits) tenant.Limits {
	return tenant.Limits{Rate: min(l.Rate, tenant.MaxRate), Burst: min(l.Burst, tenant.MaxBurst)}
}

// judgeWindows reports the first window of a slot that is too full. Windows that overlap it repeat
// the finding and are counted.
func judgeWindows(v *verdict, s *Scratch, run *observe.Run, l *observe.Log, limits tenant.Limits) {
	e := newEnvelope(limits.Rate, limits.EffectiveBurst(), run.DriftPPM)
	over := false
	for n, index := range s.byInstant(l) {
		entry := &l.Entries[index]
		rec := &entry.Record
		if n == 0 {
			e.at = entry.At
		}
		if rec.Kind == record.Config {
			limits = limitsOf(&rec.Limits)
			e.refill(entry.At)
			e.set(limits.Rate, limits.EffectiveBurst(), run.DriftPPM)
		}
		if !rec.Kind.IsOperation() {
			continue
		}
		v.report.Checked++
		switch ok := e.take(entry.At); {
		case ok:
		case over:
			v.report.More++
		default:
			over = true
			v.find("window", entry.At, nil, "%s: %d operations took a token from %s to %s, where the last is seq %d; rate %d per second and burst %d at a drift of %d ppm allow %d",
				place(l.Tenant, l.Slot), e.taken, instant(e.from), instant(entry.At), rec.Seq,
				limits.Rate, limits.EffectiveBurst(), run.DriftPPM, int64(e.taken)-overdraft(&e))
		}
	}
}

// overdraft is the number of whole tokens that were taken too many.
func overdraft(e *envelope) int64 { return (-e.level + nano - 1) / nano }

// byInstant lists the entries of a log in the order of their instants.
func (s *Scratch) byInstant(l *observe.Log) []int32 {
	s.order = s.order[:0]
	sorted := true
	for i := range l.Entries {
		s.order = append(s.order, int32(i))
		sorted = sorted && (i == 0 || l.Entries[i-1].At <= l.Entries[i].At)
	}
	if !sorted {
		slices.SortFunc(s.order, func(a, b int32) int {
			return cmp.Or(cmp.Compare(l.Entries[a].At, l.Entries[b].At), cmp.Compare(a, b))
		})
	}
	return s.order
}

// config is a Config record that holds.
type config struct {
	seq    lineage.Seq
	limits tenant.Limits
}

// judgeLevels follows the slot's limiter through its events.
func judgeLevels(v *verdict, s *Scratch, run *observe.Run, l *observe.Log, initial tenant.Limits) {
	s.configs = append(s.configs[:0], config{limits: initial})
	b := limiter{idle: true}
	b.set(initial.Rate, initial.EffectiveBurst())
	b.level = b.full
	if len(l.Events) > 0 {
		b.since = l.Events[0].Local
	}
	for i := range l.Events {
		ev := &l.Events[i]
		switch {
		case ev.Kind == observe.Recovered:
			s.recovered(&b, run, ev)
		case ev.Kind == observe.Refused:
			judgeRefusal(v, l, &b, ev)
		case ev.Kind == observe.Capped:
			judgeCapped(v, l, &b, ev)
		case ev.Kind == observe.GivenBack && ev.Seq == 0: // its charge is unknown, so its refund is too
			b.known = false
		case ev.Kind == observe.GivenBack && ev.Record == record.Config:
			s.limitsGivenBack(&b, ev)
		case ev.Kind == observe.GivenBack:
			b.level = min(b.level+nano, b.full)
		case !ev.Written:
			// Never seen again: lost in a crash, or given back. Its charge is unknown, so nothing
			// is judged until the next record gives a level.
			b.known = false
		case ev.Kind == observe.Admitted:
			s.admitted(v, l, &b, ev)
		default:
			s.appended(l, &b, ev)
		}
	}
}

// recovered continues from the record at the tail, with the limits that hold
// there: later ones were lost with their records. The clock is another one.
func (s *Scratch) recovered(b *limiter, run *observe.Run, ev *observe.Event) {
	limits := s.limitsAt(ev.Seq)
	b.idle = len(s.configs) == 1
	b.known, b.since, b.level = !b.idle, ev.Local, ev.Level
	b.set(limits.Rate, limits.EffectiveBurst())
	if ev.Seq == 0 {
		b.level = b.full
	}
}

// limitsAt returns the limits that hold at a seq. Those of later records are gone.
func (s *Scratch) limitsAt(seq lineage.Seq) tenant.Limits {
	for last := len(s.configs) - 1; last > 0 && s.configs[last].seq > seq; last-- {
		s.configs = s.configs[:last]
	}
	return s.configs[len(s.configs)-1].limits
}

// limitsGivenBack returns to the limits before those that the disk had no room for. The part of the
// level that the new ones cut off is unknown.
func (s *Scratch) limitsGivenBack(b *limiter, ev *observe.Event) {
	limits := s.limitsAt(ev.Seq - 1)
	b.known = false
	b.set(limits.Rate, limits.EffectiveBurst())
}

func judgeRefusal(v *verdict, l *observe.Log, b *limiter, ev *observe.Event) {
	level := b.now(ev.Local)
	if !b.known {
		return
	}
	v.report.Checked++
	if level >= nano {
		v.find("refused-with-token", ev.At, nil, "%s: an operation was refused at %s (node clock %s) although the bucket held %d nano-tokens",
			place(l.Tenant, l.Slot), instant(ev.At), instant(ev.Local), level)
		return
	}
	told := l.RefusalOf(ev)
	if told.Op.Session == 0 || b.rate == 0 { // the observer did not see the refusal
		return
	}
	wait := (nano - level + int64(b.rate) - 1) / int64(b.rate)
	if told.Limit != b.rate || told.Used != uint64(b.full/nano) || told.RetryAfter != wait {
		v.find("wrong-figures", ev.At, nil, "%s: a refusal at %s tells of a limit of %d with %d used and to come again after %d ns; want %d, %d and %d ns",
			place(l.Tenant, l.Slot), instant(ev.At), told.Limit, told.Used, told.RetryAfter, b.rate, b.full/nano, wait)
	}
}

// judgeCapped looks at a refusal for a cap: there was a token, which was not taken.
func judgeCapped(v *verdict, l *observe.Log, b *limiter, ev *observe.Event) {
	level := b.now(ev.Local)
	if !b.known {
		return
	}
	v.report.Checked++
	if level < nano {
		v.find("refused-otherwise", ev.At, nil, "%s: %s was refused for %s at %s (node clock %s) although the bucket held %d nano-tokens, less than a token",
			place(l.Tenant, l.Slot), identity(l.RefusalOf(ev).Op), l.RefusalOf(ev).Resource, instant(ev.At), instant(ev.Local), level)
	}
}

// admitted compares the level that the record carries with the rule's. From here
// on the record's counts, as it does for the node. Where the level is not known, new
// limits carry their burst at most.
func (s *Scratch) admitted(v *verdict, l *observe.Log, b *limiter, ev *observe.Event) {
	want := b.now(ev.Local)
	switch {
	case ev.Record.IsOperation():
		want -= nano
	case ev.Record == record.Config:
		s.configure(l, b, ev)
		want = b.level
		if !b.known {
			b.known, want = true, min(ev.Level, b.full)
		}
	}
	if b.known {
		v.report.Checked++
		if ev.Level != want {
			v.find("wrong-level", ev.At, nil, "%s: the %s at seq %d, admitted at %s (node clock %s), carries a level of %d nano-tokens, want %d",
				place(l.Tenant, l.Slot), ev.Record, ev.Seq, instant(ev.At), instant(ev.Local), ev.Level, want)
		}
	}
	b.known, b.level = !b.idle, min(ev.Level, b.full)
}

// appended takes the level of a record whose admission was not announced. An uncharged record has
// no level of its own: the bucket just goes on.
func (s *Scratch) appended(l *observe.Log, b *limiter, ev *observe.Event) {
	b.now(ev.Local)
	switch {
	case ev.Record.IsOperation():
		b.known, b.level = !b.idle, min(ev.Level, b.full)
	case ev.Record == record.Config:
		s.configure(l, b, ev)
	}
}

func (s *Scratch) configure(l *observe.Log, b *limiter, ev *observe.Event) {
	carried := l.LimitsOf(ev)
	limits := limitsOf(&carried)
	b.idle = false
	s.configs = append(s.configs, config{seq: ev.Seq, limits: limits})
	b.set(limits.Rate, limits.EffectiveBurst())
}
