package local

import (
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
)

// The open conditions of a drain are read off the control plane.
func TestWhatADrainWaitsFor(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*control.Plane)
		node     env.ID
		waitsFor string
	}{
		{"at first", func(*control.Plane) {}, 1, "others to lead shard 2; the sets of shards 1, 3 to go on without it"},
		{"for another one", func(p *control.Plane) { p.Node(0).Draining = true }, 2,
			"node 0 to have duties again, as one node is drained at a time; others to lead shard 3; the sets of shards 1, 2 to go on without it"},
		{"for a member", func(p *control.Plane) { p.Shards()[0].InSync = p.Shards()[0].InSync[:2] }, 1,
			"another member in sync of shard 1, which without node 1 has 1 of 2; others to lead shard 2; the sets of shards 1, 3 to go on without it"},
		{"for nothing", func(p *control.Plane) {
			for i := range p.Shards() {
				p.Shards()[i].InSync = []control.Member{{Node: 0}, {Node: 2}}
			}
		}, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			plane := control.New(Example())
			c.change(plane)
			if got := strings.Join(drainWaits(plane, c.node), "; "); got != c.waitsFor {
				t.Errorf("it waits for %q, want %q", got, c.waitsFor)
			}
		})
	}
}
