// Package page draws a campaign as one HTML file that opens from a disk, without a network:
// its figures, its scenarios, and its findings, by kind. It also fills the frames of other
// pages, which share its look.
//
// The one rule to remember: whatever comes from a run reaches a page as data.
package page

import (
	"bufio"
	"bytes"
	"fmt"
	"html/template"
)

// Run is the content of the page of a campaign.
type Run struct {
	ID, Build, Started, Command string

	Verdict                          string // in a word
	Seeds, Held, Violated, Undecided int
	Operations, Acked                int
	Wall, Simulated                  int64 // ns
	Trace                            string
	Why                              []string // what kept it from holding, beside findings
	Scenarios                        []PerScenario
	Kinds                            []Kind
	Vetoed                           []string // by kind of disruption, in words
	Points                           []Reached
}

// PerScenario is one scenario's share.
type PerScenario struct {
	Name                             string
	Seeds, Held, Violated, Undecided int
	Fired, Deviated, Acked           int
}

// Kind is a kind of finding: the findings with one fingerprint.
type Kind struct {
	Fingerprint string
	Count       int      // runs that showed it
	Seeds       []string // of the first, as replay wants them
	Text        string   // of the first seed
	At          int64    // likewise; 0 at the end
	LastFault   string
	Replay      string
	Page        string // path below the run's directory, "" if there is none
}

// Reached is a fault point, and whether any seed reached it.
type Reached struct {
	Name    string
	Reached bool
}

// Share is the part of the seeds of a scenario that held, per cent.
func (p *PerScenario) Share() int {
	if p.Seeds == 0 {
		return 0
	}
	return 100 * p.Held / p.Seeds
}

// More is how many further seeds showed it.
func (k *Kind) More() int { return k.Count - len(k.Seeds) }

// NotReached counts the fault points that no seed reached.
func (r *Run) NotReached() (n int) {
	for _, p := range r.Points {
		if !p.Reached {
			n++
		}
	}
	return n
}

// Write writes the page.
func (r *Run) Write(w *bufio.Writer) error {
	var frame bytes.Buffer
	if err := Fill(&frame, assets, "run.html", map[string]string{}); err != nil {
		return err
	}
	page, err := template.New("run").Delims("[[", "]]").Funcs(template.FuncMap{
		"seconds": func(ns int64) string { return fmt.Sprintf("%.1f s", float64(ns)/1e9) },
		"instant": func(ns int64) string {
			if ns == 0 {
				return "at the end"
			}
			return "at " + fmt.Sprintf("%d.%06d ms", ns/1e6, ns%1e6)
		},
	}).Parse(frame.String())
	if err != nil {
		return err
	}
	return page.Execute(w, r)
}
