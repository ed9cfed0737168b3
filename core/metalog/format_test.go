package metalog_test

import (
	"errors"
	"testing"

	"github.com/tidaldb/tidalsim/core/metalog"
)

// Whatever single bit is damaged: what was durable for sure is never cut, what need
// not have been is, and nothing else is accepted.
func TestEveryBitOfAFile(t *testing.T) {
	const before, after = 2, 4
	data, whole := metalog.File(before, after)
	// The last frame says that all up to the one before its predecessor was durable.
	cut := len(data) - 2*(len(data)-whole)/after
	for bit := range 8 * len(data) {
		damaged := append([]byte(nil), data...)
		damaged[bit/8] ^= 1 << (bit % 8)
		entries, err := metalog.Decode("log", damaged)
		switch confirmed := bit/8 < cut; {
		case confirmed && !errors.Is(err, metalog.ErrCorrupt):
			t.Fatalf("bit %d of byte %d, which is confirmed: %d entries, error %v", bit%8, bit/8, entries, err)
		case !confirmed && (err != nil || entries >= before+after || entries < before+after-2):
			t.Fatalf("bit %d of byte %d, in the tail: %d entries, error %v", bit%8, bit/8, entries, err)
		}
	}
}

// A file that ends early is torn if that can have been, and corrupt otherwise.
func TestEveryLengthOfAFile(t *testing.T) {
	data, whole := metalog.File(2, 3)
	frame := (len(data) - whole) / 3
	for n := range data {
		entries, err := metalog.Decode("log", data[:n])
		if n < whole {
			if !errors.Is(err, metalog.ErrCorrupt) {
				t.Fatalf("%d of %d bytes: error %v, want ErrCorrupt", n, whole, err)
			}
			continue
		}
		if want := 2 + (n-whole)/frame; err != nil || entries != want {
			t.Fatalf("%d bytes: %d entries, error %v; want %d", n, entries, err, want)
		}
	}
}
