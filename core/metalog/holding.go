package metalog

// Holding summarizes a member's file, for an observer of disks.
type Holding struct {
	Member MemberID // the owner of the file
	Last   Index    // index of the last entry in the file or in its state
	// LastTerm is the term of that entry, and Term the last term that the member has heard of.
	LastTerm, Term uint64

	start start // the member's last start
	seen  []sighting
}

// Knows reports whether the member has the last start of another member durably. It then rejects
// every copy of the other's file that was made before that start.
func (h *Holding) Knows(other *Holding) bool { return seenOf(h.seen, other.Member) == other.start }

// FileName is the name of a member's file in its directory.
const FileName = fileName

// HeldBy returns the Holding of a file with these bytes. A torn tail does not count. It returns the
// error of a member that would open the file: CorruptError, or a version that this binary does not
// know.
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
