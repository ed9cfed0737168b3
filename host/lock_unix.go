//go:build unix

package host

import (
	"os"
	"syscall"
)

// lock locks a file for this process. The operating system unlocks it when the
// process is gone, however that came.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
