package control

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// obedient is a tenant with logs that take their grants at once and report their use and needs.
// Only the test changes use and needs.
type obedient struct {
	*log
	uses   []Use
	grants int
}

// newObedient returns a tenant 9 with these limits and so many slots.
func newObedient(limits tenant.Limits, slots int) *obedient {
	o := &obedient{log: newLog(), uses: make([]Use, slots)}
	create := with(limits, creates(9, nil, slices.Repeat([]lineage.Shard{1}, slots)...))
	if r := o.do(create); r.Refusal != Done {
		panic(fmt.Sprintf("%v is refused: %v", &create, r.Refusal))
	}
	return o
}

func (o *obedient) tenant() *Tenant { return o.plane.Tenant(9) }

// configure changes the limits.
func (o *obedient) configure(limits tenant.Limits) {
	version := o.tenant().Config.Version
	c := with(limits, configures(9, version, version+1))
	if r := o.do(c); r.Refusal != Done {
		panic(fmt.Sprintf("%v is refused: %v", &c, r.Refusal))
	}
}

// tell gives every log its grant and reports its use and needs.
func (o *obedient) tell() {
	for i := range o.uses {
		s, u := &o.tenant().Slots[i], &o.uses[i]
		c := holds(9, lineage.Slot(i), s.Granted, quota.Share{quota.LiveEntities: u.Entities, quota.Bytes: u.Bytes}.Max(s.Grant))
		o.do(c)
		u.Known, u.Granted = true, s.Granted
	}
}

// step does the next grant, and reports whether there is one. It must not be refused.
func (o *obedient) step() (bool, error) {
	o.tell()
	c, ok := Balance(o.tenant(), o.uses)
	if !ok {
		return false, nil
	}
	o.grants++
	if r := o.do(c); r.Refusal != Done {
		return false, fmt.Errorf("%v is proposed, and refused: %v; uses %+v of %+v", &c, r.Refusal, o.uses, o.tenant())
	}
	return true, invariant(o.plane)
}

// enough bounds the grants that settle a tenant. Of each number, every slot gives half of its spare
// amount, so after as many grants as the number has binary digits it has nothing to give. The
// amount reaches each of the other slots by one grant.
func (o *obedient) enough() int {
	const digits = 50 // of tenant.MaxBytes
	n := len(o.uses)
	return quota.Resources * digits * n * n
}

// settle applies the grants of Balance until it returns none.
func (o *obedient) settle() error {
	for range o.enough() {
		if more, err := o.step(); !more {
			return err
		}
	}
	return fmt.Errorf("no end after %d grants: uses %+v of %+v", o.enough(), o.uses, o.tenant())
}

// free returns how much of a number slot i may still grow by.
func (o *obedient) free(i, r int) uint64 {
	grant := o.tenant().Slots[i].Grant[r]
	return grant - min(grant, o.uses[i].used(r))
}

// spare returns how much of a number slot i could give up.
func (o *obedient) spare(i, r int) uint64 {
	grant := o.tenant().Slots[i].Grant[r]
	return grant - min(grant, max(o.uses[i].used(r), quota.Least()[r]))
}

// used returns how much of a number all slots use.
func (o *obedient) used(r int) (sum uint64) {
	for i := range o.uses {
		sum += o.uses[i].used(r)
	}
	return sum
}

