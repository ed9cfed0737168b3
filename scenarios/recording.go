package scenarios

import (
	"encoding/json"
	"fmt"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// A recording has the events of a run, a line each, in the order in which they happened. Each line
// names its subject in fields as well as in words, and the line that it follows from, so that a
// reader, a filter and a picture need no other source.

// Told is one line of a run in words.
type Told struct {
	At    int64 // virtual time, ns
	About About
	Op    int // Called and Ended: index of the operation in the history; of a fault: of the disruption in the plan
	Event int // how many events of the trace came before
	Text  string

	Kind    Kind
	Mark    Mark      // Sent: how the network treated it
	Until   int64     // when it is over, ns: it arrived, was done, was answered, was healed; 0 if it is not known
	Of      int       // index of the line that it follows from, none if there is no such line
	Process int       // the process that has the line in its lane, none if no process has
	Peer    int       // the other end of a message or of a cut, none if there is none
	Tenant  tenant.ID // tenant.Reserved if it is about none
	Slot    int       // none if it is about none
	Shard   int       // none if it is about none
	Seq, To uint64    // the records that it is about; 0 if there are none
	Message uint64    // number of the message, from 1; 0 if it is about none
}

// none stands for a line, process, slot or shard that there is not.
const none = -1

// About is the kind of subject of a line.
type About uint8

// The subjects of lines.
const (
	Detail About = iota // a disk operation, a message, a fault point
	Fault               // a disruption begins or is over, the calm part begins
	Life                // a process starts or ends
	Called              // a client calls
	Ended               // a call ends
)

// Kind is the kind of a line, finer than About. Its name is part of the output of replay --trace
// --json.
type Kind uint8

// The lineKinds of lines.
const (
	Send      Kind = iota + 1 // a process sends a message
	Arrive                    // it reaches the other one
	Lose                      // it never will
	Hold                      // a cut keeps it
	Chance                    // a fault of chance: late, doubled, damaged, torn, dropped
	Submit                    // a process hands an operation to its disk
	Durable                   // an operation is durable now
	Fail                      // a disk operation failed
	Miss                      // a disk operation found no file, or one too many
	Point                     // a fault point is reached
	Start                     // a process starts
	Stop                      // it ends
	Call                      // a client calls, or an operator
	Ack                       // the call is answered: acknowledged
	Deny                      // refused, or given up
	Begin                     // a disruption begins
	Over                      // it is over
	Void                      // it comes to nothing
	Calm                      // the calm part begins
	Configure                 // a node receives a shard's new configuration
	Object                    // a checker objects
	lineKinds
)

var recordedNames = [lineKinds]string{
	"", "send", "arrive", "lose", "hold", "chance", "submit", "durable", "fail", "miss", "point", "start", "stop",
	"call", "ack", "deny", "fault-begins", "fault-over", "fault-void", "calm", "configure", "finding",
}

// String returns the name of k.
func (k Kind) String() string {
	if k < lineKinds {
		return recordedNames[k]
	}
	return fmt.Sprintf("kind-%d", uint8(k))
}

// RecordedKinds returns the names of the lineKinds of lines, indexed by Kind.
func RecordedKinds() []string { return recordedNames[:] }

// Mark is a set of the network's acts on a message.
type Mark uint8

// The marks.
const (
	Lost    Mark = 1 << iota // no copy arrived
	Late                     // chance delayed it
	Doubled                  // it arrives twice
	Damaged                  // it is not as it was sent
	Kept                     // a cut kept it for a while
)

var markNames = [...]string{"lost", "late", "doubled", "damaged", "held"}

func (m Mark) names() (list []string) {
	for i, name := range markNames {
		if m&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

// String returns the line as it is printed.
func (t Told) String() string { return fmt.Sprintf("%18s  %s", history.Instant(t.At), t.Text) }

// recorded is a line as JSON; part of the contract of replay --trace --json.
type recorded struct {
	Schema  int        `json:"schema"`
	Type    string     `json:"type"` // "event"
	Kind    string     `json:"kind"`
	At      int64      `json:"at_ns"`
	Until   int64      `json:"until_ns,omitempty"`
	Line    int        `json:"line"`
	Of      *int       `json:"of,omitempty"`
	Process *int       `json:"process,omitempty"`
	Peer    *int       `json:"peer,omitempty"`
	Tenant  *tenant.ID `json:"tenant,omitempty"`
	Slot    *int       `json:"slot,omitempty"`
	Shard   *int       `json:"shard,omitempty"`
	Seq     uint64     `json:"seq,omitempty"`
	To      uint64     `json:"to_seq,omitempty"`
	Message uint64     `json:"message,omitempty"`
	Call    *int       `json:"operation,omitempty"`
	Fault   *int       `json:"disruption,omitempty"`
	Marks   []string   `json:"marks,omitempty"`
	Text    string     `json:"text"`
}

// JSON renders line i of a story under a version of the schema.
func (t *Told) JSON(schema, i int) ([]byte, error) {
	there := func(n int) *int {
		if n == none {
			return nil
		}
		return &n
	}
	r := recorded{
		Schema: schema, Type: "event", Kind: t.Kind.String(), At: t.At, Until: t.Until, Line: i, Of: there(t.Of), Process: there(t.Process), Peer: there(t.Peer),
		Slot: there(t.Slot), Shard: there(t.Shard), Seq: t.Seq, To: t.To, Message: t.Message, Marks: t.Mark.names(), Text: t.Text,
	}
	if t.Tenant != tenant.Reserved {
		r.Tenant = &t.Tenant
	}
	switch t.About {
	case Called, Ended:
		r.Call = &t.Op
	case Fault:
		r.Fault = there(t.Op)
	}
	return json.Marshal(r)
}

// Leads is a configuration of a shard, from when it was seen first.
type Leads struct {
	At      int64 // true time, ns
	Shard   lineage.Shard
	Epoch   lineage.ShardEpoch
	Version uint64
	Leader  env.ID
	InSync  []env.ID
	Min     int
}
