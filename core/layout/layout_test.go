package layout_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/layout"
)

// TestFields reads each kind of field once, from bytes that are part of every format.
func TestFields(t *testing.T) {
	b := []byte("\x01" + "\x02\x01" + "\x03\x00\x00\x01" + "\x04\x00\x00\x00\x00\x00\x00\x01" + "\x01" + "\x00" +
		"\x05\x00\x00\x00\x00\x00\x00\x00" + "ab" + "\x01\x00\x00\x00" + "\x02\x00\x00\x00\x00\x00\x00\x00" + "123456")
	r := layout.Of(b)
	for i, c := range []struct{ got, want uint64 }{
		{uint64(r.Uint8()), 1}, {uint64(r.Uint16()), 0x102}, {uint64(r.Uint32()), 0x1000003}, {r.Uint64(), 0x100000000000004},
		{uint64(layout.AppendBool(nil, r.Bool())[0]), 1}, {uint64(layout.AppendBool(nil, r.Bool())[0]), 0}, {r.Below(6), 5},
		{uint64(len(r.Bytes(2))), 2}, {uint64(r.Count(14)), 1}, {uint64(r.Count64(3)), 2}, {uint64(r.Fits(2, 3)), 2}, {uint64(r.Whole(2, 3)), 3},
	} {
		if c.got != c.want {
			t.Errorf("field %d is %d, want %d", i, c.got, c.want)
		}
	}
	if tail := r.Tail(6); string(tail) != "123456" || r.End() != nil {
		t.Errorf("the tail is %q, %v", tail, r.End())
	}
}

// Whatever is read in whatever order, nothing is read twice or skipped, and nothing behind the end.
func TestEveryByteIsReadOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "bytes")
		r, again := layout.Of(b), []byte(nil)
		for r.Err() == nil && r.Len() > 0 {
			le := binary.LittleEndian
			switch left := r.Len(); rapid.IntRange(0, 4).Draw(t, "field") {
			case 0:
				again = append(again, r.Uint8())
			case 1:
				again = le.AppendUint16(again, r.Uint16())
			case 2:
				again = le.AppendUint32(again, r.Uint32())
			case 3:
				again = le.AppendUint64(again, r.Uint64())
			default:
				again = append(again, r.Bytes(rapid.IntRange(0, left+1).Draw(t, "n"))...)
			}
		}
		if r.Err() == nil && !bytes.Equal(again, b) {
			t.Fatalf("%x reads as %x", b, again)
		}
		if r.Err() != nil && (!errors.Is(r.Err(), layout.ErrShort) || r.Len() != 0) {
			t.Fatalf("%d bytes are left, %v", r.Len(), r.Err())
		}
	})
}

func TestReadingDoesNotAllocate(t *testing.T) {
	b := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		r := layout.Of(b)
		for range r.Count(1) {
			r.Uint8()
		}
		for r.Len() > 0 {
			r.Uint32()
		}
		if r.End() != nil {
			t.Error(r.End())
		}
	}); n != 0 {
		t.Errorf("reading allocates %v times, want 0", n)
	}
}

// A Reader of bytes that end too early, or that hold a number out of its range, gives zeros from
// there on, and says so.
func TestTheFirstErrorStays(t *testing.T) {
	mine := errors.New("mine")
	for _, c := range []struct {
		name  string
		bytes string
		read  func(r *layout.Reader) any
		want  error
		says  string
	}{
		{"a byte", "", func(r *layout.Reader) any { return r.Uint8() }, layout.ErrShort, "the bytes end within a field"},
		{"2 bytes", "1", func(r *layout.Reader) any { return r.Uint16() }, layout.ErrShort, "the bytes end within a field"},
		{"4 bytes", "123", func(r *layout.Reader) any { return r.Uint32() }, layout.ErrShort, "the bytes end within a field"},
		{"8 bytes", "1234567", func(r *layout.Reader) any { return r.Uint64() }, layout.ErrShort, "the bytes end within a field"},
		{"a truth", "\x02", func(r *layout.Reader) any { return r.Bool() }, layout.ErrRange, "a number is out of its range"},
		{"a number at its limit", "\x05\x00\x00\x00\x00\x00\x00\x00", func(r *layout.Reader) any { return r.Below(5) }, layout.ErrRange, "a number is out of its range"},
		{"more bytes than there are", "12", func(r *layout.Reader) any { return len(r.Bytes(3)) }, layout.ErrShort, "the bytes end within a field"},
		{"fewer bytes than none", "12", func(r *layout.Reader) any { return len(r.Bytes(-1)) }, layout.ErrShort, "the bytes end within a field"},
		{"a long tail", "123", func(r *layout.Reader) any { return len(r.Tail(2)) }, layout.ErrRange, "a number is out of its range"},
		{"a list that does not fit", "\xff\xff\xff\xff12345", func(r *layout.Reader) any { return r.Count(3) }, layout.ErrShort,
			"4294967295 elements of at least 3 bytes in 5 bytes: the bytes end within a field"},
		{"a length that overflows", "\xff\xff\xff\xff\xff\xff\xff\xff12345", func(r *layout.Reader) any { return r.Count64(16) }, layout.ErrShort,
			"18446744073709551615 elements of at least 16 bytes in 5 bytes: the bytes end within a field"},
		{"a part of an element", "12345", func(r *layout.Reader) any { return r.Whole(2, 9) }, layout.ErrShort,
			"5 bytes hold no whole number of elements of 2 bytes: the bytes end within a field"},
		{"too many elements", "123456", func(r *layout.Reader) any { return r.Whole(2, 2) }, layout.ErrRange, "3 elements, want at most 2: a number is out of its range"},
		{"bytes left over", "12", func(r *layout.Reader) any { return r.Uint8() - '1' }, layout.ErrOver, "1 bytes follow the last field"},
		{"the caller's", "12", func(r *layout.Reader) any { r.Fail(mine); return r.Len() }, mine, "mine"},
	} {
		r := layout.Of([]byte(c.bytes))
		switch v := c.read(&r).(type) {
		case bool:
			if v {
				t.Errorf("%s: true", c.name)
			}
		default:
			if v != zeroLike(v) {
				t.Errorf("%s: %v, want zero", c.name, v)
			}
		}
		if err := r.End(); !errors.Is(err, c.want) || err.Error() != c.says {
			t.Errorf("%s: %v, want %s", c.name, err, c.says)
		}
		if c.want == layout.ErrOver {
			continue
		}
		r.Fail(errors.New("another"))
		if v := r.Uint64(); v != 0 || r.Len() != 0 || !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: later %d, %d bytes, %v", c.name, v, r.Len(), r.Err())
		}
	}
}

func zeroLike(v any) any {
	switch v.(type) {
	case uint8:
		return uint8(0)
	case uint16:
		return uint16(0)
	case uint32:
		return uint32(0)
	case uint64:
		return uint64(0)
	}
	return 0
}
