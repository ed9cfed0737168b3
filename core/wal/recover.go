package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
)

// Segment is a segment file as it was found.
type Segment struct {
	Name string // within the slot directory; ParseSegmentName accepts it
	Data []byte // the whole file
}

// Repair is a change of a file that must be made before the log is appended to or served. The file
// is rewritten to its first Keep bytes (a new file, synced, renamed over it), or removed if Keep is
// 0; then the directory is synced.
type Repair struct {
	Name string
	Keep int64 // bytes; at least HeaderSize, or 0
}

// Recovery is the outcome of Recover.
//
// Invariant: Synced <= End.Seq, and there is at most one Repair, so that a crash during the repairs
// leaves a log that recovers to the same End.
type Recovery struct {
	End      lineage.Position // the last record, or base if there is none beyond it
	Records  int              // the number of records given to apply
	Synced   lineage.Seq      // highest seq that is confirmed as durable
	Repairs  []Repair         // nil if the files need no repair
	CutBytes int64            // the number of bytes that the repairs remove
	Tail     string           // segment to append End.Next() to; "" means start a new one
	TailSize int64            // size of Tail in bytes, after the repairs
}

// Recover judges the segments of the slot directory id, ascending by first seq, and gives the
// records above base to apply in order, each with the chain at it. base is the position of the
// snapshot that the caller loaded, zero if none; records up to base are checked but not applied.
// The record that apply gets is overwritten after it returns. An error of apply ends the recovery
// and is wrapped.
//
// Each of these confirms that record n was durable:
//
//   - a frame of this slot, anywhere, with synced >= n,
//   - a segment named with a first seq above n, because the writer starts a segment
//     only when all earlier records are durable,
//   - a snapshot at n or above.
//
// Record n may be missing where it is expected: a frame does not decode, is of another slot, has
// another seq, or another chain before it. If record n is confirmed, that is corruption: the error
// is a CorruptError and no file may be touched. Otherwise it is a torn tail, and is cut even if
// good frames follow: of two unsynced appends a crash may lose the first and keep the second, and
// neither was acknowledged. By the second confirmation, only the last segment can be torn. Old disk
// blocks in place of appended bytes are a torn tail as well, even if they hold whole frames or a
// whole header.
//
// Data of a newer version is never cut, confirmed or not: the error wraps ErrVersion. After any
// error, the caller must discard the records given to apply.
func Recover(id Identity, base lineage.Position, segments []Segment, apply func(r *record.Record, chain lineage.Chain) error) (Recovery, error) {
	assert.That(base.Seq > 0 || base.Chain == 0, "recover: chain before the first record is %016x", uint64(base.Chain))
	p := replay{id: id, base: base, at: base, apply: apply}
	p.confirm(base.Seq)
	if err := p.survey(segments); err != nil {
		return Recovery{}, err
	}
	for i := range segments {
		if err := p.segment(&segments[i], i == 0, i == len(segments)-1); err != nil {
			return Recovery{}, err
		}
	}
	// Reached only if the last segment was intact: a torn tail at or below base is corruption
	// already.
	if p.at.Seq < base.Seq {
		last := &segments[len(segments)-1]
		return Recovery{}, corrupt(last, len(last.Data), "the log ends at record %d, but the snapshot confirms record %d", p.at.Seq, base.Seq)
	}
	p.out.End = p.at
	assert.That(p.out.Synced <= p.out.End.Seq, "recover: end is %d, synced is %d", p.out.End.Seq, p.out.Synced)
	assert.That(len(p.out.Repairs) <= 1, "recover: %d repairs, want at most 1", len(p.out.Repairs))
	return p.out, nil
}

// replay is a recovery in progress.
//
// Invariant: at is the last good record. Every record up to it was checked, and applied if it is
// above base.
type replay struct {
	id    Identity
	base  lineage.Position
	apply func(*record.Record, lineage.Chain) error
	at    lineage.Position
	rec   record.Record // of the last decoded frame
	out   Recovery

	// unanchored: at is below base and its chain is unknown, because the segments before are gone.
	// The header is trusted until the replay reaches base: the chain there covers it and is
	// checked.
	unanchored bool
}

// confirm records that every record up to seq is known to have been durable.
func (p *replay) confirm(seq lineage.Seq) { p.out.Synced = max(p.out.Synced, seq) }

