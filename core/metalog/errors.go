package metalog

import (
	"errors"
	"fmt"
)

// The refusals of Propose and Read: they put nothing into the log.
var (
	// ErrNotServing: the member is still opening, or has stopped for good (Failure).
	ErrNotServing = errors.New("the meta log is not open here; try another member")
	// ErrNoLeader: this member knows no leader; try again later or at another member.
	ErrNoLeader = errors.New("the meta log has no leader that is known here; try again")
	// ErrBusy: Constants.MaxPending proposals and reads wait here already.
	ErrBusy = errors.New("too many proposals wait at this member; try again")
	// ErrTooLarge: a command is longer than Constants.MaxCommand.
	ErrTooLarge = errors.New("the command is larger than the meta log takes")
)

// The failures in an Outcome.
var (
	// ErrUnknown: the answer did not come in time. The command may be applied now, later or never.
	// Proposing it again under its number tells.
	ErrUnknown = errors.New("no answer of the meta log in time; propose it again under the same number")
	// ErrSuperseded: a higher number of the client was applied. The log does not remember whether
	// this one was applied before, and never applies it from now on.
	ErrSuperseded = errors.New("the client went on to a higher number; the result is not remembered")
	// ErrClients: the log remembers Constants.MaxClients other clients. The command was not applied
	// under this number.
	ErrClients = errors.New("the meta log remembers as many clients as it may; use one that it knows")
)

// ErrOutdated says that the member must not take part. Its directory is an older copy of one that
// went on without it, or another directory was admitted in its place. Votes and acknowledgements
// that the member gave since are not in this directory.
var ErrOutdated = errors.New("an outdated meta log; remove the data directory, so that the node joins with a new one")

// ErrCorrupt is matched by every CorruptError.
var ErrCorrupt = errors.New("corrupt meta log")

// CorruptError says that a member's file lacks or garbles bytes that are known to have been
// durable. The member stays stopped: the lost bytes may hold votes or acknowledgements that it
// gave. The operator must remove the data directory; the node then joins with another one under a
// new ID.
type CorruptError struct {
	File   string
	Offset int64  // end of the first good part, bytes
	Reason string // the damage, and the evidence that more bytes were durable
}

// Error says what happened, where, and how to repair it.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt meta log: %s at offset %d: %s; remove the data directory, so that another one joins under a new ID",
		e.File, e.Offset, e.Reason)
}

// Is makes a CorruptError match ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }
