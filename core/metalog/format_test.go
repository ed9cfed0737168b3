package metalog_test

import (
	"bytes"
	"errors"
	"strings"
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
	const kind, index, commit, typed = 16 + 8, 16 + 9, 16 + 25, 16 + 25
	data, _ := metalog.File(1, 0)
	votes := bytes.Index(data[1:], []byte{0xf5, 'm', 'm', 'f'}) + 1
	entry := bytes.Index(data[votes+1:], []byte{0xf5, 'm', 'm', 'f'}) + votes + 1
	for _, c := range []struct {
		name      string
		frame, at int
		value     byte
		want      error
		says      string
	}{
		{"a kind that is not known", votes, kind, 9, wal.ErrVersion, "frame of kind 9, this binary knows 1..3"},
		{"a type of entries that is not known", entry, typed, 9, wal.ErrVersion, "entry 10 is of type 9, this binary knows 0..2"},
		{"votes that say they are an entry", votes, kind, 2, wal.ErrVersion, "entry 1 is of type 9, this binary knows 0..2"},
		{"votes that say they are a start", votes, kind, 3, wal.ErrVersion, "a start of a member in 33 bytes: the bytes end within a field"},
		{"an entry that says it is votes", entry, kind, 1, wal.ErrVersion, "votes of 27 bytes: the bytes end within a field"},
		{"an entry after a gap", entry, index, 12, metalog.ErrCorrupt, "entry 12 where 10..10 are expected"},
		{"an entry that the base includes", entry, index, 9, metalog.ErrCorrupt, "entry 9 where 10..10 are expected"},
		{"more committed than there is", votes, commit, 11, metalog.ErrCorrupt, "committed up to 11, but it has 9..10"},
		{"less committed than the base", votes, commit, 8, metalog.ErrCorrupt, "committed up to 8, but it has 9..10"},
	} {
		damaged := append([]byte(nil), data...)
		damaged[c.frame+c.at] = c.value
		metalog.Resum(damaged[c.frame:])
		if _, err := metalog.Decode("log", damaged); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %v: %s", c.name, err, c.want, c.says)
		}
	}
}

// A frame of a kind that is not known is not cut either where a torn tail may be.
func TestANewerFrameIsNotATornTail(t *testing.T) {
	data, whole := metalog.File(1, 1)
	data[whole+16+8] = 9
	metalog.Resum(data[whole:])
	if _, err := metalog.Decode("log", data); !errors.Is(err, wal.ErrVersion) {
		t.Errorf("error %v, want ErrVersion", err)
	}
}
