package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// DirForTest is where tests keep what they compile, so that a text is compiled once on
// a machine: $WRNC_HARNESS_DIR, or else a folder of the user's.
func DirForTest() string {
	if dir := os.Getenv("WRNC_HARNESS_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("wrnc-harness-%d", os.Getuid()))
}

// NewForTest returns a harness in DirForTest. Where there is no compiler the test is skipped, or fails if
// $WRNC_REQUIRE_CUDA_TOOLS is set.
func NewForTest(t testing.TB) *Harness {
	t.Helper()
	h, err := New(DirForTest())
	switch {
	case errors.Is(err, ErrNoCompiler) && os.Getenv("WRNC_REQUIRE_CUDA_TOOLS") == "":
		t.Skip("no kernel is executed: ", err)
	case err != nil:
		t.Fatal(err)
	}
	return h
}
