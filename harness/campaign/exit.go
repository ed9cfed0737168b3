package campaign

import "slices"

// Exit codes. They are part of the contract of the command.
const (
	ExitHeld           = 0
	ExitViolated       = 1 // a checker objects, or the code under test panics or stalls
	ExitUsage          = 2 // arguments, configuration or scenario are invalid
	ExitUndecided      = 3
	ExitNothingRan     = 4
	ExitNotReproduced  = 5 // a replay shows something else, or a recording is stale or unreadable
	ExitNondeterminism = 6
	ExitSurvived       = 7 // the self-test planted a mistake and nobody objected
	ExitNotReached     = 8 // something required was not reached
	ExitInternal       = 70
	ExitInterrupted    = 130
	ExitTerminated     = 143
)

// severity lists the codes from the one that outweighs all others.
var severity = []int{
	ExitInternal, ExitNondeterminism, ExitViolated, ExitSurvived, ExitNotReproduced, ExitNotReached, ExitUndecided, ExitNothingRan,
}

// Worst returns the code that outweighs the others; ExitHeld if there is none.
func Worst(codes ...int) int {
	for _, code := range severity {
		if slices.Contains(codes, code) {
			return code
		}
	}
	return ExitHeld
}
