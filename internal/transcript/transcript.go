// Package transcript writes the manners of a machine down: each event that it is told, and
// everything that it asks of its Env in answer. It serves tests only. It knows the messages of
// clients and the words of a script; a Role brings the machine, and the commands that only
// that machine knows.
//
// The one rule to remember: a transcript says everything that was asked, in order, so that a
// machine which asks for more or less is found.
//
// A transcript is text:
//
//	# a comment: why this step is here
//	a command
//	  an ask of the machine, one line each, in order: written by -rewrite
//
// go test PACKAGE -run Transcripts -rewrite writes those lines anew. Commit them only
// with a difference that you can explain.
//
// Commands that set the stage:
//
//	place tenant 1 slot 0 shard 1 node 1 rate 1000 burst 5 entities 3 bytes 500 version 1 placement 1
//	    the script may leave out: slot 0, shard 1, node 1, rate and burst 1000, version 1, placement 1, no caps
//	start node 1, start client 7    the next incarnation, at instant 0
//	kill                            the process dies
//
// Commands that tell the machine something:
//
//	advance 5ms                     the clock goes on; timers fire at their instants
//	from client 7: write session 3 request 1 entity 9
//	from client 7 late 1us: ...     it reached the input queue 1 us ago: the node is busy
//	from client 7: damaged          bytes that are no message
//	from node 1: ack frame 2 seq 9
//	    A field that is not named is 0, unless the role fills it in.
//	chance 9223372036854775808      the answer to every Chance from now on; 0 at first
//
// A command after the word "quietly" does its work and its lines are left out.
//
// In words: asks are send, timer, charge and halt, and those of the role; "fires" is a timer.
// Fields that are 0 are left out; a connection is written incarnation/nonce. Not shown are
// keys, and Chance, which asks for nothing.
package transcript

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// step is one line of a transcript, and the lines that answer it.
type step struct {
	line      int
	text      string // a comment, a command or nothing
	want, got []string
}

func (s *step) isCommand() bool { return s.text != "" && s.text[0] != '#' }

const indent = "  "

// parse cuts a transcript into steps.
func parse(name, text string) ([]step, error) {
	var steps []step
	commands := false
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		asked, isAsked := strings.CutPrefix(line, indent)
		last := len(steps) - 1
		switch {
		case !isAsked:
			steps = append(steps, step{line: i + 1, text: line})
			commands = commands || steps[len(steps)-1].isCommand()
		case last < 0 || !steps[last].isCommand():
			return nil, fmt.Errorf("%s:%d: %q is indented and follows no command", name, i+1, asked)
		default:
			steps[last].want = append(steps[last].want, asked)
		}
	}
	if !commands {
		return nil, fmt.Errorf("%s:1: no command in it", name)
	}
	return steps, nil
}

// Perform does a command of a script and returns the lines that answer it.
type Perform func(command string) (lines []string, err error)

// play does the commands. Errors name file and line.
func play(name string, steps []step, perform Perform) error {
	for i := range steps {
		step := &steps[i]
		if !step.isCommand() {
			continue
		}
		command, quietly := strings.CutPrefix(step.text, "quietly ")
		lines, err := perform(command)
		if err != nil {
			return fmt.Errorf("%s:%d: %s: %w", name, step.line, step.text, err)
		}
		if !quietly {
			step.got = lines
		}
	}
	return nil
}

// differences lists the commands after which something else was asked than is written.
func differences(name string, steps []step) (list []string) {
	for i := range steps {
		if s := &steps[i]; !cmp.Equal(s.want, s.got) {
			list = append(list, fmt.Sprintf("%s:%d: %s (-transcript +asked):\n%s", name, s.line, s.text, cmp.Diff(s.want, s.got)))
		}
	}
	return list
}

// render is the inverse of parse: each command with the lines that answered it.
func render(steps []step) string {
	var b strings.Builder
	for i := range steps {
		b.WriteString(steps[i].text + "\n")
		for _, line := range steps[i].got {
			b.WriteString(indent + line + "\n")
		}
	}
	return b.String()
}

var rewrite = flag.Bool("rewrite", false, "write golden files anew; right only with a difference that you can explain")

var errRewriteInCI = errors.New("-rewrite with CI set: a file that CI rewrites is never read; rewrite on your own machine and commit")

// Rewrite reports whether the test is to write its golden files anew: the flag -rewrite, which
// no CI may set.
func Rewrite(t testing.TB) bool {
	t.Helper()
	may, err := mayRewrite(*rewrite, os.Getenv("CI"))
	if err != nil {
		t.Fatal(err)
	}
	return may
}

func mayRewrite(flag bool, ci string) (bool, error) {
	if flag && ci != "" && ci != "false" {
		return false, errRewriteInCI
	}
	return flag, nil
}

// Test plays the transcripts that a pattern names, each on a new stage, and compares.
func Test(t *testing.T, pattern string, stage func() *Stage) {
	t.Helper()
	Play(t, pattern, func(*testing.T) Perform { return stage().perform })
}

// Play is Test for commands of any kind: several machines at once, for example. Each transcript
// gets a Perform of its own.
func Play(t *testing.T, pattern string, begin func(t *testing.T) Perform) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d transcripts, %v", pattern, len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			steps, err := parse(file, string(text))
			if err == nil {
				err = play(file, steps, begin(t))
			}
			if err != nil {
				t.Fatal(err)
			}
			if Rewrite(t) {
				if err := os.WriteFile(file, []byte(render(steps)), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, difference := range differences(file, steps) {
				t.Error(difference)
			}
		})
	}
}
