package checker

import (
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

// fold is the sum of a log for one entity: the checkers' own idea of the meaning of records.
//
// Invariant: an entity that is not live has the zero state.
type fold struct {
	entity signal.Entity
	live   bool
	state  signal.State
}

// apply adds a record that touches the entity.
func (f *fold) apply(rec *record.Record) {
	if rec.Kind == record.EntityDelete {
		*f = fold{entity: f.entity}
		return
	}
	if !f.live {
		f.live = true
		f.state.LastSeq = uint64(rec.Seq)
	}
	if rec.Kind == record.Signal {
		f.state.Apply(uint64(rec.Seq), rec.Operation(), &rec.Signal)
	}
}

// changes reports whether a record would make a difference to the entity: an entity that exists is
// not created again, and one that does not is not deleted.
func (f *fold) changes(k record.Kind) bool {
	switch k {
	case record.EntityPut:
		return !f.live
	case record.EntityDelete:
		return f.live
	}
	return true
}

// foldLog adds up a whole log, in the order in which it first touches entities.
func foldLog(s *Scratch, l *observe.Log) {
	s.dense.reset(len(l.Entries))
	s.folds = s.folds[:0]
	for i := range l.Entries {
		rec := &l.Entries[i].Record
		entity, touches := rec.Subject()
		if !touches {
			continue
		}
		number, fresh := s.dense.dense(key{a: uint64(entity)})
		if fresh {
			s.folds = append(s.folds, fold{entity: entity})
		}
		s.folds[number].apply(rec)
	}
}

// recordFor returns the record that an operation has to make. A read makes none.
func recordFor(op *history.Op) record.Record {
	switch op.Kind {
	case history.Write:
		return record.Record{Kind: record.Signal, Signal: op.Signal}
	case history.Put:
		return record.Record{Kind: record.EntityPut, Entity: op.Signal.Entity}
	case history.Delete:
		return record.Record{Kind: record.EntityDelete, Entity: op.Signal.Entity}
	}
	return record.Record{}
}

// holds reports whether a record carries out an operation, of whatever session. A read asks for no
// record.
func holds(rec *record.Record, op *history.Op) bool {
	switch op.Kind {
	case history.Write:
		return rec.Kind == record.Signal && rec.Signal == op.Signal
	case history.Put:
		return rec.Kind == record.EntityPut && rec.Entity == op.Signal.Entity
	case history.Delete:
		return rec.Kind == record.EntityDelete && rec.Entity == op.Signal.Entity
	}
	return false
}
