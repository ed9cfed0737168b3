package report

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/scenarios"
)

// Bounds of the search that is drawn. It is only for reading, and gives no verdict.
const (
	searchFor = time.Second
	maxDrawn  = 1000 // operations
	nameless  = "no finding names an operation, a tenant or a slot, so there is no partition at fault"
)

// partition is one entity of one tenant.
type partition struct {
	tenant tenant.ID
	entity signal.Entity
}

// search returns porcupine's own page of the partition at fault, and the name of that partition
// or why there is none.
func search(got *scenarios.Result) (page []byte, about string) {
	ops := got.History.Ops
	at, until, why := atFault(got)
	if why != "" {
		return nil, why
	}
	input, name := operations(ops, at, until), fmt.Sprintf("tenant %s entity %d", at.tenant, at.entity)
	if len(input) == 0 { // no call had been answered by then
		input = operations(ops, at, got.Simulated)
	}
	if len(input) == 0 {
		return nil, fmt.Sprintf("no operation on %s was answered", name)
	}
	if len(input) > maxDrawn {
		return nil, fmt.Sprintf("%s has %d operations, too many to draw (at most %d)", name, len(input), maxDrawn)
	}
	model := model()
	result, info := porcupine.CheckOperationsVerbose(model, input, searchFor)
	var b bytes.Buffer
	if err := porcupine.Visualize(model, info, &b); err != nil {
		return nil, fmt.Sprintf("%s: %v", name, err)
	}
	said := map[porcupine.CheckResult]string{porcupine.Ok: "has an order", porcupine.Illegal: "has no order", porcupine.Unknown: "was not searched to its end"}[result]
	return b.Bytes(), fmt.Sprintf("%s, %d operations until the finding: %s", name, len(input), said)
}

var namesSlot = regexp.MustCompile(`tenant (\d+) slot (\d+)`)

// atFault returns the entity that the first finding that names one is about: of an
// operation's, or the busiest of a slot's; and until when operations explain it, true time, ns.
func atFault(got *scenarios.Result) (at partition, until int64, why string) {
	ops := got.History.Ops
	if len(got.Findings) == 0 {
		return at, 0, "nothing was found, so no partition is at fault"
	}
	for i := range got.Findings {
		if f := &got.Findings[i]; len(f.Ops) > 0 {
			op := &ops[f.Ops[len(f.Ops)-1]]
			return partition{op.Tenant, op.Signal.Entity}, end(f, ops, got.Simulated), ""
		}
	}
	for i := range got.Findings {
		match := namesSlot.FindStringSubmatch(got.Findings[i].Text)
		if match == nil {
			continue
		}
		if at, found := busiest(ops, match[1], match[2]); found {
			return at, end(&got.Findings[i], ops, got.Simulated), ""
		}
	}
	return at, 0, nameless
}

// end is when a finding, and each operation that it names, was over.
func end(f *checker.Finding, ops []history.Op, simulated int64) int64 {
	if f.At == 0 {
		return simulated
	}
	last := f.At
	for _, i := range f.Ops {
		last = max(last, ops[i].ReturnAt)
	}
	return last
}

// busiest returns the entity of a slot that most operations are about, the first of equals.
func busiest(ops []history.Op, id, slot string) (best partition, found bool) {
	counts, most := map[partition]int{}, 0 // asked, never ranged over
	for i := range ops {
		op := &ops[i]
		if op.Tenant.String() != id || fmt.Sprint(op.Slot) != slot {
			continue
		}
		p := partition{op.Tenant, op.Signal.Entity}
		if counts[p]++; counts[p] > most {
			best, most = p, counts[p]
		}
	}
	return best, most > 0
}

// operations returns the operations of an entity that an order has to explain and that began before
// an instant. An operation that returned later may have happened, and no answer binds it. Clients
// are numbered densely, because porcupine draws a row for each number.
func operations(ops []history.Op, at partition, until int64) (input []porcupine.Operation) {
	var clients []uint64
	for i := range ops {
		op := &ops[i]
		answered := op.Outcome == history.Acked && op.ReturnAt <= until
		linearizable := op.Kind.Changes() && (op.Outcome == history.Acked || op.Unresolved() && op.Op.Session != 0) ||
			op.Kind == history.Read && op.Level == history.Linearizable && answered
		if op.Tenant != at.tenant || op.Signal.Entity != at.entity || op.InvokeAt > until || !linearizable {
			continue
		}
		client := slices.Index(clients, op.Client)
		if client < 0 {
			client, clients = len(clients), append(clients, op.Client)
		}
		back := int64(math.MaxInt64)
		if answered {
			back = int64(op.Return)
		}
		input = append(input, porcupine.Operation{ClientId: client, Input: op, Call: int64(op.Invoke), Return: back})
	}
	return input
}

// model is an entity to which operations add up, as in package checker, with words.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return signal.State{} },
		Step: func(state, input, _ any) (bool, any) {
			have, op := state.(signal.State), input.(*history.Op)
			switch op.Kind {
			case history.Write:
				have.Apply(1, op.Op, &op.Signal)
			case history.Put:
				have.LastSeq = 1
			case history.Delete:
				have = signal.State{}
			default:
				want := op.State
				want.LastSeq = min(want.LastSeq, 1)
				return have == want, state
			}
			return true, have
		},
		Equal: func(a, b any) bool { return a == b },
		DescribeOperation: func(input, _ any) string {
			op := input.(*history.Op)
			switch {
			case op.Kind == history.Read:
				return fmt.Sprintf("read @%d", op.Seq)
			case op.Outcome != history.Acked:
				return op.Kind.String() + " ?"
			}
			return fmt.Sprintf("%s @%d", op.Kind, op.Seq)
		},
		DescribeState: func(state any) string {
			s := state.(signal.State)
			if s.LastSeq == 0 {
				return "no entity"
			}
			return fmt.Sprintf("%.8s", s.Applied)
		},
	}
}
