//go:build production

package fault

import "github.com/tidaldb/tidalsim/core/env"

// Hit does nothing in a production build.
func Hit(env.Env, env.Point, env.Key) env.Action { return env.ActNone }
