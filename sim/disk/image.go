package disk

// Image is a copy of a disk as processes saw it: its directories and the contents of its files. The
// zero value is no copy. It keeps its memory when it is taken again.
type Image struct {
	taken bool
	parts []part
}

// part is a directory or a file of an image. A directory comes before its content.
type part struct {
	path string
	dir  bool
	data []byte
}

// Forget makes i no copy, and keeps its memory.
func (i *Image) Forget() { i.taken, i.parts = false, i.parts[:0] }

// Taken reports whether i is a copy.
func (i *Image) Taken() bool { return i.taken }

// Take makes i a copy of the disk as processes see it now, durable or not: a copy is read through
// the page cache.
func (d *Disk) Take(i *Image) {
	i.Forget()
	i.taken = true
	i.add(d.root, "")
}

func (i *Image) add(dir *inode, prefix string) {
	for _, e := range dir.seen {
		n := len(i.parts)
		if n < cap(i.parts) {
			i.parts = i.parts[:n+1] // keeps the part's buffer
		} else {
			i.parts = append(i.parts, part{})
		}
		p := &i.parts[n]
		p.path, p.dir, p.data = prefix+e.name, e.node.dir, append(p.data[:0], e.node.cache...)
		if p.dir {
			i.add(e.node, p.path+"/")
		}
	}
}

// Restore ends the process that uses the disk and replaces the disk by one on which a copy
// is, durably. To the owner of the world that is a lost disk: Wipes counts it.
func (d *Disk) Restore(i *Image) {
	d.Wipe()
	for k := range i.parts {
		p := &i.parts[k]
		node := d.inode(p.dir)
		if !p.dir {
			node.cache, node.platter = append(node.cache, p.data...), append(node.platter, p.data...)
			d.account(node, int64(len(p.data)))
		}
		parent := d.lookUp(parentOf(p.path))
		parent.seen = set(parent.seen, nameOf(p.path), node)
		parent.durable = set(parent.durable, nameOf(p.path), node)
	}
}
