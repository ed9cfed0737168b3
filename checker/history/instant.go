package history

import (
	"fmt"
	"strings"
)

// Instant writes true time, ns, in milliseconds: 12.345678 ms. All texts of all reports write
// instants this way, without trailing zeros, so that a text search for an instant finds it
// everywhere. Plans write 12.345678ms, without the space.
func Instant(ns int64) string {
	sign := ""
	if ns < 0 {
		sign, ns = "-", -ns
	}
	text := fmt.Sprintf("%s%d.%06d", sign, ns/1e6, ns%1e6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " ms"
}
