package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
)

// Names in a process's own directory.
const (
	dataName        = "data"
	lockName        = "lock"
	incarnationName = "incarnation"
)

// The reasons why a process cannot have its directory.
var (
	ErrLocked = errors.New("another process runs in this directory")
	ErrCount  = errors.New("the count of starts is damaged; write a number into it that is higher than any before")
)

// DataDir returns the directory of the machine's files, for who looks at them from
// outside.
func DataDir(dir string) string { return filepath.Join(dir, dataName) }

// home is a process's own directory, locked for it.
type home struct {
	lock        *os.File
	incarnation env.Incarnation
}

// openHome locks the directory at dir and counts the start.
func openHome(dir string) (*home, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	h := &home{lock: file}
	if err := lock(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %w", dir, ErrLocked, err), file.Close())
	}
	if h.incarnation, err = countStart(dir); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return h, nil
}

// close unlocks the directory.
func (h *home) close() error { return h.lock.Close() }

// countStart returns the number of this start, durable.
func countStart(dir string) (env.Incarnation, error) {
	path := filepath.Join(dir, incarnationName)
	last := uint64(0)
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if last, err = strconv.ParseUint(strings.TrimSuffix(string(data), "\n"), 10, 63); err != nil {
			return 0, fmt.Errorf("%s: %w: %w", path, ErrCount, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, err
	}
	next := last + 1
	if err := replace(dir, path, strconv.FormatUint(next, 10)+"\n"); err != nil {
		return 0, err
	}
	return env.Incarnation(next), nil
}

// replace gives the file at path a new content: all of it or, after a crash, none.
func replace(dir, path, content string) error {
	file, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	parent, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
