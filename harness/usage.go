package harness

import "errors"

// ErrUsage is wrapped by the errors for arguments that mean nothing.
var ErrUsage = errors.New("cannot be understood")
