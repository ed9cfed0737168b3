package checker

import (
	"math"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

const nameLifecycle = "lifecycle"

// judgeLifecycle compares the operators' answers with the actual state of tenants and their limits.
// Its rules:
//
//	unknown-while-there  a tenant was unknown that was there, and no operator had asked to drop it
//	gone                 at the end no node holds a tenant that no operator asked to drop
//	served-after-drop    an operation that began after a drop was answered was acknowledged
//	written-after-drop   a record was appended after a drop was answered
//	created-again        a tenant was created after it was dropped
//	left-behind          files of a dropped tenant are on a disk at the end
//	older-version        limits came after limits of the same or a higher version
//	lost-config          limits that were answered are not in the log; of replica groups:
//	                     slots have more than them together
//	lost-share           the slots of a tenant have more or less than its rate or its burst
//	                     together in the end
//	wrong-base           a change replaced a version of the limits that its operator had not seen; of
//	                     replica groups: two changes replaced the same version
//	invalid-accepted     limits were accepted that no tenant may have
//
// A command that was refused has no effect; one that was not answered may have it. In replica
// groups a read may still return the state of a dropped tenant: at session level without limit, at
// bounded level for its bound.
func judgeLifecycle(run *observe.Run, o Options) Report {
	v, s := newVerdict(nameLifecycle), o.scratch()
	lives := s.livesOf(run)
	for i := range run.Commands {
		v.report.Checked++
		judgeCommand(v, run, lives, &run.Commands[i])
	}
	for i := range run.Ops() {
		judgeOperation(v, run, lives, i)
	}
	for _, l := range run.Logs {
		judgeRecords(v, lives, l)
	}
	s.findHolders(run)
	for i := range lives.All() {
		stillThere(v, s, run, &lives.All()[i])
	}
	judgeFinalShares(v, run)
	for i := range run.Leftovers {
		if left := &run.Leftovers[i]; run.Dropped(left.Tenant) {
			v.find("left-behind", 0, nil, "tenant %s was dropped, and in the end there is still %s", left.Tenant, left.Path)
		}
	}
	switch {
	case len(run.Ops()) == 0 && len(run.Commands) == 0:
		v.cannotTell("nothing was asked")
	case len(run.Commands) == 0:
		v.leftOut("no operator asked for anything")
	}
	return v.done()
}

// life is the life of a tenant, in instants of true time, ns.
type life struct {
	tenant  tenant.ID
	there   bool  // it was there from the beginning, or its creation was answered
	since   int64 // when that was known
	doomed  int64 // an operator asked for its end, and was not refused
	dropped int64 // its end was answered
}

func (s *Scratch) livesOf(run *observe.Run) *keyed.List[life] {
	lives := &s.lives
	lives.Reset()
	of := func(t tenant.ID) *life {
		l := lifeOf(lives, t)
		if l == nil {
			l = lives.Add(keyed.Key{A: uint64(t)})
			*l = life{tenant: t, since: math.MaxInt64, doomed: math.MaxInt64, dropped: math.MaxInt64}
		}
		return l
	}
	for _, t := range run.Founded {
		l := of(t)
		l.there, l.since = true, math.MinInt64
	}
	for i := range run.Commands {
		c := &run.Commands[i]
		l, answered := of(c.Tenant), c.Outcome == history.Acked
		switch {
		case c.Kind == observe.Create && answered:
			l.there, l.since = true, min(l.since, c.EndedAt)
		case c.Kind == observe.Drop && c.Outcome != history.Refused:
			l.doomed = min(l.doomed, c.AskedAt)
			if answered {
				l.dropped = min(l.dropped, c.EndedAt)
			}
		}
	}
	return lives
}

func lifeOf(lives *keyed.List[life], t tenant.ID) *life {
	return lives.Find(keyed.Key{A: uint64(t)})
}

func judgeCommand(v *verdict, run *observe.Run, lives *keyed.List[life], c *observe.Command) {
	if c.Outcome != history.Acked || c.Kind != observe.Create && c.Kind != observe.Configure {
		return
	}
	config := tenant.Config{ID: c.Tenant, Version: c.Version, Limits: c.Limits}
	if err := config.Validate(); err != nil {
		v.find("invalid-accepted", c.EndedAt, nil, "the %s of tenant %s asked at %s was answered, although: %v", c.Kind, c.Tenant, instant(c.AskedAt), err)
		return
	}
	l := lifeOf(lives, c.Tenant)
	switch {
	case c.Kind == observe.Create && l.dropped < c.AskedAt:
		v.find("created-again", c.EndedAt, nil, "tenant %s was dropped by %s, and at %s its creation was answered, asked for at %s",
			c.Tenant, instant(l.dropped), instant(c.EndedAt), instant(c.AskedAt))
	case c.Kind == observe.Configure:
		judgeConfigured(v, run, c)
	}
}

func judgeOperation(v *verdict, run *observe.Run, lives *keyed.List[life], i int) {
	ops := run.Ops()
	op := &ops[i]
	l := lifeOf(lives, op.Tenant)
	unknown := op.Outcome == history.Refused && op.Reason == "unknown-tenant"
	if l == nil || op.Outcome != history.Acked && !unknown {
		return
	}
	v.report.Checked++
	switch {
	case unknown && l.there && op.InvokeAt > l.since && op.ReturnAt < l.doomed:
		v.find("unknown-while-there", op.ReturnAt, []int{i}, "%s was told at %s that there is no such tenant, which was there, and nobody had asked to drop it",
			describe(ops, i), instant(op.ReturnAt))
	case !unknown && op.InvokeAt > l.dropped && op.InvokeAt-l.dropped > mayBeOld(run, op):
		v.find("served-after-drop", op.ReturnAt, []int{i}, "%s was answered at %s, although the tenant was dropped by %s",
			describe(ops, i), instant(op.ReturnAt), instant(l.dropped))
	}
}

func judgeRecords(v *verdict, lives *keyed.List[life], log *observe.Log) {
	version, seen := uint64(0), false
	l := lifeOf(lives, log.Tenant)
	for i := range log.Entries {
		e := &log.Entries[i]
		if l != nil && e.At > l.dropped {
			v.find("written-after-drop", e.At, nil, "%s: the record at seq %d (%s) was appended at %s, although the tenant was dropped by %s",
				place(log.Tenant, log.Slot), e.Record.Seq, does(&e.Record), instant(e.At), instant(l.dropped))
			return
		}
		if e.Record.Kind != record.Config {
			continue
		}
		v.report.Checked++
		if seen && e.Record.Limits.Version <= version {
			v.find("older-version", e.At, nil, "%s: limits of version %d were set at seq %d, at %s, after those of version %d",
				place(log.Tenant, log.Slot), e.Record.Limits.Version, e.Record.Seq, instant(e.At), version)
		}
		version, seen = e.Record.Limits.Version, true
	}
}

// holder says that some node holds a tenant in the end.
type holder struct{}

func (s *Scratch) findHolders(run *observe.Run) {
	s.holders.Reset()
	for i := range run.Dumps {
		if k := (keyed.Key{A: uint64(run.Dumps[i].Tenant)}); s.holders.Find(k) == nil {
			s.holders.Add(k)
		}
	}
}

// stillThere looks for a tenant in the final dumps. It does not judge a run that has unfinished
// work, or a slot that stopped: other judges do.
func stillThere(v *verdict, s *Scratch, run *observe.Run, l *life) {
	if !l.there || l.doomed < math.MaxInt64 || len(run.Dumps) == 0 || len(run.Stalls) > 0 ||
		slices.ContainsFunc(run.Stops, func(s observe.Stop) bool { return s.Tenant == l.tenant }) {
		return
	}
	v.report.Checked++
	if s.holders.Find(keyed.Key{A: uint64(l.tenant)}) == nil {
		v.find("gone", 0, nil, "tenant %s is on no node in the end, and nobody asked to drop it", l.tenant)
	}
}