// anyObedient draws a tenant after some changes of its limits; some of its slots use as much as
// they hold.
func anyObedient(t *rapid.T) *obedient {
	slots := rapid.IntRange(1, 4).Draw(t, "slots")
	n := uint64(slots)
	limits := func() tenant.Limits {
		return tenant.Limits{
			Rate: rapid.OneOf(rapid.Uint64Range(n, n+9), rapid.Uint64Range(n, tenant.MaxRate)).Draw(t, "rate"), Burst: rapid.Uint64Range(n, n+9).Draw(t, "burst"),
			Entities: rapid.OneOf(rapid.Uint64Range(1, 12), rapid.Uint64Range(1, tenant.MaxEntities)).Draw(t, "entities"),
			Bytes:    rapid.OneOf(rapid.Uint64Range(tenant.MinBytes, 120), rapid.Uint64Range(tenant.MinBytes, tenant.MaxBytes)).Draw(t, "bytes"),
		}
	}
	o := newObedient(limits(), slots)
	for range rapid.IntRange(0, 3).Draw(t, "changes of limits") {
		for i := range o.uses {
			s, u := &o.tenant().Slots[i], &o.uses[i]
			u.Entities = anyUse(t, s.Held[quota.LiveEntities])
			u.Bytes = anyUse(t, s.Held[quota.Bytes])
			for r := range u.Needs {
				u.Needs[r] = Need(rapid.IntRange(0, int(Starved)).Draw(t, "need"))
			}
		}
		for range rapid.IntRange(0, 6).Draw(t, "grants before") {
			if _, err := o.step(); err != nil {
				t.Fatal(err)
			}
		}
		o.configure(limits())
	}
	o.grants = 0
	return o
}

// anyUse draws a use of at most so much.
func anyUse(t *rapid.T, most uint64) uint64 {
	return rapid.OneOf(rapid.Just(uint64(0)), rapid.Just(most), rapid.Uint64Range(0, most)).Draw(t, "used")
}

// From any state with constant use and needs, the grants soon end. Then all of rate and burst is
// granted. Of a cap everything is granted, except the part unused by slots that have less than they
// use, and nothing while the use is above the limit.
func TestGrantsComeToAnEnd(t *testing.T) {
	over, most := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		o := anyObedient(t)
		if err := o.settle(); err != nil {
			t.Fatal(err)
		}
		x := o.tenant()
		whole, granted, held := quota.Whole(x.Config.Limits), x.Granted(), x.Held()
		for r := range whole {
			switch used := o.used(r); {
			case used > whole[r]:
				over++
				if granted[r] > 0 {
					t.Fatalf("%d are used of number %d, the limit is %d, and %d are granted: %+v", used, r, whole[r], granted[r], x)
				}
			case held[r] != whole[r]:
				t.Fatalf("of number %d, the limit is %d, %d are held and %d used: %+v", r, whole[r], held[r], used, x)
			}
		}
		if !x.InForce() || !x.Spent() {
			t.Fatalf("all is done, and the limits are in force: %t, rate and burst spent: %t; %+v", x.InForce(), x.Spent(), x)
		}
		most = max(most, o.grants)
	})
	if over < 20 || most < 3 {
		t.Errorf("a cap was exceeded %d times, and at most %d grants were needed; want more", over, most)
	}
}

// Needs that follow from grant, use and refusals do not make grants oscillate. Some slots use up
// every grant and want more, the others have a constant use. In the end no slot has a spare amount
// that another slot wants.
func TestNeedsThatFollowFromGrantsComeToAnEnd(t *testing.T) {
	most := 0
	rapid.Check(t, func(t *rapid.T) {
		o := anyObedient(t)
		hungry := rapid.IntRange(0, len(o.uses)).Draw(t, "slots that want more and more")
		follow := func() {
			for i := range o.uses {
				x, u := &o.tenant().Slots[i], &o.uses[i]
				if i < hungry {
					u.Entities, u.Bytes = max(u.Entities, x.Grant[quota.LiveEntities]), max(u.Bytes, x.Grant[quota.Bytes])
				}
				for r := range u.Needs {
					u.Needs[r] = NeedOf(x.Grant[r], u.used(r), i < hungry)
				}
				u.Needs[quota.Rate] = NeedOfRate(1000, 1000, i < hungry)
				u.Needs[quota.Burst] = u.Needs[quota.Rate]
			}
		}
		follow()
		for more := true; more; follow() {
			var err error
			if more, err = o.step(); err != nil {
				t.Fatal(err)
			}
			if o.grants > o.enough() {
				t.Fatalf("no end after %d grants: uses %+v of %+v", o.grants, o.uses, o.tenant())
			}
		}
		for i := range o.uses {
			for r := range o.uses[i].Needs {
				if hungry > 0 && o.uses[i].Needs[r] < Short && o.spare(i, r) > 0 {
					t.Fatalf("slot %d has %d to spare of number %d, and others want it: uses %+v of %+v", i, o.spare(i, r), r, o.uses, o.tenant())
				}
			}
		}
		most = max(most, o.grants)
	})
	if most < 10 {
		t.Errorf("at most %d grants were needed, want more", most)
	}
}