// survey makes the checks that need no record. Versions come first: a binary that is too old must
// not judge these files.
func (p *replay) survey(segments []Segment) error {
	var before lineage.Seq
	for i := range segments {
		s := &segments[i]
		shard, first, ok := ParseSegmentName(s.Name)
		assert.That(ok, "recover: %q is not the name of a segment", s.Name)
		if _, err := DecodeHeader(s.Data); errors.Is(err, ErrVersion) {
			return fmt.Errorf("segment %s: %w", s.Name, err)
		}
		if shard != p.id.Shard {
			return corrupt(s, 0, "the file is named for shard %d, the directory belongs to shard %d", shard, p.id.Shard)
		}
		assert.That(before < first, "recover: segment %d comes after %d", first, before)
		before = first
	}
	return nil
}

// segment replays one file and, if it is the last one, repairs it.
func (p *replay) segment(s *Segment, isFirst, isLast bool) error {
	_, first, _ := ParseSegmentName(s.Name)
	if err := p.reach(s, first, isFirst); err != nil {
		return err
	}
	p.confirm(first - 1)
	header, damage := DecodeHeader(s.Data)
	offset := 0
	if damage == nil {
		damage = p.stranger(&header, first)
		if damage != nil && (!isLast || p.fits(s)) {
			return corrupt(s, 0, "%v", damage)
		}
	}
	if damage == nil {
		if err := p.enter(s, &header, first); err != nil {
			return err
		}
		var err error
		if offset, damage, err = p.frames(s); err != nil {
			return err
		}
	}
	switch {
	case damage == nil:
		p.out.Tail, p.out.TailSize = s.Name, int64(len(s.Data))
		return nil
	case !isLast:
		return corrupt(s, offset, "%v; the segment after it confirms that this one was whole and durable", damage)
	}
	return p.torn(s, offset, damage)
}

// reach checks that the segment begins where the log before it ends. Segments at or below base may
// be gone, so the first one may begin anywhere up to there.
func (p *replay) reach(s *Segment, first lineage.Seq, isFirst bool) error {
	if isFirst && first <= p.base.Seq {
		p.at = lineage.Position{Seq: first - 1}
		p.unanchored = first > 1
		return nil
	}
	switch next := p.at.Next(); {
	case first > next:
		return corrupt(s, 0, "records %d..%d are missing: the log before goes up to record %d, the segment begins at record %d",
			next, first-1, p.at.Seq, first)
	case first < next:
		return corrupt(s, 0, "the segment begins at record %d, but the log before goes up to record %d", first, p.at.Seq)
	}
	return nil
}

// stranger returns the reason that a header belongs to another file. Its checksum matched, so it is
// not a torn write. Old disk blocks are possible: a power failure may leave them where the last
// segment got its first blocks.
func (p *replay) stranger(h *Header, first lineage.Seq) error {
	switch {
	case h.Identity != p.id:
		return fmt.Errorf("the header is of %v, the directory of %v", h.Identity, p.id)
	case h.First != first:
		return fmt.Errorf("the header says first record %d, the name says %d", h.First, first)
	}
	return nil
}

// fits reports whether the record after the header is the one that follows p.at. In old disk blocks
// it is not: a sector holds both header and record, so both are of another file. A record that fits
// shows that the header was damaged later.
func (p *replay) fits(s *Segment) bool {
	_, _, _, err := DecodeFrame(s.Data[HeaderSize:], &p.rec)
	return err == nil && p.misfit() == nil
}

// enter checks the header of a segment of this log against the log before.
func (p *replay) enter(s *Segment, h *Header, first lineage.Seq) error {
	if p.unanchored {
		p.at.Chain, p.unanchored = h.Before, false
	}
	if h.Before != p.at.Chain {
		return corrupt(s, 0, "the header says chain %016x at record %d, the log before says %016x",
			uint64(h.Before), first-1, uint64(p.at.Chain))
	}
	return nil
}

// frames replays the frames of one file. end is the end of the good ones, and damage describes the
// bytes there, nil if there are none. err ends the recovery.
func (p *replay) frames(s *Segment) (end int, damage, err error) {
	for end = HeaderSize; end < len(s.Data); {
		size, synced, chain, bad := DecodeFrame(s.Data[end:], &p.rec)
		if bad == nil {
			bad = p.misfit()
		}
		if errors.Is(bad, ErrVersion) {
			return end, nil, fmt.Errorf("segment %s at offset %d: %w", s.Name, end, bad)
		}
		if bad != nil {
			return end, bad, nil
		}
		if err := p.accept(s, end, chain); err != nil {
			return end, nil, err
		}
		p.confirm(synced)
		end += size
	}
	return end, nil, nil
}

