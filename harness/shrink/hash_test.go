package shrink_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/harness/counter"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Plans that differ have different hashes: the search skips a candidate whose hash it has seen.
func TestPlansThatDifferAreToldApart(t *testing.T) {
	p := counter.Draw(counter.Lossy, 1)
	p.World.Deviations = []plan.Deviation{{Site: 1, Value: 1}, {Site: 2, Value: 1}}
	seen := map[any]string{shrink.Hash(p): "the plan"}
	for name, change := range map[string]func(*counter.Plan){
		"another seed":          func(p *counter.Plan) { p.World.Seed++ },
		"one request less":      func(p *counter.Plan) { p.Body.Requests-- },
		"no deviations":         func(p *counter.Plan) { p.World.Deviations = []plan.Deviation{} },
		"deviations by chance":  func(p *counter.Plan) { p.World.Deviations = nil },
		"one deviation less":    func(p *counter.Plan) { p.World.Deviations = p.World.Deviations[:1] },
		"the other one less":    func(p *counter.Plan) { p.World.Deviations = p.World.Deviations[1:] },
		"on another site":       func(p *counter.Plan) { p.World.Deviations[1].Site++ },
		"on another link":       func(p *counter.Plan) { p.World.Deviations[1].Scope++ },
		"of another kind":       func(p *counter.Plan) { p.World.Deviations[1].Key.Kind++ },
		"of another tenant":     func(p *counter.Plan) { p.World.Deviations[1].Key.A++ },
		"of another operation":  func(p *counter.Plan) { p.World.Deviations[1].Key.B++ },
		"of another attempt":    func(p *counter.Plan) { p.World.Deviations[1].Key.Attempt++ },
		"of another value":      func(p *counter.Plan) { p.World.Deviations[1].Value++ },
		"in the other's places": func(p *counter.Plan) { d := p.World.Deviations; d[0], d[1] = d[1], d[0] },
	} {
		q := p.Clone().(*counter.Plan)
		change(q)
		if as := seen[shrink.Hash(q)]; as != "" {
			t.Errorf("%s is taken for %s", name, as)
		}
		seen[shrink.Hash(q)] = name
		if shrink.Hash(q) != shrink.Hash(q.Clone()) {
			t.Errorf("%s is not known again", name)
		}
	}
}
