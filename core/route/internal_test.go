package route

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// TestScoresCompare covers cases that real hashes hardly ever show: equal scores and the ends of
// the ranges.
func TestScoresCompare(t *testing.T) {
	const top = 1<<32 - 1
	for _, c := range []struct {
		name  string
		a     Shard
		aCost uint64
		b     Shard
		bCost uint64
		aWins bool
	}{
		{"less cost", Shard{ID: 2, Capacity: 1}, 9, Shard{ID: 1, Capacity: 1}, 10, true},
		{"more capacity", Shard{ID: 2, Capacity: 2}, 10, Shard{ID: 1, Capacity: 1}, 10, true},
		{"equal scores, the lower number", Shard{ID: 1, Capacity: 1}, 10, Shard{ID: 2, Capacity: 1}, 10, true},
		{"equal scores of unequal shards", Shard{ID: 1, Capacity: 3}, 30, Shard{ID: 2, Capacity: 2}, 20, true},
		{"products beyond 64 bits", Shard{ID: 2, Capacity: top}, 1 << 54, Shard{ID: 1, Capacity: top - 1}, 1 << 54, true},
		{"least and largest", Shard{ID: 2, Capacity: top}, 1, Shard{ID: 1, Capacity: 1}, 1 << 54, true},
	} {
		if got := beats(c.a, c.aCost, c.b, c.bCost); got != c.aWins {
			t.Errorf("%s: the first wins: %v", c.name, got)
		}
		if got := beats(c.b, c.bCost, c.a, c.aCost); got == c.aWins {
			t.Errorf("%s, the other way: the first wins: %v", c.name, got)
		}
	}
}

// TestLogarithm: exact at powers of two, and known to all bits elsewhere.
func TestLogarithm(t *testing.T) {
	for i := range uint64(64) {
		if got := log2(1 << i); got != i<<logBits {
			t.Errorf("log2(2^%d) is %d units, want %d", i, got, i<<logBits)
		}
	}
	for _, c := range []struct{ x, want uint64 }{
		{3, 446127282977750},              // 1.584962500721156 * 2^48
		{10, 935039633142894},             // 3.321928094887362 * 2^48
		{1<<64 - 1, 64<<logBits - 1},      // one unit below 64, so that a cost is at least 1
		{1<<63 + 1, 63 << logBits},        //
		{1<<63 - 1, 63<<logBits - 1},      //
		{6, 446127282977750 + 1<<logBits}, // a factor of two is a whole unit
	} {
		if got := log2(c.x); got != c.want {
			t.Errorf("log2(%d) is %d units, want %d", c.x, got, c.want)
		}
	}
}

// TestPagesStaySmall: the directory grows with the rows, so that a change copies
// little.
func TestPagesStaySmall(t *testing.T) {
	table, err := NewTable(0, []Shard{{ID: 1, Region: "eu"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for id := range tenant.ID(5000) {
		if table, err = table.WithTenant(Version(id), id, []Home{{Shard: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(table.pages); n != 32 {
		t.Errorf("5000 rows are in %d pages, want 32", n)
	}
	rows := 0
	for i, p := range table.pages {
		used := 0
		for _, r := range p.rows {
			if r.partitions > 0 {
				used++
			}
		}
		if used != p.used || used > len(p.rows)/4*3 || len(p.rows) > 2*pageRows {
			t.Errorf("page %d has %d of %d rows in use, and believes %d", i, used, len(p.rows), p.used)
		}
		rows += used
	}
	for slot := range lineage.Slot(3) {
		if _, found := table.Home(9999, slot); found {
			t.Errorf("tenant 9999 slot %d is found", slot)
		}
	}
	if table, err = table.WithoutTenant(5000, 17); err != nil || rows != 5000 || table.rows != 4999 {
		t.Errorf("%d rows; %d after a drop, %v", rows, table.rows, err)
	}
}
