package report

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/scenarios"
)

// The lines of a story travel as columns, so that a page of half a million opens at once:
// each field of all lines side by side, little endian, the widest fields first, so that each
// column begins at a multiple of its width. The words of all lines follow in a block of their
// own, which the page reads when the lanes are drawn. Both are gzipped.
//
//	name     each   what
//	at       8      float64, ns
//	until    8      float64, ns; 0 if it is not known
//	seq, to  4      uint32, records; saturated
//	of       4      int32, the line that it follows from, -1 if none
//	op       4      int32, operation or disruption, -1 if none
//	message  4      uint32, 0 if none
//	words    4      uint32, where the words of the line begin, in UTF-16 units
//	process  2      int16, -1 if none
//	peer     2      int16, -1 if none
//	slot     2      int16, -1 if none
//	shard    2      int16, -1 if none
//	tenant   2      uint16, place in the list of tenants plus 1, 0 if none
//	kind     1      uint8
//	mark     1      uint8
type layout struct {
	Lines   int      `json:"lines"`
	Units   int      `json:"units"`   // of all words
	Tenants []string `json:"tenants"` // by place
}

// encode returns the columns and the words of a story.
func encode(story []scenarios.Told) (columns, words []byte, l *layout, err error) {
	l = &layout{Lines: len(story), Tenants: []string{}}
	places := map[tenant.ID]uint16{} // asked, never ranged over
	n := len(story)
	c := make([]byte, 0, n*48)
	le := binary.LittleEndian
	for i := range story {
		c = le.AppendUint64(c, math.Float64bits(float64(story[i].At)))
	}
	for i := range story {
		c = le.AppendUint64(c, math.Float64bits(float64(story[i].Until)))
	}
	starts := make([]uint32, n)
	var text []byte
	for i := range story {
		starts[i] = uint32(l.Units)
		text = append(text, story[i].Text...)
		l.Units += units(story[i].Text)
	}
	for _, column := range []func(t *scenarios.Told, i int) uint32{
		func(t *scenarios.Told, _ int) uint32 { return uint32(min(t.Seq, math.MaxUint32)) },
		func(t *scenarios.Told, _ int) uint32 { return uint32(min(t.To, math.MaxUint32)) },
		func(t *scenarios.Told, _ int) uint32 { return uint32(int32(t.Of)) },
		operation,
		func(t *scenarios.Told, _ int) uint32 { return uint32(min(t.Message, math.MaxUint32)) },
		func(_ *scenarios.Told, i int) uint32 { return starts[i] },
	} {
		for i := range story {
			c = le.AppendUint32(c, column(&story[i], i))
		}
	}
	for _, column := range []func(t *scenarios.Told) uint16{
		func(t *scenarios.Told) uint16 { return uint16(int16(t.Process)) },
		func(t *scenarios.Told) uint16 { return uint16(int16(t.Peer)) },
		func(t *scenarios.Told) uint16 { return uint16(int16(min(t.Slot, math.MaxInt16))) },
		func(t *scenarios.Told) uint16 { return uint16(int16(min(t.Shard, math.MaxInt16))) },
		func(t *scenarios.Told) uint16 { return l.place(places, t.Tenant) },
	} {
		for i := range story {
			c = le.AppendUint16(c, column(&story[i]))
		}
	}
	for i := range story {
		c = append(c, byte(story[i].Kind))
	}
	for i := range story {
		c = append(c, byte(story[i].Mark))
	}
	if columns, err = zipped(c); err == nil {
		words, err = zipped(text)
	}
	return columns, words, l, err
}

// operation is the number of the call or the fault that a line is about.
func operation(t *scenarios.Told, _ int) uint32 {
	if t.About == scenarios.Called || t.About == scenarios.Ended || t.About == scenarios.Fault {
		return uint32(int32(t.Op))
	}
	return math.MaxUint32
}

// place returns the place of a tenant in the list plus 1. The list takes as many as the column can
// hold; the words still name further ones.
func (l *layout) place(places map[tenant.ID]uint16, id tenant.ID) uint16 {
	if id == tenant.Reserved {
		return 0
	}
	if at, known := places[id]; known {
		return at
	}
	if len(l.Tenants) == math.MaxUint16-1 {
		return 0
	}
	l.Tenants = append(l.Tenants, id.String())
	places[id] = uint16(len(l.Tenants))
	return places[id]
}

// units is how long a text is as the page counts.
func units(text string) (n int) {
	for _, r := range text {
		if n++; r > math.MaxUint16 && utf8.ValidRune(r) {
			n++
		}
	}
	return n
}

func zipped(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, 4) // a reader waits while a page is written
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
