package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Disruption is one aimed fault. Fields that its kind does not use are zero.
type Disruption struct {
	Kind    Kind   `json:"kind"`
	Process uint32 `json:"process"`
	Peer    int64  `json:"peer"` // of links: the other end, -1 for all
	When    Anchor `json:"when"`
	For     int64  `json:"for_ns"`           // how long it lasts
	Amount  int64  `json:"amount,omitempty"` // by kind
	// Files aims a disk fault at the files (and, for syncs, the directories) with paths that end so
	// or, if Files ends with a slash, at that directory and all that is below it; empty is all.
	Files string `json:"files,omitempty"`
	// FromByte and ToByte aim rot at the bytes [FromByte, ToByte) of a file; a
	// ToByte of 0 is its end.
	FromByte int64 `json:"from_byte,omitempty"`
	ToByte   int64 `json:"to_byte,omitempty"`
}

// Kind is the kind of a disruption.
type Kind uint8

// The kinds of disruptions. A lasting one lasts for For and ends at the latest when the calm part
// begins.
const (
	Kill      Kind = iota + 1 // the process dies, its page cache stays; it restarts after For
	Power                     // the process, if it runs, dies and its page cache with it; it restarts after For
	Pause                     // the process does not run
	CutDrop                   // links to and from Peer lose everything
	CutHold                   // links to and from Peer keep everything until healed
	CutInto                   // only links into the process lose everything
	CutOutOf                  // only links out of the process lose everything
	HoldInto                  // only links into the process keep everything until healed
	HoldOutOf                 // only links out of the process keep everything until healed
	SlowDisk                  // operations on Files are Amount times slower
	Stall                     // no operation on Files completes
	DiskFull                  // the disk takes no more bytes
	SyncFail                  // syncs of Files fail, Amount of them at most, and drop the bytes that they should have made durable
	WriteFail                 // writes to Files fail, Amount of them at most, after a part was written
	// Rot damages a bit (Amount 0) or a sector (RottenSector and the values behind it) of the bytes
	// that may be damaged in Files.
	Rot
	Wipe      // the process dies, if it runs, and its disk is replaced by an empty one; it restarts after For
	WallStep  // the wall clock steps by Amount ns
	MonoStep  // the monotonic clock steps back by Amount ns, which real ones never do
	Drift     // the monotonic clock runs Amount ppm faster than the plan's clocks say
	ReadFail  // reads of Files fail, Amount of them at most
	EntryFail // Files cannot be created, opened, renamed, removed, cut or made a directory, Amount times at most
	// NoSpace leaves no space for the metadata of Files: syncs fail as by SyncFail, and nothing is
	// created, renamed or made a directory, Amount times at most.
	NoSpace
	Shut      // links to and from Peer take no new messages; those on their way arrive
	ShutInto  // only links into the process take nothing new
	ShutOutOf // only links out of the process take nothing new
	SlowLink  // links to and from Peer are Amount times slower
	// Suspend lets the machine sleep: its process does not run, its disk does nothing, and arriving
	// messages are lost. After it the clocks have jumped ahead.
	Suspend
	// Restore kills the process, if it runs, and replaces its disk by a copy of its content at the
	// last start of the process. The process restarts after For.
	Restore
)

// The amounts of Rot that damage a sector.
const (
	RottenSector     = iota + 1 // no byte is as it was
	StaleSector                 // it is as it was when less of it had been written
	MisdirectedWrite            // it holds bytes that were written for another sector of the disk
)

// KindCount is above the number of every kind.
const KindCount = int(Restore) + 1

// span is the meaning of Disruption.For for a kind.
type span uint8

const (
	instant span = iota // it has no span
	down                // for so long the process stays down; 0 is allowed
	lasts               // for so long it lasts; at least 1
)

// shape describes a kind: its name, and the fields that it uses.
type shape struct {
	name   string
	span   span
	peer   bool
	files  bool
	bytes  bool
	amount bool
}

