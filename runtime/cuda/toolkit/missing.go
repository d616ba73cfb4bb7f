package toolkit

import "os"

// Test is what Missing needs of a testing.TB.
type Test interface {
	Helper()
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Missing ends a test that needs a part of CUDA which was not found: it skips it
// on a machine that may lack the part, and fails it where
// WRNC_REQUIRE_CUDA_TOOLS=1 says that all is installed, as in CI.
func Missing(t Test, err error) {
	t.Helper()
	if os.Getenv("WRNC_REQUIRE_CUDA_TOOLS") == "1" {
		t.Fatalf("WRNC_REQUIRE_CUDA_TOOLS=1, but %v", err)
	}
	t.Skipf("no CUDA toolchain (.ci/cuda-toolchain gets one): %v", err)
}
