package checker

import (
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// possible is which limits may be in force at an instant, in the words of the rule: the
// founding ones, and all that were asked for and not refused, without those over which
// others were answered.
func possible(run *observe.Run, at int64) (all []tenant.Limits) {
	superseded := func(version uint64, answered bool) bool {
		return slices.ContainsFunc(run.Commands, func(c observe.Command) bool {
			return c.Outcome == history.Acked && c.EndedAt <= at && (c.Version > version || c.Version == version && !answered)
		})
	}
	if !superseded(0, true) {
		limits, _ := run.LimitsOf(home)
		all = append(all, limits)
	}
	for _, c := range run.Commands {
		if c.Outcome != history.Refused && c.AskedAt <= at && !superseded(c.Version, c.Outcome == history.Acked) {
			all = append(all, c.Limits)
		}
	}
	return all
}

func largestOf(all []tenant.Limits) (rate, burst uint64) {
	for _, l := range all {
		rate, burst = max(rate, l.Rate), max(burst, l.EffectiveBurst())
	}
	return rate, burst
}

// overrunsAcross is the rule of tenantRate word for word: whether some window admits more than the
// burst at its beginning, the earnings of the rates in it, and 1. The window ends with operation j,
// and begins with another one or just before or after limits change. In units of 1e-15 tokens.
func overrunsAcross(run *observe.Run, ops []int64, changes []int64, j int) bool {
	unit := big.NewInt(nano * ppm)
	overrun := func(from int64, burst uint64, count int) bool {
		allowed := new(big.Int).Mul(unit, new(big.Int).SetUint64(burst+1))
		marks := append([]int64{from}, changes...)
		marks = slices.DeleteFunc(append(marks, ops[j]), func(m int64) bool { return m < from || m > ops[j] })
		slices.Sort(marks)
		for i, m := range marks[1:] {
			rate, _ := largestOf(possible(run, marks[i]))
			earned := new(big.Int).SetUint64(rate)
			earned.Mul(earned, big.NewInt(m-marks[i]))
			allowed.Add(allowed, earned.Mul(earned, big.NewInt(ppm+run.DriftPPM)))
		}
		return allowed.Cmp(new(big.Int).Mul(unit, big.NewInt(int64(count)))) < 0
	}
	burstAt := func(at int64) (burst uint64) {
		_, burst = largestOf(possible(run, at))
		return burst
	}
	for i := 0; i <= j; i++ {
		if overrun(ops[i], burstAt(ops[i]), j-i+1) {
			return true
		}
	}
	return slices.ContainsFunc(changes, func(from int64) bool {
		first := slices.IndexFunc(ops, func(at int64) bool { return at >= from })
		return from <= ops[j] && (overrun(from, burstAt(from-1), j-first+1) || overrun(from, burstAt(from), j-first+1))
	})
}

// someLimits are limits near which a few operations are many.
func someLimits(t *rapid.T, name string) tenant.Limits {
	return tenant.Limits{
		Rate:  rapid.OneOf(rapid.Uint64Range(1, 4), rapid.Uint64Range(900, 1100), rapid.Uint64Range(1, tenant.MaxRate)).Draw(t, name+" rate"),
		Burst: rapid.Uint64Range(0, 5).Draw(t, name+" burst"),
	}
}

// Whatever several slots admit while limits change, the one envelope is overdrawn by
// exactly those operations that end a window that is too full.
func TestTenantEnvelopeIsTheDefinition(t *testing.T) {
	overrun, within := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		run := observe.Run{DriftPPM: rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 500), rapid.Int64Range(0, ppm)).Draw(t, "drift")}
		founding := someLimits(t, "founding")
		run.SetLimits(home, founding)
		token := int64(nano / founding.Rate)
		instants := rapid.OneOf(rapid.Int64Range(0, 4*token+4), rapid.Map(rapid.Int64Range(0, 12), func(n int64) int64 { return n * max(1, token/2) }))
		var changes []int64
		for i := range rapid.IntRange(0, 3).Draw(t, "commands") {
			c := observe.Command{
				Kind: observe.Configure, Tenant: home, Version: rapid.Uint64Range(1, 3).Draw(t, "version"), Limits: someLimits(t, "new"),
				AskedAt: instants.Draw(t, "asked"), Outcome: rapid.SampledFrom([]history.Outcome{history.Acked, history.Acked, history.Open, history.Refused}).Draw(t, "outcome"),
			}
			c.EndedAt = c.AskedAt + instants.Draw(t, "takes")
			run.Commands = append(run.Commands, c)
			changes = append(changes, run.Commands[i].AskedAt, run.Commands[i].EndedAt)
		}
		d := divided{run: &run}
		for slot := range d.buckets { // so small that no limit is below them together
			d.append(lineage.Slot(slot), 0, record.Record{Kind: record.Config, Limits: record.Limits{Rate: 0, Burst: 0}})
		}
		ops := rapid.SliceOfN(instants, 1, 25).Draw(t, "operations")
		slices.Sort(ops)
		want := 0
		for j, at := range ops {
			d.signals(lineage.Slot(rapid.IntRange(0, 2).Draw(t, "slot")), at, 1)
			if overrunsAcross(&run, ops, changes, j) {
				want++
			}
		}
		v, got := newVerdict(nameRate), 0
		judgeTenantRates(v, new(Scratch), &run)
		for _, f := range v.report.Findings {
			if f.Rule != "tenant-window" {
				t.Fatalf("%+v", f)
			}
			got = 1 + v.report.More
		}
		if got != want {
			t.Fatalf("%d operations overrun, by the definition %d: operations at %v, limits %+v, commands %+v, drift %d", got, want, ops, founding, run.Commands, run.DriftPPM)
		}
		overrun += min(1, want)
		within += 1 - min(1, want)
	})
	if overrun == 0 || within == 0 {
		t.Errorf("%d runs overran, %d did not: one side was never tried", overrun, within)
	}
}

