package main

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// noLibrary is the libcuda of tests that want no GPU, whatever the machine has.
const noLibrary = "/nowhere/libcuda.so.1"

// systemLibcuda is what $WRNC_LIBCUDA was when the tests began.
var systemLibcuda string

// fakeCUDA gives what follows in a script a GPU that executes no kernel, and an NVRTC
// that compiles none.
func fakeCUDA(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: fakecuda")
	}
	dir := ts.MkAbs("gpu")
	ts.Check(os.MkdirAll(dir, 0o777))
	for variable, source := range map[string]string{"WRNC_LIBCUDA": "libcuda/testdata/libcuda.c", "WRNC_NVRTC": "nvrtc/testdata/libnvrtc.c"} {
		library := filepath.Join(dir, variable+".so")
		out, err := exec.Command("gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", library,
			filepath.Join("..", "..", "runtime", "cuda", source), "-lpthread").CombinedOutput()
		if err != nil {
			ts.Fatalf("%v\n%s", err, out)
		}
		ts.Setenv(variable, library)
	}
	ts.Setenv("WRNC_CACHE", ts.MkAbs("cache"))
}
