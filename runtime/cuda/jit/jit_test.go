package jit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/cuda/cache"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/cuda/toolkit"
)

func TestMain(m *testing.M) {
	nvrtc.Worker()
	os.Exit(m.Run())
}

// fake is a compiler whose code says what it was made from.
type fake struct {
	version  [2]int
	archs    []int
	identity string
	rests    int

	mu       sync.Mutex
	compiled []string
}

func newFake() *fake {
	return &fake{version: [2]int{13, 0}, archs: []int{75, 80, 90, 120}, identity: "a"}
}

func (f *fake) Identity() string    { return f.identity }
func (f *fake) Version() (int, int) { return f.version[0], f.version[1] }
func (f *fake) Archs() []int        { return f.archs }
func (f *fake) Parallel() int       { return 3 }
func (f *fake) Rest()               { f.rests++ }

func (f *fake) Compile(ctx context.Context, s nvrtc.Source) (*nvrtc.Result, error) {
	f.mu.Lock()
	f.compiled = append(f.compiled, s.Name)
	f.mu.Unlock()
	if strings.Contains(s.Text, "wrong") {
		return nil, &nvrtc.CompileError{Name: s.Name, Arch: s.Arch, Log: "it is wrong"}
	}
	if strings.Contains(s.Text, "waits") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	code := fmt.Sprintf("%s for %s with %d headers", s.Text, s.Arch, len(s.Headers))
	return &nvrtc.Result{CUBIN: []byte("cubin of " + code), PTX: []byte("ptx of " + code)}, nil
}

var hopper = Target{Major: 9, Driver: 13010}

func texts(list ...string) []Text {
	var out []Text
	for i, text := range list {
		out = append(out, Text{Name: fmt.Sprintf("k%d", i), Text: text})
	}
	return out
}

func TestCompileOnce(t *testing.T) {
	dir := t.TempDir()
	start := func(change func(*fake)) (*JIT, *fake) {
		f := newFake()
		if change != nil {
			change(f)
		}
		return New(f, Options{Cache: cache.Open(dir, cache.Limit, nil)}), f
	}
	headers := map[string]string{"a.cuh": "1", "b.cuh": "2"}
	ctx := context.Background()
	j, f := start(nil)
	images, err := j.Compile(ctx, hopper, texts("x", "y"), headers)
	require.NoError(t, err)
	require.Equal(t, []Image{{Code: []byte("cubin of x for sm_90 with 2 headers")}, {Code: []byte("cubin of y for sm_90 with 2 headers")}}, images)
	require.Len(t, f.compiled, 2)
	require.Equal(t, 1, f.rests)

	j, f = start(nil)
	again, err := j.Compile(ctx, hopper, texts("x", "y"), headers)
	require.NoError(t, err)
	require.Equal(t, images, again)
	require.Empty(t, f.compiled)
	require.Zero(t, f.rests)

	// Whatever the code depends on makes it another.
	for name, c := range map[string]struct {
		change  func(*fake)
		target  Target
		headers map[string]string
		text    string
	}{
		"text":           {nil, hopper, headers, "z"},
		"header":         {nil, hopper, map[string]string{"a.cuh": "1", "b.cuh": "3"}, "x"},
		"header's name":  {nil, hopper, map[string]string{"a.cuh": "1", "c.cuh": "2"}, "x"},
		"GPU":            {nil, Target{Major: 8, Driver: 13000}, headers, "x"},
		"NVRTC":          {func(f *fake) { f.version[1] = 1 }, hopper, headers, "x"},
		"NVRTC's file":   {func(f *fake) { f.identity = "b" }, hopper, headers, "x"},
		"NVRTC is older": {func(f *fake) { f.archs = []int{80} }, hopper, headers, "x"},
	} {
		j, f := start(c.change)
		_, err := j.Compile(ctx, c.target, texts(c.text), c.headers)
		require.NoError(t, err)
		require.Len(t, f.compiled, 1, name)
	}
}

func TestWithoutCache(t *testing.T) {
	f := newFake()
	steps := []string{}
	j := New(f, Options{Progress: func(p Progress) {
		steps = append(steps, fmt.Sprintf("%d/%d %d %s", p.Done, p.Missing, p.Cached, p.Arch))
	}})
	same := Text{Name: "k0", Text: "x"}
	images, err := j.Compile(context.Background(), hopper, []Text{same, {Name: "k1", Text: "y"}, same}, nil)
	require.NoError(t, err)
	require.Equal(t, images[0], images[2])
	require.NotEqual(t, images[0], images[1])
	require.Equal(t, []string{"0/2 0 sm_90", "1/2 0 sm_90", "2/2 0 sm_90"}, steps)
	images, err = j.Compile(context.Background(), hopper, nil, nil)
	require.NoError(t, err)
	require.Empty(t, images)
}

