package page

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

// Whatever a run says reaches the page as text, and the page asks no network.
func TestTextsOfARunStayTexts(t *testing.T) {
	const hostile = "</script><img src=x onerror=alert(1)>"
	r := &Run{ID: hostile, Verdict: "violated", Kinds: []Kind{{Fingerprint: hostile, Text: hostile, Seeds: []string{hostile}, Count: 1, Replay: hostile}}}
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := r.Write(w); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	if strings.Contains(b.String(), "<img") || strings.Contains(b.String(), "://") {
		t.Errorf("a text of a run became a part of the run's page, or it asks a network")
	}
}

// The page of a run of many seeds is small enough to be attached to anything.
func TestTheRunsPageIsSmall(t *testing.T) {
	r := &Run{ID: "1", Verdict: "violated", Seeds: 5000, Violated: 5000}
	for range 100 { // kinds
		k := Kind{Fingerprint: "availability/stopped-for-long", Count: 50, Text: strings.Repeat("x", 2000), Replay: "simrun replay rejoin-after-long-absence:0x1388"}
		for range 20 {
			k.Seeds = append(k.Seeds, "rejoin-after-long-absence:0x1388")
		}
		r.Kinds = append(r.Kinds, k)
	}
	for range 100 {
		r.Scenarios = append(r.Scenarios, PerScenario{Name: "rejoin-after-long-absence", Seeds: 5000})
		r.Points = append(r.Points, Reached{Name: "recovery.syncing"})
	}
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := r.Write(w); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	if b.Len() > 1<<20 || strings.Count(b.String(), "and 30 more") != 100 {
		t.Errorf("%d bytes, want at most one MiB, with the seeds that it does not name counted", b.Len())
	}
}
