package runner

import (
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim"
)

// Guard runs body and reports whether it panicked. Then the panic is the result's only
// finding, and the result is violated.
func Guard(w *sim.World, role func(process int) string, result *harness.Result, body func()) (panicked bool) {
	defer func() {
		if failure := recover(); failure != nil {
			result.Findings = append(result.Findings[:0], finding(w, role, failure))
			result.Verdict, panicked = verdict.Violated, true
		}
	}()
	body()
	return false
}

// finding makes a finding of a panic, in the function that recovers from it. The finding
// names the process, its life and the instant, and has the frames between the panic and the
// simulator. A panic outside every machine's code is a bug of the simulator.
func finding(w *sim.World, role func(process int) string, failure any) verdict.Finding {
	f := verdict.Finding{Checker: verdict.Panic, Rule: "runtime", At: w.Time()}
	if isAssertion(failure) {
		f.Rule = "assertion"
	}
	whose := "the simulator itself, in no process,"
	if id, life, ok := w.Running(); ok {
		whose = fmt.Sprintf("%s %d, incarnation %d,", role(int(id)), id, life)
	} else {
		f.Rule = "simulator"
	}
	text := fmt.Sprintf("%s panics at %s: %v", whose, verdict.Instant(f.At), failure)
	f.Text = strings.Join(append([]string{text}, stack()...), "\n  ")
	return f
}

// isAssertion reports whether a machine has panicked with the failure of an assertion: an
// error that says so of itself.
func isAssertion(failure any) bool {
	_, ok := failure.(interface{ AssertionFailed() })
	return ok
}

const (
	module    = "github.com/tidaldb/tidalsim/"
	maxFrames = 12 // of a stack that is told
)

// stack tells the frames of the panic that is recovered from, the innermost first, as far as
// the simulator's, without those of a package assert. Files are those of packages, wherever the binary was built.
func stack() (lines []string) {
	pcs := make([]uintptr, 256)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	panicked, left := false, 0
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		switch {
		case f.Function == "runtime.gopanic":
			panicked = true
		case !panicked || inRuntime || strings.Contains(f.Function, "/assert."):
		case strings.HasPrefix(f.Function, module+"sim.(*process).") && len(lines) > 0:
			more = false
		case len(lines) == maxFrames:
			left++
		default:
			lines = append(lines, frameText(&f))
		}
		if !more {
			break
		}
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("and %d frames around them", left))
	}
	return lines
}

// frameText tells a frame: core/wal.(*Log).Append (log.go:12).
func frameText(f *runtime.Frame) string {
	return fmt.Sprintf("in %s (%s:%d)", strings.TrimPrefix(f.Function, module), path.Base(f.File), f.Line)
}
