package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
)

// Names in a process's own directory.
const (
	dataName  = "data"
	lockName  = "lock"
	startName = "start"
)

// The reasons why a process cannot have its directory.
var (
	ErrLocked = errors.New("another process runs in this directory")
	ErrStart  = errors.New("the number of the last start is damaged; remove the file")
)

// DataDir returns the directory of the machine's files, for readers outside the process.
func DataDir(dir string) string { return filepath.Join(dir, dataName) }

// home is a process's own directory, locked for it.
type home struct {
	lock  *os.File
	start env.Incarnation
}

// openHome locks the directory at dir and numbers the start.
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
	if h.start, err = numberStart(dir, time.Now()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return h, nil
}

// close unlocks the directory.
func (h *home) close() error { return h.lock.Close() }

// numberStart returns the number of this start, durable: nanoseconds since 1970, but above
// that of the start before. It orders the connections of starts, and nothing else hangs on
// it: the machine does not learn it, and a directory that was lost does not set it back.
func numberStart(dir string, now time.Time) (env.Incarnation, error) {
	path := filepath.Join(dir, startName)
	last := uint64(0)
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if last, err = strconv.ParseUint(strings.TrimSuffix(string(data), "\n"), 10, 63); err != nil {
			return 0, fmt.Errorf("%s: %w: %w", path, ErrStart, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, err
	}
	next := max(last+1, uint64(now.UnixNano()))
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
	return syncDir(dir)
}

// WriteFile gives the file at path its content, durably: all of it or, after a crash, none.
func WriteFile(path string, content []byte) error {
	return replace(filepath.Dir(path), path, string(content))
}

// PutData writes a file into the data directory of a process that has never run there, and
// makes it durable. dir is that of Config.
func PutData(dir, name string, content []byte) error {
	data := DataDir(dir)
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	for _, parent := range []string{filepath.Dir(dir), dir} {
		if err := syncDir(parent); err != nil {
			return err
		}
	}
	return replace(data, filepath.Join(data, name), string(content))
}

// ReadData reads a file of the data directory of a process that does not run; nil if there
// is none.
func ReadData(dir, name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(DataDir(dir), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
