//go:build unix

package checkpoint

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReadOfAPipe does not wait for who would write to it.
func TestReadOfAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.safetensors")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	done := make(chan error, 1)
	go func() {
		_, err := Read(path)
		done <- err
	}()
	select {
	case err := <-done:
		require.EqualError(t, err, path+": not a file; expected a safetensors file")
	case <-time.After(5 * time.Second):
		t.Fatal("it waits")
	}
}
