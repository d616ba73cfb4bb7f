//go:build !linux || !(amd64 || arm64)

package driver

import (
	"fmt"
	"runtime"
)

type library struct{}

// lackError does not occur here.
type lackError struct{}

func (e *lackError) Error() string { return "" }

// open fails: elsewhere wrnc has no CUDA.
func open(path string) (*library, error) {
	return nil, fmt.Errorf("wrnc uses GPUs on Linux (amd64, arm64) alone, not on %s (%s)", runtime.GOOS, runtime.GOARCH)
}

func (l *library) call(f function, args ...uintptr) int { panic("there is no library") }
