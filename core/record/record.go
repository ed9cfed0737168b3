// Package record defines the unit of replication: one record of a slot's log,
// and its bytes. The bytes are what replicas must agree on; the frame around
// them in a segment file is local (package wal).
//
// Layout, little endian, part of the format; never change:
//
//	offset size
//	     0    1  version (1)
//	     1    1  kind
//	     2    2  reserved, zero
//	     4    4  slot
//	     8    8  tenant
//	    16    8  placement epoch
//	    24    8  shard epoch
//	    32    8  seq
//	    40    8  chain hash of the record before
//	    48    8  client: seq of the SESSION record, 0 if no client asked
//	    56    8  request number within the session
//	    64    8  floor: lowest request number still in use by the session
//	    72    8  bucket level after this record's charge, nano-tokens
//	    80    n  payload, by kind
//
// Payloads:
//
//	signal         entity 8, client time 8, weight 4, signal kind 1
//	session        client 8, nonce 8, evicted session 8
//	config         version 8, rate 8, burst 8, entities 8, bytes 8, feature level 8
//	epoch-start    empty
//	entity-put     entity 8
//	entity-delete  entity 8
package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Version is the record format this package writes.
const Version = 1

// HeaderSize is the number of bytes before the payload.
const HeaderSize = 80

// MaxSize is the size of the largest record.
const MaxSize = HeaderSize + configSize

const (
	signalSize  = 21
	sessionSize = 24
	configSize  = 48
	entitySize  = 8
)

// Kind is the kind of a record. The numbers are part of the format: 0 is never used, and the kinds
// that replication and migration add (Mode, Seal, Unseal, Activate) continue from 7.
type Kind uint8

// The kinds of records.
const (
	Signal       Kind = 1 // one signal on one entity; creates the entity if it does not exist
	Session      Kind = 2 // begins a client session; its ID is this record's seq
	Config       Kind = 3 // limits that apply from here on
	EpochStart   Kind = 4 // begins a new shard epoch of the leader that writes it
	EntityPut    Kind = 5 // creates an entity; no effect if it exists
	EntityDelete Kind = 6 // deletes an entity with all its signals; their bytes are refunded
)

// IsOperation reports whether records of kind k apply a numbered request of a client's session.
// Such a record is charged one token, and its seq is the answer to that request as long as the
// session remembers it.
func (k Kind) IsOperation() bool {
	return k == Signal || k == EntityPut || k == EntityDelete
}

// String returns the name of k.
func (k Kind) String() string {
	switch k {
	case Signal:
		return "signal"
	case Session:
		return "session"
	case Config:
		return "config"
	case EpochStart:
		return "epoch-start"
	case EntityPut:
		return "entity-put"
	case EntityDelete:
		return "entity-delete"
	}
	return fmt.Sprintf("kind-%d", uint8(k))
}

// SessionStart is the payload of a Session record.
type SessionStart struct {
	Client  uint64 // the client's own identity
	Nonce   uint64 // distinguishes the sessions of one client; a repeated request has the same
	Evicted uint64 // the session evicted to make room, 0 if none
}

// Limits is the payload of a Config record: the slot's share of its tenant's limits, in absolute
// numbers. 0 admits nothing; it does not mean "no limit".
type Limits struct {
	Version  uint64 // of the tenant's configuration, or of the grant; only a higher one is applied
	Rate     uint64 // operations per second
	Burst    uint64 // operations
	Entities uint64 // live entities
	Bytes    uint64 // logical bytes
	Feature  uint64 // feature level: the features that later records may use
}

// LimitsOf returns the limits of a slot that has all of its tenant's limits.
func LimitsOf(version uint64, l tenant.Limits) Limits {
	return Limits{Version: version, Rate: l.Rate, Burst: l.EffectiveBurst(), Entities: l.EffectiveEntities(), Bytes: l.EffectiveBytes()}
}

// Record is one decoded record. Only the payload of its Kind is set; the others are zero.
type Record struct {
	Tenant    tenant.ID
	Slot      lineage.Slot
	Kind      Kind
	Placement lineage.PlacementEpoch
	Epoch     lineage.ShardEpoch
	Seq       lineage.Seq
	Prev      lineage.Chain
	Client    uint64
	Request   uint64
	Floor     uint64
	Level     int64 // nano-tokens, never negative

	Signal  signal.Signal
	Session SessionStart
	Limits  Limits
	Entity  signal.Entity // EntityPut, EntityDelete
}

// Subject returns the entity that the record touches; false if it touches none.
func (r *Record) Subject() (signal.Entity, bool) {
	switch r.Kind {
	case Signal:
		return r.Signal.Entity, true
	case EntityPut, EntityDelete:
		return r.Entity, true
	}
	return 0, false
}

// Lineage returns the lineage of the record: the leader that wrote it.
func (r *Record) Lineage() lineage.Lineage {
	return lineage.Lineage{Placement: r.Placement, Epoch: r.Epoch}
}

// Operation returns the identity of the client request that the record applies.
func (r *Record) Operation() signal.Operation {
	return signal.Operation{Session: r.Client, Request: r.Request}
}

// ErrMalformed is wrapped by every error of Decode.
var ErrMalformed = errors.New("malformed record")

// ErrVersion is wrapped by the error for a record of an unknown version. A newer binary is needed,
// not a repair.
var ErrVersion = errors.New("unknown record version")

