//go:build !linux || !(amd64 || arm64) || static

package libcuda

import (
	"fmt"
	"runtime"
)

type library struct{ launch launch }

// lackError is a wrnc that has no CUDA.
type lackError struct{}

func (e *lackError) Error() string {
	return fmt.Sprintf("wrnc uses GPUs on Linux (amd64, arm64), where it is built without the tag static; this one is built for %s (%s): use --target cpu", runtime.GOOS, runtime.GOARCH)
}

// Is makes it ErrAbsent.
func (e *lackError) Is(target error) bool { return target == ErrAbsent }

// open fails.
func open(path string) (*library, error) { return nil, &lackError{} }

func (l *library) call(f function, args ...uintptr) int { panic("there is no library") }
