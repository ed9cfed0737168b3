package selftest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrUnknown is returned for a name that no mistake has.
var ErrUnknown = errors.New("no such mistake")

// chosen returns the mistakes to plant: those that are named; else, of those that seeds are
// to find, the ones whose files have changed, and a share of the others.
func (o *Options) chosen() ([]Mistake, error) {
	all, err := o.All(o.Root)
	if err != nil {
		return nil, err
	}
	if len(o.Only) > 0 {
		return o.named(all)
	}
	if o.Kind != "" {
		if !slices.Contains(o.Kinds, o.Kind) {
			return nil, fmt.Errorf("%w: kind %q%s; want one of %s", ErrUnknown, o.Kind, meantBy(o.Kind, o.Kinds), strings.Join(o.Kinds, ", "))
		}
		all = slices.DeleteFunc(all, func(m Mistake) bool { return m.Kind != o.Kind })
	}
	all = slices.DeleteFunc(all, func(m Mistake) bool { return m.NotFound != "" })
	if o.Share >= 100 || o.Kind != "" {
		return all, nil
	}
	tree, err := treeHash(o.Root)
	if err != nil {
		return nil, err
	}
	changed := changedFiles(o.Root, o.Since)
	return slices.DeleteFunc(all, func(m Mistake) bool { return !m.touches(changed) && !inShare(tree, m.Name, o.Share) }), nil
}

func (o *Options) named(all []Mistake) (chosen []Mistake, err error) {
	for _, name := range o.Only {
		i := slices.IndexFunc(all, func(m Mistake) bool { return m.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: %q%s; %s safety names them", ErrUnknown, name, meantBy(name, namesOf(all)), o.Lists)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// touches reports whether the mistake changes one of some files, or is described in one.
func (m *Mistake) touches(files []string) bool {
	if slices.Contains(files, m.Where) || m.file != "" && slices.Contains(files, m.file) {
		return true
	}
	return slices.ContainsFunc(m.changes, func(c change) bool { return slices.Contains(files, c.where) })
}

// changedFiles returns the files that differ from a revision, slash-separated, below the
// root: none if git does not know the revision, or is not there.
func changedFiles(root, since string) []string {
	if since == "" {
		return nil
	}
	cmd := exec.Command("git", "diff", "--name-only", "--relative", since, "--")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}

// treeHash returns the hash of all Go sources below root: it chooses another share
// for another tree, and the same for the same one.
func treeHash(root string) (hash [sha256.Size]byte, err error) {
	h := sha256.New()
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		source, err := os.ReadFile(path)
		h.Write(source)
		return err
	})
	return [sha256.Size]byte(h.Sum(nil)), err
}

// inShare reports whether a mistake is in the share, in per cent, that a tree chooses.
func inShare(tree [sha256.Size]byte, name string, share int) bool {
	h := sha256.Sum256(append(tree[:], name...))
	return binary.LittleEndian.Uint64(h[:])%100 < uint64(share)
}
