package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host"
)

// foundingName is the founding file of a cluster, beside the directories of its processes:
// a process is configured with it, and never keeps it among its data.
const foundingName = "founding.json"

// ErrFounded is wrapped by the error for a directory in which a cluster was founded before.
var ErrFounded = errors.New("a cluster was founded there before")

// founding is a founding file: the number of the cluster, and its founding configuration, each node
// with the name of its data directory.
type founding struct {
	ID      uint64           `json:"id"`
	Cluster *control.Cluster `json:"cluster"`
}

// Init founds a cluster in a directory: it draws the number of the cluster and names of the
// data directories, writes each name into its directory, and then writes the founding file.
// No process may run there. An interrupted Init can be repeated.
func Init(o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	path := filepath.Join(o.Dir, foundingName)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s: %w", path, ErrFounded), err)
	}
	cluster := *o.Cluster
	cluster.Nodes = slices.Clone(o.Cluster.Nodes)
	f := founding{ID: host.NewNonce().A, Cluster: &cluster}
	for i := range f.Cluster.Nodes {
		n := &f.Cluster.Nodes[i]
		n.Directory = host.NewNonce()
		name, content := core.Founded(f.ID, n.Directory)
		if err := host.PutData(o.dirOf(n.ID), name, content); err != nil {
			return fmt.Errorf("node %d: %w", n.ID, err)
		}
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return host.WriteFile(path, append(text, '\n'))
}

// dirOf returns the directory of a process.
func (o *Options) dirOf(id env.ID) string { return filepath.Join(o.Dir, strconv.Itoa(int(id))) }

// founded returns the founding file of the cluster in a directory, which is founded first if
// it was not.
func (o *Options) founded() (*founding, error) {
	path := filepath.Join(o.Dir, foundingName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := Init(*o); err != nil {
			return nil, err
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	f := new(founding)
	if err := json.Unmarshal(text, f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.Cluster == nil {
		return nil, fmt.Errorf("%s: no cluster", path)
	}
	if err := f.Cluster.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}
