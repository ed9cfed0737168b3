package metalog_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/wal"
)

// Any single bit is damaged: bytes that are known to be durable are never cut, other damaged bytes
// are cut, and no other content is accepted.
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

// Data of a newer binary is not damage: it is not cut, and the error says so.
func TestNewerVersion(t *testing.T) {
	data, whole := metalog.File(1, 1)
	for _, envelope := range []int{0, whole} {
		newer := append([]byte(nil), data...)
		newer[envelope+4] = 2
		metalog.Resum(newer[envelope:])
		if _, err := metalog.Decode("log", newer); !errors.Is(err, wal.ErrVersion) || errors.Is(err, metalog.ErrCorrupt) {
			t.Errorf("envelope at %d: error %v, want ErrVersion", envelope, err)
		}
	}
}

// A body with a valid checksum may still be one that no member writes.
func TestContradictions(t *testing.T) {
	const kind, index, commit = 16 + 8, 16 + 9, 16 + 25
	data, _ := metalog.File(1, 0)
	votes := bytes.Index(data[1:], []byte{0xf5, 'm', 'm', 'f'}) + 1
	entry := bytes.Index(data[votes+1:], []byte{0xf5, 'm', 'm', 'f'}) + votes + 1
	for _, c := range []struct {
		name      string
		frame, at int
		value     byte
	}{
		{"a kind that is not known", votes, kind, 3},
		{"votes that say they are an entry", votes, kind, 2},
		{"an entry that says it is votes", entry, kind, 1},
		{"an entry after a gap", entry, index, 12},
		{"an entry that the base includes", entry, index, 9},
		{"more committed than there is", votes, commit, 11},
		{"less committed than the base", votes, commit, 8},
	} {
		damaged := append([]byte(nil), data...)
		damaged[c.frame+c.at] = c.value
		metalog.Resum(damaged[c.frame:])
		if _, err := metalog.Decode("log", damaged); !errors.Is(err, metalog.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", c.name, err)
		}
	}
}