var shapes = [...]shape{
	Kill:      {name: "kill", span: down},
	Power:     {name: "power", span: down},
	Pause:     {name: "pause", span: lasts},
	CutDrop:   {name: "cut-drop", span: lasts, peer: true},
	CutHold:   {name: "cut-hold", span: lasts, peer: true},
	CutInto:   {name: "cut-into", span: lasts, peer: true},
	CutOutOf:  {name: "cut-out-of", span: lasts, peer: true},
	HoldInto:  {name: "hold-into", span: lasts, peer: true},
	HoldOutOf: {name: "hold-out-of", span: lasts, peer: true},
	SlowDisk:  {name: "slow-disk", span: lasts, files: true, amount: true},
	Stall:     {name: "stall-disk", span: lasts, files: true},
	DiskFull:  {name: "disk-full", span: lasts},
	SyncFail:  {name: "sync-fail", span: lasts, files: true, amount: true},
	WriteFail: {name: "write-fail", span: lasts, files: true, amount: true},
	Rot:       {name: "rot", files: true, bytes: true, amount: true},
	Wipe:      {name: "wipe", span: down},
	WallStep:  {name: "wall-step", amount: true},
	MonoStep:  {name: "monotonic-step", amount: true},
	Drift:     {name: "drift", span: lasts, amount: true},
	ReadFail:  {name: "read-fail", span: lasts, files: true, amount: true},
	EntryFail: {name: "entry-fail", span: lasts, files: true, amount: true},
	NoSpace:   {name: "no-space", span: lasts, files: true, amount: true},
	Shut:      {name: "shut", span: lasts, peer: true},
	ShutInto:  {name: "shut-into", span: lasts, peer: true},
	ShutOutOf: {name: "shut-out-of", span: lasts, peer: true},
	Suspend:   {name: "suspend", span: lasts},
	SlowLink:  {name: "slow-link", span: lasts, peer: true, amount: true},
	Restore:   {name: "restore", span: down},
}

// Kinds lists every kind of disruption.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(shapes)-1)
	for k := Kill; int(k) < len(shapes); k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

func kindNames() (names []string) {
	for _, k := range Kinds() {
		names = append(names, k.String())
	}
	return names
}

func (k Kind) shape() shape {
	if int(k) < len(shapes) {
		return shapes[k]
	}
	return shape{}
}

// OfLinks reports whether k stops links, or slows them, and so uses Disruption.Peer.
func (k Kind) OfLinks() bool { return k.shape().peer }

// Shuts reports whether k is a cut that acts at the sender.
func (k Kind) Shuts() bool { return k == Shut || k == ShutInto || k == ShutOutOf }

// Holds reports whether k is a cut that keeps the messages that it stops.
func (k Kind) Holds() bool { return k == CutHold || k == HoldInto || k == HoldOutOf }

// String returns the name of k.
func (k Kind) String() string { return cmp.Or(k.shape().name, "unknown") }

// MarshalText makes a Kind its name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kindNames(), string(text))
	if i < 0 {
		return fmt.Errorf("unknown kind of disruption %q (want one of %q)", text, kindNames())
	}
	*k = Kind(i + 1)
	return nil
}

// Anchor says when a disruption begins: at a moment of the protocol if there is
// one, at a virtual time only as a fallback. Exactly one of Point, Unsynced and
// neither (time) applies.
type Anchor struct {
	// Point is the name of a fault point of the disruption's process, or of Of.
	Point string `json:"point,omitempty"`
	// Unsynced waits until the process's disk holds a write or an entry that a power failure could
	// lose.
	Unsynced bool `json:"unsynced,omitempty"`
	// Of is the process that the moment belongs to. One process is disrupted when another one has
	// reached a point, as a leader that dies while a follower fetches records.
	Of Whose `json:"of,omitempty"`
	// Nth is how many times the moment must come, counted from At and from the
	// Incarnation on; 0 means 1.
	Nth uint32 `json:"nth,omitempty"`
	// Incarnation is the start of the process from which on the moment counts; 0
	// means the first.
	Incarnation uint32 `json:"incarnation,omitempty"`
	// At is the virtual time at which the anchor is armed or, without a moment,
	// strikes.
	At int64 `json:"at_ns"`
	// After delays the disruption beyond the moment.
	After int64 `json:"after_ns,omitempty"`
	// By is the virtual time at which it strikes if the moment has not come; 0 is
	// never.
	By int64 `json:"by_ns,omitempty"`
}

