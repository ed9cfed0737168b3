package main

import (
	"os"
	"syscall"
)

// syncData makes the content of a file durable, as host/disk does.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
