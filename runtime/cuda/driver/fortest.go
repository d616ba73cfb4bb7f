package driver

import (
	"os"

	"wrnc/runtime/cuda/jit"
)

// Test is what OpenForTest needs of a testing.TB.
type Test interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// OpenForTest opens the GPU of a test that runs on one, with what compiles its kernels,
// and closes it in the end. It skips the test where there is none, unless
// WRNC_REQUIRE_GPU=1 says that there is.
func OpenForTest(t Test) *Device {
	t.Helper()
	d, err := Open(Options{JIT: func() (*jit.JIT, error) { return jit.Start(jit.Options{}) }})
	if err != nil && os.Getenv("WRNC_REQUIRE_GPU") == "1" {
		t.Fatalf("WRNC_REQUIRE_GPU=1, but %v", err)
	}
	if err != nil {
		t.Skipf("not run on a GPU: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("closing the GPU: %v", err)
		}
	})
	return d
}
