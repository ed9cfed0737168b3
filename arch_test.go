package tidalsim_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

const module = "github.com/tidaldb/tidalsim"

// floors is the house, from the ground up. A package imports downwards only, and
// packages on one floor are strangers. A pattern ending in /... stands for all
// packages below it that no other line names.
var floors = [][]string{
	{"internal/nearest", "harness/verdict"},
	{"core/env", "core/assert", "core/lineage", "core/layout", "core/strict"},
	{"core/keyed", "core/tenant", "core/signal", "core/fault", "core/diskops", "core/env/envtest", "internal/golden", "internal/yardstick"},
	{"core/record", "core/quota"},
	{"core/wire", "core/peer", "core/wal", "core/route", "core/fair", "core/state", "core/health"},
	{"core/replica", "core/metalog", "core/control", "core/placement"},
	{"core/quorum", "internal/transcript"},
	{"core/group", "core/desired"},
	{"core", "core/client"},
	{"sim/chance", "sim/queue", "sim/clock", "sim/trace", "checker/history", "host/frame", "host/meter"},
	{"sim/disk", "sim/network", "checker/observe", "host/disk", "host/network", "host/probe"},
	{"sim/plan"},
	{"sim", "checker", "host", "harness", "harness/draw", "harness/page"},
	{"harness/runner", "harness/artifacts", "harness/shrink", "harness/emit", "host/live", "host/local"},
	{"scenarios", "harness/regressions", "harness/counter"},
	{"harness/campaign", "scenarios/shape", "scenarios/brief", "report"},
	{"harness/replay", "harness/selftest", "scenarios/suite"},
	{"selftest"},
	{"cmd/simrun"},
}

// only lists, for packages that others must be able to use on their own, what
// they may import of this module.
var only = map[string][]string{
	"sim":     {"core/env", "sim/"},
	"checker": {"checker/", "harness/verdict", "core/assert", "core/keyed", "core/lineage", "core/record", "core/signal", "core/tenant"},
	"harness": {"harness", "harness/", "sim", "sim/", "core/env", "internal/nearest"},
	"core/client": {
		"core/assert", "core/control", "core/env", "core/keyed", "core/lineage", "core/placement", "core/signal", "core/tenant", "core/wire",
	},
}

// TestTheHarnessServesStrangers: neither the packages of the harness nor their tests reach, by
// whatever way, a package of the tenants.
func TestTheHarnessServesStrangers(t *testing.T) {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps, Tests: true,
	}, "./harness/...")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	packages.Visit(loaded, nil, func(p *packages.Package) {
		path, ok := local(strings.TrimSuffix(p.PkgPath, ".test"))
		if !ok {
			return
		}
		seen++
		if path = strings.TrimSuffix(path, "_test"); !slices.ContainsFunc(only["harness"], func(a string) bool {
			return path == a || strings.HasSuffix(a, "/") && strings.HasPrefix(path, a)
		}) {
			t.Errorf("the harness, or a test of it, comes to %s; want none but %v", path, only["harness"])
		}
	})
	if seen < 20 {
		t.Errorf("only %d packages are looked at", seen)
	}
}

func floorOf(path string) int {
	for i, floor := range floors {
		if slices.Contains(floor, path) {
			return i
		}
	}
	for i, floor := range floors {
		for _, name := range floor {
			if prefix, open := strings.CutSuffix(name, "/..."); open && strings.HasPrefix(path, prefix+"/") {
				return i
			}
		}
	}
	return -1
}

func load(t *testing.T, overlay map[string][]byte, patterns ...string) []*packages.Package {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{
		Mode:    packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo,
		Overlay: overlay,
	}, patterns...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range loaded {
		for _, e := range p.Errors {
			t.Fatal(e)
		}
	}
	return loaded
}

