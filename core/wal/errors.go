package wal

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by the errors of the decoders for bytes that nobody
// wrote like this: too short, another magic, a checksum that does not match,
// fields that contradict each other. Whether that is a torn write or corruption
// is for Recover to say.
var ErrMalformed = errors.New("malformed log data")

// ErrVersion is wrapped by the errors for data whose checksum matches but whose
// format this binary does not know. It is not damage: nothing may be cut, and
// nothing written, until a newer binary runs.
var ErrVersion = errors.New("unknown format version, needs a newer binary")

// ErrCorrupt is matched by every CorruptError.
var ErrCorrupt = errors.New("corrupt log")

// CorruptError says that the log lacks or garbles a record that is known to have
// been durable. The files must stay as they are: cutting would lose records that
// were acknowledged.
type CorruptError struct {
	Segment string // name of the segment file in the slot directory
	Offset  int64  // byte in it where the first good prefix ends
	Reason  string // what was found, what was expected, and what confirms it
}

// Error says what happened, where, and what to do.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt log: segment %s at offset %d: %s; keep the files, fetch this slot from a replica or restore a backup",
		e.Segment, e.Offset, e.Reason)
}

// Is makes a CorruptError match ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

func corrupt(s *Segment, offset int, format string, operands ...any) error {
	return &CorruptError{Segment: s.Name, Offset: int64(offset), Reason: fmt.Sprintf(format, operands...)}
}
