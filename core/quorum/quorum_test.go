package quorum_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quorum"
	"github.com/tidaldb/tidalsim/core/tenant"
)

func member(node env.ID) control.Member { return control.Member{Node: node, Incarnation: 1} }

func join(m control.Member) *control.Command {
	return &control.Command{Kind: control.Join, Member: m}
}

func readmit(m control.Member, t tenant.ID, slot lineage.Slot) *control.Command {
	return &control.Command{Kind: control.Readmit, Member: m, Tenant: t, Slot: slot}
}

// Each case is a shard of nodes 0, 1 and 2, in which node 0 leads tenant 7's slot 1 and has it up
// to record 9. Node n has it up to record n.
func TestWhoHasADuty(t *testing.T) {
	excluded := []control.Exclusion{{Member: member(2), Tenant: 7, Slot: 1}}
	for _, c := range []struct {
		name      string
		inSync    []control.Member
		excluded  []control.Exclusion
		joining   *control.Command
		asked     *control.Command
		least     int
		acceptors string
		commit    string
		confirm   string // the nodes that must confirm a read
	}{
		{name: "all in sync", inSync: []control.Member{member(0), member(1), member(2)}, least: 2,
			acceptors: "0 in sync, 1 in sync, 2 in sync", commit: "1", confirm: "0 1 2"},
		{name: "two of three", inSync: []control.Member{member(0), member(2)}, least: 2,
			acceptors: "0 in sync, 2 in sync", commit: "2", confirm: "0 2"},
		{name: "below min", inSync: []control.Member{member(0)}, least: 2,
			acceptors: "0 in sync", commit: "nothing", confirm: "0"},
		{name: "one alone, of one", inSync: []control.Member{member(0)}, least: 1,
			acceptors: "0 in sync", commit: "9", confirm: "0"},
		{name: "one is about to join", inSync: []control.Member{member(0), member(2)}, joining: join(member(1)), least: 2,
			acceptors: "0 in sync, 2 in sync, 1 joining", commit: "1", confirm: "0 2 1"},
		{name: "one is about to join, and is none of the min", inSync: []control.Member{member(0)}, joining: join(member(1)), least: 2,
			acceptors: "0 in sync, 1 joining", commit: "nothing", confirm: "0 1"},
		{name: "a member that is said to join has one duty", inSync: []control.Member{member(0), member(1)}, joining: join(member(1)), least: 2,
			acceptors: "0 in sync, 1 in sync", commit: "1", confirm: "0 1"},
		{name: "one is excluded", inSync: []control.Member{member(0), member(1), member(2)}, excluded: excluded, least: 2,
			acceptors: "0 in sync, 1 in sync, 2 excluded", commit: "1", confirm: "0 1 2"},
		{name: "one is excluded, and too few are left", inSync: []control.Member{member(0), member(2)}, excluded: excluded, least: 2,
			acceptors: "0 in sync, 2 excluded", commit: "nothing", confirm: "0 2"},
		{name: "one is about to be readmitted", inSync: []control.Member{member(0), member(2)}, excluded: excluded, asked: readmit(member(2), 7, 1), least: 1,
			acceptors: "0 in sync, 2 readmitting", commit: "2", confirm: "0 2"},
		{name: "one is about to be readmitted, and is none of the min", inSync: []control.Member{member(0), member(2)}, excluded: excluded, asked: readmit(member(2), 7, 1), least: 2,
			acceptors: "0 in sync, 2 readmitting", commit: "nothing", confirm: "0 2"},
		{name: "to another slot it is no matter", inSync: []control.Member{member(0), member(2)}, excluded: excluded, asked: readmit(member(2), 7, 2), least: 1,
			acceptors: "0 in sync, 2 excluded", commit: "9", confirm: "0 2"},
		{name: "excluded from another slot", inSync: []control.Member{member(0), member(2)}, excluded: []control.Exclusion{{Member: member(2), Tenant: 7, Slot: 2}}, least: 2,
			acceptors: "0 in sync, 2 in sync", commit: "2", confirm: "0 2"},
		{name: "another life of a member has no duty", inSync: []control.Member{member(0), {Node: 2, Incarnation: 2}}, excluded: excluded, least: 2,
			acceptors: "0 in sync, 2 in sync", commit: "2", confirm: "0 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := quorum.View{Shard: &control.Shard{InSync: c.inSync, Excluded: c.excluded, Min: c.least}, Joining: c.joining, Asked: c.asked}
			acceptors := v.Acceptors(nil, 7, 1)
			for i := range acceptors {
				if a := &acceptors[i]; a.Member.Node > 0 {
					a.Has = lineage.Seq(a.Member.Node)
				} else {
					a.Has = 9
				}
			}
			got := fmt.Sprint(describe(acceptors), "; ", committed(acceptors, c.least), "; ", confirming(v.Members(nil)))
			if diff := cmp.Diff(c.acceptors+"; "+c.commit+"; "+c.confirm, got); diff != "" {
				t.Error("acceptors; committed; who confirms (-want +got):\n", diff)
			}
		})
	}
}

