package shrink

import (
	"testing"

	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Plans that differ have different hashes: the search skips a candidate whose hash it has seen.
func TestPlansThatDifferAreToldApart(t *testing.T) {
	found, err := scenarios.Find("lossy-network")
	if err != nil {
		t.Fatal(err)
	}
	p := found[0].Plan(1)
	p.World.Deviations = []plan.Deviation{{Site: 1, Value: 1}, {Site: 2, Value: 1}}
	seen := map[any]string{hash(p): "the plan"}
	for name, change := range map[string]func(*scenarios.Plan){
		"another seed":          func(p *scenarios.Plan) { p.World.Seed++ },
		"one operation less":    func(p *scenarios.Plan) { p.Workload.Operations-- },
		"no deviations":         func(p *scenarios.Plan) { p.World.Deviations = []plan.Deviation{} },
		"deviations by chance":  func(p *scenarios.Plan) { p.World.Deviations = nil },
		"one deviation less":    func(p *scenarios.Plan) { p.World.Deviations = p.World.Deviations[:1] },
		"the other one less":    func(p *scenarios.Plan) { p.World.Deviations = p.World.Deviations[1:] },
		"on another site":       func(p *scenarios.Plan) { p.World.Deviations[1].Site++ },
		"on another link":       func(p *scenarios.Plan) { p.World.Deviations[1].Scope++ },
		"of another kind":       func(p *scenarios.Plan) { p.World.Deviations[1].Key.Kind++ },
		"of another tenant":     func(p *scenarios.Plan) { p.World.Deviations[1].Key.A++ },
		"of another operation":  func(p *scenarios.Plan) { p.World.Deviations[1].Key.B++ },
		"of another attempt":    func(p *scenarios.Plan) { p.World.Deviations[1].Key.Attempt++ },
		"of another value":      func(p *scenarios.Plan) { p.World.Deviations[1].Value++ },
		"in the other's places": func(p *scenarios.Plan) { d := p.World.Deviations; d[0], d[1] = d[1], d[0] },
	} {
		q := clone(p)
		change(q)
		if as := seen[hash(q)]; as != "" {
			t.Errorf("%s is taken for %s", name, as)
		}
		seen[hash(q)] = name
		if hash(q) != hash(clone(q)) {
			t.Errorf("%s is not known again", name)
		}
	}
}
