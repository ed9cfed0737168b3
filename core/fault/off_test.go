//go:build production

package fault_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
)

// A production build asks nobody: even a nil Env is left alone.
func TestNobodyIsAsked(t *testing.T) {
	for p := range fault.Points {
		if got := fault.Hit(nil, p, env.Key{}); got != env.ActNone {
			t.Errorf("%s: %s", fault.Name(p), got)
		}
	}
}
