package tidalsim_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

const calibration = "docs/calibration.md"

// costs are the constants of the simulator that stand for time, ns, by the names that
// docs/calibration.md gives them.
var costs = map[string]int64{
	"replica.Costs.Check":     int64(replica.DefaultCosts.Check),
	"replica.Costs.Append":    int64(replica.DefaultCosts.Append),
	"replica.Costs.PerKiB":    int64(replica.DefaultCosts.PerKiB),
	"sim.MinStep":             sim.MinStep,
	"scenarios.ClientCost":    int64(scenarios.ClientCost),
	"disk.Profile.Write":      disk.DefaultProfile.Write,
	"disk.Profile.Read":       disk.DefaultProfile.Read,
	"disk.Profile.Sync":       disk.DefaultProfile.Sync,
	"disk.Profile.Meta":       disk.DefaultProfile.Meta,
	"disk.Profile.PerKiB":     disk.DefaultProfile.PerKiB,
	"disk.Profile.PerOp":      disk.DefaultProfile.PerOp,
	"network.Profile.Latency": network.DefaultProfile.Latency,
	"network.Profile.PerKiB":  network.DefaultProfile.PerKiB,
}

// TestCalibrationIsOfTheCode: every cost that the simulator has was compared with the
// machine, and is what it was then. Whoever changes one measures again.
func TestCalibrationIsOfTheCode(t *testing.T) {
	calibrated := map[string]bool{}
	for _, row := range rows(section(t, calibration, "Constants")) {
		if len(row) != 8 || len(codes(row[0])) != 1 {
			t.Errorf("%s: want constant, value, meaning, measured, ratio, date, benchmark and reason in %q", calibration, row)
			continue
		}
		name := codes(row[0])[0]
		value, known := costs[name]
		if !known {
			t.Errorf("%s: the code has no %s", calibration, name)
			continue
		}
		calibrated[name] = true
		if got := nanoseconds(t, row[1]); got != value {
			t.Errorf("%s: %s is %d ns, in the code %d: measure it again and give the row the date of that", calibration, name, got, value)
		}
		if want := inTwoDigits(float64(value) / float64(nanoseconds(t, row[3]))); row[4] != want {
			t.Errorf("%s: the ratio of %s is %s, want %s", calibration, name, row[4], want)
		}
		if _, err := time.Parse(time.DateOnly, row[5]); err != nil {
			t.Errorf("%s: %s: %v", calibration, name, err)
		}
		if ratio, _ := strconv.ParseFloat(row[4], 64); (ratio < 0.5 || ratio > 2) != (row[7] != "") {
			t.Errorf("%s: the ratio of %s is %s, and what is said about it is %q", calibration, name, row[4], row[7])
		}
	}
	for name := range costs {
		if !calibrated[name] {
			t.Errorf("%s lacks %s", calibration, name)
		}
	}
}

// nanoseconds reads "1,000 ns".
func nanoseconds(t *testing.T, cell string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.ReplaceAll(strings.TrimSuffix(cell, " ns"), ",", ""), 10, 64)
	if err != nil || n <= 0 {
		t.Errorf("%s: %q is no number of ns", calibration, cell)
		return 1
	}
	return n
}

// inTwoDigits rounds to two significant digits.
func inTwoDigits(ratio float64) string {
	digits := 1 - int(math.Floor(math.Log10(ratio)))
	unit := math.Pow10(digits)
	return strconv.FormatFloat(math.Round(ratio*unit)/unit, 'f', max(0, digits), 64)
}

// A field that is added must be calibrated, or be said to be no cost.
func TestCalibrationNamesEveryField(t *testing.T) {
	page := text(t, calibration)
	for _, of := range []struct {
		name string
		kind reflect.Type
	}{
		{"replica.Costs", reflect.TypeFor[replica.Costs]()},
		{"disk.Profile", reflect.TypeFor[disk.Profile]()},
		{"network.Profile", reflect.TypeFor[network.Profile]()},
	} {
		for i := range of.kind.NumField() {
			if name := of.name + "." + of.kind.Field(i).Name; !strings.Contains(page, "`"+name+"`") {
				t.Errorf("%s does not name %s", calibration, name)
			}
		}
	}
}

// TestCalibrationSaysWhatIsDrawn compares the ends of what a thousand seeds draw.
func TestCalibrationSaysWhatIsDrawn(t *testing.T) {
	smoke := scenarios.All()[slices.IndexFunc(scenarios.All(), func(s *scenarios.Scenario) bool { return s.Name == "smoke" })]
	drawn := map[string][]int64{}
	for seed := range plan.Seed(1000) {
		p := smoke.Plan(seed + 1)
		drawn["world.disk.sync_ns"] = append(drawn["world.disk.sync_ns"], p.World.Disk.Sync)
		drawn["world.network.latency_ns"] = append(drawn["world.network.latency_ns"], p.World.Network.Latency)
	}
	documented := map[string]string{}
	for _, row := range rows(section(t, calibration, "What scenarios draw")) {
		documented[codes(row[0])[0]] = row[1]
	}
	for name, values := range drawn {
		want := fmt.Sprint(thousands(int(slices.Min(values))), "..", thousands(int(slices.Max(values))))
		if documented[name] != want {
			t.Errorf("%s: %s is drawn from %q, want %s", calibration, name, documented[name], want)
		}
	}
}
