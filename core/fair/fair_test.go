package fair

import (
	"testing"

	"pgregory.net/rapid"
)

// model is the obviously right version: lists, and the paper's two loops.
type model struct {
	quantum int64
	bound   int
	lists   map[int][][2]int64 // item, cost
	deficit map[int]int64
	turns   []int
	granted bool
}

func (m *model) push(f int, cost, item int64) bool {
	if len(m.lists[f]) == m.bound {
		return false
	}
	if len(m.lists[f]) == 0 {
		m.turns = append(m.turns, f)
	}
	m.lists[f] = append(m.lists[f], [2]int64{item, cost})
	return true
}

func (m *model) pop() (int64, int) {
	for {
		f := m.turns[0]
		if !m.granted {
			m.deficit[f] += m.quantum
			m.granted = true
		}
		first := m.lists[f][0]
		if first[1] > m.deficit[f] {
			m.turns = append(m.turns[1:], f)
			m.granted = false
			continue
		}
		m.deficit[f] -= first[1]
		m.lists[f] = m.lists[f][1:]
		if len(m.lists[f]) == 0 {
			m.deficit[f], m.granted = 0, false
			m.turns = m.turns[1:]
		}
		return first[0], f
	}
}

func TestItServesAsTheModelDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quantum, bound := rapid.Int64Range(1, 10).Draw(t, "quantum"), rapid.IntRange(1, 9).Draw(t, "bound")
		q := New[int64](quantum, bound)
		m := model{quantum: quantum, bound: bound, lists: map[int][][2]int64{}, deficit: map[int]int64{}}
		for i := range rapid.IntRange(20, 200).Draw(t, "operations") {
			if q.Len() > 0 && rapid.Bool().Draw(t, "pop") {
				got, gotFlow := q.Pop()
				want, wantFlow := m.pop()
				if got != want || gotFlow != wantFlow {
					t.Fatalf("operation %d serves item %d of flow %d, want item %d of flow %d", i, got, gotFlow, want, wantFlow)
				}
				continue
			}
			f, cost := rapid.IntRange(0, 4).Draw(t, "flow"), rapid.Int64Range(1, 30).Draw(t, "cost")
			if full := q.Full(f); full != (q.Waiting(f) == bound) {
				t.Fatalf("full is %t with %d of %d waiting", full, q.Waiting(f), bound)
			}
			if got, want := q.Push(f, cost, int64(i)), m.push(f, cost, int64(i)); got != want {
				t.Fatalf("operation %d: pushed %t, want %t", i, got, want)
			}
		}
	})
}

// While all flows have work, none gets ahead of another by more than a quantum and
// the largest item, in any stretch of service (the paper's theorem).
func TestNoFlowGetsAhead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const flows, most = 3, 20
		quantum := rapid.Int64Range(1, 40).Draw(t, "quantum")
		q := New[int64](quantum, 1<<20)
		for f := range flows {
			for range 300 {
				cost := rapid.Int64Range(1, most).Draw(t, "cost")
				q.Push(f, cost, cost)
			}
		}
		var served [flows]int64
		for q.Waiting(0) > 0 && q.Waiting(1) > 0 && q.Waiting(2) > 0 {
			cost, f := q.Pop()
			served[f] += cost
			if ahead := max(served[0], served[1], served[2]) - min(served[0], served[1], served[2]); ahead > 2*quantum+2*most {
				t.Fatalf("served %v with a quantum of %d", served, quantum)
			}
		}
	})
}

func TestAnEmptyFlowSavesNothingUp(t *testing.T) {
	q := New[string](10, 8)
	q.Push(0, 1, "a") // leaves 9 of its quantum
	q.Pop()
	q.Push(0, 10, "b")
	q.Push(0, 10, "c")
	q.Push(1, 10, "x")
	order := ""
	for q.Len() > 0 {
		item, _ := q.Pop()
		order += item
	}
	if order != "bxc" {
		t.Errorf("served %q, want bxc", order)
	}
}

func TestOnceGrownItAllocatesNothing(t *testing.T) {
	q := New[[4]uint64](8, 64)
	work := func() {
		for i := range 64 {
			q.Push(i%5, 3, [4]uint64{})
		}
		for q.Len() > 0 {
			q.Pop()
		}
	}
	work()
	if n := testing.AllocsPerRun(20, work); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPushPop(b *testing.B) {
	q := New[[4]uint64](8, 64)
	b.ReportAllocs()
	for i := range b.N {
		q.Push(i&7, 3, [4]uint64{})
		if i&7 == 7 {
			for q.Len() > 0 {
				q.Pop()
			}
		}
	}
}
