package shrink

import "slices"

// Minimize returns a part of items, in their order, for which fails holds and from
// which no single item can be left out (ddmin; Zeller and Hildebrandt, Simplifying
// and Isolating Failure-Inducing Input, 2002). fails must hold for items and give
// equal answers to equal questions; it need not be monotone. It is asked O(n^2)
// times at worst, and O(log n) times if one item is at fault.
//
// The last part for which fails was true is the result.
func Minimize[T any](items []T, fails func([]T) bool) []T {
	if len(items) == 0 || fails(nil) {
		return nil
	}
	for pieces := 2; len(items) > 1; {
		smaller, found := cut(items, pieces, fails)
		switch {
		case found && len(smaller) <= (len(items)+pieces-1)/pieces: // one piece is enough
			items, pieces = smaller, 2
		case found:
			items, pieces = smaller, max(2, pieces-1)
		case pieces == len(items):
			return items
		default:
			pieces = min(2*pieces, len(items))
		}
	}
	return items
}

// cut looks for one of the pieces that fails, then for everything without one.
func cut[T any](items []T, pieces int, fails func([]T) bool) ([]T, bool) {
	for i := range pieces {
		from, to := i*len(items)/pieces, (i+1)*len(items)/pieces
		if part := items[from:to:to]; fails(part) {
			return part, true
		}
	}
	for i := 0; i < pieces && pieces > 2; i++ {
		from, to := i*len(items)/pieces, (i+1)*len(items)/pieces
		if rest := slices.Concat(items[:from], items[to:]); fails(rest) {
			return rest, true
		}
	}
	return nil, false
}
