package state

import "github.com/tidaldb/tidalsim/core/lineage"

// MaxSpans bounds the spans of a slot: those of so many leaders, the newest. They are part
// of a snapshot, so a replica that begins from one knows the lineage of older records, or
// knows that it does not know.
const MaxSpans = 64

// begin notes that a sequencer begins a run of records. The oldest span goes if there are
// too many; which one that is, the log alone decides.
func (s *Slot) begin(span lineage.Span) {
	if len(s.spans) == MaxSpans {
		s.spans = s.spans[:copy(s.spans, s.spans[1:])]
	}
	s.spans = append(s.spans, span)
}

// Spans returns the spans that are known, ascending. They belong to the slot.
func (s *Slot) Spans() []lineage.Span { return s.spans }

// Lineage returns the lineage of the last record folded.
func (s *Slot) Lineage() lineage.Lineage { return s.LineageAt(s.Position.Seq) }

// LineageAt returns the lineage of a record that is folded; the zero value if that is not
// known any more.
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
