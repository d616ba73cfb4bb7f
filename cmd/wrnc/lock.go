package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// lockFile is the file in a run's folder that its process holds, and that has the
// process's number in it. The system lets go of it when the process ends, in
// whatever way, so that no stale lock is ever in the way.
const lockFile = "lock"

// errHeld says that another process holds a lock.
var errHeld = errors.New("held by another process")

// lockRun takes the run in a folder for this process, until close is called.
func lockRun(dir string) (close func() error, err error) {
	path := filepath.Join(dir, lockFile)
	f, err := openLocked(path)
	if errors.Is(err, errHeld) {
		return nil, fmt.Errorf("%s: another process%s trains this run; wait until it ends, or stop it", dir, holder(path))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; a run is only trained in a folder that can be written: make it writable, or copy it and go on with the copy", path, plain(err))
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// Who waits is told this number; a disk with no room for it is no reason to stop.
	_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return f.Close, nil
}

// holder is the number of the process in a lock, as words: " (1234)".
func holder(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 20))
	if number := strings.TrimSpace(string(text)); err == nil && number != "" {
		return " (" + number + ")"
	}
	return "" // it has only just begun
}
