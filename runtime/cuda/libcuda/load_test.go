//go:build linux && (amd64 || arm64) && !static

package libcuda

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDamagedLibrary tells of a driver that is there and cannot be loaded, wherever it
// is looked for: that is no machine without a GPU.
func TestDamagedLibrary(t *testing.T) {
	damaged := filepath.Join(t.TempDir(), "libcuda.so.1")
	require.NoError(t, os.WriteFile(damaged, []byte("no library"), 0o644))
	for _, paths := range [][]string{{damaged}, {damaged, "/nowhere/libcuda.so.1"}, {"/nowhere/libcuda.so.1", damaged}} {
		_, err := loadFirst(paths)
		require.ErrorContains(t, err, "NVIDIA's driver cannot be loaded, install it anew or use --target cpu: "+damaged)
		require.NotErrorIs(t, err, ErrAbsent)
	}
	_, err := loadFirst([]string{"/nowhere/libcuda.so.1", "/nowhere/else/libcuda.so.1"})
	require.ErrorContains(t, err, "/nowhere/libcuda.so.1")
	require.ErrorIs(t, err, ErrAbsent)
}

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
