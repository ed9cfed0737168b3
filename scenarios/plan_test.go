package scenarios

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/sim/plan"
)

func TestPlanFilesReadBackAsWritten(t *testing.T) {
	for _, s := range All() {
		for seed := plan.Seed(1); seed <= 5; seed++ {
			p := s.Plan(seed)
			got, err := DecodePlan(p.Encode())
			if err != nil {
				t.Fatalf("%s:%s: %v", s.Name, seed, err)
			}
			if diff := cmp.Diff(p, got); diff != "" {
				t.Fatalf("%s:%s (-drawn +read):\n%s", s.Name, seed, diff)
			}
		}
	}
}

// Adding a draw must not change the others: a plan is a function of names.
func TestPlansAreAFunctionOfTheSeed(t *testing.T) {
	for _, s := range All() {
		if a, b := s.Plan(7).Encode(), s.Plan(7).Encode(); !bytes.Equal(a, b) {
			t.Errorf("%s: one seed gives two plans", s.Name)
		}
		if a, b := s.Plan(7).Encode(), s.Plan(8).Encode(); bytes.Equal(a, b) {
			t.Errorf("%s: two seeds give one plan", s.Name)
		}
	}
}

func TestPlanFilesThatAreRefused(t *testing.T) {
	good := string(smoke.Plan(1).Encode())
	for name, c := range map[string]struct {
		text string
		err  error
		says string
	}{
		"empty":                 {"", ErrPlanFile, "unexpected end"},
		"cut off":               {good[:len(good)/2], ErrPlanFile, "unexpected end"},
		"no JSON":               {"tidalsim", ErrPlanFile, "line 1 column"},
		"foreign":               {`{"kind":"Pod"}`, ErrPlanFile, `format is "", want "tidalsim-plan"`},
		"of the future":         {strings.Replace(good, `"version": 2,`, `"version": 3,`, 1), ErrPlanVersion, "use the binary that wrote it"},
		"with an unknown field": {strings.Replace(good, `"cluster":`, `"colour": 1, "cluster":`, 1), ErrPlanFile, `unknown field "colour"`},
		"of another scenario":   {strings.Replace(good, `"smoke"`, `"smokes"`, 1), ErrPlanFile, `no scenario or group "smokes"`},
		"twice":                 {good + good, ErrPlanFile, "after top-level value"},
		"with text for number":  {strings.Replace(good, `"nodes": 3`, `"nodes": "3"`, 1), ErrPlanFile, "line 6 column"},
		"that kills a client":   {regexp.MustCompile(`"process": [0-9]+`).ReplaceAllString(good, `"process": 3`), plan.ErrInvalid, "process 3 is a client or an operator, want one of the nodes 0..2"},
		"without nodes":         {strings.Replace(good, `"nodes": 3`, `"nodes": 0`, 1), plan.ErrInvalid, "cluster of 0 nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := DecodePlan([]byte(c.text)); !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, c.err, c.says)
			}
		})
	}
}

func FuzzDecodePlan(f *testing.F) {
	for _, s := range All() {
		f.Add(s.Plan(1).Encode())
	}
	f.Add([]byte(`{"format":"tidalsim-plan","version":9}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodePlan(data)
		if err != nil {
			return
		}
		again, err := DecodePlan(p.Encode())
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Fatalf("(-read +read again):\n%s", diff)
		}
	})
}
