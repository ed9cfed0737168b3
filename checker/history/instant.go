package history

import "github.com/tidaldb/tidalsim/harness/verdict"

// Instant writes true time, ns, in milliseconds, as all reports do: 12.345678 ms.
func Instant(ns int64) string { return verdict.Instant(ns) }
