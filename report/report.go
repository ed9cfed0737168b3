// Package report draws a run. A page is one HTML file that opens from a disk, without a network: of
// one seed, with lanes, messages, faults and the finding. It judges nothing, and shows only the
// content of a recording or a summary.
//
// The one rule to remember: data of a run reaches the page as data, as JSON or as columns, and the
// page's program puts it there as text.
package report

import (
	"bufio"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"

	frame "github.com/tidaldb/tidalsim/harness/page"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

//go:embed assets
var assets embed.FS

// Seed is the page of one seed.
type Seed struct {
	Name    string // SCENARIO:SEED, or the path of a plan
	Verdict string
	Why     string // undecided: why
	Replay  string // the command line that repeats the run
	Build   string // of the binary that drew it

	Plan      *scenarios.Plan
	Story     []scenarios.Told
	Leads     []scenarios.Leads
	Findings  []Finding
	From, To  int64 // the time span of the story, virtual ns; a To of 0: everything
	Simulated int64 // virtual ns
	CalmAt    int64 // virtual ns
	Asked     int   // operations
	Acked     int
	Trace     string

	// Porcupine is the page of the search of the partition at fault, nil if there is none.
	// Searched names the partition, or says why there is none.
	Porcupine []byte
	Searched  string
}

// Finding is a finding of a checker.
type Finding struct {
	Fingerprint string `json:"fingerprint"`
	Text        string `json:"text"`
	At          int64  `json:"at"` // virtual ns, where it is marked
}

// Of returns the page of a run with a story (Options.Story).
func Of(got *scenarios.Result, name, replay, build string) *Seed {
	s := &Seed{
		Findings: []Finding{},
		Name:     name, Verdict: got.Verdict.String(), Why: got.Why, Replay: replay, Build: build,
		Plan: got.Plan, Story: got.Story, Leads: got.Leads, Simulated: got.Simulated, CalmAt: got.CalmAt,
		Asked: got.Operations, Acked: got.Acked, Trace: got.Trace.String(),
	}
	for i := range got.Findings {
		f := &got.Findings[i]
		at := f.At
		if at == 0 {
			at = got.Simulated
		}
		s.Findings = append(s.Findings, Finding{f.Fingerprint(), f.Text, at})
	}
	s.Porcupine, s.Searched = search(got)
	return s
}

// lane is a process on the page.
type lane struct {
	Name  string `json:"name"`
	Is    string `json:"is"`    // node, client or operator
	Group string `json:"group"` // has one row on a page of many lanes: the region of a node, or all clients
}

// band is a disruption on the page.
type band struct {
	Kind    string `json:"kind"`
	Text    string `json:"text"`
	Process uint32 `json:"process"`
	Peer    int64  `json:"peer"` // of a cut; -1 for all
	Cut     bool   `json:"cut"`
}

// leads is a configuration of a shard on the page.
type leads struct {
	At      int64    `json:"at"`
	Shard   uint32   `json:"shard"`
	Epoch   uint64   `json:"epoch"`
	Version uint64   `json:"version"`
	Leader  uint32   `json:"leader"`
	InSync  []uint32 `json:"in_sync"`
	Min     int      `json:"min"`
}

// page is the content of the page of a seed as JSON.
type page struct {
	Name      string    `json:"name"`
	Verdict   string    `json:"verdict"`
	Why       string    `json:"why,omitempty"`
	Replay    string    `json:"replay"`
	Build     string    `json:"build"`
	Trace     string    `json:"trace"`
	Simulated int64     `json:"simulated"`
	From      int64     `json:"from"`
	To        int64     `json:"to"`
	CalmAt    int64     `json:"calm"`
	Asked     int       `json:"operations"`
	Acked     int       `json:"acked"`
	Findings  []Finding `json:"findings"`
	Lanes     []lane    `json:"lanes"`
	Faults    []band    `json:"faults"`
	Leads     []leads   `json:"leads"`
	Kinds     []string  `json:"kinds"`
	Searched  string    `json:"searched"`
	Columns   *layout   `json:"columns"`
}

// Write writes the page.
func (s *Seed) Write(w *bufio.Writer) error {
	columns, text, layout, err := encode(s.Story)
	if err != nil {
		return err
	}
	p := page{
		Name: s.Name, Verdict: s.Verdict, Why: s.Why, Replay: s.Replay, Build: s.Build, Trace: s.Trace, From: s.From, To: s.To, Simulated: s.Simulated, CalmAt: s.CalmAt,
		Asked: s.Asked, Acked: s.Acked, Findings: s.Findings, Lanes: lanes(s.Plan), Faults: faults(&s.Plan.World),
		Kinds: scenarios.RecordedKinds(), Searched: s.Searched, Columns: layout, Leads: []leads{},
	}
	for i := range s.Leads {
		l := &s.Leads[i]
		shown := leads{At: l.At, Shard: uint32(l.Shard), Epoch: uint64(l.Epoch), Version: l.Version, Leader: uint32(l.Leader), InSync: []uint32{}, Min: l.Min}
		for _, id := range l.InSync {
			shown.InSync = append(shown.InSync, uint32(id))
		}
		p.Leads = append(p.Leads, shown)
	}
	about, err := json.Marshal(&p) // escapes < and >, so that it cannot end its element
	if err != nil {
		return err
	}
	return frame.Fill(w, assets, "seed.html", map[string]string{
		"title": html.EscapeString(s.Name + ": " + s.Verdict), "about": string(about),
		"columns": base64.StdEncoding.EncodeToString(columns), "text": base64.StdEncoding.EncodeToString(text),
		"porcupine": base64.StdEncoding.EncodeToString(s.Porcupine),
	})
}

func lanes(p *scenarios.Plan) (list []lane) {
	c := &p.Cluster
	for i := range c.Nodes + c.Clients + len(p.Workload.Operators) {
		is := "node"
		switch {
		case i >= c.Nodes+c.Clients:
			is = "operator"
		case i >= c.Nodes:
			is = "client"
		}
		list = append(list, lane{fmt.Sprintf("%s %d", is, i), is, group(p, i, is)})
	}
	return list
}

// group names the lanes that a lane belongs to.
func group(p *scenarios.Plan, i int, is string) string {
	if is == "node" && i < len(p.Cluster.Regions) {
		return string(p.Cluster.Regions[i])
	}
	return is + "s"
}

func faults(p *plan.Plan) []band {
	list := []band{}
	for i := range p.Disruptions {
		d := &p.Disruptions[i]
		list = append(list, band{d.Kind.String(), d.String(), d.Process, d.Peer, d.Kind.OfLinks()})
	}
	return list
}