// misfit returns the reason that the last decoded record does not follow p.at.
func (p *replay) misfit() error {
	r := &p.rec
	switch {
	case !p.own():
		return fmt.Errorf("a record of tenant %d slot %d, want tenant %d slot %d", r.Tenant, r.Slot, p.id.Tenant, p.id.Slot)
	case r.Seq != p.at.Next():
		return fmt.Errorf("record %d, want record %d", r.Seq, p.at.Next())
	case r.Prev != p.at.Chain:
		return fmt.Errorf("record %d follows chain %016x, want %016x", r.Seq, uint64(r.Prev), uint64(p.at.Chain))
	}
	return nil
}

// own reports whether the last decoded record is of this slot. Its placement epoch may differ: it
// tells when the record was written, not where it is stored.
func (p *replay) own() bool { return p.rec.Tenant == p.id.Tenant && p.rec.Slot == p.id.Slot }

// accept moves past the last decoded record, which has the given chain.
func (p *replay) accept(s *Segment, offset int, chain lineage.Chain) error {
	seq := p.rec.Seq
	p.at = lineage.Position{Seq: seq, Chain: chain}
	if seq == p.base.Seq && chain != p.base.Chain {
		return corrupt(s, offset, "the chain at record %d is %016x, the snapshot says %016x", seq, uint64(chain), uint64(p.base.Chain))
	}
	if seq <= p.base.Seq {
		return nil
	}
	if err := p.apply(&p.rec, chain); err != nil {
		return fmt.Errorf("segment %s at offset %d: apply record %d: %w", s.Name, offset, seq, err)
	}
	p.out.Records++
	return nil
}

// torn judges damage in the last segment, where the record after p.at should be, and cuts it off if
// that record is not confirmed. Offset 0 is damage of the header: then this file has no usable
// record, and appends continue in the file before, which is whole.
func (p *replay) torn(s *Segment, offset int, damage error) error {
	next := p.at.Next()
	if next <= p.base.Seq {
		return corrupt(s, offset, "%v; the snapshot at record %d confirms that record %d was durable", damage, p.base.Seq, next)
	}
	found, err := p.resync(s, offset)
	if err != nil {
		return err
	}
	if found.synced >= next {
		return corrupt(s, offset, "%v; the frame of record %d at offset %d confirms records up to %d, so record %d was durable",
			damage, found.seq, found.offset, found.synced, next)
	}
	p.confirm(found.synced)
	p.out.CutBytes = int64(len(s.Data) - offset)
	if offset > 0 {
		p.out.Tail, p.out.TailSize = s.Name, int64(offset)
	}
	// No record may be appended behind a torn tail.
	//safety:torn-tail-cut by=liveness on=crash-restart
	p.out.Repairs = append(p.out.Repairs, Repair{Name: s.Name, Keep: int64(offset)})
	return nil
}

// claim is the confirmation in a frame behind the damage. The zero value confirms nothing.
type claim struct {
	offset int
	seq    lineage.Seq // of the frame's record
	synced lineage.Seq
}

// resync looks for frames of this slot at every byte from offset on and returns the one that
// confirms most. Their place and chain do not matter, because this slot wrote them. No record can
// hide a frame, as a frame is longer than any payload.
func (p *replay) resync(s *Segment, offset int) (claim, error) {
	var best claim
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], frameFormat.magic)
	for {
		i := bytes.Index(s.Data[offset:], magic[:])
		if i < 0 {
			return best, nil
		}
		offset += i
		_, synced, _, err := DecodeFrame(s.Data[offset:], &p.rec)
		if errors.Is(err, ErrVersion) {
			return claim{}, fmt.Errorf("segment %s at offset %d: %w", s.Name, offset, err)
		}
		// A good frame behind the damage confirms the damaged records, so this is not a torn tail.
		//safety:confirmed-damage-stops false by=no-loss on=disk-trouble
		if err == nil && p.own() && synced > best.synced {
			best = claim{offset: offset, seq: p.rec.Seq, synced: synced}
		}
		offset++
	}
}
