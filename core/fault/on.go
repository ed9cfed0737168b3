//go:build !production

package fault

import (
	"github.com/pingcap/failpoint"

	"github.com/tidaldb/tidalsim/core/env"
)

// Hit announces point p and returns the action to take there. key.A is the tenant,
// key.Kind the slot, key.B as the point's comment says.
func Hit(e env.Env, p env.Point, key env.Key) env.Action {
	if action, decided := e.Hit(p, key); decided {
		return action
	}
	value, err := failpoint.Eval(names[p])
	if err != nil {
		return env.ActNone
	}
	name, _ := value.(string)
	action, _ := env.ParseAction(name)
	if action == env.ActCrash {
		e.Halt("failpoint " + names[p])
	}
	return action
}
