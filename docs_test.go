package tidalsim_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/client"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	planted "github.com/tidaldb/tidalsim/harness/selftest"
	"github.com/tidaldb/tidalsim/host"
	hostdisk "github.com/tidaldb/tidalsim/host/disk"
	"github.com/tidaldb/tidalsim/host/frame"
	"github.com/tidaldb/tidalsim/host/live"
	hostnetwork "github.com/tidaldb/tidalsim/host/network"
	"github.com/tidaldb/tidalsim/host/probe"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/selftest"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// What a document says of the code is compared with the code where that can be
// done: lists, tables, bounds and links. What a sentence claims is not.
const (
	architecture = "docs/architecture.md"
	catalogue    = "docs/catalogue.md"
	bounds       = "docs/bounds.md"
	glossary     = "docs/glossary.md"
	tenants      = "docs/tenants.md"
)

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// section returns what stands between a heading of the second level and the next.
func section(t *testing.T, path, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text(t, path), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", path, heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// rows returns the cells of the tables in a text, headings and rulers left out.
func rows(body string) [][]string {
	var table [][]string
	lines := strings.Split(body, "\n")
	for i, line := range lines {
		isHeading := i+1 < len(lines) && strings.HasPrefix(lines[i+1], "| ---")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || isHeading {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		table = append(table, cells)
	}
	return table
}

var inCode = regexp.MustCompile("`([^`]+)`")

// codes returns what stands in `code style` in a cell.
func codes(cell string) []string {
	var found []string
	for _, match := range inCode.FindAllStringSubmatch(cell, -1) {
		found = append(found, match[1])
	}
	return found
}

// same reports what a document lists too much, or lacks.
func same(t *testing.T, what string, documented, actual []string) {
	t.Helper()
	for _, name := range documented {
		if !slices.Contains(actual, name) {
			t.Errorf("%s: the document has %s, the code has not", what, name)
		}
	}
	for _, name := range actual {
		if !slices.Contains(documented, name) {
			t.Errorf("%s: the document lacks %s", what, name)
		}
	}
}

// walk calls visit for every file of the tree that ends in suffix.
func walk(t *testing.T, root, suffix string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == ".simrun" || d.Name() == "testdata"):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, suffix):
			visit(filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	fenced = regexp.MustCompile("(?s)```.*?```")
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

func TestLinksResolve(t *testing.T) {
	checked := 0
	walk(t, ".", ".md", func(path string) {
		prose := inCode.ReplaceAllString(fenced.ReplaceAllString(text(t, path), ""), "")
		for _, match := range link.FindAllStringSubmatch(prose, -1) {
			target, _, _ := strings.Cut(match[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			checked++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s: %v", path, match[1], err)
			}
		}
	})
	if checked == 0 {
		t.Error("no link was found; the pattern must be wrong")
	}
}

func TestPictureNamesEveryKindOfLine(t *testing.T) {
	var documented []string
	for _, row := range rows(section(t, "docs/picture.md", "Kinds")) {
		documented = append(documented, codes(row[0])...)
	}
	same(t, "kinds of lines", documented, scenarios.RecordedKinds()[1:])
}

func TestArchitectureNamesEveryPackage(t *testing.T) {
	page := text(t, architecture)
	seen := map[string]bool{}
	walk(t, ".", ".go", func(path string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		if dir == "." || seen[dir] || strings.HasSuffix(path, "_test.go") {
			return
		}
		seen[dir] = true
		if !strings.Contains(page, "`"+dir+"`") {
			t.Errorf("%s does not name package %s", architecture, dir)
		}
	})
}

func TestArchitectureHasTheFloors(t *testing.T) {
	table := rows(section(t, architecture, "Floors"))
	if len(table) != len(floors) {
		t.Fatalf("%s has %d floors, arch_test.go has %d", architecture, len(table), len(floors))
	}
	for i, row := range table {
		n := len(floors) - 1 - i // the page shows the roof first
		if row[0] != fmt.Sprint(n) {
			t.Errorf("row %d is floor %s, want %d", i, row[0], n)
		}
		same(t, fmt.Sprintf("floor %d", n), codes(row[1]), floors[n])
	}
}

func TestArchitectureHasTheCheckers(t *testing.T) {
	var names, have []string
	documented := map[string]string{}
	for _, row := range rows(section(t, architecture, "Checkers")) {
		name := strings.Trim(row[0], "`")
		names = append(names, name)
		documented[name] = row[1]
	}
	for _, c := range checker.All() {
		have = append(have, c.Name)
		if got, listed := documented[c.Name]; listed && got != c.Holds {
			t.Errorf("%s: %s holds when\n\t%s\nbut the checker says\n\t%s", architecture, c.Name, got, c.Holds)
		}
	}
	same(t, "checkers", names, have)
}

// A rule is what a checker passes to find or fail first.
var rule = regexp.MustCompile(`\b(?:find|fail)\("([a-z-]+)"`)

func TestArchitectureHasTheRules(t *testing.T) {
	var documented []string
	for _, row := range rows(section(t, architecture, "Checkers")) {
		documented = append(documented, codes(row[2])...)
	}
	sources := ""
	walk(t, "checker", ".go", func(path string) {
		if !strings.HasSuffix(path, "_test.go") {
			sources += text(t, path)
		}
	})
	for _, match := range rule.FindAllStringSubmatch(sources, -1) {
		if name := match[1]; name != "trace" && !slices.Contains(documented, name) { // of determinism, which judges two runs
			t.Errorf("%s lacks rule %s", architecture, name)
		}
	}
	for _, name := range documented {
		if !strings.Contains(sources, `"`+name+`"`) {
			t.Errorf("%s has rule %s, which no checker reports", architecture, name)
		}
	}
}

func TestCatalogueIsComplete(t *testing.T) {
	first := func(heading string) (names []string) {
		for _, row := range rows(section(t, catalogue, heading)) {
			names = append(names, strings.Trim(row[0], "`"))
		}
		return names
	}
	var kinds, sites []string
	for _, k := range plan.Kinds() {
		kinds = append(kinds, k.String())
	}
	for s := range chance.Deviations {
		sites = append(sites, s.String())
	}
	same(t, "disruptions", first("Disruptions"), kinds)
	same(t, "deviations", first("Deviations"), sites)
	same(t, "fault points", first("Fault points"), fault.Names())
}

func TestCatalogueHasTheScenarios(t *testing.T) {
	var documented, actual []string
	for _, row := range rows(section(t, catalogue, "Scenarios")) {
		documented = append(documented, row[0]+": "+row[1]+"; faulty "+row[2])
	}
	for _, s := range scenarios.All() {
		faulty := map[bool]string{true: "yes", false: "no"}[s.Faulty]
		actual = append(actual, "`"+s.Name+"`: "+s.Story+"; faulty "+faulty)
	}
	same(t, "scenarios", documented, actual)
}

// TestBoundsAreThoseOfTheCode compares the rows whose value code can name. The
// first number of the cell counts; what a scenario draws stands behind it.
func TestBoundsAreThoseOfTheCode(t *testing.T) {
	table := map[string]string{}
	for _, row := range rows(text(t, bounds)) {
		table[row[0]] = row[1]
	}
	const mi = 1 << 20
	constants, patience := replica.DefaultConstants, client.DefaultPatience
	for name, want := range map[string]any{
		"segment size":                                             fmt.Sprintf("%d Mi", constants.SegmentSize/mi),
		"log between snapshots":                                    fmt.Sprintf("%d Mi", constants.SnapshotEvery/mi),
		"sessions of a slot":                                       constants.MaxSessions,
		"pending records of a slot":                                constants.MaxPending,
		"answers kept of a session (W)":                            state.Window,
		"record":                                                   fmt.Sprintf("%d..%d", record.HeaderSize, record.MaxSize),
		"frame around a record":                                    wal.FrameOverhead,
		"signal kinds":                                             signal.Kinds,
		"rate of a tenant":                                         "1.." + thousands(tenant.MaxRate),
		"burst of a tenant":                                        "1.." + thousands(tenant.MaxBurst),
		"live entities of a tenant":                                "1.." + thousands(tenant.MaxEntities),
		"logical bytes of a tenant":                                fmt.Sprint(tenant.MinBytes, "..", thousands(tenant.MaxBytes)),
		"slots of a tenant (P)":                                    "1.." + thousands(route.MaxPartitions),
		"name of a region":                                         fmt.Sprint("1..", tenant.MaxRegion),
		"lag of a replica in a healthy region":                     health.DegradedLagMs,
		"silence of a node in a healthy region":                    thousands(health.OfflineSilenceMs),
		"message":                                                  wire.MaxSize,
		"first wait for an answer":                                 patience.Attempt / env.Millisecond,
		"longest wait between attempts":                            patience.Longest / env.Millisecond,
		"deadline of a call":                                       patience.Deadline / env.Second,
		"timers of a machine":                                      env.MaxTimers,
		"CPU time of a Step, at least":                             sim.MinStep,
		"down time of a process that ended itself":                 sim.RestartAfter / int64(env.Millisecond),
		"disruptive part, and calm part":                           plan.MaxDuration / int64(env.Second),
		"disruptions, and deviations, of a plan":                   thousands(plan.MaxEntries) + " each",
		"drift of a clock":                                         thousands(plan.MaxDrift) + " either way",
		"operations that a disk serves at once":                    fmt.Sprintf("1..%d", disk.MaxDepth),
		"rates of deviations":                                      thousands(chance.Million),
		"acknowledged operations of a seed that counts, at least":  scenarios.MinAcked,
		"answer of a session read, while at most one node is hurt": checker.SessionDeadline / int(env.Millisecond),
		"findings of one report":                                   checker.MaxFindings,
		"search of one partition":                                  thousands(checker.DefaultStepBudget),
		"seeds that a checker has to find a planted mistake":       planted.DefaultSeeds,
		"seeds over which detection rates are measured":            planted.RateSeeds,
		"seeds of each default scenario that look for a mistake whose scenario is not known": planted.WideSeeds,
		"messages that wait for a process":                                                   host.MaxInbox,
		"looks that wait for a process":                                                      host.MaxInspections,
		"answer to a probe":                                                                  probe.Patience.Milliseconds(),
		"connections of probes":                                                              probe.MaxConnections,
		"header of a probe":                                                                  fmt.Sprintf("%d Ki", probe.MaxHeader>>10),
		"operations that a real disk does at once":                                           hostdisk.DefaultWorkers,
		"payload of a frame":                                                                 fmt.Sprintf("%d Mi", frame.MaxPayload/mi),
		"bytes that wait for one peer":                                                       fmt.Sprintf("%d Mi", hostnetwork.MaxQueue/mi),
		"connections that have not said hello":                                               hostnetwork.MaxStrangers,
		"wait for a hello":                                                                   hostnetwork.HelloTimeout.Seconds(),
		"attempt to connect":                                                                 hostnetwork.DialTimeout.Seconds(),
		"wait between attempts to connect":                                                   fmt.Sprint(hostnetwork.FirstBackoff.Milliseconds(), "..", hostnetwork.LongestBackoff.Milliseconds()),
		"rounds of one live run":                                                             "1.." + thousands(live.MaxRounds),
		"clients of one live run":                                                            fmt.Sprint("1..", live.MaxClients),
		"acknowledged operations of a live run that counts, at least":                        live.MinAcked,
		"plan file":              fmt.Sprintf("%d Mi", artifacts.MaxPlanFile/mi),
		"line of a history file": fmt.Sprintf("%d Mi", history.MaxLine/mi),
		"tenants file":           fmt.Sprintf("%d Mi", desired.MaxFile/mi),
	} {
		got, listed := table[name]
		value, _, _ := strings.Cut(got, ";")
		if !listed || value != fmt.Sprint(want) {
			t.Errorf("%s: %q is %q, want %v", bounds, name, value, want)
		}
	}
}

// thousands prints n with commas.
func thousands(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// What the page shows as a tenants file is one, and it names every key.
func TestTenantsPageShowsAFile(t *testing.T) {
	page := text(t, tenants)
	_, rest, _ := strings.Cut(page, "```json\n")
	shown, _, _ := strings.Cut(rest, "```")
	if s, err := desired.Decode([]byte(shown)); err != nil || len(s.Tenants) == 0 || len(s.Drop) == 0 {
		t.Errorf("%s: %v:\n%s", tenants, err, shown)
	}
	var documented []string
	for _, row := range rows(page) {
		documented = append(documented, codes(row[0])...)
	}
	same(t, "keys of a tenants file", documented, []string{
		"tenants", "drop", "id", "limits.rate", "limits.burst", "limits.entities", "limits.bytes", "residency", "slots", "shards",
	})
}

func TestGlossaryHasEachTermOnce(t *testing.T) {
	last := ""
	for line := range strings.Lines(text(t, glossary)) {
		term, isTerm := strings.CutPrefix(strings.TrimSpace(line), "### ")
		if !isTerm {
			continue
		}
		if term = strings.ToLower(term); term <= last {
			t.Errorf("%s: %q follows %q; want each term once, in alphabetical order", glossary, term, last)
		}
		last = term
	}
	if last == "" {
		t.Errorf("%s has no terms", glossary)
	}
}

func TestDecisionsAreNumberedOnce(t *testing.T) {
	number := regexp.MustCompile(`^docs/decisions/([0-9]{4})-[a-z0-9-]+\.md$`)
	seen := map[string]string{}
	walk(t, "docs/decisions", ".md", func(path string) {
		match := number.FindStringSubmatch(path)
		if match == nil {
			t.Errorf("%s: want NNNN-title.md", path)
			return
		}
		if other, twice := seen[match[1]]; twice {
			t.Errorf("%s and %s have one number", other, path)
		}
		seen[match[1]] = path
		if !strings.HasPrefix(text(t, path), "# "+match[1]+": ") {
			t.Errorf("%s: want a heading that begins with %q", path, "# "+match[1]+": ")
		}
	})
}

// Each mistake that no seed finds stands in the document with its reason.
func TestMistakesThatNoSeedFindsAreTold(t *testing.T) {
	all, err := selftest.All(".")
	if err != nil {
		t.Fatal(err)
	}
	told := text(t, "docs/selftest.md")
	for _, m := range all {
		row := fmt.Sprintf("| [%s](../%s/%s/%s.txt) | %s | %s |", m.Name, selftest.Dir, m.Kind, m.Name, m.Rule, m.NotFound)
		if m.NotFound != "" && !strings.Contains(told, row) {
			t.Errorf("docs/selftest.md lacks the row\n%s", row)
		}
	}
}

// Each committed regression is named in the record of bugs.
func TestEveryRegressionIsTold(t *testing.T) {
	told := text(t, "docs/bugs.md")
	plans, err := filepath.Glob("testdata/regressions/*/*.json")
	if err != nil || len(plans) < 20 {
		t.Fatalf("%d regressions: %v", len(plans), err)
	}
	for _, path := range plans {
		if name := strings.TrimSuffix(filepath.Base(path), ".json"); !strings.Contains(told, "`"+name+"`") {
			t.Errorf("docs/bugs.md lacks a row with `%s`: what was wrong, what found it, what is left of it", name)
		}
	}
}

// Each row by which the fault budget vetoes stands in the failure model, and no other does.
func TestVetoesAreRowsOfTheFailureModel(t *testing.T) {
	_, part, found := strings.Cut(text(t, "docs/failure-model.md"), "## Not survivable")
	if !found {
		t.Fatal("docs/failure-model.md has no part of what is not survivable")
	}
	var told []string
	for _, row := range rows(part) {
		if name, ok := strings.CutPrefix(row[0], "`"); ok {
			told = append(told, strings.TrimSuffix(name, "`"))
		}
	}
	var want []string
	for _, row := range scenarios.Rows() {
		want = append(want, string(row))
	}
	if !slices.Equal(told, want) {
		t.Errorf("docs/failure-model.md has the rows %v, the budget %v", told, want)
	}
}
