//go:build !unix

package host

import "os"

// lock does nothing: that one process runs in a directory is the operator's care.
func lock(*os.File) error { return nil }
