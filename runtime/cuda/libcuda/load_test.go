//go:build linux && (amd64 || arm64) && !static

package libcuda

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoLibrary(t *testing.T) {
	t.Setenv("WRNC_LIBCUDA", "/nowhere/libcuda.so.1")
	_, err := Load()
	require.EqualError(t, err, "no driver of an NVIDIA GPU was found, install one or use --target cpu: "+
		"/nowhere/libcuda.so.1: cannot open shared object file: No such file or directory")
	for _, path := range []string{"/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"} {
		if _, err := os.Stat(path); err == nil {
			t.Setenv("WRNC_LIBCUDA", path)
			_, err = Load()
			require.EqualError(t, err, path+" has no cuInit: it is no driver, or one older than CUDA 12.0; update NVIDIA's driver")
			return
		}
	}
	t.Log("there is no libm to take for a driver")
}
