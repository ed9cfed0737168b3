package metalog

import "github.com/tidaldb/tidalsim/core/assert"

// silence is raft's logger. It discards logs, since the trace has the same facts. A panic of raft
// becomes a failed assertion, because an invariant of raft is broken.
type silence struct{}

// Debug implements raft.Logger.
func (silence) Debug(...any) {}

// Debugf implements raft.Logger.
func (silence) Debugf(string, ...any) {}

// Error implements raft.Logger.
func (silence) Error(...any) {}

// Errorf implements raft.Logger.
func (silence) Errorf(string, ...any) {}

// Info implements raft.Logger.
func (silence) Info(...any) {}

// Infof implements raft.Logger.
func (silence) Infof(string, ...any) {}

// Warning implements raft.Logger.
func (silence) Warning(...any) {}

// Warningf implements raft.Logger.
func (silence) Warningf(string, ...any) {}

// Fatal implements raft.Logger.
func (silence) Fatal(v ...any) { assert.Fail("raft: %v", v) }

// Fatalf implements raft.Logger.
func (silence) Fatalf(format string, v ...any) { assert.Fail("raft: "+format, v...) }

// Panic implements raft.Logger.
func (silence) Panic(v ...any) { assert.Fail("raft: %v", v) }

// Panicf implements raft.Logger.
func (silence) Panicf(format string, v ...any) { assert.Fail("raft: "+format, v...) }