// honest is a tenant as it should be, in true time: each slot has a leader with a clock of
// its own, which shows whole nanoseconds and drifts; a control plane moves shares, and
// takes before it gives.
type honest struct {
	t      *rapid.T
	run    observe.Run
	now    int64
	slots  []leader
	limits tenant.Limits // that the control plane goes for
	meta   uint64        // index of the meta log
	fresh  record.Limits // taken at this very instant, and given later
	open   int           // place of the command that is not answered, or -1
	lives  uint64
	full   bool // a mistake: a new leader begins with a full bucket
	early  bool // a mistake: a taken share is given before its taking is in the log
}

type leader struct {
	drift, phase int64 // of its clock, ppm and millionths of a nanosecond
	level, since int64 // of its bucket, by its clock
	share        record.Limits
	committed    int // records that no failover takes
	epoch        lineage.ShardEpoch
}

func (h *honest) log(slot int) *observe.Log { return h.run.Log(home, lineage.Slot(slot)) }

func (l *leader) clock(at int64) int64 {
	high := new(big.Int).Mul(big.NewInt(at), big.NewInt(ppm+l.drift))
	return high.Add(high, big.NewInt(l.phase)).Div(high, big.NewInt(ppm)).Int64()
}

// refill brings the bucket of a slot to now.
func (h *honest) refill(l *leader) {
	earned := new(big.Int).SetUint64(l.share.Rate)
	local := l.clock(h.now)
	earned.Mul(earned, big.NewInt(max(0, local-l.since))).Add(earned, big.NewInt(l.level))
	full := int64(l.share.Burst) * nano
	l.since, l.level = max(l.since, local), full
	if earned.Cmp(big.NewInt(full)) < 0 {
		l.level = earned.Int64()
	}
}

// append puts a record at the end of a slot's log.
func (h *honest) append(slot int, rec record.Record) {
	l, end := &h.slots[slot], h.log(slot).End()
	rec.Tenant, rec.Slot, rec.Epoch, rec.Seq, rec.Prev, rec.Level = home, lineage.Slot(slot), l.epoch, end.Next(), end.Chain, l.level
	h.run.Admitted(home, rec.Slot, rec.Seq, h.now, l.clock(h.now), h.lives)
	h.run.AppendedBy(true, &rec, record.ChainOf(record.Append(nil, &rec)), h.now, h.lives)
}

// lead lets another node lead a slot, which has some of the records that are not
// committed, and got the last one after that was appended. Its clock is another one.
func (h *honest) lead(slot int) {
	l, log := &h.slots[slot], h.log(slot)
	tail := rapid.IntRange(l.committed, len(log.Entries)).Draw(h.t, "tail")
	last, share := int64(0), record.Limits{}
	for _, e := range log.Entries[:tail] {
		last, l.level = e.At, e.Record.Level
		if e.Record.Kind == record.Config {
			share = e.Record.Limits
		}
	}
	h.now = max(h.now, last+1)
	l.epoch++
	h.lives++
	l.drift, l.phase, l.share = rapid.Int64Range(-ppm/2, h.run.DriftPPM).Draw(h.t, "drift"), rapid.Int64Range(0, ppm-1).Draw(h.t, "phase"), share
	l.since = l.clock(rapid.Int64Range(last+1, h.now).Draw(h.t, "received"))
	if h.full {
		l.level = int64(share.Burst) * nano
	}
	h.run.Leads(home, lineage.Slot(slot), l.epoch, lineage.Seq(tail), func(seq lineage.Seq) (lineage.Chain, bool) { return log.Entries[seq-1].Chain, true }, h.now, l.since, h.lives)
	h.refill(l)
	h.append(slot, record.Record{Kind: record.EpochStart})
}

