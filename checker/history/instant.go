package history

import (
	"fmt"
	"strings"
)

// Instant writes true time, ns, in milliseconds: 12.345678 ms. Every text of every report
// writes an instant so, without zeros at its end, so that who searches for one finds it
// everywhere. Plans have a language of their own, which writes 12.345678ms.
func Instant(ns int64) string {
	sign := ""
	if ns < 0 {
		sign, ns = "-", -ns
	}
	text := fmt.Sprintf("%s%d.%06d", sign, ns/1e6, ns%1e6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " ms"
}
