package disk

import (
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
)

type entry struct {
	name string
	node *inode
}

// entryOp is a change of a directory that is not durable yet.
type entryOp struct {
	key     env.Key
	dir     *inode // where name appears or disappears
	name    string
	from    *inode // rename: where oldName disappears, else nil
	oldName string
	node    *inode // the node that appears; nil: name disappears
}

// locate returns where a name is in a list, or has to go.
func locate(list []entry, name string) (int, bool) {
	low, high := 0, len(list)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if list[mid].name < name {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < len(list) && list[low].name == name
}

func find(list []entry, name string) *inode {
	if i, ok := locate(list, name); ok {
		return list[i].node
	}
	return nil
}

func set(list []entry, name string, node *inode) []entry {
	i, ok := locate(list, name)
	switch {
	case ok && node == nil:
		return slices.Delete(list, i, i+1)
	case ok:
		list[i].node = node
	case node != nil:
		return slices.Insert(list, i, entry{name, node})
	}
	return list
}

func parentOf(path string) string {
	i := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')
	return path[:max(i, 0)]
}

func nameOf(path string) string {
	path = strings.TrimSuffix(path, "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// lookUp returns the file or directory at path as processes see it, or nil.
func (d *Disk) lookUp(path string) *inode {
	if name := nameOf(path); name != "" {
		if dir, _ := d.directory(parentOf(path)); dir != nil {
			return find(dir.seen, name)
		}
		return nil
	}
	return d.root
}

// known is where the paths of directories lead that were looked up: the same ones are
// asked about again and again. The few last ones are found at once.
type known struct {
	paths [4]string
	nodes [4]*inode // nil: nothing is remembered
	next  int       // the next one to replace
	all   map[string]*inode
}

func (k *known) find(path string) *inode {
	for i, n := range k.nodes {
		if n != nil && k.paths[i] == path {
			return n
		}
	}
	n := k.all[path]
	if n != nil {
		k.last(path, n)
	}
	return n
}

func (k *known) last(path string, n *inode) {
	k.paths[k.next], k.nodes[k.next] = path, n
	k.next = (k.next + 1) % len(k.nodes)
}

func (k *known) remember(path string, n *inode) {
	if k.all == nil {
		k.all = map[string]*inode{}
	}
	k.all[path] = n
	k.last(path, n)
}

func (k *known) forget() {
	clear(k.nodes[:])
	clear(k.all)
}

// durable returns the file or directory at path as a power failure leaves it, or
// nil.
func (d *Disk) durable(path string) *inode {
	name := nameOf(path)
	if name == "" {
		return d.root
	}
	parent := parentOf(path)
	dir := d.durables.find(parent)
	if dir == nil {
		if dir = d.durable(parent); dir == nil || !dir.dir {
			return nil
		}
		d.durables.remember(parent, dir)
	}
	return find(dir.durable, name)
}

func (d *Disk) directory(path string) (*inode, env.Errno) {
	if n := d.dirs.find(path); n != nil {
		return n, env.OK
	}
	n := d.lookUp(path)
	switch {
	case n == nil:
		return nil, env.NotExist
	case !n.dir:
		return nil, env.NotDir
	}
	d.dirs.remember(path, n)
	return n, env.OK
}

// change makes an entry visible and remembers that it is not durable.
func (d *Disk) change(op entryOp) {
	if op.from != nil {
		op.from.seen = set(op.from.seen, op.oldName, nil)
	}
	op.dir.seen = set(op.dir.seen, op.name, op.node)
	d.pending = append(d.pending, op)
}

// settle makes an entry change durable.
func (d *Disk) settle(op *entryOp) {
	if old := find(op.dir.durable, op.name); old != nil && old.dir && old != op.node || op.from != nil && op.node.dir {
		d.durables.forget() // a directory goes or moves
	}
	if op.from != nil && find(op.from.durable, op.oldName) == op.node {
		op.from.durable = set(op.from.durable, op.oldName, nil)
	}
	op.dir.durable = set(op.dir.durable, op.name, op.node)
}

func (h *handle) bind(f *inode, path string) {
	h.node, h.bound, h.isSynced, h.isLog = f, path, false, false
}

func (d *Disk) create(op *env.Op) env.Errno {
	parent, err := d.directory(parentOf(op.Path))
	if err != env.OK {
		return err
	}
	name := nameOf(op.Path)
	if find(parent.seen, name) != nil {
		return env.Exist
	}
	f := d.inode(false)
	d.change(entryOp{key: op.Key, dir: parent, name: name, node: f})
	d.handle(op.File).bind(f, op.Path)
	return env.OK
}

func (d *Disk) open(op *env.Op) (int64, []byte, env.Errno) {
	f := d.lookUp(op.Path)
	switch {
	case f == nil:
		return 0, nil, env.NotExist
	case f.dir:
		return 0, nil, env.IOError
	}
	d.handle(op.File).bind(f, op.Path)
	return int64(len(f.cache)), nil, env.OK
}

func (d *Disk) entries(op *env.Op) env.Errno {
	parent, err := d.directory(parentOf(op.Path))
	if err != env.OK {
		return err
	}
	name := nameOf(op.Path)
	node := find(parent.seen, name)
	switch {
	case op.Kind == env.OpMkdir && node != nil:
		return env.Exist
	case op.Kind == env.OpMkdir:
		d.change(entryOp{key: op.Key, dir: parent, name: name, node: d.inode(true)})
		return env.OK
	case node == nil:
		return env.NotExist
	case op.Kind == env.OpRename:
		return d.rename(op, parent, name, node)
	case node.dir && len(node.seen) > 0:
		return env.NotEmpty
	}
	if node.dir {
		d.dirs.forget()
	}
	d.drop(node)
	d.change(entryOp{key: op.Key, dir: parent, name: name})
	return env.OK
}

func (d *Disk) rename(op *env.Op, from *inode, oldName string, node *inode) env.Errno {
	dir, err := d.directory(parentOf(op.To))
	if err != env.OK {
		return err
	}
	name := nameOf(op.To)
	if old := find(dir.seen, name); old != nil && old != node {
		if old.dir {
			return env.Exist
		}
		d.drop(old)
	}
	if node.dir {
		d.dirs.forget()
	}
	d.change(entryOp{key: op.Key, dir: dir, name: name, from: from, oldName: oldName, node: node})
	return env.OK
}

// drop accounts for a file that no entry shows any more. Later operations through its handles count
// no more either.
func (d *Disk) drop(f *inode) {
	d.account(f, -int64(len(f.cache)))
	f.gone = true
}

// account adds to the bytes that the disk holds.
func (d *Disk) account(f *inode, bytes int64) {
	if !f.gone {
		d.used += bytes
	}
}

// syncDir makes the changes of a directory durable. After a failure they are
// seen, and no later sync makes them durable.
func (d *Disk) syncDir(path string) env.Errno {
	dir, err := d.directory(path)
	if err != env.OK {
		return err
	}
	failed := d.refuses(path, SyncFault, SpaceFault)
	kept := 0
	for i := range d.pending {
		op := &d.pending[i]
		switch ours := op.dir == dir || op.from == dir; {
		case !ours && kept != i:
			d.pending[kept] = *op
			fallthrough
		case !ours:
			kept++
		case failed == env.OK:
			d.settle(op)
		}
	}
	d.pending = d.pending[:kept]
	return failed
}

// List returns the names in the directory at path in ascending order, those of
// directories with a trailing slash; nil if there is none.
func (d *Disk) List(path string) []string {
	dir, err := d.directory(path)
	if err != env.OK {
		return nil
	}
	return dir.names(make([]string, 0, len(dir.seen)))
}

// AppendList appends what List returns to dst.
func (d *Disk) AppendList(dst []string, path string) []string {
	dir, err := d.directory(path)
	if err != env.OK {
		return dst
	}
	return dir.names(dst)
}

func (n *inode) names(dst []string) []string {
	for _, e := range n.seen {
		name := e.name
		if e.node.dir {
			name += "/"
		}
		dst = append(dst, name)
	}
	return dst
}
