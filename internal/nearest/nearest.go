// Package nearest guesses which of the known names a mistyped name means.
package nearest

import "strings"

// Name returns the one of names that somebody meant who wrote name: the nearest, of
// equally near ones the first, or "" if none differs in a third of its bytes or less.
// Case does not count. A guess that is far is worse than none: somebody may take it.
func Name(name string, names []string) string {
	best, least := "", (len(name)+2)/3
	for _, known := range names {
		if n := distance(strings.ToLower(name), known); n <= least {
			best, least = known, n-1
		}
	}
	return best
}

// distance returns the least number of insertions, deletions, substitutions and swaps of
// adjacent bytes that make b of a (optimal string alignment).
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, next[j]+1, row[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
