package plan

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
)

// Bounds of a plan, so that a damaged or hostile file cannot run for ever.
const (
	MaxDuration = 3600 * int64(env.Second)
	MaxEntries  = 1 << 20
	MaxDrift    = 100_000 // ppm
	MaxSuffix   = 256     // bytes
)

// The additions of the world to a plan; see Bounds.
const (
	MinStep      = 100                         // ns
	RestartAfter = 20 * int64(env.Millisecond) // ns
)

// Bound is one row of the table of bounds: Low..High, both allowed.
type Bound struct {
	Name      string // of the field in JSON, with its section
	Low, High int64
	Unit      string
	Reason    string
}

const (
	hostile  = "a damaged or hostile plan must not run for ever"
	overflow = "sums of spans must fit 64 bits"
	noClock  = "beyond it no real clock is"
)

var bounds = [...]Bound{
	{"duration_ns", 0, MaxDuration, "ns", hostile},
	{"calm_ns", 1, MaxDuration, "ns", "without a calm part nothing says that the machines recover"},
	{"disruptions", 0, MaxEntries, "entries", hostile},
	{"deviations", 0, MaxEntries, "entries", hostile},
	{"terms", 0, MaxEntries, "entries", hostile},
	{"rates", 0, chance.Million, "ppm", "a probability"},

	{"clocks.drift_ppm", -MaxDrift, MaxDrift, "ppm", noClock},
	{"clocks.wall_ns", -MaxDuration, MaxDuration, "ns", noClock},

	{"disk.write_ns", 0, MaxDuration, "ns", overflow},
	{"disk.read_ns", 0, MaxDuration, "ns", overflow},
	{"disk.sync_ns", 0, MaxDuration, "ns", overflow},
	{"disk.meta_ns", 0, MaxDuration, "ns", overflow},
	{"disk.per_kib_ns", 0, 1e9, "ns", "a disk of 1 KiB/s is slow enough"},
	{"disk.per_op_ns", 0, 1e9, "ns", "a disk of one operation per second is slow enough"},
	{"disk.jitter_permille", 0, 1e6, "thousandths", overflow},
	{"disk.depth", 1, disk.MaxDepth, "operations", "no device of one process serves more at once"},
	{"disk.capacity_bytes", 0, 1 << 50, "bytes", "contents are kept in memory; beyond it: no space left on device"},
	{"disk.sector_bytes", 1, 1 << 20, "bytes", "no device writes more at once"},
	{"disk.slowdown_permille", 1, 1e6, "thousandths", overflow},

	{"network.latency_ns", 0, MaxDuration, "ns", overflow},
	{"network.jitter_permille", 0, 1e6, "thousandths", overflow},
	{"network.per_kib_ns", 0, 1e9, "ns", "a link of 1 KiB/s is slow enough"},
	{"network.queue_bytes", 0, 1 << 50, "bytes", "messages are kept in memory; beyond it they are dropped"},
	{"network.max_delay_ns", 0, MaxDuration, "ns", overflow},
	{"network.max_late_ns", 0, MaxDuration, "ns", overflow},
	{"links", 0, MaxEntries, "entries", hostile},
	{"links.latency_ns", 0, MaxDuration, "ns", overflow},
	{"links.per_kib_ns", 0, 1e9, "ns", "a link of 1 KiB/s is slow enough"},
	{"network.header_bytes", 0, 1 << 20, "bytes", "no header is larger"},

	{"when.at_ns", 0, MaxDuration, "ns", hostile},
	{"when.after_ns", 0, MaxDuration, "ns", hostile},
	{"when.by_ns", 0, MaxDuration, "ns", hostile},
	{"for_ns", 0, MaxDuration, "ns", hostile},
	{"files", 0, MaxSuffix, "bytes", "no name is longer"},
	{"from_byte", 0, 1 << 50, "bytes", "no disk holds more"},
	{"to_byte", 0, 1 << 50, "bytes", "no disk holds more"},
	{"amount of slow-disk", 1, 1000, "times", "a disk a thousand times slower stands still"},
	{"amount of sync-fail", 0, MaxEntries, "syncs", "0 is all in the span"},
	{"amount of write-fail", 0, MaxEntries, "writes", "0 is all in the span"},
	{"amount of read-fail", 0, MaxEntries, "reads", "0 is all in the span"},
	{"amount of entry-fail", 0, MaxEntries, "operations", "0 is all in the span"},
	{"amount of no-space", 0, MaxEntries, "operations", "0 is all in the span"},
	{"amount of slow-link", 1, 1000, "times", "a link a thousand times slower stands still"},
	{"amount of rot", 0, MisdirectedWrite, "", "0 is one bit, 1 one sector, 2 one that is stale, 3 one that holds what was meant for another"},
	{"amount of wall-step", -MaxDuration, MaxDuration, "ns", noClock},
	{"amount of monotonic-step", 0, MaxDuration, "ns", "it steps back only"},
	{"amount of drift", -2 * MaxDrift, 2 * MaxDrift, "ppm", "from one end of clocks.drift_ppm to the other; what results is kept within it"},

	{"CPU time of a step", MinStep, MaxDuration, "ns", "time goes on even if a machine charges nothing"},
	{"down time of a process that ended itself", RestartAfter, RestartAfter, "ns", "as a supervisor would"},
	{"timers of a machine", 0, env.MaxTimers, "timers", "they are an array"},
}

// Bounds is the table of everything in a world that is bounded.
func Bounds() []Bound { return slices.Clone(bounds[:]) }

// within reports a value that is out of its bound, or that has none.
func within(name string, v int64) error {
	for i := range bounds {
		if bounds[i].Name != name {
			continue
		}
		b := bounds[i]
		if v < b.Low || v > b.High {
			return fmt.Errorf("%s is %d, want %d..%d", name, v, b.Low, b.High)
		}
		return nil
	}
	return fmt.Errorf("%s has no row in the table of bounds", name)
}
