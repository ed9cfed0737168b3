package disk

import (
	"errors"
	"io"
	"os"

	"github.com/tidaldb/tidalsim/core/env"
)

// handle is an open file. Its operations are in one chain, so that one worker at a
// time has it.
//
// A file that is appended to after a sync is a log, and will be synced again and again. There
// bytes are filled with zeros ahead: as many as the file has, at least a page, at most Reserve, so
// that a short log stays short. To sync overwritten bytes a file system has to write only them; to
// sync appended bytes it needs its journal too.
//
// Invariant: zeroed is 0, or the file is zero from size to zeroed and ends there.
type handle struct {
	file     *os.File
	isSynced bool
	size     int64 // the bytes that the machine wrote, if zeroed is not 0
	zeroed   int64
}

// length is the size of the file as the machine knows it.
func (h *handle) length() (int64, error) {
	if h.zeroed > 0 {
		return h.size, nil
	}
	return sizeOf(h.file)
}

// append writes data behind the end. ahead says how many zeros go before it into a log of a size.
func (h *handle) append(data []byte, ahead func(size int64) int64) (int64, env.Errno) {
	size, err := h.length()
	if err != nil {
		return 0, errnoOf(err)
	}
	if h.isSynced && size+int64(len(data)) > h.zeroed {
		if n := ahead(size); n > 0 {
			h.fill(size, n)
		}
	}
	return h.write(size, data)
}

// page is the least that is worth a fill.
const page = 4 << 10

// roomShare keeps zeros from being what fills a disk: they are not written where less than so many
// times as much is free.
const roomShare = 256

// ahead is how many zeros are written ahead at once of the end of a log.
func (d *Disk) ahead(size int64) int64 {
	n := min(d.config.Reserve, max(size, page))
	if n <= 0 || d.Free() < roomShare*n {
		return 0
	}
	return n
}

// fill writes zeros behind the content. A failure does not matter: then the write will report it.
func (h *handle) fill(size, ahead int64) {
	from := max(size, h.zeroed)
	if _, err := h.file.WriteAt(make([]byte, ahead), from); err == nil {
		h.size, h.zeroed = size, from+ahead
	} else if h.file.Truncate(size) == nil {
		h.zeroed = 0
	}
}

func (h *handle) write(offset int64, data []byte) (int64, env.Errno) {
	size, err := h.length()
	if err != nil {
		return 0, errnoOf(err)
	}
	n, errno := write(h.file, size, offset, data)
	switch {
	case h.zeroed == 0:
	case errno == env.NoSpace && n == 0:
		h.cut(size)
	default:
		h.size = max(size, offset+n)
		h.zeroed = max(h.zeroed, h.size)
	}
	return n, errno
}

// cut ends the file at size, if need be, and forgets about zeros.
func (h *handle) cut(size int64) error {
	err := h.file.Truncate(size)
	if err == nil {
		h.zeroed = 0
	}
	return err
}

// truncate cuts a file. A file that is short enough stays as it is.
func (h *handle) truncate(length int64) env.Errno {
	size, err := h.length()
	if err != nil || length < 0 || length >= size {
		return errnoOf(err)
	}
	return errnoOf(h.cut(length))
}

// close takes the zeros away, durably, and closes the file. Later operations in the directory wait
// for that: when the next segment has a name, the one before must be whole.
func (h *handle) close() error {
	var err error
	if h.zeroed > 0 {
		if err = h.cut(h.size); err == nil {
			err = h.file.Sync()
		}
	}
	return errors.Join(err, h.file.Close())
}

// read reads the existing part of length bytes at offset.
func (h *handle) read(offset, length int64) (int64, []byte, env.Errno) {
	size, err := h.length()
	if err != nil {
		return 0, nil, errnoOf(err)
	}
	if offset < 0 || length <= 0 || offset >= size {
		return 0, nil, env.OK
	}
	data := make([]byte, min(length, size-offset))
	n, err := h.file.ReadAt(data, offset)
	if err != nil && err != io.EOF {
		return 0, nil, env.IOError
	}
	return int64(n), data[:n], env.OK
}
