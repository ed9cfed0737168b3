package metalog

// Holding is what the file of a member holds, for an observer of disks.
type Holding struct {
	Member MemberID // whose file it is
	Last   Index    // index of the last entry that the file has, or that its state includes
}

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
	return Holding{Member: c.member, Last: Index(c.snapshot.GetMetadata().GetIndex() + uint64(len(c.entries)))}, nil
}
