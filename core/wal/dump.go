package wal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
)

// ErrForeign is wrapped by the error of Dump for a name that is not of a file in a slot directory.
var ErrForeign = errors.New("not a file of a slot's log")

// Dump appends to dst a description of data, the file of the given name: one JSON object a line,
// each with its offset "at" and its "size" in bytes, and its kind "is":
//
//	header    of a segment
//	frame     with its record; "misfit" says why it does not follow the one before
//	manifest
//	snapshot  without its state
//	damage    unreadable bytes, with the reason, up to the next sound frame or the end
//	newer     sound, but of a version that this binary does not know
//	end       of a segment: the number of frames, the last seq, the highest seq confirmed
//
// Hashes are hexadecimal text. name may be a path, also of a temporary file. Damage is not an
// error; an error wraps ErrForeign. Dump only describes; Recover judges. Equal data gives equal
// bytes.
func Dump(dst []byte, name string, data []byte) ([]byte, error) {
	base := strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], TempSuffix)
	d := dump{dst: dst, data: data}
	if _, ok := ParseSnapshotName(base); ok {
		d.snapshot()
	} else if _, _, ok := ParseSegmentName(base); ok {
		d.segment()
	} else if base == ManifestName {
		d.manifest()
	} else {
		return dst, fmt.Errorf("%w: %q; want a name like %s, %s or %s",
			ErrForeign, name, ManifestName, SegmentName(3, 41), SnapshotName(45))
	}
	return d.dst, nil
}

// dump is a Dump in progress. A line is begun, gets its fields, and is ended.
type dump struct {
	dst  []byte
	data []byte

	at     lineage.Position // of the last frame
	known  bool             // at is set: there was a header or a frame
	frames uint64
	synced lineage.Seq
}

func (d *dump) begin(is string, at, size int) {
	d.dst = append(d.dst, `{"at":`...)
	d.dst = strconv.AppendInt(d.dst, int64(at), 10)
	d.number("size", uint64(size))
	d.text("is", is)
}

func (d *dump) end() { d.dst = append(d.dst, "}\n"...) }

func (d *dump) name(name string) {
	d.dst = append(d.dst, `,"`...)
	d.dst = append(d.dst, name...)
	d.dst = append(d.dst, `":`...)
}

func (d *dump) number(name string, n uint64) {
	d.name(name)
	d.dst = strconv.AppendUint(d.dst, n, 10)
}

func (d *dump) signed(name string, n int64) {
	d.name(name)
	d.dst = strconv.AppendInt(d.dst, n, 10)
}

func (d *dump) text(name, text string) {
	d.name(name)
	quoted, _ := json.Marshal(text) // of a string: cannot fail
	d.dst = append(d.dst, quoted...)
}

func (d *dump) chain(name string, c lineage.Chain) { d.text(name, fmt.Sprintf("%016x", uint64(c))) }

func (d *dump) identity(id Identity) {
	d.number("tenant", uint64(id.Tenant))
	d.number("slot", uint64(id.Slot))
	d.number("placement", uint64(id.Placement))
	d.number("shard", uint64(id.Shard))
}

// bad writes the line for bytes that do not decode.
func (d *dump) bad(at, size int, err error) {
	is := "damage"
	if errors.Is(err, ErrVersion) {
		is = "newer"
	}
	d.begin(is, at, size)
	d.text("reason", err.Error())
	d.end()
}

func (d *dump) manifest() {
	id, err := DecodeManifest(d.data)
	if err != nil {
		d.bad(0, len(d.data), err)
		return
	}
	d.begin("manifest", 0, len(d.data))
	d.identity(id)
	d.end()
}

func (d *dump) snapshot() {
	id, at, state, err := DecodeSnapshot(d.data)
	if err != nil {
		d.bad(0, len(d.data), err)
		return
	}
	d.begin("snapshot", 0, len(d.data))
	d.identity(id)
	d.number("seq", uint64(at.Seq))
	d.chain("chain", at.Chain)
	d.number("state_bytes", uint64(len(state)))
	d.end()
}

