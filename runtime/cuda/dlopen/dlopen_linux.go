//go:build (amd64 || arm64) && !static

package dlopen

import "github.com/ebitengine/purego"

// Open loads the library at path, or of that name where the system's loader searches,
// and returns its handle for [purego.Dlsym]. [Absent] knows the error of a library
// that is not there.
func Open(path string) (handle uintptr, err error) {
	handle, err = purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, fault(path, err)
	}
	return handle, nil
}
