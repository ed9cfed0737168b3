package draw

import (
	"testing"

	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Draws keep to their bounds, come to both of them, and are on in the share of seeds that
// they say.
func TestDrawsKeepToTheirBounds(t *testing.T) {
	const seeds = 4000
	var between, logs [17]int
	ones, off := 0, 0
	for seed := range plan.Seed(seeds) {
		d := New("a scenario", seed)
		if n := d.Between("b", 0, 3, 7); n < 3 || n > 7 {
			t.Fatalf("seed %s: %d is not in 3..7", seed, n)
		} else {
			between[n]++
		}
		if n := d.Log("l", 0, 2, 16); n < 2 || n > 16 || n&(n-1) != 0 {
			t.Fatalf("seed %s: %d is no power of two in 2..16", seed, n)
		} else {
			logs[n]++
		}
		if d.OneIn(4, "o", 0) {
			ones++
		}
		if d.Swarm(chance.NetLoss, 1000, 8000) == 0 {
			off++
		}
	}
	for _, n := range []int{between[3], between[7], logs[2], logs[16]} {
		if n < seeds/8 {
			t.Errorf("a bound is drawn %d times in %d seeds", n, seeds)
		}
	}
	if ones < seeds/5 || ones > seeds*3/10 || off < seeds*2/5 || off > seeds*3/5 {
		t.Errorf("one in four is %d of %d seeds, one in two %d", ones, seeds, off)
	}
}

// One more property leaves the others as they are; another scenario, seed or number has others.
func TestDrawsAreKeyed(t *testing.T) {
	d := New("s", 1)
	first := d.Between("a", 0, 0, 1<<40)
	d.Between("b", 0, 0, 1<<40)
	if again := d.Between("a", 0, 0, 1<<40); again != first {
		t.Errorf("%d, and after another draw %d", first, again)
	}
	other, next := New("t", 1), New("s", 2)
	for name, n := range map[string]int64{
		"another name": d.Between("c", 0, 0, 1<<40), "another number": d.Between("a", 1, 0, 1<<40),
		"another scenario": other.Between("a", 0, 0, 1<<40), "another seed": next.Between("a", 0, 0, 1<<40),
	} {
		if n == first {
			t.Errorf("%s draws the same", name)
		}
	}
}
