//go:build (amd64 || arm64) && !static

package dlopen

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOpen knows what this system's loader says.
func TestOpen(t *testing.T) {
	for _, path := range []string{"/nowhere/libcuda.so.1", "libwrnc-nowhere.so.7"} {
		_, err := Open(path)
		require.ErrorContains(t, err, path)
		require.True(t, Absent(err), err)
	}
	// What the loader says is kept for each thread, and goroutines change threads.
	var busy sync.WaitGroup
	for range 8 {
		busy.Go(func() {
			for range 2000 {
				if _, err := Open("/nowhere/libcuda.so.1"); !Absent(err) {
					t.Errorf("the error is %q", err)
					return
				}
			}
		})
	}
	busy.Wait()
	damaged := filepath.Join(t.TempDir(), "lib.so")
	require.NoError(t, os.WriteFile(damaged, []byte("no library"), 0o644))
	_, err := Open(damaged)
	require.ErrorContains(t, err, damaged)
	require.False(t, Absent(err), err)
}