// IsOpen reports whether the anchor waits for a moment that may never come.
func (a Anchor) IsOpen() bool { return (a.Point != "" || a.Unsynced) && a.By == 0 }

// Whose names a process, if it is another one than the disruption's. The zero value is the
// disruption's own; Other makes one.
type Whose uint32

// Other names a process.
func Other(process uint32) Whose { return Whose(process) + 1 }

// Or returns the process that w names, which is own if it names none.
func (w Whose) Or(own uint32) uint32 {
	if w == 0 {
		return own
	}
	return uint32(w - 1)
}

// MarshalJSON returns the number of the process; a zero value is left out by the tag.
func (w Whose) MarshalJSON() ([]byte, error) {
	return strconv.AppendUint(nil, uint64(w.Or(0)), 10), nil
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (w *Whose) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseUint(string(b), 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not the number of a process", b)
	}
	*w = Other(uint32(n))
	return nil
}

// Waits returns the process that has the moment that the disruption waits for, if it waits for one.
func (d *Disruption) Waits() uint32 { return d.When.Of.Or(d.Process) }

func (d *Disruption) validate(n int, points []string) error {
	if d.Kind == 0 || int(d.Kind) >= len(shapes) {
		return fmt.Errorf("kind is missing (want one of %q)", kindNames())
	}
	return cmp.Or(isProcess(d.Process, n), isProcess(d.Waits(), n), d.When.validate(points), d.validatePeer(n), d.validateSpan(), d.validateAmount(), d.validateAim())
}

func (d *Disruption) validatePeer(n int) error {
	switch {
	case !d.Kind.OfLinks():
		return nil // 0 and -1 are both to be found in plans
	case d.Peer < -1 || d.Peer >= int64(n):
		return fmt.Errorf("peer is %d, want -1..%d", d.Peer, n-1)
	case d.Peer == int64(d.Process):
		return fmt.Errorf("peer is %d, the process itself", d.Peer)
	}
	return nil
}

func (d *Disruption) validateSpan() error {
	switch s := d.Kind.shape().span; {
	case s == instant && d.For != 0:
		return fmt.Errorf("for_ns is %d, want 0: %s does not last", d.For, d.Kind)
	case s == lasts && d.For == 0:
		return fmt.Errorf("for_ns is 0, want at least 1: %s lasts", d.Kind)
	}
	return within("for_ns", d.For)
}

func (d *Disruption) validateAmount() error {
	switch {
	case d.Kind.shape().amount:
		return within("amount of "+d.Kind.String(), d.Amount)
	case d.Amount != 0:
		return fmt.Errorf("amount is %d, want 0: %s has none", d.Amount, d.Kind)
	}
	return nil
}

func (d *Disruption) validateAim() error {
	s := d.Kind.shape()
	switch {
	case d.Files != "" && !s.files:
		return fmt.Errorf("files is %q, want none: %s is not aimed at files", d.Files, d.Kind)
	case strings.ContainsFunc(d.Files, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return fmt.Errorf("files is %q, want printable text without spaces", d.Files)
	case (d.FromByte != 0 || d.ToByte != 0) && !s.bytes:
		return fmt.Errorf("from_byte is %d, to_byte %d, want 0: %s is not aimed at bytes", d.FromByte, d.ToByte, d.Kind)
	case d.ToByte != 0 && d.ToByte <= d.FromByte:
		return fmt.Errorf("to_byte is %d, want 0 or more than from_byte, %d", d.ToByte, d.FromByte)
	}
	return cmp.Or(within("files", int64(len(d.Files))), within("from_byte", d.FromByte), within("to_byte", d.ToByte))
}

func (a *Anchor) validate(points []string) error {
	switch {
	case a.Point != "" && !slices.Contains(points, a.Point):
		return fmt.Errorf("when.point is %q, which this binary does not have; the plan may be of another version", a.Point)
	case a.Point != "" && a.Unsynced:
		return errors.New("when has both point and unsynced; want one")
	}
	if a.Of != 0 && a.Point == "" && !a.Unsynced {
		return fmt.Errorf("when.of is %d, and there is no point of that process; want a point, or no process", a.Of.Or(0))
	}
	return cmp.Or(within("when.at_ns", a.At), within("when.after_ns", a.After), within("when.by_ns", a.By))
}
