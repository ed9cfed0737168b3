package main

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"
)

// maxGroup bounds a batch of group commit, signals.
const maxGroup = 1024

// waiter is a writer whose signal is not durable yet.
type waiter chan error

// commit is group commit in front of an engine, the same for all: while a batch is
// being made durable the next one gathers. It returns when asked is closed.
func commit(e engine, asked <-chan waiter) {
	var group []waiter
	for first := range asked {
		group = append(group[:0], first)
		for n := len(asked); n > 0 && len(group) < maxGroup; n-- {
			group = append(group, <-asked)
		}
		err := e.Append(len(group))
		for _, w := range group {
			w <- err
		}
	}
}

// takeGroups measures acknowledgements with so many concurrent writers, each of
// which waits for one before it writes again.
func takeGroups(all []*runner, writers, rounds int, window time.Duration) error {
	for round := range rounds + 1 { // the first opens files and is not counted
		err := inTurn(all, round, func(r *runner) error {
			took, err := drive(r.engine, writers, window)
			if err == nil && round > 0 {
				r.each = append(r.each, took...)
				r.rounds = append(r.rounds, percentile(took, 50))
				r.tails = append(r.tails, percentile(took, 99))
				r.acked = append(r.acked, len(took))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// drive lets writers write for the time of window and returns how long each
// acknowledgement took.
func drive(e engine, writers int, window time.Duration) ([]time.Duration, error) {
	asked := make(chan waiter, writers)
	took := make([][]time.Duration, writers)
	failed := make([]error, writers)
	var running sync.WaitGroup
	end := time.Now().Add(window)
	for i := range writers {
		running.Go(func() {
			w := make(waiter, 1)
			for start := time.Now(); start.Before(end) && failed[i] == nil; {
				asked <- w
				failed[i] = <-w
				now := time.Now()
				took[i] = append(took[i], now.Sub(start))
				start = now
			}
		})
	}
	go func() {
		running.Wait()
		close(asked)
	}()
	commit(e, asked)
	var every []time.Duration
	for i := range writers {
		if failed[i] != nil {
			return nil, failed[i]
		}
		every = append(every, took[i]...)
	}
	return every, nil
}

// printGroups prints how long acknowledgements took. A ratio is how many times
// later the log of the row acknowledges than ours.
func printGroups(w io.Writer, all []*runner, writers, rounds int) {
	fmt.Fprintf(w, "%d writers behind group commit; %d rounds\n", writers, rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "log\tsync\tack p50\tack p99\tp99 of all\tacks\tratio, p50\tratio, p99\t")
	ours := all[0]
	for _, r := range all {
		acks := 0
		for _, n := range r.acked {
			acks += n
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%.2f\t%.2f\t\n", r.name, r.sync, micros(percentile(r.rounds, 50)), micros(percentile(r.tails, 50)),
			micros(percentile(r.each, 99)), acks, paired(r.rounds, ours.rounds), paired(r.tails, ours.tails))
	}
	t.Flush()
	fmt.Fprintln(w)
}
