package control

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// shared is a tenant with a log for each slot, and one control plane that hears of them as from
// nodes: every message is late. Entities and bytes are counted alike: a change takes one of each.
type shared struct {
	*log
	t    *rapid.T
	logs []slotLog
	uses []Use // as the coordinator was told last
	sent []Command
	late []Use // reports under way, of slots by the number of the slot
	of   []int // the same: which slot

	// bound is the most that may be used since the limits were in force last, or more was
	// allowed.
	bound quota.Share
	since uint64 // the version of the limits in force; later ones are not in force yet
}

// slotLog is a log on two replicas; the first one leads. It has two kinds of records: a Config, in
// force from its place on, and a change of the number of entities.
type slotLog struct {
	records   []entry
	committed int // records that are on both
	told      [2]Tenant
}

type entry struct {
	version uint64 // 0: no Config
	share   quota.Share
	grows   int64
}

// state returns the use and the share in force after the first n records.
func (l *slotLog) state(n int) (used uint64, version uint64, share quota.Share) {
	for _, e := range l.records[:n] {
		used = uint64(int64(used) + e.grows)
		if e.version > 0 {
			version, share = e.version, e.share
		}
	}
	return used, version, share
}

const sharedTenant tenant.ID = 9

func newShared(t *rapid.T) *shared {
	slots := rapid.SampledFrom([]int{2, 3, 1}).Draw(t, "slots")
	s := &shared{log: newLog(), t: t, logs: make([]slotLog, slots), uses: make([]Use, slots), since: 1}
	create := with(anyShared(t, slots), creates(sharedTenant, nil, []lineage.Shard{1, 2, 3}[:slots]...))
	if r := s.do(create); r.Refusal != Done {
		t.Fatalf("%v is refused: %v", &create, r.Refusal)
	}
	s.bound = quota.Whole(create.Config.Limits)
	for i := range s.logs {
		s.logs[i].told = [2]Tenant{s.tenant().Clone(), s.tenant().Clone()}
		s.append(i)
	}
	return s
}

// anyShared draws limits of a few of each.
func anyShared(t *rapid.T, slots int) tenant.Limits {
	n := uint64(slots)
	return tenant.Limits{
		Rate: rapid.Uint64Range(n, 3*n+3).Draw(t, "rate"), Burst: rapid.Uint64Range(n, 3*n+3).Draw(t, "burst"),
		Entities: rapid.Uint64Range(1, 12).Draw(t, "entities"), Bytes: tenant.MinBytes + rapid.Uint64Range(0, 9).Draw(t, "bytes"),
	}
}

func (s *shared) tenant() *Tenant { return s.plane.Tenant(sharedTenant) }

// append appends the grant that the leader knows, if the log does not have it.
func (s *shared) append(i int) {
	l := &s.logs[i]
	_, version, _ := l.state(len(l.records))
	if x := &l.told[0].Slots[i]; x.Granted > version {
		l.records = append(l.records, entry{version: x.Granted, share: x.Grant})
	}
}

// change lets a slot's sequencer decide about a change, by all that is appended.
func (s *shared) change(i int, grows int64) {
	l := &s.logs[i]
	used, version, share := l.state(len(l.records))
	switch {
	case version == 0, grows < 0 && used == 0:
	case grows > 0 && (used+1 > share[quota.LiveEntities] || used+1 > share[quota.Bytes]):
	default:
		l.records = append(l.records, entry{grows: grows})
	}
}

// obey lets everything succeed for a slot: its log has the grant, and its leader reports that.
func (s *shared) obey(i int) {
	l := &s.logs[i]
	l.told[0] = s.tenant().Clone()
	s.append(i)
	l.committed = len(l.records)
	s.hold(i)
	s.do(s.sent[len(s.sent)-1])
}

// fail makes the other replica lead. It has the committed records, and of the rest those that had
// reached it.
func (s *shared) fail(i int) {
	l := &s.logs[i]
	l.records = l.records[:rapid.IntRange(l.committed, len(l.records)).Draw(s.t, "kept")]
	l.told[0], l.told[1] = l.told[1], l.told[0]
	s.append(i)
}

// hold reports a log's grant, as its leader knows it.
func (s *shared) hold(i int) {
	l := &s.logs[i]
	x := &l.told[0].Slots[i]
	used, version, _ := l.state(l.committed)
	if version == x.Granted {
		share := quota.Share{quota.LiveEntities: used, quota.Bytes: used}.Max(x.Grant)
		s.sent = append(s.sent, holds(sharedTenant, lineage.Slot(i), x.Granted, share))
	}
}

// report tells the coordinator the use and the needs.
func (s *shared) report(i int) {
	used, version, _ := s.logs[i].state(s.logs[i].committed)
	u := Use{Known: true, Granted: version, Entities: used, Bytes: used}
	for r := range u.Needs {
		u.Needs[r] = Need(rapid.IntRange(0, int(Starved)).Draw(s.t, "need"))
	}
	s.late, s.of = append(s.late, u), append(s.of, i)
}

// balance asks for the next grant.
func (s *shared) balance() {
	if c, ok := Balance(s.tenant(), s.uses); ok {
		if got := s.plane.Judge(&c); got != Done {
			s.t.Fatalf("%v is proposed, and refused: %v; uses %+v of %+v", &c, got, s.uses, s.tenant())
		}
		s.sent = append(s.sent, c)
	}
}

