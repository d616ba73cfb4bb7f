//go:build !linux || !(amd64 || arm64)

package nvrtc

import (
	"fmt"
	"runtime"
)

// load fails: elsewhere wrnc has no CUDA.
func load(path string) (*library, error) {
	return nil, fmt.Errorf("%s: wrnc loads NVRTC on Linux (amd64, arm64) alone, not on %s (%s)", path, runtime.GOOS, runtime.GOARCH)
}
