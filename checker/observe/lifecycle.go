package observe

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// CommandKind is the kind of an operator's command.
type CommandKind uint8

// The kinds of commands.
const (
	Create    CommandKind = iota + 1 // a tenant that was never there
	Configure                        // other limits for a tenant
	Drop                             // the end of a tenant
	Drain                            // that a node has no duties
	Undrain                          // that it may have some again
)

// String returns the name of k.
func (k CommandKind) String() string {
	switch k {
	case Create:
		return "create"
	case Configure:
		return "configure"
	case Drop:
		return "drop"
	case Drain:
		return "drain"
	case Undrain:
		return "undrain"
	}
	return fmt.Sprintf("command-%d", uint8(k))
}

// Command is an operator's command and its answer. A command has one effect at most, however often
// it is sent.
type Command struct {
	Kind    CommandKind
	Node    uint32        // Drain, Undrain
	Tenant  tenant.ID     // of the others
	Version uint64        // Create, Configure: of the limits
	Limits  tenant.Limits // likewise
	Base    uint64        // Configure, Drop: the version that had to be in force; of a Drop, 0 is any
	AskedAt int64         // true time, ns
	// Outcome is as in histories: Refused has no effect, Open and Unknown may have.
	Outcome history.Outcome
	EndedAt int64 // true time, ns; unless Open
}

// Leftover is a file or directory of a tenant that was dropped.
type Leftover struct {
	Tenant tenant.ID
	Path   string // and the disk that it is on
}

// lifecycle holds the creations and drops of tenants in a run.
type lifecycle struct {
	Commands  []Command
	Founded   []tenant.ID // tenants that were there from the beginning
	Leftovers []Leftover  // found at the end
	dropped   []tenant.ID
}

func (l *lifecycle) reset() {
	l.Commands, l.Founded, l.Leftovers, l.dropped = l.Commands[:0], l.Founded[:0], l.Leftovers[:0], l.dropped[:0]
}

// Asked notes that an operator sends a command. It returns its place in Commands.
func (l *lifecycle) Asked(c Command) int {
	l.Commands = append(l.Commands, c)
	return len(l.Commands) - 1
}

// Ended notes the final answer to an operator's command.
func (l *lifecycle) Ended(i int, outcome history.Outcome, at int64) {
	l.Commands[i].Outcome, l.Commands[i].EndedAt = outcome, at
}

// Tombstone notes that a tombstone of a tenant was found on a disk.
func (l *lifecycle) Tombstone(t tenant.ID) { l.dropped = append(l.dropped, t) }

// Dropped reports whether a tenant was dropped: an operator wanted it, and there is a tombstone.
// Its slots need not be served at the end. Earlier answers about them are judged as ever.
func (l *lifecycle) Dropped(t tenant.ID) bool {
	return slices.Contains(l.dropped, t) && l.MayBeDropped(t)
}

// MayBeDropped reports whether an operator asked for the end of a tenant and was
// not refused.
func (l *lifecycle) MayBeDropped(t tenant.ID) bool {
	return slices.ContainsFunc(l.Commands, func(c Command) bool {
		return c.Kind == Drop && c.Tenant == t && c.Outcome != history.Refused
	})
}
