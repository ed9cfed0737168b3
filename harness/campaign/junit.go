package campaign

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/tidaldb/tidalsim/harness/verdict"
)

// suite is junit.xml: what CI servers show, and compare from run to run by the names. So a
// name has no counts in it, and no two cases have the same one:
//
//	COMMAND.scenarios    NAME           how its seeds ended; skipped if none ran
//	COMMAND.regressions  PATH           how a committed plan ended
//	COMMAND.findings     FINGERPRINT    the finding, in how many seeds, and the first of them
//	COMMAND              what must hold of a campaign, and does not
//
// Times are those that workers took, one after the other; the suite's own is the campaign's.
type suite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"` // s
	Cases    []suiteCase `xml:"testcase"`
}

// suiteCase passes if it has nothing to say.
type suiteCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Time    string     `xml:"time,attr"` // s
	Failure *suiteText `xml:"failure,omitempty"`
	Error   *suiteText `xml:"error,omitempty"` // it is undecided
	Skipped *suiteText `xml:"skipped,omitempty"`
}

type suiteText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (s *suite) encode() ([]byte, error) {
	data, err := xml.MarshalIndent(s, "", " ")
	return append([]byte(xml.Header), append(data, '\n')...), err
}

func (s *suite) add(c suiteCase) {
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// junit makes the suite of a summary.
func (s *Summary) junit() *suite {
	out := &suite{Name: s.command, Time: inSeconds(time.Duration(s.Wall))}
	for i := range s.Scenarios {
		out.add(s.Scenarios[i].junit(s.command))
	}
	for i := range s.committed {
		out.add(s.committed[i].junit(s.command))
	}
	for _, k := range s.Kinds {
		out.add(suiteCase{Class: s.command + ".findings", Name: k.Fingerprint, Time: inSeconds(0),
			Failure: &suiteText{k.String(), strings.Join(k.finding.Lines(s.command), "\n")}})
	}
	for _, c := range s.broken() {
		out.add(c)
	}
	return out
}

func (p *PerName) junit(command string) suiteCase {
	c := suiteCase{Class: command + ".scenarios", Name: p.Name, Time: inSeconds(p.wall)}
	switch {
	case p.Violated > 0:
		c.Failure = &suiteText{Message: fmt.Sprintf("%d of %d seeds are violated; %s.findings says how", p.Violated, p.Seeds, command)}
	case p.Undecided > 0:
		c.Error = &suiteText{Message: fmt.Sprintf("%d of %d seeds are undecided", p.Undecided, p.Seeds)}
	case p.Seeds == 0:
		c.Skipped = &suiteText{Message: "no seed ran"}
	}
	return c
}

// regressionRun is how a committed plan ended.
type regressionRun struct {
	path, verdict, fingerprint, stale string
	wall                              time.Duration
}

func (r *regressionRun) junit(command string) suiteCase {
	c := suiteCase{Class: command + ".regressions", Name: r.path, Time: inSeconds(r.wall)}
	switch {
	case r.verdict == verdict.Violated.String():
		c.Failure = &suiteText{Message: "violated: " + r.fingerprint}
	case r.stale != "":
		c.Failure = &suiteText{Message: r.stale}
	case r.verdict != verdict.Held.String():
		c.Error = &suiteText{Message: r.verdict}
	}
	return c
}

// promises are what must hold of a campaign beside its seeds, by the exit code of one in
// which it does not.
var promises = []struct {
	code int
	name string
}{
	{ExitNondeterminism, "equal seeds give equal runs"},
	{ExitNotReproduced, "regressions are not stale"},
	{ExitNotReached, "all fault points are reached"},
	{ExitUndecided, "every run is decided"},
	{ExitNothingRan, "seeds run"},
	{ExitInterrupted, "the run ends by itself"},
}

// broken returns a failing case for each promise that is broken, with all reasons.
func (s *Summary) broken() (cases []suiteCase) {
	for _, p := range promises {
		var why []string
		for i, code := range s.whyCodes {
			if code == p.code {
				why = append(why, s.Why[i])
			}
		}
		if len(why) > 0 {
			cases = append(cases, suiteCase{Class: s.command, Name: p.name, Time: inSeconds(0), Failure: &suiteText{why[0], strings.Join(why, "\n")}})
		}
	}
	return cases
}