// A needy slot gets an amount that it can use, in a bounded number of grants, as soon as another
// slot can spare some. To a short slot only content slots give, half of their spare amount. To a
// starved slot every other slot gives, even the last unit.
func TestWhoIsInNeedGetsSomething(t *testing.T) {
	helped := map[Need]int{}
	rapid.Check(t, func(t *rapid.T) {
		o := anyObedient(t)
		if err := o.settle(); err != nil {
			t.Fatal(err)
		}
		i, r := rapid.IntRange(0, len(o.uses)-1).Draw(t, "slot in need"), rapid.IntRange(0, quota.Resources-1).Draw(t, "number")
		need := rapid.SampledFrom([]Need{Short, Starved}).Draw(t, "need")
		spare := false
		for j := range o.uses {
			its := min(o.uses[j].Needs[r], Enough)
			o.uses[j].Needs[r] = its
			spare = spare || j != i && (need == Starved && o.spare(j, r) > 0 || need == Short && its == Content && o.spare(j, r) > 1)
		}
		before := o.free(i, r)
		o.uses[i].Needs[r] = need
		o.grants = 0
		if err := o.settle(); err != nil {
			t.Fatal(err)
		}
		if spare && o.free(i, r) <= before {
			t.Fatalf("slot %d is in need of number %d, others can do without, and it can grow by %d, before by %d: %+v uses %+v",
				i, r, o.free(i, r), before, o.uses, o.tenant())
		}
		if spare {
			helped[need]++
		}
	})
	if helped[Starved] == 0 || helped[Short] == 0 {
		t.Errorf("slots were in need, and others could help: %v; want more", helped)
	}
}

// If a limit is lowered below the use, no slot is granted more. When enough has been deleted, the
// slots can grow again, after as many grants as there are slots, for any use.
func TestWhoUsedTooMuchGrowsAgain(t *testing.T) {
	for _, slots := range []int{1, 2, 3} {
		n := uint64(slots)
		limits := tenant.Limits{Rate: n, Burst: n, Entities: 2_000_000 * n, Bytes: 2_000_000_000 * n}
		o := newObedient(limits, slots)
		use := func(entities, bytes uint64) {
			for i := range o.uses {
				o.uses[i] = Use{Entities: entities, Bytes: bytes, Needs: [quota.Resources]Need{0, 0, Short, Short}}
			}
		}
		use(1_500_000, 1_500_000_000)
		limits.Entities, limits.Bytes = 1_000_000*n, 1_000_000_000*n
		o.configure(limits)
		if o.tenant().InForce() {
			t.Errorf("%d slots: nobody has the new limits yet, and they are in force: %+v", slots, o.tenant())
		}
		if err := o.settle(); err != nil {
			t.Fatal(err)
		}
		if got := o.tenant().Granted(); got != (quota.Share{n, n, 0, 0}) || !o.tenant().InForce() {
			t.Errorf("%d slots use more than the limits, and are granted %v: %+v", slots, got, o.tenant())
		}
		use(999_999, 999_999_990)
		o.grants = 0
		if err := o.settle(); err != nil {
			t.Fatal(err)
		}
		for i := range o.uses {
			if o.free(i, quota.LiveEntities) != 1 || o.free(i, quota.Bytes) != 10 {
				t.Errorf("%d slots: slot %d uses %+v, and is granted %v", slots, i, o.uses[i], o.tenant().Slots[i].Grant)
			}
		}
		if o.grants > slots {
			t.Errorf("%d slots grow again after %d grants, want one each", slots, o.grants)
		}
	}
}

