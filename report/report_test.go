package report

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// draw returns the page of a seed.
func draw(t *testing.T, s *Seed) string {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := s.Write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// told runs a seed and returns what its page shows.
func told(t *testing.T, scenario string, seed plan.Seed) *Seed {
	t.Helper()
	found, err := scenarios.Find(scenario)
	if err != nil {
		t.Fatal(err)
	}
	got, err := scenarios.NewRunner().Run(found[0].Plan(seed), scenarios.Options{Story: true})
	if err != nil {
		t.Fatal(err)
	}
	return Of(got, scenario, "simrun replay "+scenario, "test")
}

var block = regexp.MustCompile(`(?s)<script type="([^"]+)" id="([^"]+)">(.*?)</script>`)

// blocks returns the data blocks of a page, by name.
func blocks(page string) map[string]string {
	found := map[string]string{}
	for _, m := range block.FindAllStringSubmatch(page, -1) {
		found[m[2]] = m[3]
	}
	return found
}

func unzipped(t *testing.T, text string) []byte {
	t.Helper()
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The columns have the same content as the story: the test reads them as the page does.
func TestColumnsAreTheStory(t *testing.T) {
	s := told(t, "failover", 5)
	found := blocks(draw(t, s))
	var about page
	if err := json.Unmarshal([]byte(found["about"]), &about); err != nil {
		t.Fatal(err)
	}
	c, words, n := unzipped(t, found["columns"]), unzipped(t, found["words"]), len(s.Story)
	if about.Columns.Lines != n || len(c) != 52*n || len(about.Leads) == 0 || len(about.Lanes) < 4 {
		t.Fatalf("%d lines in %d bytes, %d configurations, %d lanes; the story has %d lines", about.Columns.Lines, len(c), len(about.Leads), len(about.Lanes), n)
	}
	le := binary.LittleEndian
	wide := func(column, i int) float64 { return math.Float64frombits(le.Uint64(c[(column*n+i)*8:])) }
	word := func(column, i int) uint32 { return le.Uint32(c[16*n+(column*n+i)*4:]) }
	half := func(column, i int) uint16 { return le.Uint16(c[40*n+(column*n+i)*2:]) }
	for i := range s.Story {
		x := &s.Story[i]
		end := len(words)
		if i+1 < n {
			end = int(word(5, i+1))
		}
		who := tenant.Reserved.String()
		if place := half(4, i); place > 0 {
			who = about.Columns.Tenants[place-1]
		}
		if wide(0, i) != float64(x.At) || wide(1, i) != float64(x.Until) ||
			uint64(word(0, i)) != x.Seq || uint64(word(1, i)) != x.To || int(int32(word(2, i))) != x.Of || uint64(word(4, i)) != x.Message ||
			int(int16(half(0, i))) != x.Process || int(int16(half(1, i))) != x.Peer || int(int16(half(2, i))) != x.Slot || int(int16(half(3, i))) != x.Shard ||
			who != x.Tenant.String() || c[50*n+i] != byte(x.Kind) || c[51*n+i] != byte(x.Mark) || string(words[word(5, i):end]) != x.Text {
			t.Fatalf("line %d of the page is not %+v", i, *x)
		}
	}
}

// A page is one file: nothing in it asks a network for anything, and no text of a run can
// become a part of it.
func TestAPageStandsAlone(t *testing.T) {
	s := told(t, "smoke", 3)
	const hostile = `</script><img src=x onerror=alert(1)>"'&`
	s.Name, s.Replay, s.Why = hostile, hostile, hostile
	s.Findings = []Finding{{Fingerprint: hostile, Text: hostile, At: 1}}
	s.Story[3].Text = hostile
	page := draw(t, s)
	if strings.Contains(page, "<img") || strings.Contains(page, "</script><") {
		t.Error("a text of a run became a part of the page")
	}
	for _, name := range []string{"uPlot.iife.min.js", "LICENSE"} { // its first line names its home, and it asks nothing
		verbatim, err := assets.ReadFile("assets/uplot/" + name)
		if err != nil || !strings.Contains(page, string(verbatim)) {
			t.Fatalf("%s of uPlot is not on the page: %v", name, err)
		}
		page = strings.Replace(page, string(verbatim), "", 1)
	}
	for _, outside := range []string{"http://", "https://", "@import", "url(", "innerHTML", "insertAdjacentHTML", "document.write", "{{"} {
		if strings.Contains(page, outside) {
			t.Errorf("the page contains %q", outside)
		}
	}
}

// Tenants beyond the capacity of the column, and texts beyond the first plane, are told.
func TestColumnsHaveBounds(t *testing.T) {
	story := make([]scenarios.Told, 70000)
	for i := range story {
		story[i] = scenarios.Told{Tenant: tenant.ID(i), Seq: math.MaxUint64, Text: "a"}
	}
	story[1].Text = "🌊"
	_, _, l, err := encode(story)
	if err != nil || len(l.Tenants) != math.MaxUint16-1 || l.Units != 70001 {
		t.Errorf("%v: %d tenants, %d units", err, len(l.Tenants), l.Units)
	}
}
