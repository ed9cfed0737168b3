package wal

// Envelope is this package's envelope for other packages that write files or messages: magic,
// version, length and checksum around a body. The zero value is useless; use NewEnvelope.
type Envelope struct{ format format }

// NewEnvelope describes the envelopes that begin with magic and hold low..high bytes
// of body. name stands in errors. The first byte of a magic is 0xf5 by convention.
func NewEnvelope(name string, magic uint32, low, high int) Envelope {
	return Envelope{format{name: name, magic: magic, min: low, max: high}}
}

// EnvelopeSize is the size of an envelope without its body, bytes.
const EnvelopeSize = envelopeSize

// Begin appends an envelope without a body to dst. The body is appended next, and
// then Finish completes it.
func (e *Envelope) Begin(dst []byte) []byte { return e.format.begin(dst) }

// Finish completes the envelope that is exactly b.
func (e *Envelope) Finish(b []byte) { e.format.finish(b) }

// Open returns the body of the envelope that b begins with; it aliases b, and more
// may follow. Errors wrap ErrMalformed or ErrVersion.
func (e *Envelope) Open(b []byte) ([]byte, error) { return e.format.open(b) }
