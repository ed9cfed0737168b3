// Package plan describes a run as data: the world's properties, the disruptions
// that are aimed at it, and the deviations that chance adds. A plan can be
// printed, stored, replayed without its seed, and made smaller: removing any
// entry leaves a valid plan.
package plan

import (
	"cmp"
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

// ParseSeed reads decimal, hexadecimal with 0x, or a git hash: its first 16 digits count.
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
	// Duration bounds the disruptive part, Calm the calm part after it; virtual nanoseconds. A call
	// that has not finished when Calm is over has stalled.
	Duration int64 `json:"duration_ns"`
	Calm     int64 `json:"calm_ns"`

	Network network.Profile `json:"network"`
	Disk    disk.Profile    `json:"disk"`
	Clocks  []Clock         `json:"clocks,omitempty"`
	// Links are the links that differ from Network; the last entry of a link counts.
	Links []network.LinkProfile `json:"links,omitempty"`

	// Rates are the probabilities of deviations, used while Deviations is nil.
	Rates Rates `json:"rates,omitempty"`
	// Deviations, if not nil, are all that happens.
	Deviations  []Deviation  `json:"deviations"`
	Disruptions []Disruption `json:"disruptions"`
	// Terms are fault points under failpoint's own terms, without chance.
	Terms []Term `json:"terms,omitempty"`
}

// Quiet returns a plan without faults: the default network and disk, at most one virtual second
// for the disruptive part and one for the calm part. A plan of your own begins as a copy of it.
func Quiet() *Plan {
	return &Plan{
		Duration: int64(env.Second), Calm: int64(env.Second),
		Network: network.DefaultProfile, Disk: disk.DefaultProfile,
	}
}

// Clock sets the clock of one process. Clocks that are not set run true.
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

// Validate reports the first field that is out of its range, for a world of n
// processes with the given fault points.
func (p *Plan) Validate(n int, points []string) error {
	for _, check := range []func() error{p.validateSize, p.validateProfiles} {
		if err := check(); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	for i, c := range p.Clocks {
		if err := cmp.Or(isProcess(c.Process, n), within("clocks.drift_ppm", c.DriftPPM), within("clocks.wall_ns", c.Wall)); err != nil {
			return fmt.Errorf("%w: clocks[%d]: %w", ErrInvalid, i, err)
		}
	}
	for i, l := range p.Links {
		if err := cmp.Or(isProcess(l.From, n), isProcess(l.To, n), within("links.latency_ns", l.Latency), within("links.per_kib_ns", l.PerKiB)); err != nil {
			return fmt.Errorf("%w: links[%d]: %w", ErrInvalid, i, err)
		}
	}
	for i := range p.Disruptions {
		if err := p.Disruptions[i].validate(n, points); err != nil {
			return fmt.Errorf("%w: disruptions[%d]: %w", ErrInvalid, i, err)
		}
	}
	for i, t := range p.Terms {
		if int64(t.Process) >= int64(n) || !slices.Contains(points, t.Point) {
			return fmt.Errorf("%w: terms[%d]: process %d of %d, point %q", ErrInvalid, i, t.Process, n, t.Point)
		}
	}
	return nil
}

func isProcess(process uint32, n int) error {
	if int64(process) >= int64(n) {
		return fmt.Errorf("process is %d, want 0..%d", process, n-1)
	}
	return nil
}

func (p *Plan) validateSize() error {
	return cmp.Or(
		within("duration_ns", p.Duration), within("calm_ns", p.Calm),
		within("disruptions", int64(len(p.Disruptions))), within("deviations", int64(len(p.Deviations))),
		within("terms", int64(len(p.Terms))), within("links", int64(len(p.Links))))
}

func (p *Plan) validateProfiles() error {
	d, w := &p.Disk, &p.Network
	return cmp.Or(
		within("disk.write_ns", d.Write), within("disk.read_ns", d.Read),
		within("disk.sync_ns", d.Sync), within("disk.meta_ns", d.Meta),
		within("disk.per_kib_ns", d.PerKiB), within("disk.per_op_ns", d.PerOp),
		within("disk.jitter_permille", d.Jitter), within("disk.depth", int64(d.Depth)),
		within("disk.capacity_bytes", d.Capacity), within("disk.sector_bytes", d.Sector),
		within("disk.slowdown_permille", d.Slow),
		within("network.latency_ns", w.Latency), within("network.jitter_permille", w.Jitter),
		within("network.per_kib_ns", w.PerKiB), within("network.queue_bytes", w.Queue),
		within("network.max_delay_ns", w.MaxDelay), within("network.header_bytes", w.Header),
		within("network.max_late_ns", w.MaxLate))
}