func local(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

func TestImportsGoDownwards(t *testing.T) {
	for _, p := range load(t, nil, "./...") {
		from, ok := local(p.PkgPath)
		if !ok {
			continue
		}
		if floorOf(from) < 0 {
			t.Errorf("%s is on no floor; add it to the table and to docs/architecture.md", from)
			continue
		}
		for path := range p.Imports {
			to, ok := local(path)
			if ok && floorOf(to) >= floorOf(from) {
				t.Errorf("%s (floor %d) imports %s (floor %d); want a lower floor", from, floorOf(from), to, floorOf(to))
			}
			for room, allowed := range only {
				inRoom := from == room || strings.HasPrefix(from, room+"/")
				if ok && inRoom && !slices.ContainsFunc(allowed, func(a string) bool {
					return to == a || strings.HasSuffix(a, "/") && strings.HasPrefix(to, a)
				}) {
					t.Errorf("%s imports %s; %s may import only %v", from, to, room, allowed)
				}
			}
		}
	}
}

// deterministic are the packages in which a run must follow from its plan alone.
var deterministic = []string{
	"./core/...", "./sim/...", "./checker/...", "./scenarios/...",
	"./harness", "./harness/verdict", "./harness/draw", "./harness/runner", "./harness/counter",
}

func TestNothingLeaksIntoARun(t *testing.T) {
	for _, p := range load(t, nil, deterministic...) {
		for _, leak := range leaks(p) {
			t.Error(leak)
		}
	}
}

// TestLeaksAreSeen plants one leak after the other.
func TestLeaksAreSeen(t *testing.T) {
	const head = "package clock\n\n"
	for name, source := range map[string]string{
		"map range":        `func leak(m map[int]int) (n int) { for k := range m { n = k }; return }`,
		"time.Now":         `import "time"; func leak() int64 { return time.Now().UnixNano() }`,
		"package variable": `var leaked int; func leak() int { leaked++; return leaked }`,
		"goroutine":        `func leak() { go leak() }`,
		"channel":          `func leak(c chan int) { c <- 1 }`,
		"select":           `func leak() { select {} }`,
		"global rand":      `import "math/rand/v2"; func leak() int { return rand.Int() }`,
		"float":            `func leak(x int) int { return int(float64(x) * 1.5) }`,
		"sync":             `import "sync"; func leak() { var m sync.Mutex; m.Lock() }`,
		"os":               `import "os"; func leak() string { return os.Getenv("HOME") }`,
		"pointer as text":  `import "fmt"; func leak(p *int) string { return fmt.Sprintf("%p", p) }`,
		"pointer as key":   `func leak(m map[*int]int, p *int) int { return m[p] }`,
		"pointer as order": `import "unsafe"; func leak(p *int) uintptr { return uintptr(unsafe.Pointer(p)) }`,
	} {
		t.Run(name, func(t *testing.T) {
			path, err := filepath.Abs("sim/clock/planted.go")
			if err != nil {
				t.Fatal(err)
			}
			planted := load(t, map[string][]byte{path: []byte(head + source)}, "./sim/clock")
			if len(leaks(planted[0])) == 0 {
				t.Errorf("nobody objects to:\n%s", source)
			}
		})
	}
}

var forbiddenImports = []string{
	"time", "os", "net", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand", "hash/maphash", "unsafe", "context",
}

// leaks lists what lets something else than the plan into a run. A construct may
// stay if the line above it says why, in a comment that starts with
// "deterministic:".
func leaks(p *packages.Package) []string {
	var found []string
	for _, file := range p.Syntax {
		excused := map[int]bool{}
		for _, group := range file.Comments {
			if strings.HasPrefix(group.Text(), "deterministic:") {
				excused[p.Fset.Position(group.End()).Line+1] = true
			}
		}
		report := func(at token.Pos, what string) {
			if where := p.Fset.Position(at); !excused[where.Line] {
				found = append(found, fmt.Sprintf("%s: %s", where, what))
			}
		}
		for _, spec := range file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if slices.Contains(forbiddenImports, path) || strings.HasPrefix(path, "net/") || strings.HasPrefix(path, "os/") {
				report(spec.Pos(), "imports "+path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if what := leak(p.TypesInfo, n); what != "" {
				report(n.Pos(), what)
			}
			return true
		})
		for _, variable := range mutable(p.TypesInfo, file) {
			report(variable.Pos(), "package variable "+variable.Name()+" is changed by a function")
		}
	}
	return found
}

func leak(info *types.Info, n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "starts a goroutine"
	case *ast.SelectStmt:
		return "selects"
	case *ast.ChanType:
		return "uses a channel"
	case *ast.RangeStmt:
		if isMap(info.TypeOf(n.X)) {
			return "ranges over a map, in an order that differs between runs"
		}
	case *ast.MapType:
		if _, ok := info.TypeOf(n.Key).Underlying().(*types.Pointer); ok {
			return "uses pointers as keys"
		}
	case *ast.BasicLit:
		if n.Kind == token.STRING && strings.Contains(n.Value, "%p") {
			return "prints a pointer"
		}
	case *ast.Ident:
		if b, ok := info.TypeOf(n).(*types.Basic); ok && b.Info()&types.IsFloat != 0 {
			return "uses a float, whose bits differ between CPUs"
		}
	}
	return ""
}

func isMap(t types.Type) bool {
	_, ok := t.Underlying().(*types.Map)
	return ok
}

// mutable returns the package-level variables that functions of the file assign
// to, or take the address of.
func mutable(info *types.Info, file *ast.File) []*types.Var {
	var changed []*types.Var
	note := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
				continue
			case *ast.SelectorExpr:
				e = x.X
				continue
			case *ast.ParenExpr:
				e = x.X
				continue
			case *ast.Ident:
				if v, ok := info.Uses[x].(*types.Var); ok && v.Parent() == v.Pkg().Scope() && !v.IsField() {
					changed = append(changed, v)
				}
			}
			return
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, target := range n.Lhs {
				note(target)
			}
		case *ast.IncDecStmt:
			note(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				note(n.X)
			}
		}
		return true
	})
	return changed
}

// TestProductionHasNoFailpoints: importing pingcap/failpoint is enough to honour
// an environment variable that opens a port.
func TestProductionHasNoFailpoints(t *testing.T) {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps, BuildFlags: []string{"-tags", "production"},
	}, "./core/...")
	if err != nil {
		t.Fatal(err)
	}
	packages.Visit(loaded, nil, func(p *packages.Package) {
		if strings.HasPrefix(p.PkgPath, "github.com/pingcap/failpoint") {
			t.Errorf("a production build of core imports %s", p.PkgPath)
		}
	})
}

// confined lists modules of others that one package only may import, so that nothing else
// links them.
var confined = map[string]string{"github.com/prometheus/": "host/probe"}

func TestModulesStayWhereTheyAre(t *testing.T) {
	used := map[string]bool{}
	for _, p := range load(t, nil, "./...") {
		from, _ := local(p.PkgPath)
		for path := range p.Imports {
			for module, home := range confined {
				if !strings.HasPrefix(path, module) {
					continue
				}
				used[module] = true
				if from != home {
					t.Errorf("%s imports %s, which is for %s alone", from, path, home)
				}
			}
		}
	}
	for module := range confined {
		if !used[module] {
			t.Errorf("nobody imports %s; the test looks for the wrong thing", module)
		}
	}
}

// TestNoLeftovers keeps what belongs to a machine or to a day out of the tree.
func TestNoLeftovers(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == ".simrun") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") && path != "arch_test.go" {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, word := range []string{"FIXME", "XXX", "not implemented", "t.Skip()"} {
				if strings.Contains(string(text), word) {
					t.Errorf("%s contains %q", path, word)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
