//go:build !linux || !(amd64 || arm64) || static

package nvrtc

import (
	"fmt"
	"runtime"
)

// load fails: elsewhere, and with the tag static, wrnc has no CUDA.
func load(path string) (*library, error) {
	return nil, absent{fmt.Errorf("%s: a wrnc that is built without the tag static loads NVRTC on Linux (amd64, arm64); this one is %s (%s)", path, runtime.GOOS, runtime.GOARCH)}
}