// grantAny proposes a grant that no coordinator would propose: every grant that Apply accepts is
// safe.
func (s *shared) grantAny(i int) {
	x := &s.tenant().Slots[i]
	share := x.Grant
	for r := range share {
		switch rapid.IntRange(0, 3).Draw(s.t, "number") {
		case 0:
			share[r] = x.Held[r]
		case 1:
			share[r] = rapid.Uint64Range(0, 12).Draw(s.t, "share")
		}
	}
	s.sent = append(s.sent, grants(sharedTenant, lineage.Slot(i), x.Granted, share))
}

func (s *shared) configure() {
	c := configures(sharedTenant, s.tenant().Config.Version, s.tenant().Config.Version+1)
	c.Config.Limits = anyShared(s.t, len(s.logs))
	if r := s.do(c); r.Refusal != Done {
		s.t.Fatalf("%v is refused: %v", &c, r.Refusal)
	}
	s.bound = s.bound.Max(quota.Whole(c.Config.Limits))
}

// happen lets one thing happen.
func (s *shared) happen() {
	i := rapid.IntRange(0, len(s.logs)-1).Draw(s.t, "slot")
	l := &s.logs[i]
	switch what := rapid.IntRange(0, 99).Draw(s.t, "what"); {
	case what < 20:
		s.change(i, 1)
	case what < 30:
		s.change(i, -1)
	case what < 40:
		s.obey(i)
	case what < 46:
		l.committed = rapid.IntRange(l.committed, len(l.records)).Draw(s.t, "commit")
	case what < 52:
		which := rapid.IntRange(0, 1).Draw(s.t, "replica")
		l.told[which] = s.tenant().Clone()
	case what < 57:
		s.append(i)
	case what < 61:
		s.hold(i)
	case what < 67:
		s.report(i)
	case what < 75 && len(s.late) > 0: // in any order
		k := rapid.IntRange(0, len(s.late)-1).Draw(s.t, "report")
		s.uses[s.of[k]] = s.late[k]
	case what < 79:
		s.balance()
	case what < 83:
		s.grantAny(i)
	case what < 94 && len(s.sent) > 0: // once, twice, late or never
		from := max(0, len(s.sent)-rapid.SampledFrom([]int{1, 2, 3, len(s.sent)}).Draw(s.t, "of the last"))
		s.do(rapid.SampledFrom(s.sent[from:]).Draw(s.t, "command"))
	case what < 97:
		s.fail(i)
	default:
		s.configure()
	}
}

// inForce returns the sum of the slots' shares, for each number.
func (s *shared) inForce() (sum quota.Share) {
	for i := range s.logs {
		l := &s.logs[i]
		used, _, _ := l.state(l.committed)
		_, _, share := l.state(len(l.records))
		sum = sum.Plus(quota.Share{share[quota.Rate], share[quota.Burst], used, used})
	}
	return sum
}

// check reports a slot that uses more than it holds, and slots that together use more than the
// limits last in force.
func (s *shared) check() error {
	x := s.tenant()
	for i := range s.logs {
		l := &s.logs[i]
		used, _, _ := l.state(l.committed)
		_, _, share := l.state(len(l.records))
		if got := (quota.Share{share[quota.Rate], share[quota.Burst], used, used}); !got.Within(x.Slots[i].Held) {
			return fmt.Errorf("slot %d uses %v, and holds %+v", i, got, x.Slots[i])
		}
	}
	sum := s.inForce()
	if x.InForce() {
		s.since = x.Config.Version
	}
	if s.since == x.Config.Version { // a use above them may only shrink
		s.bound = quota.Whole(x.Config.Limits).Max(s.bound.Min(sum))
		if rates := quota.Whole(x.Config.Limits); sum[quota.Rate] > rates[quota.Rate] || sum[quota.Burst] > rates[quota.Burst] {
			return fmt.Errorf("limits of version %d are in force, %v, and rate and burst come to %v", s.since, rates, sum)
		}
	}
	if !sum.Within(s.bound) {
		return fmt.Errorf("%v are used of %v; in force is version %d of %+v", sum, s.bound, s.since, x)
	}
	return nil
}

// With delayed and lost messages and any leaders, the slots together stay within the limits in
// force, and a use that was above new limits never grows.
func TestSlotsTogetherKeepTheLimits(t *testing.T) {
	lowered, granted, used := 0, 0, uint64(0)
	rapid.Check(t, func(t *rapid.T) {
		s := newShared(t)
		for range rapid.IntRange(50, 400).Draw(t, "events") {
			s.happen()
			if err := invariant(s.plane); err != nil {
				t.Fatal(err)
			}
			if err := s.check(); err != nil {
				t.Fatal(err)
			}
			used = max(used, s.inForce()[quota.LiveEntities])
		}
		if s.since > 1 {
			lowered++
		}
		granted += int(s.tenant().Slots[0].Granted)
	})
	if lowered < 10 || used < 10 || granted < 1000 {
		t.Errorf("limits were changed and in force %d times, grants by entries up to %d in sum, %d entities at most; want more", lowered, granted, used)
	}
}
