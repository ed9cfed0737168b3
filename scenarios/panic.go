package scenarios

import (
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/assert"
)

// panicked makes a finding of a panic, in the function that recovers from it. The finding names
// the process, its life and the instant, and has the frames between the panic and the
// simulator. A panic outside every machine's code is a bug of the simulator.
func (r *Runner) panicked(failure any) checker.Finding {
	f := checker.Finding{Checker: "panic", Rule: "runtime", At: r.world.Time()}
	if _, ok := failure.(assert.Failure); ok {
		f.Rule = "assertion"
	}
	whose := "the simulator itself, in no process,"
	if id, life, ok := r.world.Running(); ok {
		whose = fmt.Sprintf("%s %d, incarnation %d,", r.role(int(id)), id, life)
	} else {
		f.Rule = "simulator"
	}
	text := fmt.Sprintf("%s panics at %s: %v", whose, history.Instant(f.At), failure)
	f.Text = strings.Join(append([]string{text}, stack()...), "\n  ")
	return f
}

// role is the kind of a process: node, client or operator.
func (r *Runner) role(process int) string {
	switch c := r.plan.Cluster; {
	case process < c.Nodes:
		return "node"
	case process < c.Nodes+c.Clients:
		return "client"
	}
	return "operator"
}

const (
	module    = "github.com/tidaldb/tidalsim/"
	maxFrames = 12 // of a stack that is told
)

// stack tells the frames of the panic that is recovered from, the innermost first, as far as
// the simulator's. Files are those of packages, wherever the binary was built.
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
		case !panicked || inRuntime || strings.HasPrefix(f.Function, module+"core/assert."):
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
