package wire

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/quota"
)

// Facts are the facts beside the code of a refusal. Only the fact that the code calls for is set;
// the others are zero, and with any other code all are.
type Facts struct {
	Quota     quota.ExceededError // QuotaExceeded
	NotLeader NotLeader           // Moved
	Outdated  Outdated            // VersionConflict
	BadField  BadField            // InvalidConfig
}

// NotLeader is the fact of a Moved: another node leads. The zero value names no node.
type NotLeader struct {
	Known  bool // that the refusing node knows of a leader
	Leader env.ID
}

// Outdated is the fact of a VersionConflict: the command counts on another version than the
// one in force.
type Outdated struct {
	Version uint64 // in force; 0: there is none, or it is not known
}

// BadField is the fact of an InvalidConfig: a field of the configuration is out of its range.
// The zero value names none.
type BadField struct {
	Field uint8 // as package tenant numbers them, from 1; 0: it is not known
	Value uint64
}

// A refusal, 8 bytes each number, part of the format; never change. The code decides
// which facts stand where, and the remaining numbers are zero:
//
//	offset size               QuotaExceeded    Moved                VersionConflict  InvalidConfig
//	     0    8  code
//	     8    8               resource                                               field
//	    16    8               limit
//	    24    8               used             leader's address + 1 version          value
//	    32    8               retry after, ns
const refusalSize = 5 * 8

// putRefusal writes a code and its facts at the beginning of b.
func putRefusal(b []byte, code Code, f *Facts) {
	b = b[:refusalSize]
	clear(b)
	put(b, uint64(code))
	switch code {
	case QuotaExceeded:
		put(b[8:], uint64(f.Quota.Resource))
		put(b[16:], f.Quota.Limit)
		put(b[24:], f.Quota.Used)
		put(b[32:], uint64(f.Quota.RetryAfter))
	case Moved:
		if f.NotLeader.Known {
			put(b[24:], uint64(f.NotLeader.Leader)+1)
		}
	case VersionConflict:
		put(b[24:], f.Outdated.Version)
	case InvalidConfig:
		put(b[8:], uint64(f.BadField.Field))
		put(b[24:], f.BadField.Value)
	}
}

// refusal reads a code and its facts. It notes what no code of a node has there.
func (r *reader) refusal() (code Code, f Facts) {
	code = Code(r.below(uint64(codes)))
	which, limit, value, retry := r.below(1<<8), r.next(), r.next(), r.next()
	switch code {
	case QuotaExceeded:
		f.Quota = quota.ExceededError{Resource: quota.Resource(which), Limit: limit, Used: value, RetryAfter: env.Duration(retry)}
		return code, f
	case Moved:
		r.bad = r.bad || which > 0 || value > 1<<32
		if value > 0 {
			f.NotLeader = NotLeader{Known: true, Leader: env.ID(value - 1)}
		}
	case VersionConflict:
		r.bad = r.bad || which > 0
		f.Outdated.Version = value
	case InvalidConfig:
		f.BadField = BadField{Field: uint8(which), Value: value}
	default:
		r.bad = r.bad || which > 0 || value > 0
	}
	r.bad = r.bad || limit > 0 || retry > 0
	return code, f
}