// grant gives a slot a share.
func (h *honest) grant(slot int, share record.Limits) {
	l := &h.slots[slot]
	first := l.share.Version == 0
	h.meta++
	share.Version = h.meta
	h.refill(l)
	l.share = share
	if l.level = min(l.level, int64(share.Burst)*nano); first {
		l.level = int64(share.Burst) * nano
	}
	h.append(slot, record.Record{Kind: record.Config, Limits: share})
	l.committed = len(h.log(slot).Entries)
}

// holds is the use of a slot by its log, or by the first records.
func (h *honest) holds(slot, records int) (live uint64) {
	there := map[signal.Entity]bool{}
	for _, e := range h.log(slot).Entries[:records] {
		if entity, touches := e.Record.Subject(); touches {
			there[entity] = e.Record.Kind != record.EntityDelete
		}
	}
	for _, is := range there {
		if is {
			live++
		}
	}
	return live
}

// free is the part of the limits outside the shares of all slots, less than 0 if the shares are
// above. Of entities, the use of a slot is not free, nor is its use before uncommitted records.
func (h *honest) free() (rate, burst, entities int64) {
	l := absolute(h.limits)
	rate, burst, entities = int64(l.Rate-h.fresh.Rate), int64(l.Burst-h.fresh.Burst), int64(l.Entities)
	for slot := range h.slots {
		s := &h.slots[slot]
		rate -= int64(s.share.Rate)
		burst -= int64(s.share.Burst)
		held := h.holds(slot, s.committed)
		for n := s.committed; n <= len(h.log(slot).Entries); n++ {
			held = max(held, h.holds(slot, n))
		}
		entities -= int64(max(s.share.Entities, held))
	}
	return rate, burst, entities
}

// take lowers the share of a slot.
func (h *honest) take(slot int) {
	s := h.slots[slot].share
	less := record.Limits{
		Rate: rapid.Uint64Range(0, s.Rate).Draw(h.t, "rate left"), Burst: rapid.Uint64Range(1, s.Burst).Draw(h.t, "burst left"),
		Entities: rapid.SampledFrom([]uint64{0, s.Entities / 2, s.Entities}).Draw(h.t, "entities left"),
	}
	if _, _, entities := h.free(); entities < 0 {
		less.Entities = 0 // so that nothing grows, whatever is deleted
	}
	h.grant(slot, less)
	h.fresh.Rate += s.Rate - less.Rate
	h.fresh.Burst += s.Burst - less.Burst
}

// give raises the share of a slot by some of the free part.
func (h *honest) give(slot int) {
	rate, burst, entities := h.free()
	if h.early {
		rate, burst = rate+int64(h.limits.Rate)/2, burst+1
	}
	s := h.slots[slot].share
	s.Rate += rapid.Uint64Range(0, uint64(max(0, rate))).Draw(h.t, "more rate")
	s.Burst += rapid.Uint64Range(0, uint64(max(0, burst))).Draw(h.t, "more burst")
	room := uint64(max(0, entities))
	s.Entities = max(s.Entities, min(h.holds(slot, len(h.log(slot).Entries)), s.Entities+room)) // the slot's use anyway
	if room > 0 {
		s.Entities += rapid.Uint64Range(0, room-min(room, s.Entities-h.slots[slot].share.Entities)).Draw(h.t, "more entities")
	}
	h.grant(slot, s)
}

// asks lets an operator ask for other limits, unless another one waits.
func (h *honest) asks() {
	if h.open >= 0 {
		return
	}
	h.limits = someLimits(h.t, "other")
	h.limits.Burst, h.limits.Entities = uint64(len(h.slots))+h.limits.Burst, rapid.Uint64Range(1, 6).Draw(h.t, "other entities")
	version := uint64(len(h.run.Commands) + 2)
	h.open = h.run.Asked(observe.Command{Kind: observe.Configure, Tenant: home, Version: version, Base: version - 1, Limits: h.limits, AskedAt: h.now})
}

