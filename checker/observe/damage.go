package observe

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Harm is a set of bits: the injuries by the world to a node's disk that may hurt a slot's log
// there. 0 is none: a power failure that takes unsynced bytes is no harm.
type Harm uint8

// The harms.
const (
	Rotted      Harm = 1 << iota // durable bytes of the log changed
	SyncFailed                   // a sync of a file or a directory of the log failed, or of a directory above
	WriteFailed                  // a write to a file of the log failed
	Wiped                        // the disk was replaced by an empty one
	Injected                     // a term of the plan made an operation fail
	Replaced                     // a process ended while another replica's files took the place of the log
)

// Outcome is the outcome of opening a log.
type Outcome uint8

// The outcomes of opening a log.
const (
	FoundEnd     Outcome = iota + 1 // the log was found to end at a record
	BeganEmpty                      // there was no log: an empty one was begun
	FoundCorrupt                    // the node found the log corrupt
	NotOpened                       // the node could not open the log for another reason
)

// Opening is one opening of a log by a node: the files before it, and its result.
type Opening struct {
	Process
	Tenant  tenant.ID
	Slot    lineage.Slot
	At      int64 // true time, ns
	Outcome Outcome
	End     lineage.Seq // the last record, as the node found it
	// Held is the last record that the bytes of the files hold, read record by record from
	// the newest snapshot on.
	Held    lineage.Seq
	Durable lineage.Seq // the last record that was known to be on the platter before
	Kept    lineage.Seq // the last record that the files hold after the repair of a torn tail
	// Other is a record that was known to be on the platter, and that another record replaces in
	// the files; 0 if there is none.
	Other    lineage.Seq
	Manifest bool // the directory had one
	Harm     Harm
	Text     string // why it could not be opened
}

// Deed is an act that endangers a log whatever happens next.
type Deed uint8

// The deeds.
const (
	ClaimedEarly     Deed = iota + 1 // bytes were written that say of a record that it is durable, and it was not
	RemovedUncovered                 // a file with durable records was removed, and no durable snapshot has them
	CutLeft                          // a cut was over, and the files hold whole records behind it
	CutUnordered                     // a cut removed a segment while a later one would have outlived a power failure
	ExcludedUnhurt                   // a replica was to be excluded from a slot, and its disk had not been harmed
)

// Hazard is such a deed.
type Hazard struct {
	Process
	Deed   Deed
	Tenant tenant.ID
	Slot   lineage.Slot
	Seq    lineage.Seq // claimed, or the last that the file holds
	Last   lineage.Seq // durable, or covered
	At     int64       // true time, ns
	Path   string
}

// LogDamage holds the openings of logs by nodes, and the injuries by nodes and by the world. The
// zero value is empty and ready.
type LogDamage struct {
	List    []Opening
	Hazards []Hazard // at most maxNoted
	More    int      // beyond those
	Claims  int      // claims and removals that were looked at
}

func (d *LogDamage) reset() { *d = LogDamage{List: d.List[:0], Hazards: d.Hazards[:0]} }

// Opened notes how a node opened a log.
func (d *LogDamage) Opened(o Opening) { d.List = append(d.List, o) }

// Hazard notes a deed.
func (d *LogDamage) Hazard(h Hazard) {
	if len(d.Hazards) == maxNoted {
		d.More++
		return
	}
	d.Hazards = append(d.Hazards, h)
}
