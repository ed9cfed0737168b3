package scenarios

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

func TestSet(t *testing.T) {
	for _, c := range []struct {
		set  string
		read func(*Plan) any
		want any
	}{
		{"workload.operations=7", func(p *Plan) any { return p.Workload.Operations }, 7},
		{"world.seed=0xffffffffffffffff", func(p *Plan) any { return p.World.Seed }, plan.Seed(1<<64 - 1)},
		{"world.rates.net.loss=5", func(p *Plan) any { return p.World.Rates[chance.NetLoss] }, uint32(5)},
		{"world.rates.net.corrupt=9", func(p *Plan) any { return p.World.Rates[chance.NetCorrupt] }, uint32(9)},
		{"cluster.tenants.1.config.limits.rate=42", func(p *Plan) any { return p.Cluster.Tenants[1].Config.Limits.Rate }, uint64(42)},
		{"world.disruptions=[]", func(p *Plan) any { return len(p.World.Disruptions) }, 0},
		{"world.disk.capacity_bytes=1125899906842624", func(p *Plan) any { return p.World.Disk.Capacity }, int64(1 << 50)},
	} {
		t.Run(c.set, func(t *testing.T) {
			p, err := lossyNetwork.Plan(3).Set([]string{c.set})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, c.read(p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for set, says := range map[string]string{
		"workload.operations":           "want path=value",
		"workload.colour=red":           `unknown field "colour"`,
		"cluster.tenants.9.node=1":      `"9" is no place in a list of 3`,
		"workload.operations.deep=1":    "nothing below",
		"workload.operations=lots":      "cannot unmarshal string",
		"world.network.queue_bytes=-1":  "queue_bytes is -1",
		"cluster.tenants.0.node=999999": "node is 999999",
	} {
		if _, err := lossyNetwork.Plan(3).Set([]string{set}); !errors.Is(err, plan.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one with %q", set, err, says)
		}
	}
}
