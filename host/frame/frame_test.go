package frame

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestFramesComeBackHoweverTheStreamIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payloads := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 6000), 0, 8).Draw(t, "payloads")
		var stream []byte
		for _, p := range payloads {
			stream = Append(stream, p)
		}
		source := io.Reader(bytes.NewReader(stream))
		if rapid.Bool().Draw(t, "byte by byte") {
			source = iotest.OneByteReader(source)
		}
		r := NewReader(source)
		for i, want := range payloads {
			got, err := r.Next()
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("frame %d is %x, %v, want %x", i, got, err, want)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("after the last frame: %v", err)
		}
	})
}

func TestWhatIsNoFrame(t *testing.T) {
	whole := Append(nil, []byte("payload"))
	flipped := func(i int) []byte {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		return damaged
	}
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, io.EOF},
		{"half a header", whole[:5], io.ErrUnexpectedEOF},
		{"half a payload", whole[:len(whole)-1], io.ErrUnexpectedEOF},
		{"another length", flipped(0), ErrChecksum},
		{"another checksum", flipped(4), ErrChecksum},
		{"another payload", flipped(len(whole) - 1), ErrChecksum},
		{"zeros", make([]byte, 64), ErrChecksum},
		{"a length beyond all", []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, ErrLength},
	} {
		if _, err := NewReader(bytes.NewReader(c.data)).Next(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestALengthThatLiesCostsNothing(t *testing.T) {
	r := NewReader(bytes.NewReader([]byte{0, 0, 0x3f, 0, 1, 2, 3, 4, 5}))
	if _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if len(r.buffer) > minBuffer {
		t.Errorf("nine bytes took a buffer of %d", len(r.buffer))
	}
}

func TestHello(t *testing.T) {
	want := Hello{From: 3, To: 1 << 31, Incarnation: 1 << 40, Connection: 7}
	payload := AppendHello(nil, want)
	if got, err := DecodeHello(payload); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	newer := bytes.Clone(payload)
	newer[8]++
	for _, c := range []struct {
		name    string
		payload []byte
		want    error
	}{
		{"empty", nil, ErrHello},
		{"a request of another protocol", []byte("GET / HTTP/1.1\r\n\r\n"), ErrHello},
		{"newer", newer, ErrVersion},
		{"newer and longer", append(bytes.Clone(newer), 1), ErrVersion},
		{"longer", append(bytes.Clone(payload), 0), ErrHello},
		{"shorter", payload[:len(payload)-1], ErrHello},
	} {
		if _, err := DecodeHello(c.payload); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for _, c := range []struct {
		a, b Hello
		want bool
	}{
		{Hello{Incarnation: 1, Connection: 9}, Hello{Incarnation: 2, Connection: 1}, true},
		{Hello{Incarnation: 2, Connection: 1}, Hello{Incarnation: 1, Connection: 9}, false},
		{Hello{Incarnation: 2, Connection: 1}, Hello{Incarnation: 2, Connection: 2}, true},
		{Hello{Incarnation: 2, Connection: 2}, Hello{Incarnation: 2, Connection: 2}, false},
	} {
		if got := c.a.Before(c.b); got != c.want {
			t.Errorf("%+v before %+v: %t", c.a, c.b, got)
		}
	}
}
