package driver

import (
	"os"

	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/cuda/libcuda"
)

// Test is what OpenForTest needs of a testing.TB.
type Test interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// OpenForTest opens the GPU of a test that runs on one, by the calls that load returns
// and with what compiles its kernels, and closes it in the end. It skips the test where
// there is none, unless WRNC_REQUIRE_GPU=1 says that there is.
func OpenForTest(t Test, load func() (libcuda.API, error)) *Device {
	t.Helper()
	d, err := openFirst(load)
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

func openFirst(load func() (libcuda.API, error)) (*Device, error) {
	api, err := load()
	if err != nil {
		return nil, err
	}
	return Open(api, Options{JIT: func() (*jit.JIT, error) { return jit.Start(jit.Options{}) }})
}
