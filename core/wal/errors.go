package wal

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by the errors of the decoders for damaged bytes: too short, a wrong
// magic, a checksum that does not match, or fields that contradict each other. Recover decides
// whether that is a torn write or corruption.
var ErrMalformed = errors.New("malformed log data")

// ErrVersion is wrapped by the errors for data with a valid checksum in a format that this binary
// does not know. It is not damage: nothing may be cut or written until a newer binary runs.
var ErrVersion = errors.New("unknown format version, needs a newer binary")

// ErrCorrupt is matched by every CorruptError.
var ErrCorrupt = errors.New("corrupt log")

// CorruptError says that the log lacks or garbles a record that is known to have been durable. The
// files must stay as they are: a cut would lose acknowledged records.
type CorruptError struct {
	Segment string // name of the segment file in the slot directory
	Offset  int64  // end of the first good part, bytes
	Reason  string // the damage, the expected data, and the evidence that it was durable
}

// Error says what happened, where, and how to repair it.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt log: segment %s at offset %d: %s; keep the files, fetch this slot from a replica or restore a backup",
		e.Segment, e.Offset, e.Reason)
}

// Is makes a CorruptError match ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

func corrupt(s *Segment, offset int, format string, operands ...any) error {
	return &CorruptError{Segment: s.Name, Offset: int64(offset), Reason: fmt.Sprintf(format, operands...)}
}
