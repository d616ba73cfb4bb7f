package driver

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/ebitengine/purego"
	"github.com/stretchr/testify/require"

	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/cuda/libcuda"
	"wrnc/runtime/cuda/nvrtc"
)

func TestMain(m *testing.M) {
	nvrtc.Worker()
	code := m.Run()
	cleanUp()
	os.Exit(code)
}

// fake is the fake library: what a test tells it and asks it.
type fake struct {
	api       libcuda.API
	set       func(name string, value int64)
	fail      func(function string, nth, code int32)
	reset     func(trace int32)
	left      func() string
	fired     func() string
	trace     func() string
	launches  func() uint64
	overlaps  func() uint64
	arguments func() uint64
}

// newFake returns the library as it is when newly loaded.
func newFake(t testing.TB) *fake {
	t.Helper()
	path, api := library(t)
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	require.NoError(t, err)
	f := &fake{api: api}
	for name, to := range map[string]any{"fake_set": &f.set, "fake_fail": &f.fail, "fake_reset": &f.reset, "fake_left": &f.left, "fake_fired": &f.fired,
		"fake_trace": &f.trace, "fake_launches": &f.launches, "fake_overlaps": &f.overlaps, "fake_arguments": &f.arguments} {
		purego.RegisterLibFunc(to, handle, name)
	}
	f.reset(0)
	return f
}

// open opens the fake device with the fake compiler.
func (f *fake) open(t testing.TB, change func(*Options)) *Device {
	t.Helper()
	d, err := Open(f.api, f.options(change))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, d.Close())
		require.Empty(t, f.left())
	})
	return d
}

func (f *fake) options(change func(*Options)) Options {
	o := Options{JIT: func() (*jit.JIT, error) { return jit.New(&stand{}, jit.Options{}), nil }}
	if change != nil {
		change(&o)
	}
	return o
}

// stand is a stand-in for NVRTC: its code is what the fake library takes for PTX.
type stand struct {
	mu    sync.Mutex
	texts int
	bytes int // to fill the code up to
	archs []int
}

var entry = regexp.MustCompile(`WRNC_KERNEL\((\w+),`)

func (c *stand) Identity() string    { return "a compiler of tests" }
func (c *stand) Version() (int, int) { return 13, 0 }
func (c *stand) Parallel() int       { return 2 }
func (c *stand) Rest()               {}

func (c *stand) Archs() []int {
	if c.archs != nil {
		return c.archs
	}
	return []int{80, 90}
}

func (c *stand) Compile(_ context.Context, s nvrtc.Source) (*nvrtc.Result, error) {
	c.mu.Lock()
	c.texts++
	c.mu.Unlock()
	name := entry.FindStringSubmatch(s.Text)
	if name == nil || strings.Contains(s.Text, "this is no kernel") {
		return nil, &nvrtc.CompileError{Name: s.Name, Arch: s.Arch, Log: "this is no kernel"}
	}
	code := fmt.Sprintf("// for %s\n.visible .entry %s(\n", s.Arch, name[1])
	if strings.Contains(s.Text, "u32 add;") {
		code += "// params=24\n"
	}
	if strings.Contains(s.Text, "bad image") {
		code = "// nothing"
	}
	code += strings.Repeat(" ", max(c.bytes-len(code), 0)) + "\x00"
	return &nvrtc.Result{CUBIN: []byte(code), PTX: []byte(strings.TrimSuffix(code, "\x00"))}, nil
}
