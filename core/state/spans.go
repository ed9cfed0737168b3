package state

import "github.com/tidaldb/tidalsim/core/lineage"

// MaxSpans bounds the spans of a slot to those of its newest leaders. Spans are part of a snapshot,
// so a replica that begins from a snapshot knows the lineage of older records, or knows that it is
// unknown.
const MaxSpans = 64

// begin adds the span of a leader that begins to write. If there are too many spans, the oldest
// goes, so that the spans depend only on the log.
func (s *Slot) begin(span lineage.Span) {
	if len(s.spans) == MaxSpans {
		s.spans = s.spans[:copy(s.spans, s.spans[1:])]
	}
	s.spans = append(s.spans, span)
}

// Spans returns the known spans, ascending. They belong to the slot.
func (s *Slot) Spans() []lineage.Span { return s.spans }

// Lineage returns the lineage of the last record folded.
func (s *Slot) Lineage() lineage.Lineage { return s.LineageAt(s.Position.Seq) }

// LineageAt returns the lineage of a folded record; zero if it is no longer known.
func (s *Slot) LineageAt(seq lineage.Seq) lineage.Lineage {
	if seq > s.Position.Seq {
		return lineage.Lineage{}
	}
	for i := len(s.spans) - 1; i >= 0; i-- {
		if s.spans[i].First <= seq {
			return s.spans[i].Lineage
		}
	}
	return lineage.Lineage{}
}

// LastOf returns the last folded record of a lineage; false if no span of it is known.
func (s *Slot) LastOf(l lineage.Lineage) (lineage.Seq, bool) {
	last := s.Position.Seq
	for i := len(s.spans) - 1; i >= 0; i-- {
		if s.spans[i].Lineage == l {
			return last, true
		}
		last = s.spans[i].First - 1
	}
	return 0, false
}
