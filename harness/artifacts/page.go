package artifacts

import (
	"bufio"
	"os"
	"path/filepath"
)

// PageName is the page of a finding, or of a run, in its directory.
const PageName = "report.html"

// FindingName is the name of the description of a finding, in its directory.
const FindingName = "finding.json"

// WritePage writes a page, making its directory if there is none.
func WritePage(path string, write func(*bufio.Writer) error) (failed error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if err := file.Close(); failed == nil {
			failed = err
		}
	}()
	w := bufio.NewWriterSize(file, 1<<16)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}
