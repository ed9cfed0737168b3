package page

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

//go:embed assets
var assets embed.FS

// Fill writes a page of a frame among the assets of its caller, in the directory assets:
// each {{name}} is replaced by its value, each {{file name}} by a file of those assets, or
// of the ones that all pages share.
func Fill(w io.Writer, own embed.FS, name string, values map[string]string) error {
	frame, err := own.ReadFile("assets/" + name)
	if err != nil {
		return err
	}
	rest := string(frame)
	for {
		before, after, found := strings.Cut(rest, "{{")
		if _, err := io.WriteString(w, before); err != nil || !found {
			return err
		}
		word, tail, _ := strings.Cut(after, "}}")
		value, known := values[word]
		if file, isFile := strings.CutPrefix(word, "file "); isFile {
			data, err := own.ReadFile("assets/" + file)
			if errors.Is(err, fs.ErrNotExist) {
				data, err = assets.ReadFile("assets/" + file)
			}
			if err != nil {
				return err
			}
			value, known = string(data), true
		}
		if !known {
			return fmt.Errorf("the page %s wants %q, which nobody knows", name, word)
		}
		if _, err := io.WriteString(w, value); err != nil {
			return err
		}
		rest = tail
	}
}
