package artifacts

import (
	"fmt"
	"os"

	"github.com/tidaldb/tidalsim/harness"
)

// MaxPlanFile bounds the size of a plan file, bytes.
const MaxPlanFile = 256 << 20

// ReadPlan reads a plan file of a suite. Its errors name the path.
func ReadPlan(s *harness.Suite, path string) (harness.Plan, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() || info.Size() > MaxPlanFile {
		return nil, fmt.Errorf("%s: %w: a directory, or more than %d bytes", path, harness.ErrPlanFile, MaxPlanFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := s.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}
