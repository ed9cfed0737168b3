package metalog

// Holding is what the file of a member holds, for an observer of disks.
type Holding struct {
	Member MemberID // whose file it is
	Last   Index    // index of the last entry that the file has, or that its state includes
	// LastTerm is the term of that entry, and Term the last one that the member has heard of.
	LastTerm, Term uint64

	start start // of the member, the last one
	seen  []sighting
}

// Knows reports whether the member has the last start of another one durably: it counts no copy
// of the other's file that was made before that start.
func (h *Holding) Knows(other *Holding) bool { return seenOf(h.seen, other.Member) == other.start }

// FileName is the name of a member's file in its directory.
const FileName = fileName

// HeldBy returns what a file with these bytes holds. A torn tail does not count. The error
// is that of a member that would open the file: CorruptError, or a version that this binary
// does not know.
func HeldBy(data []byte) (Holding, error) {
	c, err := decode(fileName, data)
	if err != nil {
		return Holding{}, err
	}
	at := c.snapshot.GetMetadata()
	held := Holding{
		Member: c.member, Last: Index(at.GetIndex() + uint64(len(c.entries))), LastTerm: at.GetTerm(), Term: c.votes.GetTerm(),
		start: lastOf(c.starts), seen: c.seen,
	}
	if n := len(c.entries); n > 0 {
		held.LastTerm = c.entries[n-1].GetTerm()
	}
	return held, nil
}