// Append appends the bytes of r to dst.
func Append(dst []byte, r *Record) []byte {
	le := binary.LittleEndian
	dst = append(dst, Version, byte(r.Kind), 0, 0)
	dst = le.AppendUint32(dst, uint32(r.Slot))
	dst = le.AppendUint64(dst, uint64(r.Tenant))
	dst = le.AppendUint64(dst, uint64(r.Placement))
	dst = le.AppendUint64(dst, uint64(r.Epoch))
	dst = le.AppendUint64(dst, uint64(r.Seq))
	dst = le.AppendUint64(dst, uint64(r.Prev))
	dst = le.AppendUint64(dst, r.Client)
	dst = le.AppendUint64(dst, r.Request)
	dst = le.AppendUint64(dst, r.Floor)
	dst = le.AppendUint64(dst, uint64(r.Level))
	switch r.Kind {
	case Signal:
		dst = le.AppendUint64(dst, uint64(r.Signal.Entity))
		dst = le.AppendUint64(dst, uint64(r.Signal.ClientTime))
		dst = le.AppendUint32(dst, uint32(r.Signal.Weight))
		dst = append(dst, byte(r.Signal.Kind))
	case Session:
		dst = le.AppendUint64(dst, r.Session.Client)
		dst = le.AppendUint64(dst, r.Session.Nonce)
		dst = le.AppendUint64(dst, r.Session.Evicted)
	case Config:
		dst = le.AppendUint64(dst, r.Limits.Version)
		dst = le.AppendUint64(dst, r.Limits.Rate)
		dst = le.AppendUint64(dst, r.Limits.Burst)
		dst = le.AppendUint64(dst, r.Limits.Entities)
		dst = le.AppendUint64(dst, r.Limits.Bytes)
		dst = le.AppendUint64(dst, r.Limits.Feature)
	case EntityPut, EntityDelete:
		dst = le.AppendUint64(dst, uint64(r.Entity))
	}
	return dst
}

// Decode reads the record that is exactly b into r. It accepts only what Append
// writes: for every accepted b, Append of r gives b again.
func Decode(b []byte, r *Record) error {
	if len(b) < HeaderSize {
		return fmt.Errorf("%w: %d bytes, want at least %d", ErrMalformed, len(b), HeaderSize)
	}
	if b[0] != Version {
		return fmt.Errorf("%w: version %d, this binary reads %d", ErrVersion, b[0], Version)
	}
	if b[2] != 0 || b[3] != 0 {
		return fmt.Errorf("%w: reserved bytes are %#x %#x, want 0", ErrMalformed, b[2], b[3])
	}
	le := binary.LittleEndian
	*r = Record{}
	r.Kind = Kind(b[1])
	r.Slot = lineage.Slot(le.Uint32(b[4:]))
	r.Tenant = tenant.ID(le.Uint64(b[8:]))
	r.Placement = lineage.PlacementEpoch(le.Uint64(b[16:]))
	r.Epoch = lineage.ShardEpoch(le.Uint64(b[24:]))
	r.Seq = lineage.Seq(le.Uint64(b[32:]))
	r.Prev = lineage.Chain(le.Uint64(b[40:]))
	r.Client = le.Uint64(b[48:])
	r.Request = le.Uint64(b[56:])
	r.Floor = le.Uint64(b[64:])
	r.Level = int64(le.Uint64(b[72:]))
	if r.Level < 0 {
		return fmt.Errorf("%w: bucket level %d is negative", ErrMalformed, r.Level)
	}
	return decodePayload(b[HeaderSize:], r)
}

func decodePayload(p []byte, r *Record) error {
	want, known := payloadSize(r.Kind)
	if !known {
		return fmt.Errorf("%w: unknown kind %d", ErrMalformed, uint8(r.Kind))
	}
	if len(p) != want {
		return fmt.Errorf("%w: %s with a payload of %d bytes, want %d", ErrMalformed, r.Kind, len(p), want)
	}
	le := binary.LittleEndian
	switch r.Kind {
	case Signal:
		r.Signal = signal.Signal{
			Entity:     signal.Entity(le.Uint64(p)),
			ClientTime: int64(le.Uint64(p[8:])),
			Weight:     int32(le.Uint32(p[16:])),
			Kind:       signal.Kind(p[20]),
		}
		if err := r.Signal.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	case Session:
		r.Session = SessionStart{Client: le.Uint64(p), Nonce: le.Uint64(p[8:]), Evicted: le.Uint64(p[16:])}
	case Config:
		r.Limits = Limits{
			Version: le.Uint64(p), Rate: le.Uint64(p[8:]), Burst: le.Uint64(p[16:]),
			Entities: le.Uint64(p[24:]), Bytes: le.Uint64(p[32:]), Feature: le.Uint64(p[40:]),
		}
	case EntityPut, EntityDelete:
		r.Entity = signal.Entity(le.Uint64(p))
	}
	return nil
}

func payloadSize(k Kind) (int, bool) {
	switch k {
	case Signal:
		return signalSize, true
	case Session:
		return sessionSize, true
	case Config:
		return configSize, true
	case EpochStart:
		return 0, true
	case EntityPut, EntityDelete:
		return entitySize, true
	}
	return 0, false
}

// Size returns the size in bytes of a record of kind k, 0 if there is no such kind. The size of a
// signal counts against its tenant's bytes.
func Size(k Kind) int {
	if payload, known := payloadSize(k); known {
		return HeaderSize + payload
	}
	return 0
}

// ChainOf returns the chain hash at a record with the given bytes. The bytes
// carry the chain before it, so the hash covers the whole history.
func ChainOf(b []byte) lineage.Chain { return lineage.Chain(xxh3.Hash(b)) }
