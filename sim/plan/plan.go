// Package plan describes a run as data: the world's properties, the disruptions
// that are aimed at it, and the deviations that chance adds. A plan can be
// printed, stored, replayed without its seed, and made smaller: removing any
// entry leaves a valid plan.
package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
)

// Seed determines every variety of a run and, unless a plan lists them, its
// deviations. Its text is hexadecimal with 0x; decimal is understood.
type Seed uint64

// String returns the form that is printed and stored.
func (s Seed) String() string { return fmt.Sprintf("0x%x", uint64(s)) }

// MarshalText makes a Seed a string in JSON, which cannot hold every uint64.
func (s Seed) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Seed) UnmarshalText(text []byte) error {
	parsed, err := ParseSeed(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

// ErrSeed is wrapped by the errors of ParseSeed.
var ErrSeed = errors.New("not a seed (want decimal, 0x and hexadecimal, or a git hash)")

// ParseSeed reads decimal, hexadecimal with 0x, or a git hash, of which the first
// 16 digits count.
func ParseSeed(text string) (Seed, error) {
	if n, err := strconv.ParseUint(text, 0, 64); err == nil && !octal(text) {
		return Seed(n), nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return Seed(n), nil
	}
	if isHash(text) {
		if n, err := strconv.ParseUint(text[:min(16, len(text))], 16, 64); err == nil {
			return Seed(n), nil
		}
	}
	return 0, fmt.Errorf("seed %q: %w", text, ErrSeed)
}

func octal(text string) bool {
	return len(text) > 1 && text[0] == '0' && text[1] != 'x' && text[1] != 'X'
}

// isHash reports whether text looks like a git hash, abbreviated or whole. Digits
// alone are a decimal number that is too large, unless they have a hash's length.
func isHash(text string) bool {
	letters := strings.ContainsAny(text, "abcdef")
	whole := len(text) == 40 || len(text) == 64
	return strings.Trim(text, "0123456789abcdef") == "" && (whole || letters && len(text) >= 7 && len(text) < 64)
}

// Plan is one run of a world.
type Plan struct {
	Seed Seed `json:"seed"`
	// Duration bounds the disruptive part, Calm the calm part after it; virtual
	// nanoseconds. What has not finished when Calm is over has stalled.
	Duration int64 `json:"duration_ns"`
	Calm     int64 `json:"calm_ns"`

	Network network.Profile `json:"network"`
	Disk    disk.Profile    `json:"disk"`
	Clocks  []Clock         `json:"clocks,omitempty"`

	// Rates are the probabilities of deviations, used while Deviations is nil.
	Rates Rates `json:"rates,omitempty"`
	// Deviations, if not nil, are all that happens.
	Deviations  []Deviation  `json:"deviations"`
	Disruptions []Disruption `json:"disruptions"`
	// Terms are fault points under failpoint's own terms, without chance.
	Terms []Term `json:"terms,omitempty"`
}

// Clock sets the clock of one process. What is not set runs true.
type Clock struct {
	Process  uint32 `json:"process"`
	DriftPPM int64  `json:"drift_ppm"`
	Wall     int64  `json:"wall_ns"` // wall clock minus true time
}

// Term puts one fault point of one process under a failpoint term such as
// "5*off->1*return(crash)".
type Term struct {
	Process uint32 `json:"process"`
	Point   string `json:"point"`
	Term    string `json:"term"`
}

// Disruption is one aimed fault.
type Disruption struct {
	Kind    Kind   `json:"kind"`
	Process uint32 `json:"process"`
	Peer    int64  `json:"peer"` // cuts: the other end, -1 for all
	When    Anchor `json:"when"`
	For     int64  `json:"for_ns"`           // how long it lasts
	Amount  int64  `json:"amount,omitempty"` // by kind
}

// String tells the disruption in words; it is what reports print.
func (d Disruption) String() string {
	s := fmt.Sprintf("%s process %d %s", d.Kind, d.Process, d.When)
	if d.Kind.isCut() && d.Peer >= 0 {
		s += fmt.Sprintf(", link to %d", d.Peer)
	}
	if d.For > 0 {
		s += fmt.Sprintf(", for %d us", d.For/1000)
	}
	if d.Amount != 0 {
		s += fmt.Sprintf(", amount %d", d.Amount)
	}
	return s
}

// Kind is the kind of a disruption.
type Kind uint8

// The kinds of disruptions.
const (
	Kill     Kind = iota + 1 // the process dies, its page cache stays; it restarts after For
	Power                    // the process dies and its page cache with it; it restarts after For
	Pause                    // the process does not run for For
	CutDrop                  // links to and from Peer lose everything for For
	CutHold                  // links to and from Peer keep everything for For
	CutInto                  // only links into the process lose everything for For
	SlowDisk                 // the disk is Amount times slower for For
	Stall                    // the disk starts nothing for For
	WallStep                 // the wall clock steps by Amount ns
	MonoStep                 // the monotonic clock steps back by Amount ns, which real ones never do
)

var kindNames = [...]string{"", "kill", "power", "pause", "cut-drop", "cut-hold", "cut-into", "slow-disk", "stall-disk", "wall-step", "monotonic-step"}

// Kinds lists every kind of disruption.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(kindNames)-1)
	for k := Kill; int(k) < len(kindNames); k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

func (k Kind) isCut() bool { return k == CutDrop || k == CutHold || k == CutInto }

// String returns the name of k.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText makes a Kind its name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kindNames[:], string(text))
	if i < 1 {
		return fmt.Errorf("unknown kind of disruption %q (want one of %q)", text, kindNames[1:])
	}
	*k = Kind(i)
	return nil
}

// Anchor says when a disruption begins: at a moment of the protocol if there is
// one, at a virtual time only as a fallback. Exactly one of Point, Unsynced and
// neither (time) applies.
type Anchor struct {
	// Point is the name of a fault point of the disruption's process.
	Point string `json:"point,omitempty"`
	// Unsynced waits until the process's disk holds something that a power
	// failure could lose.
	Unsynced bool `json:"unsynced,omitempty"`
	// Nth is how many times the moment must come, counted from At; 0 means 1.
	Nth uint32 `json:"nth,omitempty"`
	// At is the virtual time at which the anchor is armed or, without a moment,
	// strikes.
	At int64 `json:"at_ns"`
	// After delays the disruption beyond the moment.
	After int64 `json:"after_ns,omitempty"`
}

// String tells the anchor in words.
func (a Anchor) String() string {
	s := ""
	switch {
	case a.Point != "":
		s = fmt.Sprintf("when it reaches %s for the %d. time after %d us", a.Point, max(a.Nth, 1), a.At/1000)
	case a.Unsynced:
		s = fmt.Sprintf("when it has unsynced data for the %d. time after %d us", max(a.Nth, 1), a.At/1000)
	default:
		s = fmt.Sprintf("at %d us", a.At/1000)
	}
	if a.After > 0 {
		s += fmt.Sprintf(" +%d us", a.After/1000)
	}
	return s
}

// Rates is chance.Rates with names in JSON.
type Rates chance.Rates

// Deviation is chance.Deviation with names in JSON.
type Deviation chance.Deviation

type deviationJSON struct {
	Site    string `json:"site"`
	Scope   uint64 `json:"scope"`
	Kind    uint16 `json:"kind"`
	A       Seed   `json:"a"`
	B       Seed   `json:"b"`
	Attempt uint32 `json:"attempt"`
	Value   Seed   `json:"value"`
}

// ErrInvalid is wrapped by the errors of Validate.
var ErrInvalid = errors.New("invalid plan")

// Bounds of a plan, so that a damaged or hostile file cannot run for ever.
const (
	MaxDuration = 3600 * int64(env.Second)
	MaxEntries  = 1 << 20
	MaxDrift    = 100_000 // ppm
)

// Validate reports the first field that is out of its range, for a world of n
// processes with the given fault points.
func (p *Plan) Validate(n int, points []string) error {
	switch {
	case p.Duration < 0 || p.Duration > MaxDuration:
		return fmt.Errorf("%w: duration_ns is %d, want 0..%d", ErrInvalid, p.Duration, MaxDuration)
	case p.Calm <= 0 || p.Calm > MaxDuration:
		return fmt.Errorf("%w: calm_ns is %d, want 1..%d", ErrInvalid, p.Calm, MaxDuration)
	case len(p.Disruptions) > MaxEntries || len(p.Deviations) > MaxEntries:
		return fmt.Errorf("%w: more than %d entries", ErrInvalid, MaxEntries)
	}
	if err := p.validateProfiles(); err != nil {
		return err
	}
	for i, c := range p.Clocks {
		if int(c.Process) >= n || c.DriftPPM < -MaxDrift || c.DriftPPM > MaxDrift {
			return fmt.Errorf("%w: clocks[%d]: process %d of %d, drift_ppm %d, want at most %d", ErrInvalid, i, c.Process, n, c.DriftPPM, MaxDrift)
		}
	}
	for i := range p.Disruptions {
		if err := p.Disruptions[i].validate(n, points); err != nil {
			return fmt.Errorf("%w: disruptions[%d]: %w", ErrInvalid, i, err)
		}
	}
	for i, t := range p.Terms {
		if int(t.Process) >= n || !slices.Contains(points, t.Point) {
			return fmt.Errorf("%w: terms[%d]: process %d of %d, point %q", ErrInvalid, i, t.Process, n, t.Point)
		}
	}
	return nil
}

func (p *Plan) validateProfiles() error {
	d, w := &p.Disk, &p.Network
	for _, f := range []struct {
		name      string
		v, lo, hi int64
	}{
		{"disk.write_ns", d.Write, 0, MaxDuration}, {"disk.read_ns", d.Read, 0, MaxDuration},
		{"disk.sync_ns", d.Sync, 0, MaxDuration}, {"disk.meta_ns", d.Meta, 0, MaxDuration},
		{"disk.per_kib_ns", d.PerKiB, 0, 1e9}, {"disk.jitter_permille", d.Jitter, 0, 1e6},
		{"disk.depth", int64(d.Depth), 1, disk.MaxDepth}, {"disk.capacity_bytes", d.Capacity, 0, 1 << 50},
		{"disk.sector_bytes", d.Sector, 1, 1 << 20}, {"disk.slowdown_permille", d.Slow, 1, 1e6},
		{"network.latency_ns", w.Latency, 0, MaxDuration}, {"network.jitter_permille", w.Jitter, 0, 1e6},
		{"network.per_kib_ns", w.PerKiB, 0, 1e9}, {"network.queue_bytes", w.Queue, 0, 1 << 50},
		{"network.max_delay_ns", w.MaxDelay, 0, MaxDuration}, {"network.header_bytes", w.Header, 0, 1 << 20},
	} {
		if f.v < f.lo || f.v > f.hi {
			return fmt.Errorf("%w: %s is %d, want %d..%d", ErrInvalid, f.name, f.v, f.lo, f.hi)
		}
	}
	return nil
}

func (d *Disruption) validate(n int, points []string) error {
	switch {
	case d.Kind == 0:
		return errors.New("kind is missing")
	case int(d.Process) >= n:
		return fmt.Errorf("process is %d, want 0..%d", d.Process, n-1)
	case d.Kind.isCut() && (d.Peer < -1 || d.Peer >= int64(n)):
		return fmt.Errorf("peer is %d, want -1..%d", d.Peer, n-1)
	case d.When.Point != "" && !slices.Contains(points, d.When.Point):
		return fmt.Errorf("when.point is %q, which this binary does not have; the plan may be of another version", d.When.Point)
	case d.When.Point != "" && d.When.Unsynced:
		return errors.New("when has both point and unsynced; want one")
	case d.When.At < 0 || d.When.After < 0 || d.For < 0 ||
		d.When.At > MaxDuration || d.When.After > MaxDuration || d.For > MaxDuration:
		return errors.New("when and for_ns want 0..1 hour")
	case d.Kind == MonoStep && (d.Amount < 0 || d.Amount > MaxDuration):
		return fmt.Errorf("amount is %d, want 0..1 hour", d.Amount)
	case d.Kind == WallStep && (d.Amount < -MaxDuration || d.Amount > MaxDuration):
		return fmt.Errorf("amount is %d, want at most 1 hour", d.Amount)
	case d.Kind == SlowDisk && (d.Amount < 1 || d.Amount > 1000):
		return fmt.Errorf("amount is %d, want 1..1000", d.Amount)
	}
	return nil
}
