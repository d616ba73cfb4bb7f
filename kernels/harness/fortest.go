package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// NewForTest returns a harness in $WRNC_HARNESS_DIR, or else in a folder that the
// user's tests share. Where there is no compiler the test is skipped, or fails if
// $WRNC_REQUIRE_CUDA_TOOLS is set.
func NewForTest(t testing.TB) *Harness {
	t.Helper()
	dir := os.Getenv("WRNC_HARNESS_DIR")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("wrnc-harness-%d", os.Getuid()))
	}
	h, err := New(dir)
	switch {
	case errors.Is(err, ErrNoCompiler) && os.Getenv("WRNC_REQUIRE_CUDA_TOOLS") == "":
		t.Skip("no kernel is executed: ", err)
	case err != nil:
		t.Fatal(err)
	}
	return h
}
