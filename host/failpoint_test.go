//go:build !production

package host_test

import (
	"testing"

	"github.com/pingcap/failpoint"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
)

// The registry of the process decides about fault points, so that a real node can
// be hurt at the same moments as a simulated one.
func TestFailpointsReachARealNode(t *testing.T) {
	point := fault.Name(fault.AckSending)
	if err := failpoint.Enable(point, `return("crash")`); err != nil {
		t.Fatal(err)
	}
	defer failpoint.Disable(point)
	why := live(t, t.TempDir(), func(e env.Env, _ *env.Event) {
		if action := fault.Hit(e, fault.NodeStarted, env.Key{}); action != env.ActNone {
			t.Errorf("a point that nobody named says %s", action)
		}
		fault.Hit(e, fault.AckSending, env.Key{})
	})
	if why != "failpoint "+point {
		t.Errorf("it halted because of %q", why)
	}
}