var names = map[quorum.Standing]string{quorum.InSync: "in sync", quorum.Excluded: "excluded", quorum.Readmitting: "readmitting", quorum.Joining: "joining"}

func describe(acceptors []quorum.Acceptor) (s string) {
	for i, a := range acceptors {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprint(a.Member.Node, " ", names[a.Standing])
	}
	return s
}

func committed(acceptors []quorum.Acceptor, least int) string {
	if seq, enough := quorum.Committed(9, acceptors, least); enough {
		return fmt.Sprint(seq)
	}
	return "nothing"
}

// confirming returns the nodes without whose confirmation a read is not answered.
func confirming(acceptors []quorum.Acceptor) (s string) {
	for _, missing := range acceptors {
		if !quorum.Confirmed(acceptors, func(m control.Member) bool { return m != missing.Member }) {
			s += fmt.Sprint(" ", missing.Member.Node)
		}
	}
	return s[min(1, len(s)):]
}

// A replica that may be a member has what is committed, whether the leader's wishes for it were
// granted or refused.
func TestWhateverIsDecidedHasWhatIsCommitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shard := control.Shard{Min: rapid.IntRange(1, 3).Draw(t, "min")}
		has := map[control.Member]lineage.Seq{}
		for node := range env.ID(rapid.IntRange(1, 5).Draw(t, "members")) {
			shard.InSync = append(shard.InSync, member(node))
			if node > 0 && rapid.Bool().Draw(t, "excluded") {
				shard.Excluded = append(shard.Excluded, control.Exclusion{Member: member(node), Tenant: 7, Slot: 1})
			}
			has[member(node)] = lineage.Seq(rapid.IntRange(0, 9).Draw(t, "has"))
		}
		v := quorum.View{Shard: &shard}
		if rapid.Bool().Draw(t, "joins") {
			m := member(env.ID(len(shard.InSync)))
			v.Joining, has[m] = join(m), lineage.Seq(rapid.IntRange(0, 9).Draw(t, "has"))
		}
		if len(shard.Excluded) > 0 && rapid.Bool().Draw(t, "readmits") {
			v.Asked = readmit(rapid.SampledFrom(shard.Excluded).Draw(t, "who").Member, 7, 1)
		}
		acceptors := v.Acceptors(nil, 7, 1)
		for i := range acceptors {
			acceptors[i].Has = has[acceptors[i].Member]
		}
		seq, enough := quorum.Committed(9, acceptors, shard.Min)
		if !enough {
			return
		}
		copies := 0
		for m, to := range has {
			counts := shard.IsInSync(m) && !shard.Excludes(m, 7, 1)
			if counts {
				copies++
			}
			decided := v.Joining != nil && v.Joining.Member == m || v.Asked != nil && v.Asked.Member == m
			if (counts || decided) && to < seq {
				t.Fatalf("record %d is committed, and %+v has %d", seq, m, to)
			}
		}
		if copies < shard.Min {
			t.Fatalf("record %d is committed with %d copies for sure, want %d", seq, copies, shard.Min)
		}
		if told := quorum.Acknowledged(seq, acceptors); told != seq {
			t.Fatalf("record %d is committed and told up to %d: no replica holds back answers alone", seq, told)
		}
		if !quorum.Has(acceptors, seq) {
			t.Fatalf("record %d is committed, and not everywhere", seq)
		}
	})
}
