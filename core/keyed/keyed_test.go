package keyed_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/keyed"
)

// TestListIsAMap compares a list with a map and the order in which keys came, over
// several lives.
func TestListIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l keyed.List[uint64]
		for range rapid.IntRange(1, 3).Draw(t, "lives") {
			l.Reset()
			places, order := map[keyed.Key]int{}, []keyed.Key(nil)
			for range rapid.IntRange(0, 100).Draw(t, "asked") {
				k := keyed.Key{A: rapid.Uint64Range(0, 12).Draw(t, "a"), B: rapid.SampledFrom([]uint64{0, 1, 2, 1 << 32, ^uint64(0)}).Draw(t, "b")}
				got, want := l.Find(k), -1
				if i, known := places[k]; known {
					want = i
				}
				if at := l.Place(k); at != want || (got == nil) != (want < 0) || want >= 0 && (*got != k.A^k.B || l.Key(want) != k) {
					t.Fatalf("%v is at %d of %v, want %d", k, at, l.All(), want)
				}
				if want < 0 {
					places[k] = len(order)
					order = append(order, k)
					*l.Add(k) = k.A ^ k.B
				}
			}
			if l.Len() != len(order) || len(l.All()) != len(order) {
				t.Fatalf("%d entries, %d in all, want %d", l.Len(), len(l.All()), len(order))
			}
			for i, k := range order {
				if got := l.All()[i]; got != k.A^k.B {
					t.Fatalf("entry %d is %d, want that of %v", i, got, k)
				}
			}
		}
	})
}

// TestMemoryIsUsedAgain adds, after Reset, what stood there before.
func TestMemoryIsUsedAgain(t *testing.T) {
	var l keyed.List[[]byte]
	fill := func() {
		l.Reset()
		for i := range uint64(100) {
			b := l.Add(keyed.Key{A: i})
			*b = append((*b)[:0], byte(i))
		}
	}
	fill()
	if n := testing.AllocsPerRun(10, fill); n > 0 {
		t.Errorf("%v allocations to fill a list again, want 0", n)
	}
}

// BenchmarkFind looks entries up, in a list and in a map.
func BenchmarkFind(b *testing.B) {
	for _, c := range []struct {
		name string
		n    uint64
	}{{"3", 3}, {"9", 9}, {"36000", 36000}} {
		var l keyed.List[int]
		m := map[keyed.Key]int{}
		for i := range c.n {
			k := keyed.Key{A: i, B: i % 3}
			*l.Add(k) = 1
			m[k] = 1
		}
		sum := 0
		b.Run("list of "+c.name, func(b *testing.B) {
			for i := range uint64(b.N) {
				at := i * 7919 % c.n
				sum += *l.Find(keyed.Key{A: at, B: at % 3})
			}
		})
		b.Run("map of "+c.name, func(b *testing.B) {
			for i := range uint64(b.N) {
				at := i * 7919 % c.n
				sum += m[keyed.Key{A: at, B: at % 3}]
			}
		})
		if sum == 0 {
			b.Fatal("nothing was found")
		}
	}
}

// Who adds a key twice would look at an empty entry ever after.
func TestAKeyIsAddedOnce(t *testing.T) {
	for _, n := range []uint64{1, 100} { // compared one by one, and found by hash
		var l keyed.List[int]
		for i := range n {
			l.Add(keyed.Key{A: i})
		}
		func() {
			defer func() {
				if _, ok := recover().(assert.Failure); !ok {
					t.Errorf("the last of %d keys is added twice, and nobody objects", n)
				}
			}()
			l.Add(keyed.Key{A: n - 1})
		}()
	}
}

// TestMapIsAMap compares a Map with a map, over keys of which many fall into one bucket.
func TestMapIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m keyed.Map
		want := map[uint64]uint64{}
		for range rapid.IntRange(0, 200).Draw(t, "keys") {
			key := rapid.Uint64Range(0, 40).Draw(t, "key") << rapid.SampledFrom([]uint{0, 32, 58}).Draw(t, "shift")
			if got := m.Get(key); got != want[key] {
				t.Fatalf("key %d has the value %d, want %d", key, got, want[key])
			}
			if want[key] == 0 {
				want[key] = rapid.Uint64Range(1, 1<<60).Draw(t, "value")
				m.Put(key, want[key])
			}
		}
		for key := range uint64(50) {
			if got := m.Get(key); got != want[key] {
				t.Fatalf("in the end key %d has the value %d, want %d", key, got, want[key])
			}
		}
	})
}

// BenchmarkGet looks a million keys up in an order that no cache foresees.
func BenchmarkGet(b *testing.B) {
	const million = 1_000_000
	var m keyed.Map
	for i := range uint64(million) {
		m.Put(i*i, i+1)
	}
	b.ResetTimer()
	sum, at := uint64(0), uint64(0)
	for range b.N {
		at = (at + 611_953) % million
		sum += m.Get(at * at)
	}
	if sum == 0 {
		b.Fatal("nothing was found")
	}
}
