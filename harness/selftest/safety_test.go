package selftest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBreaking(t *testing.T) {
	const head = "package p\n\nfunc f() int {\n"
	for _, c := range []struct{ name, operator, body, want string }{
		{"a statement is dropped", "", "	sync()\n	return 1\n", "	if false { sync() }\n	return 1\n"},
		{"an if is dropped whole", "", "	if x := g(); x {\n		return 2\n	}\n", "	if false { if x := g(); x {\n		return 2\n	} }\n"},
		{"a condition is negated", "negate", "	if a || b {\n	}\n", "	if !(a || b) {\n	}\n"},
		{"a condition is made true", "true", "	if a {\n	}\n", "	if (a) || true {\n	}\n"},
		{"a condition is made false", "false", "	if a || b {\n	}\n", "	if (a || b) && false {\n	}\n"},
		{"two statements are swapped", "swap", "	a()\n	// why\n	b()\n", "	b()\n	// why\n	a()\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			directive := "	//safety:rule " + c.operator + " by=no-loss on=smoke\n"
			source := head + directive + c.body + "}\n"
			lines, err := linesOf("p.go", []byte(source))
			if err != nil || len(lines) != 1 {
				t.Fatal(lines, err)
			}
			got, err := lines[0].Break([]byte(source))
			if diff := cmp.Diff(head+directive+c.want+"}\n", string(got)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestBadDirectives(t *testing.T) {
	for text, says := range map[string]string{
		"//safety:":                                "no name",
		"//safety:x":                               "want by=CHECKER",
		"//safety:x by=no-loss":                    "want by=CHECKER and on=SCENARIO",
		"//safety:x upside-down by=a on=b":         `"upside-down" is neither`,
		"//safety:x by=a on=b\n\n\tx()":            "no statement begins",
		"//safety:x negate by=a on=b\n\tx()":       "needs an if",
		"//safety:x swap by=a on=b\n\tx()":         "no statement follows",
		"//safety:x by=a on=b\n\tfor {\n\t\t}\n//": "",
	} {
		source := "package p\n\nfunc f() {\n\t" + text + "\n}\n"
		lines, err := linesOf("p.go", []byte(source))
		if err == nil {
			_, err = lines[0].Break([]byte(source))
		}
		if says == "" && err == nil {
			continue
		}
		if !errors.Is(err, ErrDirective) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want one with %q", text, err, says)
		}
	}
}

func TestOnlyTheExpectedCheckerCounts(t *testing.T) {
	r := Result{Mistake: Mistake{Expected: "rate"}}
	out := `{"type":"finding","checkers":["liveness"]}
{"type":"finding","checkers":["no-loss","rate"]}
{"type":"summary","exit":1}
`
	if err := r.read([]byte(out)); err != nil || !r.Found || r.In != 1 || r.Checker != "rate" {
		t.Errorf("%v %+v", err, r)
	}
	if err := r.read([]byte(`{"type":"finding","checkers":["rate"]}`)); err == nil {
		t.Error("a run that broke off counts")
	}
}
