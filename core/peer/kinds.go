package peer

import "fmt"

// Kind is the kind of a message between nodes. The numbers are part of the format.
type Kind uint8

// The kinds of messages between nodes, each of which has a type of its own.
const (
	KindAppend Kind = iota + 1
	KindAppended
	KindPull
	KindChunk
	KindConfirm
	KindConfirmed
	KindSurvey
	KindSurveyed
	KindOutdated
	KindAskIndex
	KindIndex
	KindHeartbeat
	KindConfigs
	KindPropose
	KindProposed
	KindPoll
	KindReport
	KindVerify
	KindVerified
	KindRegister
	KindRegistered
	kinds
)

var kindNames = [kinds]string{"", "append", "appended", "pull", "chunk", "confirm", "confirmed", "survey", "surveyed", "outdated",
	"ask-index", "index", "heartbeat", "configs", "propose", "proposed", "poll", "report", "verify", "verified", "register", "registered"}

// String returns the name of k.
func (k Kind) String() string {
	if k > 0 && k < kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("message-%d", uint8(k))
}

// KindNames returns the names of the kinds, indexed by Kind.
func KindNames() []string { return kindNames[:] }

// Inbox is where a node decodes the messages that it gets, without allocating: it has room
// for one message of each kind. A message that it has returned is valid until the next one
// is decoded, and as long as its bytes are. The zero value is ready.
type Inbox struct {
	append     Append
	appended   Appended
	pull       Pull
	chunk      Chunk
	confirm    Confirm
	confirmed  Confirmed
	survey     Survey
	surveyed   Surveyed
	outdated   Outdated
	askIndex   AskIndex
	index      Index
	heartbeat  Heartbeat
	configs    Configs
	propose    Propose
	proposed   Proposed
	poll       Poll
	report     Report
	verify     Verify
	verified   Verified
	register   Register
	registered Registered

	r reader
}

// room returns the room for a message of a kind.
func (in *Inbox) room(k Kind) Message {
	switch k {
	case KindAppend:
		return &in.append
	case KindAppended:
		return &in.appended
	case KindPull:
		return &in.pull
	case KindChunk:
		return &in.chunk
	case KindConfirm:
		return &in.confirm
	case KindConfirmed:
		return &in.confirmed
	case KindSurvey:
		return &in.survey
	case KindSurveyed:
		return &in.surveyed
	case KindOutdated:
		return &in.outdated
	case KindAskIndex:
		return &in.askIndex
	case KindIndex:
		return &in.index
	case KindHeartbeat:
		return &in.heartbeat
	case KindConfigs:
		return &in.configs
	case KindPropose:
		return &in.propose
	case KindProposed:
		return &in.proposed
	case KindPoll:
		return &in.poll
	case KindReport:
		return &in.report
	case KindVerify:
		return &in.verify
	case KindVerified:
		return &in.verified
	case KindRegister:
		return &in.register
	case KindRegistered:
		return &in.registered
	}
	return nil
}
