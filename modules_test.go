package tidalsim_test

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// modules returns the directories of all modules of the tree.
func modules(t *testing.T) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return fs.SkipDir
		}
		if d.Name() == "go.mod" {
			dirs = append(dirs, filepath.Dir(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// A module that replaces this one by its directory has to require the same versions, or the go
// command refuses it on a fresh clone. After each change of a go.mod run go mod tidy in all
// modules.
func TestEveryModuleIsUpToDate(t *testing.T) {
	dirs := modules(t)
	if len(dirs) < 2 || !slices.Contains(dirs, ".") {
		t.Fatalf("modules in %v", dirs)
	}
	for _, dir := range dirs {
		cmd := exec.Command("go", "list", "-mod=readonly", "./...")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v; run: go -C %s mod tidy\n%s", dir, err, dir, out)
		}
	}
}
