package peer

import (
	"encoding/binary"
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
)

// Decode returns the message that is exactly b. It accepts only the output of Encode; the
// receiver judges the contents of byte fields. Errors wrap ErrMalformed or ErrVersion.
func (in *Inbox) Decode(b []byte) (Message, error) {
	switch {
	case len(b) < headerSize:
		return nil, fmt.Errorf("%w: %d bytes, want at least %d", ErrMalformed, len(b), headerSize)
	case b[0] != magic:
		return nil, fmt.Errorf("%w: starts with %#x, want %#x; not a message of this protocol", ErrMalformed, b[0], magic)
	case b[1] != version:
		return nil, fmt.Errorf("%w: version %d, this binary reads %d", ErrVersion, b[1], version)
	}
	kind := Kind(b[2])
	if kind == 0 || kind >= kinds || b[3] != 0 {
		return nil, fmt.Errorf("%w: kind %d, reserved byte %d", ErrMalformed, b[2], b[3])
	}
	if got, want := checksum(b), binary.LittleEndian.Uint32(b[4:]); got != want {
		return nil, fmt.Errorf("%w: checksum of a message %s is %#x, want %#x", ErrMalformed, kind, got, want)
	}
	return in.fill(b, kind)
}

// View is Decode of undamaged bytes: it does not look at the checksum.
func (in *Inbox) View(b []byte) (Message, error) {
	kind := KindOf(b)
	if kind == 0 {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	return in.fill(b, kind)
}

// fill takes the fields of a message of a kind from b.
func (in *Inbox) fill(b []byte, kind Kind) (Message, error) {
	m, r := in.room(kind), &in.r
	*r = reader{layout.Of(b[headerSize:])}
	m.decode(env.Incarnation(binary.LittleEndian.Uint64(b[8:])), r)
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("%w: a message %s of %d bytes: %w", ErrMalformed, kind, len(b), err)
	}
	return m, nil
}
