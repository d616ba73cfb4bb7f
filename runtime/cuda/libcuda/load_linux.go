//go:build (amd64 || arm64) && !static

package libcuda

import (
	"fmt"

	"github.com/ebitengine/purego"

	"wrnc/runtime/cuda/dlopen"
)

// library holds the addresses of libcuda's functions.
type library struct {
	at     [functions]uintptr
	launch launch
}

// open loads libcuda and finds its functions.
func open(path string) (*library, error) {
	handle, err := dlopen.Open(path)
	if err != nil {
		return nil, err
	}
	l := &library{}
	for f, name := range names {
		if l.at[f], err = dlopen.Symbol(handle, name); err != nil {
			return nil, &lackError{path, name}
		}
	}
	return l, nil
}

// lackError is a library without one of the functions.
type lackError struct{ path, name string }

func (e *lackError) Error() string {
	return fmt.Sprintf("%s has no %s: it is no driver, or one older than CUDA %s; update NVIDIA's driver", e.path, e.name, Version(OldestDriver))
}

// call calls a function. What a pointer among args points to stays where it is
// until call returns, if its conversion to uintptr stands in the call.
//
//go:uintptrescapes
func (l *library) call(f function, args ...uintptr) int {
	r, _, _ := purego.SyscallN(l.at[f], args...)
	return int(int32(r))
}
