//go:build !gorgonia

package driver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/cuda/libcuda"
)

var folder string // of the fake library

// built compiles the fake library once.
var built = sync.OnceValues(func() (string, error) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		return "", err
	}
	if folder, err = os.MkdirTemp("", "wrnc-libcuda-"); err != nil {
		return "", err
	}
	path := filepath.Join(folder, "libcuda.so.1")
	cmd := exec.Command(cc, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", path,
		filepath.Join("..", "libcuda", "testdata", "libcuda.c"), "-lpthread")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func cleanUp() {
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
}

// system finds the libcuda of a GPU.
func system() (libcuda.API, error) { return libcuda.Load() }

// library is the fake libcuda, loaded.
func library(t testing.TB) (path string, api libcuda.API) {
	t.Helper()
	path, err := built()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("WRNC_REQUIRE_CUDA_TOOLS") == "" {
		t.Skip("the driver is tested on a library that gcc makes: ", err)
	}
	require.NoError(t, err)
	t.Setenv("WRNC_LIBCUDA", path)
	api, err = libcuda.Load()
	require.NoError(t, err)
	return path, api
}