// An amount that one slot gives up reaches all equally needy slots by one grant each, so moving a
// small part of a large number takes little longer than moving much of it.
func TestWhatIsGivenUpArrivesAtOnce(t *testing.T) {
	const digits = 40
	o := newObedient(tenant.Limits{Rate: 3, Burst: 3, Entities: 3, Bytes: 3 << digits}, 3)
	for i := range o.uses {
		o.uses[i].Needs[quota.Bytes] = Starved
	}
	o.uses[1].Needs[quota.Bytes] = Content
	if err := o.settle(); err != nil {
		t.Fatal(err)
	}
	if limit := 3 * (digits + 1); o.grants > limit || o.free(1, quota.Bytes) > 0 {
		t.Errorf("after %d grants slot 1 can do without %d; want at most %d grants", o.grants, o.free(1, quota.Bytes), limit)
	}
	if a, b := o.free(0, quota.Bytes), o.free(2, quota.Bytes); a+b != 3<<digits || max(a, b)-min(a, b) > 1 {
		t.Errorf("two that need it alike have %d and %d", a, b)
	}
}

// Nothing moves between the slots of a tenant that is being dropped, nor to or from a slot with a
// log that is not known to have its last grant.
func TestWhoIsNotReadyIsLeftAsItIs(t *testing.T) {
	hungry := func() *obedient {
		o := newObedient(tenant.Limits{Rate: 10, Burst: 10, Entities: 10, Bytes: 1000}, 2)
		o.tell()
		o.uses[0].Needs[quota.Rate] = Starved
		return o
	}
	for name, c := range map[string]struct {
		spoil func(o *obedient)
		want  string
	}{
		"all is well":                             {func(*obedient) {}, "grant tenant 9 slot 1 base 2 share [3 5 5 500]"},
		"the tenant is dropped":                   {func(o *obedient) { o.do(drops(9)) }, ""},
		"the one that is to give is not heard of": {func(o *obedient) { o.uses[1].Known = false }, ""},
		"its log has an earlier grant":            {func(o *obedient) { o.uses[1].Granted-- }, ""},
		"it is not said what its log has":         {func(o *obedient) { o.do(grants(9, 1, 2, quota.Share{4, 5, 5, 500})); o.uses[1].Granted = o.index }, ""},
		"the one in need is not heard of":         {func(o *obedient) { o.uses[0].Known = false }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := hungry()
			c.spoil(o)
			got := ""
			if command, ok := Balance(o.tenant(), o.uses); ok {
				got = command.String()
			}
			if got != c.want {
				t.Errorf("%q is proposed, want %q", got, c.want)
			}
		})
	}
}

// The need of a slot, by its grant and use.
func TestNeeds(t *testing.T) {
	for _, c := range []struct {
		granted, used uint64
		refused       bool
		want          Need
	}{
		{0, 0, false, Short}, {0, 0, true, Starved}, {1, 0, false, Enough}, {1, 1, false, Short}, {1, 1, true, Starved},
		{2, 0, false, Enough}, {3, 0, false, Content}, {3, 1, false, Enough}, {3, 2, false, Enough},
		{100, 49, false, Content}, {100, 50, false, Enough}, {100, 75, false, Enough}, {100, 76, false, Short},
		{100, 75, true, Starved}, {100, 74, true, Enough}, {100, 10, true, Content}, // it was refused for more than it asks for now
		{100, 150, false, Short}, {100, 150, true, Starved},
	} {
		if got := NeedOf(c.granted, c.used, c.refused); got != c.want {
			t.Errorf("granted %d, used %d, refused %t: %d, want %d", c.granted, c.used, c.refused, got, c.want)
		}
	}
	for _, c := range []struct {
		level   int64
		refused bool
		want    Need
	}{{100, false, Content}, {75, false, Content}, {74, false, Enough}, {25, false, Enough}, {24, false, Short}, {0, false, Short}, {100, true, Starved}, {0, true, Starved}} {
		if got := NeedOfRate(c.level, 100, c.refused); got != c.want {
			t.Errorf("level %d of 100, refused %t: %d, want %d", c.level, c.refused, got, c.want)
		}
	}
}