func TestArchs(t *testing.T) {
	for _, c := range []struct {
		target     Target
		version    [2]int
		archs      []int
		arch, want string
	}{
		{Target{9, 0, 13000}, [2]int{13, 0}, []int{80, 90}, "sm_90", ""},
		{Target{9, 0, 12040}, [2]int{12, 8}, []int{80, 90}, "sm_90", ""},
		{Target{12, 0, 13000}, [2]int{12, 4}, []int{80, 90}, "compute_90",
			"NVRTC 12.4 does not know sm_120; kernels are compiled to PTX for sm_90, which the driver compiles further"},
		{Target{8, 6, 13000}, [2]int{13, 0}, []int{80, 90}, "sm_80", ""},
		{Target{9, 0, 12040}, [2]int{13, 0}, []int{80, 90}, "",
			"the driver knows CUDA 12.4 and NVRTC is of CUDA 13.0: update the driver, or let WRNC_NVRTC name the NVRTC of a CUDA 12"},
		{Target{12, 0, 12040}, [2]int{12, 6}, []int{80, 90}, "",
			"NVRTC 12.6 does not know sm_120, and the driver, which knows CUDA 12.4, is too old for its PTX: update the driver, or let WRNC_NVRTC name a newer NVRTC"},
		{Target{8, 0, 12040}, [2]int{12, 4}, []int{75, 90}, "", "NVRTC 12.4 knows no architecture from sm_80 to sm_80: let WRNC_NVRTC name a newer one"},
	} {
		f := newFake()
		f.version, f.archs = c.version, c.archs
		var notes []string
		j := New(f, Options{Note: func(s string) { notes = append(notes, s) }})
		for range 2 {
			images, err := j.Compile(context.Background(), c.target, texts("x"), nil)
			if c.arch == "" {
				require.EqualError(t, err, c.want)
				continue
			}
			require.NoError(t, err)
			require.Contains(t, string(images[0].Code), "for "+c.arch+" ")
			ptx := strings.HasPrefix(c.arch, "compute_")
			require.Equal(t, ptx, images[0].PTX)
			require.Equal(t, ptx, images[0].Code[len(images[0].Code)-1] == 0)
			if ptx {
				require.Equal(t, []string{c.want}, notes)
			} else {
				require.Empty(t, notes)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	j := New(newFake(), Options{Cache: cache.Open(t.TempDir(), cache.Limit, nil)})
	// The others stop, and theirs is not the error that is told.
	_, err := j.Compile(context.Background(), hopper, texts("waits", "wrong", "waits", "x"), nil)
	require.EqualError(t, err, "kernel k1: k1.cu does not compile for sm_90:\nit is wrong")
	var rejected *nvrtc.CompileError
	require.ErrorAs(t, err, &rejected)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = j.Compile(ctx, hopper, texts("waits", "y"), nil)
	require.ErrorIs(t, err, context.Canceled)
}

// TestLibrary compiles by NVRTC itself, in other processes.
func TestLibrary(t *testing.T) {
	if _, err := nvrtc.Open(""); err != nil {
		toolkit.Missing(t, err)
	}
	dir := t.TempDir()
	compile := func() []Image {
		c, err := Library()
		require.NoError(t, err)
		require.NotEmpty(t, c.Identity())
		j := New(c, Options{Cache: cache.Open(dir, cache.Limit, func(s string) { t.Error(s) })})
		defer func() { require.Nil(t, c.(*library).pool, "compiling processes are left") }()
		source := texts(`#include "k.cuh"
extern "C" __global__ void k0(K x) { *x.p = 1; }`, `#include "k.cuh"
extern "C" __global__ void k1(K x) { *x.p = 2; }`)
		images, err := j.Compile(context.Background(), hopper, source, map[string]string{"k.cuh": "struct K { int* p; };"})
		require.NoError(t, err)
		_, err = j.Compile(context.Background(), hopper, texts("nonsense"), nil)
		require.ErrorContains(t, err, "kernel k0: k0.cu does not compile for sm_90:\nk0.cu(1): error:")
		return images
	}
	images := compile()
	for _, i := range images {
		require.True(t, bytes.HasPrefix(i.Code, []byte("\x7fELF")))
	}
	require.Equal(t, images, compile())

	t.Setenv("WRNC_CACHE", t.TempDir())
	j, err := Start(Options{})
	require.NoError(t, err)
	require.NotNil(t, j.o.Cache)
	t.Setenv("WRNC_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "")
	if path := j.c.(*library).c.Path(); filepath.IsAbs(path) {
		t.Setenv("WRNC_NVRTC", path) // it may lie in the home folder
	}
	t.Setenv("HOME", "")
	var notes []string
	j, err = Start(Options{Note: func(s string) { notes = append(notes, s) }})
	require.NoError(t, err)
	require.Nil(t, j.o.Cache)
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "kernels are compiled anew at each start: there is no folder for caches")

	require.Empty(t, identity("/nowhere/libnvrtc.so"))
	require.Empty(t, mapped("no such library"))
	t.Setenv("WRNC_NVRTC", "/nowhere")
	_, err = Library()
	require.ErrorContains(t, err, "WRNC_NVRTC")
}
