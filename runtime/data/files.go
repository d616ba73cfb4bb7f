package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// fileSet says which files a data set consists of, and where they come from.
type fileSet struct {
	name   string   // of the data set
	files  []string // all of them
	folder string   // the one in the user's folder that they may lie in
	how    string   // to get them, up to the name of a folder: "unpack it in"
}

// MissingError is a data set whose files are not all there.
type MissingError struct {
	Set     string
	Partial bool   // some are
	How     string // to get them
	text    string
}

func (e *MissingError) Error() string { return e.text }

// find returns the folder, dir itself or the one in it, that has all files. The
// one error says what was missing where.
func (s fileSet) find(dir string) (string, error) {
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return "", fmt.Errorf("%s: %s is no folder; expected the one that the files lie in", s.name, dir)
	}
	var looked []string
	partial := false
	for _, d := range []string{dir, filepath.Join(dir, s.folder)} {
		var missing []string
		for _, f := range s.files {
			if _, err := os.Stat(filepath.Join(d, f)); errors.Is(err, fs.ErrNotExist) {
				missing = append(missing, f)
			} else if err != nil {
				return "", fmt.Errorf("%s: %w", s.name, err)
			}
		}
		switch {
		case len(missing) == 0:
			return d, nil
		case len(missing) == len(s.files):
			looked = append(looked, fmt.Sprintf("%s (none of them)", d))
		default:
			partial = true
			looked = append(looked, fmt.Sprintf("%s (without %s)", d, strings.Join(missing, ", ")))
		}
	}
	how := fmt.Sprintf("%s %s", s.how, dir)
	return "", &MissingError{Set: s.name, Partial: partial, How: how, text: fmt.Sprintf("%s: the data is not there: expected %s; looked in %s; to get them, %s",
		s.name, strings.Join(s.files, ", "), strings.Join(looked, " and "), how)}
}

// openRegular opens a file for reading and returns its size. It refuses
// everything that is not a plain file: opening a named pipe, say, would wait for
// ever.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}
