package artifacts

import (
	"fmt"
	"os"
	"path/filepath"
)

// Latest returns the newest plan among the findings of the newest run below root.
func Latest(root string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(root, "latest", "findings", "*", PlanName))
	if err != nil || len(paths) == 0 {
		return "", fmt.Errorf("latest: the newest run in %s has no finding: %w; name SCENARIO:SEED or the file of a plan", root, os.ErrNotExist)
	}
	return paths[0], nil
}