func (d *dump) segment() {
	for offset := d.header(); offset < len(d.data); {
		offset += d.next(offset)
	}
	d.begin("end", len(d.data), 0)
	d.number("frames", d.frames)
	d.number("seq", uint64(d.at.Seq))
	d.number("synced", uint64(d.synced))
	d.end()
}

// header returns the offset of the first frame.
func (d *dump) header() int {
	h, err := DecodeHeader(d.data)
	if err != nil {
		size := d.sizeOfBad(0, err)
		d.bad(0, size, err)
		return size
	}
	d.begin("header", 0, HeaderSize)
	d.identity(h.Identity)
	d.number("first", uint64(h.First))
	d.chain("before", h.Before)
	d.number("synced", uint64(h.Synced))
	d.end()
	d.at, d.known, d.synced = lineage.Position{Seq: h.First - 1, Chain: h.Before}, true, h.Synced
	return HeaderSize
}

// next writes the line for the bytes at offset and returns their size.
func (d *dump) next(offset int) int {
	var r record.Record
	size, synced, chain, err := DecodeFrame(d.data[offset:], &r)
	if err != nil {
		size = d.sizeOfBad(offset, err)
		d.bad(offset, size, err)
		return size
	}
	d.begin("frame", offset, size)
	d.number("seq", uint64(r.Seq))
	d.text("kind", r.Kind.String())
	d.number("synced", uint64(synced))
	d.chain("prev", r.Prev)
	d.chain("chain", chain)
	d.record(&r)
	switch {
	case d.known && r.Seq != d.at.Next():
		d.text("misfit", fmt.Sprintf("record %d, want record %d", r.Seq, d.at.Next()))
	case d.known && r.Prev != d.at.Chain:
		d.text("misfit", fmt.Sprintf("it follows chain %016x, the one before has %016x", uint64(r.Prev), uint64(d.at.Chain)))
	}
	d.end()
	d.at, d.known = lineage.Position{Seq: r.Seq, Chain: chain}, true
	d.frames, d.synced = d.frames+1, max(d.synced, synced)
	return size
}

// record adds the fields of a record, those of its payload last.
func (d *dump) record(r *record.Record) {
	d.number("tenant", uint64(r.Tenant))
	d.number("slot", uint64(r.Slot))
	d.number("placement", uint64(r.Placement))
	d.number("epoch", uint64(r.Epoch))
	d.signed("level", r.Level)
	if r.Client != 0 {
		d.number("session", r.Client)
		d.number("request", r.Request)
		d.number("floor", r.Floor)
	}
	if entity, ok := r.Subject(); ok {
		d.number("entity", uint64(entity))
	}
	switch r.Kind {
	case record.Signal:
		d.number("signal_kind", uint64(r.Signal.Kind))
		d.signed("weight", int64(r.Signal.Weight))
		d.signed("client_time", r.Signal.ClientTime)
	case record.Session:
		d.number("client", r.Session.Client)
		d.number("nonce", r.Session.Nonce)
		d.number("evicted", r.Session.Evicted)
	case record.Config:
		d.number("version", r.Limits.Version)
		d.number("rate", r.Limits.Rate)
		d.number("burst", r.Limits.Burst)
		d.number("entities", r.Limits.Entities)
		d.number("bytes", r.Limits.Bytes)
		d.number("feature", r.Limits.Feature)
	}
}

// sizeOfBad returns the size of the bytes at offset that do not decode for the reason err. For a
// newer version with a valid checksum, it is the size of the envelope. For damage, it reaches up to
// the next byte at which a frame decodes or is of a newer version.
func (d *dump) sizeOfBad(offset int, err error) int {
	if errors.Is(err, ErrVersion) {
		return envelopeSize + int(binary.LittleEndian.Uint32(d.data[offset+8:]))
	}
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], frameFormat.magic)
	var r record.Record
	for end := offset + 1; end < len(d.data); end++ {
		i := bytes.Index(d.data[end:], magic[:])
		if i < 0 {
			break
		}
		end += i
		if _, _, _, err := DecodeFrame(d.data[end:], &r); err == nil || errors.Is(err, ErrVersion) {
			return end - offset
		}
	}
	return len(d.data) - offset
}
