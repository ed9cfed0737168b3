package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/core/wal"
)

func (c *command) wal() *cobra.Command {
	return &cobra.Command{
		Use:   "wal FILE ...",
		Short: "print what segments, manifests and snapshots of a log hold, as JSON lines",
		Long: `Print what files of a slot's log hold: one JSON object a line, with its place and
size in bytes. Files are known by their names (3-41.seg, 45.snap, manifest). Damage
is a line with its reason, not an error; whether it is a torn tail or corruption
depends on the whole directory, and is for a node to judge. Nothing is changed.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, paths []string) error {
			var failed error
			for _, path := range paths {
				failed = errors.Join(failed, c.dumpFile(path))
			}
			return failed
		},
	}
}

func (c *command) dumpFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines, err := wal.Dump(nil, path, data)
	if err != nil {
		return err
	}
	_, err = c.stdout.Write(lines)
	return err
}
