package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A rewritten file keeps its permissions, and a link stays one.
func TestFmtKeepsPermissionsAndLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files there have no such permissions")
	}
	dir := t.TempDir()
	file, link := filepath.Join(dir, "a.wrn"), filepath.Join(dir, "b.wrn")
	require.NoError(t, os.WriteFile(file, []byte("model  WRN-16-8"), 0o600))
	require.NoError(t, os.Chmod(file, 0o604))
	require.NoError(t, os.Symlink("a.wrn", link))

	require.Equal(t, exitOK, run([]string{"fmt", "-w", link}, io.Discard, os.Stderr))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "model WRN-16-8\n", string(text))
	info, err := os.Lstat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o604), info.Mode())
	info, err = os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing is left beside them")
}
