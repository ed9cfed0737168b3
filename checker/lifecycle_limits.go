package checker

import (
	"math"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Limits are the tenant's, and no record of a slot has them: records have shares, under versions of
// their own.

// judgeConfigured judges limits that were answered. From then on no slot may have more than
// its part of them, unless others may be in force by then.
func judgeConfigured(v *verdict, run *observe.Run, c *observe.Command) {
	limits, _ := termsOf(run, c.Tenant)
	limits.move(c.EndedAt)
	for _, r := range resources(sharesAt(run, c.Tenant, c.EndedAt), limits.largest) {
		if r.have > r.may {
			v.find("lost-config", c.EndedAt, nil, "limits of version %d for tenant %s were answered at %s, and by then the shares of its slots add up to %d of %s, and the largest limit that may be in force is %d",
				c.Version, c.Tenant, instant(c.EndedAt), r.have, r.name, r.may)
		}
	}
	for i := range run.Commands {
		if before := &run.Commands[i]; before == c {
			break
		} else if before.Kind == observe.Configure && before.Tenant == c.Tenant && before.Outcome == history.Acked {
			judgeOrder(v, run, before, c)
		}
	}
}

// judgeOrder judges limits that were answered beside others that were asked for before
// them and answered too. The same ones need not be set again.
func judgeOrder(v *verdict, run *observe.Run, before, c *observe.Command) {
	if before.Version == c.Version && absolute(before.Limits) == absolute(c.Limits) {
		return
	}
	// A command that is answered with a state that holds already has set nothing.
	if before.Base == c.Base && mustHaveSet(run, c) && mustHaveSet(run, before) {
		v.find("wrong-base", c.EndedAt, nil, "limits of version %d for tenant %s, answered at %s, were set over those of version %d, and so were those of version %d, answered at %s",
			c.Version, c.Tenant, instant(c.EndedAt), c.Base, before.Version, instant(before.EndedAt))
	}
	if before.EndedAt < c.AskedAt && before.Version >= c.Version {
		v.find("older-version", c.EndedAt, nil, "limits of version %d for tenant %s, asked for at %s, were answered at %s, although those of version %d had been answered at %s",
			c.Version, c.Tenant, instant(c.AskedAt), instant(c.EndedAt), before.Version, instant(before.EndedAt))
	}
}

// mustHaveSet reports whether only this very command can have set the limits of its answer: no
// other command asked for the same ones over others.
func mustHaveSet(run *observe.Run, c *observe.Command) bool {
	return c.Base < c.Version && !slices.ContainsFunc(run.Commands, func(o observe.Command) bool {
		return o.Kind == observe.Configure && o.Tenant == c.Tenant && o.Version == c.Version && o.Base != c.Base &&
			absolute(o.Limits) == absolute(c.Limits) && o.Outcome != history.Refused
	})
}

// resource is how much of a limit there is, and how much there may be.
type resource struct {
	name      string
	have, may uint64
}

// resources pairs the actual amounts with the permitted ones: rate and burst first.
func resources(have, may record.Limits) [4]resource {
	return [...]resource{
		{"the rate", have.Rate, may.Rate}, {"the burst", have.Burst, may.Burst},
		{"the entities", have.Entities, may.Entities}, {"the bytes", have.Bytes, may.Bytes},
	}
}

// sharesAt adds up the shares of a tenant's slots that were appended by an instant.
func sharesAt(run *observe.Run, t tenant.ID, at int64) (sum record.Limits) {
	for _, l := range run.Logs {
		if l.Tenant == t {
			sum = together(sum, shareAt(l, at))
		}
	}
	return sum
}

// shareAt returns the share of a slot at an instant, zero if it had none yet.
func shareAt(l *observe.Log, at int64) record.Limits {
	for i := len(l.Entries) - 1; i >= 0; i-- {
		if e := &l.Entries[i]; e.Record.Kind == record.Config && e.At <= at {
			return sane(e.Record.Limits)
		}
	}
	return record.Limits{}
}

func together(a, b record.Limits) record.Limits {
	return record.Limits{Rate: a.Rate + b.Rate, Burst: a.Burst + b.Burst, Entities: a.Entities + b.Entities, Bytes: a.Bytes + b.Bytes}
}

// judgeFinalShares looks whether every tenant has its whole rate and its whole burst at the end, if
// it is known which limits are in force. By then each share that was taken from one slot is with
// another one.
func judgeFinalShares(v *verdict, run *observe.Run) {
	if len(run.Dumps) == 0 || len(run.Stalls) > 0 {
		return
	}
	for from := 0; from < len(run.Logs); {
		t, sum, to := run.Logs[from].Tenant, record.Limits{}, from
		for ; to < len(run.Logs) && run.Logs[to].Tenant == t; to++ {
			sum = together(sum, shareAt(run.Logs[to], never))
		}
		from = to
		limits, known := termsOf(run, t)
		limits.move(never)
		if !known || !limits.only || run.MayBeDropped(t) || slices.ContainsFunc(run.Stops, func(s observe.Stop) bool { return s.Tenant == t }) {
			continue
		}
		v.report.Checked++
		for i, r := range resources(sum, limits.largest) {
			if i < 2 && r.have != r.may {
				v.find("lost-share", 0, nil, "in the end the shares of the slots of tenant %s add up to %d of %s, which is %d", t, r.have, r.name, r.may)
			}
		}
	}
}

// mayBeOld returns how old, in true time, the answer of an operation may be: as old as the level of
// a read allows. Changes, and linearizable reads, are of the present.
func mayBeOld(run *observe.Run, op *history.Op) int64 {
	switch {
	case op.Kind != history.Read:
	case op.Level == history.Session:
		return math.MaxInt64
	case op.Level == history.Bounded:
		return slowest(op.Bound, run.SlowPPM)
	}
	return 0
}
