package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/shrink"
)

// screen shows progress on stderr: one repainted line on a terminal that can, else a
// plain line every ten seconds. Nothing is coloured, so NO_COLOR changes nothing.
type screen struct {
	w        io.Writer
	terminal bool
	width    func() int // columns of the terminal, asked anew for each line
	painted  bool
	last     time.Duration // elapsed time of the last plain line
}

const plainEvery = 10 * time.Second

func newScreen(w io.Writer) *screen {
	file, ok := w.(*os.File)
	s := &screen{w: w, terminal: ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))}
	if s.terminal {
		s.width = func() int { return columns(file) }
	}
	return s
}

// columns returns the width of a terminal, 80 if it is not known.
func columns(file *os.File) int {
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}

// paint repaints the line. The last column stays free: a line that fills the terminal would wrap,
// and the next line would not remove the wrapped part.
func (s *screen) paint(text string) {
	if letters := []rune(text); len(letters) >= s.width() {
		text = string(letters[:max(s.width()-1, 0)])
	}
	fmt.Fprintf(s.w, "\r\x1b[K%s", text)
	s.painted = true
}

func (s *screen) show(p campaign.Progress) {
	of := ""
	if p.Total > 0 {
		of = fmt.Sprintf(" of %d", p.Total)
	}
	s.line(fmt.Sprintf("%s: %d%s seeds, %d violated, %d undecided, %s", p.Scenario, p.Done, of, p.Violated, p.Undecided, p.Elapsed.Round(time.Second)), p.Elapsed)
}

// line shows one line of progress.
func (s *screen) line(text string, elapsed time.Duration) {
	switch {
	case s.terminal:
		s.paint(text)
	case elapsed >= s.last+plainEvery:
		fmt.Fprintln(s.w, text)
		s.last = elapsed
	}
}

// clear removes the painted line, so that a result does not stand in it.
func (s *screen) clear() {
	if s.painted {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.painted = false
	}
}

// shrinking shows how small a plan has become.
func (s *screen) shrinking(p shrink.Progress) {
	text := fmt.Sprintf("%d entries, %d operations after %d runs, %s of CPU", p.Entries, p.Operations, p.Runs, p.CPU.Round(time.Second))
	s.line(text, p.CPU)
}
