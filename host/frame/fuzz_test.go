package frame

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzReader: whatever a stream says, nothing panics, the buffer stays within twice the received
// bytes, accepted frames are encoded to the same bytes, and the cuts of the stream into reads make
// no difference.
func FuzzReader(f *testing.F) {
	hello := Append(nil, AppendHello(nil, Hello{From: 3, Incarnation: 2, Connection: 1}))
	two := Append(bytes.Clone(hello), []byte("message"))
	flipped := bytes.Clone(two)
	flipped[len(flipped)-1] ^= 0x80
	for _, seed := range [][]byte{
		nil, hello, two, Append(nil, nil), flipped, two[:len(two)-3], two[:5], make([]byte, 16),
		{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, {0, 0, 0x40, 0, 0, 0, 0, 0}, Append(nil, make([]byte, 3*minBuffer)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, slow := NewReader(bytes.NewReader(data)), NewReader(iotest.OneByteReader(bytes.NewReader(data)))
		var again []byte
		for {
			payload, err := whole.Next()
			other, otherErr := slow.Next()
			if !errors.Is(otherErr, err) || !bytes.Equal(payload, other) {
				t.Fatalf("at once %x, %v; byte by byte %x, %v", payload, err, other, otherErr)
			}
			if err != nil {
				checkEnd(t, data, again, err)
				break
			}
			again = Append(again, payload)
			if hello, err := DecodeHello(payload); err == nil && !bytes.Equal(AppendHello(nil, hello), payload) {
				t.Fatalf("hello %x is encoded to other bytes", payload)
			}
		}
		for _, r := range []*Reader{whole, slow} {
			if len(r.buffer) > max(minBuffer, 2*len(data)) {
				t.Fatalf("%d bytes took a buffer of %d", len(data), len(r.buffer))
			}
		}
	})
}

// checkEnd: the accepted bytes are a beginning of data, and all of it if the stream ended well.
func checkEnd(t *testing.T, data, accepted []byte, err error) {
	if !bytes.HasPrefix(data, accepted) {
		t.Fatalf("accepted %x, of %x", accepted, data)
	}
	if err == io.EOF && len(accepted) != len(data) {
		t.Fatalf("the stream ended well with %d of %d bytes accepted", len(accepted), len(data))
	}
}