// answers tells the operator, a message later, if all slots are within the new limits, and
// none can grow beyond them.
func (h *honest) answers() {
	h.now, h.fresh = h.now+1, record.Limits{}
	rate, burst, entities := h.free()
	for slot := range h.slots {
		if h.slots[slot].share.Entities > 0 && entities < 0 {
			return
		}
	}
	if h.open >= 0 && rate >= 0 && burst >= 0 {
		h.run.Ended(h.open, history.Acked, h.now)
		h.open = -1
	}
}

// works lets a client ask a slot for something.
func (h *honest) works(slot int) {
	l := &h.slots[slot]
	h.refill(l)
	held, entries := h.holds(slot, len(h.log(slot).Entries)), h.log(slot).Entries
	rec := record.Record{
		Kind:   rapid.SampledFrom([]record.Kind{record.EntityPut, record.EntityPut, record.EntityDelete}).Draw(h.t, "kind"),
		Entity: signal.Entity(rapid.IntRange(1, 3).Draw(h.t, "entity")),
	}
	exists := false
	for i := range entries {
		if entity, touches := entries[i].Record.Subject(); touches && entity == rec.Entity {
			exists = entries[i].Record.Kind == record.EntityPut
		}
	}
	switch {
	case l.level < nano:
		h.run.Refused(home, lineage.Slot(slot), h.now, l.clock(h.now), h.lives)
	case rec.Kind == record.EntityPut && !exists && held >= l.share.Entities:
	default:
		l.level -= nano
		h.append(slot, rec)
	}
}

func (h *honest) step() {
	token := int64(nano/h.limits.Rate) + 1
	if by := rapid.OneOf(rapid.Just(int64(0)), rapid.Just(int64(1)), rapid.Int64Range(0, 2*token), rapid.Int64Range(0, 1<<32)).Draw(h.t, "later"); by > 0 {
		h.now += by
		h.fresh = record.Limits{}
	}
	slot := rapid.IntRange(0, len(h.slots)-1).Draw(h.t, "slot")
	switch rapid.IntRange(0, 15).Draw(h.t, "what") {
	case 0, 1:
		h.lead(slot)
	case 2, 3:
		h.take(slot)
	case 4, 5:
		h.give(slot)
	case 6:
		h.asks()
	case 7:
		h.answers()
	case 8:
		h.slots[slot].committed = len(h.log(slot).Entries)
	default:
		h.works(slot)
	}
}

// begun is a tenant of some slots with their first shares.
func begun(t *rapid.T) *honest {
	h := &honest{t: t, now: 1, open: -1, slots: make([]leader, rapid.IntRange(1, 3).Draw(t, "slots"))}
	h.run.DriftPPM = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 500), rapid.Int64Range(0, ppm)).Draw(t, "drift")
	n := uint64(len(h.slots))
	h.limits = someLimits(t, "founding")
	h.limits.Burst, h.limits.Entities = n+h.limits.Burst, rapid.Uint64Range(1, 6).Draw(t, "entities")
	h.run.SetLimits(home, h.limits)
	for slot := range h.slots {
		h.lead(slot)
		h.grant(slot, record.Limits{Rate: h.limits.Rate / n, Burst: h.limits.Burst / n, Entities: h.limits.Entities / n})
	}
	return h
}

// A tenant as it should be is never accused, whatever happens to it, and however often.
func TestAnHonestTenantIsNeverAccused(t *testing.T) {
	full, answered := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		h := begun(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			h.step()
		}
		for _, judge := range []func(*observe.Run, Options) Report{judgeRate, judgeCaps} {
			if r := judge(&h.run, Options{}); r.Verdict == Violated {
				t.Fatalf("an honest tenant: %v", r.Findings)
			}
		}
		if _, burst, _ := h.free(); burst < 0 {
			full++
		}
		for _, c := range h.run.Commands {
			if c.Outcome == history.Acked {
				answered++
				break
			}
		}
	})
	if full == 0 || answered == 0 {
		t.Errorf("%d runs ended with too much shared out, in %d new limits were answered: one side was never tried", full, answered)
	}
}

// One that begins with full buckets after a change of leaders, or that gives before it
// takes, is found out before long.
func TestADishonestTenantIsFoundOut(t *testing.T) {
	found := [2]int{}
	rapid.Check(t, func(t *rapid.T) {
		h := begun(t)
		mistake := rapid.IntRange(0, 1).Draw(t, "mistake")
		h.full, h.early = mistake == 0, mistake == 1
		for range 60 {
			h.step()
		}
		if r := judgeRate(&h.run, Options{}); r.Verdict == Violated {
			found[mistake]++
		}
	})
	if found[0] == 0 || found[1] == 0 {
		t.Errorf("found out: %d of those with full buckets, %d of those that give too early", found[0], found[1])
	}
}
