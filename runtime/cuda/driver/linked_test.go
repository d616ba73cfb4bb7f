//go:build gorgonia

package driver

import (
	"testing"

	"wrnc/runtime/cuda/libcuda"
	"wrnc/runtime/cuda/libcuda/gorgonia"
)

// library is the libcuda that this program is linked with. That is the fake one, or its
// functions for tests are not found: see .ci/gorgonia.
func library(t testing.TB) (path string, api libcuda.API) {
	t.Helper()
	api, err := gorgonia.Load()
	if err != nil {
		t.Fatal(err)
	}
	return "libcuda.so.1", api
}

func cleanUp() {}
