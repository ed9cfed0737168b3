package artifacts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A killed process leaves behind which seeds it was at.
func TestABeginningIsWrittenBeforeTheSeedRuns(t *testing.T) {
	s, err := New(t.TempDir(), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.Start("smoke", 0x2a)
	text, err := os.ReadFile(filepath.Join(s.dir, "seeds.jsonl"))
	if want := "{\"type\":\"start\",\"scenario\":\"smoke\",\"seed\":\"0x2a\"}\n"; string(text) != want || err != nil {
		t.Errorf("%v: %s", err, text)
	}
}

func TestTheRunRecordKeepsItsBeginning(t *testing.T) {
	s, err := New(t.TempDir(), 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	s.record.Started = "then"
	if s.Finish("it held", "", nil); s.Err() != nil {
		t.Fatal(s.Err())
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "run.json"))
	if got := string(text); err != nil || !strings.Contains(got, `"started": "then"`) || !strings.Contains(got, `"workers": 3`) || !strings.Contains(got, `"summary"`) {
		t.Errorf("%v: %s", err, text)
	}
}

func TestRunsOfOneMillisecondHaveDirectoriesOfTheirOwn(t *testing.T) {
	runs := t.TempDir()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first, err := claim(runs, began)
	if err != nil {
		t.Fatal(err)
	}
	second, err := claim(runs, began)
	if err != nil {
		t.Fatal(err)
	}
	if first >= second {
		t.Errorf("the later run is %s, which does not sort after %s", second, first)
	}
}
