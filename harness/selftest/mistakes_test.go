package selftest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `name: told-too-early
rule: nothing is told before it is durable
kind: counting
found by: durable-ack, no-loss
scenario:
# Which line it is.

-- a.go --
<<<<<<<
one
=======
eins
>>>>>>>
<<<<<<<
two
=======
>>>>>>>

-- b/c.go --
<<<<<<<
three
=======
drei
drei
>>>>>>>
`

func TestAMistakeIsReadFromItsFile(t *testing.T) {
	m, err := parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	want := Mistake{
		Name: "told-too-early", Rule: "nothing is told before it is durable", Kind: "counting", Expected: "durable-ack, no-loss",
		Where: "a.go", Operator: edit,
		changes: []change{
			{"a.go", []replacement{{"one\n", "eins\n"}, {"two\n", ""}}},
			{"b/c.go", []replacement{{"three\n", "drei\ndrei\n"}}},
		},
	}
	if diff := cmp.Diff(want, m, cmp.AllowUnexported(Mistake{}, change{}, replacement{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"a.go": "zero\none\ntwo\n", "b/c.go": "three\n"} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	broken, err := m.Files(root)
	if err != nil || string(broken[filepath.Join(root, "a.go")]) != "zero\neins\n" || string(broken[filepath.Join(root, "b/c.go")]) != "drei\ndrei\n" {
		t.Errorf("%q, %v", broken, err)
	}
}

func TestBadFilesOfMistakes(t *testing.T) {
	for _, c := range []struct{ old, new, says string }{
		{"name: told-too-early\n", "", "want name, rule, kind and found by"},
		{"rule:", "law:", `"law: nothing`},
		{"kind: counting", "kind: counting\nkind: reads", "each once"},
		{"-- a.go --", "-- a.go", "is not the line of a file"},
		{"one\n=======", "one", "want lines between"},
		{"eins\n", "one\n", "and others in their place"},
		{"<<<<<<<\none\n", "<<<<<<<\n", "want lines between"},
		{">>>>>>>\n<<<<<<<\ntwo", "two", "want lines between"},
		{sample[strings.Index(sample, "-- a.go"):], "", "it changes no file"},
		{sample[strings.Index(sample, "-- b/c"):], "-- b/c.go --\n", "nothing is changed"},
	} {
		text := strings.Replace(sample, c.old, c.new, 1)
		if text == sample {
			t.Fatalf("%q is not in the sample", c.old)
		}
		_, err := parse(text)
		if (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, ErrMistake) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q instead of %q: error %v, want one with %q", c.new, c.old, err, c.says)
		}
	}
}

// What a mistake changes stands once in its file, as whole lines.
func TestLinesOfAMistakeStandOnce(t *testing.T) {
	c := change{"a.go", []replacement{{"one\n", "two\n"}}}
	for source, want := range map[string]string{"one\n": "two\n", "a one\none\n": "a one\ntwo\n", "a one\n": "", "one\none\n": "", "one": ""} {
		got, err := c.apply("m", []byte(source))
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q becomes %q, %v; want %q", source, got, err, want)
		}
	}
}

// Of the loss of a safety line only the objection of its checker counts, of another mistake
// every objection, a panic too.
func TestWhoseObjectionCounts(t *testing.T) {
	for _, c := range []struct {
		mistake  Mistake
		objects  string
		found    bool
		expected bool
	}{
		{Mistake{Expected: "rate"}, `"rate"`, true, true},
		{Mistake{Expected: "rate"}, `"caps"`, false, false},
		{Mistake{Expected: "rate"}, `"panic"`, false, false},
		{Mistake{Kind: "quotas", Expected: "rate, caps"}, `"liveness","caps"`, true, true},
		{Mistake{Kind: "quotas", Expected: "rate"}, `"caps"`, true, false},
		{Mistake{Kind: "quotas", Expected: Any}, `"panic"`, true, true},
	} {
		r := Result{Mistake: c.mistake}
		out := `{"type":"finding","scenario":"calm","seed":"0x2a","checkers":[` + c.objects + "]}\n" + `{"type":"summary","seeds":50,"exit":1}`
		err := r.read([]byte(out))
		if err != nil || r.Found != c.found || r.AsExpected() != c.expected || r.Seeds != 50 {
			t.Errorf("%+v, to which %s objects: %v, found %t, as expected %t", c.mistake, c.objects, err, r.Found, r.AsExpected())
		}
		if c.found && (r.FoundIn != "calm" || r.First != 42 || r.In != 1) {
			t.Errorf("found in %s:%d, %d times", r.FoundIn, r.First, r.In)
		}
	}
}

// One tree always chooses the same share of the mistakes, and trees differ in it.
func TestTheTreeChoosesAShare(t *testing.T) {
	var all []Mistake
	for i := range 100 {
		all = append(all, Mistake{Name: fmt.Sprintf("mistake-%d", i)})
	}
	chosenBy := func(tree byte, share int) (names string) {
		for _, m := range all {
			if inShare([32]byte{tree}, m.Name, share) {
				names += m.Name + " "
			}
		}
		return names
	}
	if one := chosenBy(1, 20); one != chosenBy(1, 20) || one == chosenBy(2, 20) || one == "" {
		t.Errorf("tree 1 chooses %s and then %s, tree 2 %s", one, chosenBy(1, 20), chosenBy(2, 20))
	}
	if chosenBy(1, 0) != "" || len(strings.Fields(chosenBy(1, 100))) != len(all) {
		t.Error("a share of 0 or of 100 per cent is none or all")
	}
	m := Mistake{Name: "x", Kind: "reads", Where: "a.go", file: "selftest/mistakes/reads/x.txt", changes: []change{{where: "a.go"}, {where: "b.go"}}}
	for file, want := range map[string]bool{"a.go": true, "b.go": true, "c.go": false, "selftest/mistakes/reads/x.txt": true} {
		if m.touches([]string{file}) != want {
			t.Errorf("a change of %s touches the mistake: %t", file, !want)
		}
	}
}
