// Command bench writes the same signals through our log and through the logs of
// tidwall, hashicorp and etcd, on real files, in turns, and prints how they
// compare. It is a module of its own, so that the peers are nobody's dependencies.
//
// Every log makes every batch durable before the next one begins. Our entry is a
// signal's record in its frame, encoded, chained and checksummed in the measured
// time; a peer gets as many bytes ready made, as one entry.
//
// The one rule to remember: only ratios of one run count. The logs take turns of a
// few milliseconds, the order turns too, and what is printed are medians over
// rounds, so that what else the machine does hits all of them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// engine is a log under measurement.
type engine interface {
	// Append makes n more signals durable, as one batch.
	Append(n int) error
	// Close gives back files and memory.
	Close() error
}

// contender is a way to make an engine in an empty directory.
type contender struct {
	name string
	sync string // the system call, and where the bytes go
	peer bool   // somebody else's
	open func(dir string, limit int64) (engine, error)
}

func contenders(ahead int, reserve int64) []contender {
	return []contender{
		{"tidalsim", "fdatasync over zeros", false, func(d string, n int64) (engine, error) { return newOurLog(d, n, ahead) }},
		{"tidalsim on host/disk", "fdatasync over zeros", false, func(d string, n int64) (engine, error) { return newHostLog(d, n, reserve) }},
		{"tidwall/wal", "fsync, growing", true, func(d string, n int64) (engine, error) { return newTidwall(d, n) }},
		{"hashicorp/raft-wal", "fsync, allocated", true, func(d string, n int64) (engine, error) { return newRaftWAL(d, n) }},
		{"etcd wal", "fdatasync, allocated", true, func(d string, n int64) (engine, error) { return newEtcd(d, n) }},
	}
}

type options struct {
	dir     string
	limit   int64
	ahead   int
	reserve int64
	rounds  int
	batches int
	writers int
	groups  int
	window  time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".", "where the logs are written, in a new directory; not on a tmpfs")
	flag.Int64Var(&o.limit, "segment", 64<<20, "bytes of a segment")
	flag.IntVar(&o.ahead, "ahead", 256<<10, "bytes that our log fills with zeros at once")
	flag.Int64Var(&o.reserve, "reserve", 0, "zeros that host/disk writes ahead at most, in bytes; 0: as a node has it, below 0: none")
	flag.IntVar(&o.rounds, "rounds", 200, "rounds of each batch size")
	flag.IntVar(&o.batches, "batches", 32, "batches of each log in a round")
	flag.IntVar(&o.writers, "writers", 256, "concurrent writers; 0 leaves that part out")
	flag.IntVar(&o.groups, "groups", 20, "rounds with concurrent writers")
	flag.DurationVar(&o.window, "window", 200*time.Millisecond, "time of each log in such a round")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o *options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, n := range []int{1, 8, 128} {
		if err := o.with(filepath.Join(dir, fmt.Sprint(n)), func(all []*runner) error {
			if err := takeTurns(all, n, o.rounds, o.batches); err != nil {
				return err
			}
			printTurns(os.Stdout, all, n, o.rounds, o.batches)
			return nil
		}); err != nil {
			return err
		}
	}
	if o.writers == 0 {
		return nil
	}
	return o.with(filepath.Join(dir, "group"), func(all []*runner) error {
		if err := takeGroups(all, o.writers, o.groups, o.window); err != nil {
			return err
		}
		printGroups(os.Stdout, all, o.writers, o.groups)
		return nil
	})
}

// with opens every contender in a directory of its own and closes it afterwards.
func (o *options) with(dir string, measure func([]*runner) error) (err error) {
	var all []*runner
	defer func() {
		for _, r := range all {
			err = errors.Join(err, r.engine.Close())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	for i, c := range contenders(o.ahead, o.reserve) {
		own := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return err
		}
		e, err := c.open(own, o.limit)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, &runner{contender: c, engine: e})
	}
	return measure(all)
}
