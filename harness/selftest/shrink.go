package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Shrunk is what became of one failing seed of a mistake when it was shrunk with
// the mistake built in.
type Shrunk struct {
	Type        string `json:"type"` // "shrunk"
	Mistake     string `json:"mistake"`
	Scenario    string `json:"scenario"`
	Seed        string `json:"seed"`
	Fingerprint string `json:"fingerprint"`
	Before      int    `json:"entries_before"`
	After       int    `json:"entries_after"`
	Operations  int    `json:"operations"`
	Runs        int    `json:"runs"`
	CPU         int64  `json:"cpu_ns"`
	Minimal     bool   `json:"minimal"`
}

// shrink shrinks the first seeds in which the mistake was found. One that only
// shows in comparing runs has nothing to shrink.
func (r *Result) shrink(ctx context.Context, binary, dir string, seeds int) error {
	for _, seed := range r.seeds[:min(seeds, len(r.seeds))] {
		cmd := exec.CommandContext(ctx, binary, "shrink", r.FoundIn+":"+seed, "--json", "--out", filepath.Join(dir, "shrunk.json"))
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			return err
		}
		s := Shrunk{}
		if err := json.Unmarshal(out, &s); err != nil || s.Type != "shrunk" {
			return fmt.Errorf("shrinking seed %s: %w; the command said: %s", seed, err, firstLine(err, cmd))
		}
		s.Mistake = r.Name
		r.Shrunk = append(r.Shrunk, s)
	}
	return nil
}
