package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// runner is a contender under way, and what was measured of it.
type runner struct {
	contender
	engine engine
	rounds []time.Duration // of a batch, the mean of each round
	each   []time.Duration // of every batch; with writers: of every acknowledgement
	tails  []time.Duration // with writers: the 99th percentile of each round
	acked  []int           // with writers: acknowledgements of each round
}

// inTurn calls visit for every runner, in an order that differs between rounds:
// another one comes first, and every other time they go backwards.
func inTurn(all []*runner, round int, visit func(*runner) error) error {
	for i := range all {
		at := (round/2 + i) % len(all)
		if round%2 == 1 {
			at = len(all) - 1 - at
		}
		if err := visit(all[at]); err != nil {
			return fmt.Errorf("%s: %w", all[at].name, err)
		}
	}
	return nil
}

// takeTurns measures batches of n signals.
func takeTurns(all []*runner, n, rounds, batches int) error {
	for round := range rounds + 1 { // the first opens files and is not counted
		err := inTurn(all, round, func(r *runner) error { return r.turn(n, batches, round > 0) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) turn(n, batches int, counts bool) error {
	var total time.Duration
	for range batches {
		start := time.Now()
		if err := r.engine.Append(n); err != nil {
			return err
		}
		took := time.Since(start)
		total += took
		if counts {
			r.each = append(r.each, took)
		}
	}
	if counts {
		r.rounds = append(r.rounds, total/time.Duration(batches))
	}
	return nil
}

// printTurns prints what a batch took. The ratios are how many times faster ours
// is than the log of the row: above 1 ours is faster.
func printTurns(w io.Writer, all []*runner, n, rounds, batches int) {
	fmt.Fprintf(w, "batch of %d, then a sync; %d rounds of %d batches\n", n, rounds, batches)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "log\tsync\tbatch p50\tp99\tround mean\tsignals/s\tratio, p50\tratio, rounds\t")
	ours := all[0]
	for _, r := range all {
		middle, mean := percentile(r.each, 50), percentile(r.rounds, 50)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.0f\t%.2f\t%.2f\t\n", r.name, r.sync, micros(middle), micros(percentile(r.each, 99)),
			micros(mean), float64(n)/mean.Seconds(), ratio(middle, percentile(ours.each, 50)), paired(r.rounds, ours.rounds))
	}
	t.Flush()
	best := bestPeer(all)
	for _, r := range all {
		if !r.peer {
			fmt.Fprintf(w, "%s is %.2f times as fast as %s, the best peer\n", r.name, paired(best.rounds, r.rounds), best.name)
		}
	}
	fmt.Fprintln(w)
}

// bestPeer returns the one of the peers whose rounds took least.
func bestPeer(all []*runner) *runner {
	var best *runner
	for _, r := range all {
		if r.peer && (best == nil || percentile(r.rounds, 50) < percentile(best.rounds, 50)) {
			best = r
		}
	}
	return best
}

// paired is the median over rounds of what theirs took by what ours took in the
// same round.
func paired(theirs, ours []time.Duration) float64 {
	var ratios []float64
	for i := range ours {
		ratios = append(ratios, ratio(theirs[i], ours[i]))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// percentile returns the value that p of 100 are not above.
func percentile(of []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
}
