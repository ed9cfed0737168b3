package history

import "testing"

func TestInstant(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 ms", 1: "0.000001 ms", 12_345_678: "12.345678 ms", 12_500_000: "12.5 ms", 100_000_000: "100 ms", 96_506_183_000: "96506.183 ms", -1_500_000: "-1.5 ms",
	} {
		if got := Instant(ns); got != want {
			t.Errorf("%d ns: %s, want %s", ns, got, want)
		}
	}
}
