//go:build (amd64 || arm64) && !static

package dlopen

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// Open loads the library at path, or of that name where the system's loader searches.
// [Absent] knows the error of a library that is not there.
func Open(path string) (handle uintptr, err error) {
	// The loader keeps what went wrong for the thread that asked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	handle, err = purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, fault(path, err)
	}
	return handle, nil
}

// Symbol returns the address of a function in a library that Open loaded.
func Symbol(handle uintptr, name string) (address uintptr, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return purego.Dlsym(handle, name)
}
