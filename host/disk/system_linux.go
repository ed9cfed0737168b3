package disk

import (
	"errors"
	"math"
	"os"
	"syscall"
)

// syncData makes the content of a file durable, and those of its attributes that are needed to read
// it.
func syncData(f *os.File) error {
	return control(f, func(fd int) error { return syscall.Fdatasync(fd) })
}

// control makes a system call on a file, again if a signal interrupted it.
func control(f *os.File, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			if failed = call(int(fd)); failed != syscall.EINTR {
				return
			}
		}
	})
	return errors.Join(err, failed)
}

func freeBytes(path string) int64 {
	var s syscall.Statfs_t
	if syscall.Statfs(path, &s) != nil {
		return 0
	}
	free := s.Bavail * uint64(s.Bsize)
	return int64(min(free, math.MaxInt64))
}
