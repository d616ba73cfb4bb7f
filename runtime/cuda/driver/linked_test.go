//go:build gorgonia

package driver

import (
	"errors"
	"testing"

	"github.com/ebitengine/purego"
	"github.com/stretchr/testify/require"

	"wrnc/runtime/cuda/libcuda"
	"wrnc/runtime/cuda/libcuda/gorgonia"
	"wrnc/runtime/cuda/toolkit"
)

// linked is the libcuda that this program is linked with, and whether it is the fake one;
// .ci/gorgonia links with that.
func linked() (path string, fake bool) {
	path = "libcuda.so.1"
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return path, false
	}
	_, err = purego.Dlsym(handle, "fake_reset")
	return path, err == nil
}

// system is the libcuda of a GPU.
func system() (libcuda.API, error) {
	if _, fake := linked(); fake {
		return nil, errors.New("this program is linked with the libcuda of the tests")
	}
	return gorgonia.Load()
}

// library is the fake libcuda.
func library(t testing.TB) (path string, api libcuda.API) {
	t.Helper()
	path, fake := linked()
	if !fake {
		toolkit.Missing(t, errors.New("this program is linked with another libcuda than that of the tests"))
	}
	api, err := gorgonia.Load()
	require.NoError(t, err)
	return path, api
}

func cleanUp() {}
