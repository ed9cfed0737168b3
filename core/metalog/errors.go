package metalog

import (
	"errors"
	"fmt"
)

// The refusals of Propose and Read: nothing was put into the log.
var (
	// ErrNotServing: the member is still opening, or has stopped for good (Failure).
	ErrNotServing = errors.New("the meta log is not open here; try another member")
	// ErrNoLeader: no leader is known here; try again later or elsewhere.
	ErrNoLeader = errors.New("the meta log has no leader that is known here; try again")
	// ErrBusy: Constants.MaxPending proposals and reads wait here already.
	ErrBusy = errors.New("too many proposals wait at this member; try again")
	// ErrTooLarge: a command is longer than Constants.MaxCommand.
	ErrTooLarge = errors.New("the command is larger than the meta log takes")
)

// The failures in an Outcome.
var (
	// ErrUnknown: the answer did not come in time. The command may be applied, now or
	// later, or never; proposing it again under its number tells.
	ErrUnknown = errors.New("no answer of the meta log in time; propose it again under the same number")
	// ErrSuperseded: the client has had a higher number applied. Whether this one was
	// is not remembered, and it never will be from now on.
	ErrSuperseded = errors.New("the client went on to a higher number; the result is not remembered")
	// ErrClients: Constants.MaxClients clients are remembered, and this is none of
	// them. The command was not applied under this number.
	ErrClients = errors.New("the meta log remembers as many clients as it may; use one that it knows")
)

// ErrOutdated says that the member must not take part: its directory is an older copy of
// one that has gone on without it, or another directory was admitted in its place. What it
// promised since then is not here.
var ErrOutdated = errors.New("an outdated meta log; remove the data directory, so that the node joins with a new one")

// ErrCorrupt is matched by every CorruptError.
var ErrCorrupt = errors.New("corrupt meta log")

// CorruptError says that the file of a member lacks or garbles what is known to have
// been durable. The member stays stopped: what it promised to others may be in what
// is lost. The data directory must be removed; then another one joins under a new ID.
type CorruptError struct {
	File   string
	Offset int64  // byte where the first good part ends
	Reason string // what was found, and what confirms that more was there
}

// Error says what happened, where, and what to do.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt meta log: %s at offset %d: %s; remove the data directory, so that another one joins under a new ID",
		e.File, e.Offset, e.Reason)
}

// Is makes a CorruptError match ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }
