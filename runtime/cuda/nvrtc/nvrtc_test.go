package nvrtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/cuda/toolkit"
)

// actor is the variable that makes the test binary play a worker that misbehaves.
const actor = "WRNC_NVRTC_TEST_ACTOR"

func TestMain(m *testing.M) {
	switch os.Getenv(actor) {
	case "dies":
		fmt.Fprintln(os.Stderr, "no such luck")
		os.Exit(7)
	case "talks":
		fmt.Println("PASS and other things that a program prints which is no worker")
		time.Sleep(time.Minute)
	case "sleeps":
		time.Sleep(time.Minute)
	case "dies later":
		texts := 0
		_ = serveWith(os.Stdin, os.Stdout, func(s Source) (*Result, error) {
			if texts++; texts == 2 {
				os.Exit(9)
			}
			return &Result{Log: s.Name}, nil
		}, nil)
		os.Exit(0)
	}
	Worker()
	os.Exit(m.Run())
}

// compiler opens NVRTC, or ends the test.
func compiler(t *testing.T) *Compiler {
	c, err := Open("")
	if err != nil {
		toolkit.Missing(t, err)
	}
	return c
}

const copyText = `#include "copy.cuh"
extern "C" __global__ void copy(const float* x, float* y) { y[threadIdx.x] = twice(x[threadIdx.x]); }
`

func copySource(arch string) Source {
	return Source{
		Name: "copy.cu", Text: copyText, Arch: arch, Options: Options(),
		Headers: map[string]string{
			"copy.cuh":  "#include \"inner.cuh\"\n__device__ float twice(float x) { return x * FACTOR; }\n",
			"inner.cuh": "#define FACTOR 2.0f\n",
		},
	}
}

func TestCompile(t *testing.T) {
	c := compiler(t)
	require.Contains(t, c.Archs(), 80)
	require.Contains(t, c.Archs(), 90)
	r, err := c.Compile(copySource("sm_80"))
	require.NoError(t, err)
	require.Empty(t, r.Log)
	require.True(t, bytes.HasPrefix(r.CUBIN, []byte("\x7fELF")))
	require.Contains(t, string(r.PTX), ".visible .entry copy(")
	require.Contains(t, string(r.PTX), ".target sm_80")
	require.True(t, strings.HasPrefix(r.Release(), c.Version()+"."), r.Release())
	require.Positive(t, r.Time)

	again, err := c.Compile(copySource("sm_80"))
	require.NoError(t, err)
	require.Equal(t, r.CUBIN, again.CUBIN, "the same text gives the same bytes")

	r, err = c.Compile(copySource("compute_80"))
	require.NoError(t, err)
	require.Empty(t, r.CUBIN)
	require.Contains(t, string(r.PTX), ".entry copy(")
}

func TestContractionIsOff(t *testing.T) {
	c := compiler(t)
	s := Source{Name: "k.cu", Arch: "sm_80", Options: Options(), Text: `
extern "C" __global__ void k(float* x) { x[0] = x[1] * x[2] + x[3]; }`}
	r, err := c.Compile(s)
	require.NoError(t, err)
	require.NotContains(t, string(r.PTX), "fma")
	s.Options = nil
	r, err = c.Compile(s)
	require.NoError(t, err)
	require.Contains(t, string(r.PTX), "fma", "the option is what keeps it off")
}

func TestCompileErrors(t *testing.T) {
	c := compiler(t)
	s := copySource("sm_80")
	s.Text = strings.Replace(s.Text, "twice(x", "thrice(x", 1)
	_, err := c.Compile(s)
	var rejected *CompileError
	require.ErrorAs(t, err, &rejected)
	require.Contains(t, rejected.Log, `copy.cu(2): error: identifier "thrice" is undefined`)
	require.ErrorContains(t, err, "copy.cu does not compile for sm_80:\ncopy.cu(2): error:")

	s = copySource("sm_80")
	delete(s.Headers, "inner.cuh")
	_, err = c.Compile(s)
	require.ErrorContains(t, err, `copy.cuh(1): catastrophic error: cannot open source file "inner.cuh"`)

	s = copySource("sm_80")
	s.Options = []string{"--no-such-option"}
	_, err = c.Compile(s)
	require.ErrorContains(t, err, "NVRTC_ERROR_INVALID_OPTION")
	require.ErrorContains(t, err, "--no-such-option")

	s = copySource("sm_80")
	s.Text += "\x00"
	_, err = c.Compile(s)
	require.EqualError(t, err, "copy.cu: a text for NVRTC has a zero byte")

	// An error leaves the compiler as it was.
	_, err = c.Compile(copySource("sm_80"))
	require.NoError(t, err)
}

func TestUnknownArch(t *testing.T) {
	c := &Compiler{major: 12, minor: 4, archs: []int{50, 80, 90}}
	for arch, want := range map[string]string{
		"sm_80":                   "",
		"sm_90a":                  "",
		"compute_90":              "",
		"sm_120":                  "NVRTC 12.4 does not know sm_120; the newest that it knows is sm_90",
		"compute_100":             "NVRTC 12.4 does not know compute_100; the newest that it knows is sm_90",
		"sm_9":                    "NVRTC 12.4 does not know sm_9; the newest that it knows is sm_90",
		"sm_99999999999999999999": "NVRTC 12.4 does not know sm_99999999999999999999; the newest that it knows is sm_90",
		"":                        `"" is no architecture; expected sm_90 or the like`,
		"90":                      `"90" is no architecture; expected sm_90 or the like`,
		"sm_90x":                  `"sm_90x" is no architecture; expected sm_90 or the like`,
	} {
		err := c.knows(arch)
		if want == "" {
			require.NoError(t, err, arch)
		} else {
			require.EqualError(t, err, want)
		}
	}
	_, err := compiler(t).Compile(copySource("sm_999"))
	var unknown *ArchError
	require.ErrorAs(t, err, &unknown)
}

func TestOpenErrors(t *testing.T) {
	_, err := Open("/nowhere/libnvrtc.so.13")
	require.ErrorContains(t, err, "/nowhere/libnvrtc.so.13")

	t.Setenv("WRNC_NVRTC", "/nowhere/else.so")
	_, err = Open("")
	require.ErrorContains(t, err, "WRNC_NVRTC: stat /nowhere/else.so")

	// A library that is not NVRTC.
	t.Setenv("WRNC_NVRTC", "")
	if path := someLibrary(); path != "" {
		_, err = Open(path)
		require.ErrorContains(t, err, path+" is no NVRTC that wrnc can use")
	}
}

// someLibrary is a library of the system, or empty.
func someLibrary() string {
	for _, path := range []string{"/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func TestConcurrentCompile(t *testing.T) {
	c := compiler(t)
	want, err := c.Compile(copySource("sm_90"))
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			r, err := c.Compile(copySource("sm_90"))
			if err != nil || !bytes.Equal(r.CUBIN, want.CUBIN) {
				t.Errorf("compiled at the same time: %v", err)
			}
		})
	}
	group.Wait()
}

func TestPool(t *testing.T) {
	c := compiler(t)
	p, err := NewPool(2, Self)
	require.NoError(t, err)
	defer p.Close()
	ctx := context.Background()
	want, err := c.Compile(copySource("sm_80"))
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			r, err := p.Compile(ctx, copySource("sm_80"))
			if err != nil || !bytes.Equal(r.CUBIN, want.CUBIN) || !bytes.Equal(r.PTX, want.PTX) {
				t.Errorf("compiled in another process: %v", err)
			}
		})
	}
	group.Wait()

	// Errors keep their types on the way.
	s := copySource("sm_80")
	s.Text = "nonsense"
	_, err = p.Compile(ctx, s)
	var rejected *CompileError
	require.ErrorAs(t, err, &rejected)
	require.Contains(t, rejected.Log, "copy.cu(1): error:")
	_, err = p.Compile(ctx, copySource("sm_999"))
	var unknown *ArchError
	require.ErrorAs(t, err, &unknown)
	_, err = p.Compile(ctx, copySource("arch"))
	require.EqualError(t, err, `"arch" is no architecture; expected sm_90 or the like`)

	done, cancel := context.WithCancel(ctx)
	cancel()
	_, err = p.Compile(done, copySource("sm_80"))
	require.ErrorIs(t, err, context.Canceled)
	_, err = p.Compile(ctx, copySource("sm_80"))
	require.NoError(t, err, "another text's cancellation is not this one's")
}

func TestClosedPool(t *testing.T) {
	p, err := NewPool(1, acting("dies"))
	require.NoError(t, err)
	p.Close()
	_, err = p.Compile(context.Background(), copySource("sm_80"))
	require.EqualError(t, err, "the pool of compiling processes is closed")
	_, err = NewPool(0, Self)
	require.EqualError(t, err, "a pool of 0 processes")
}

// acting starts the test binary as a worker that misbehaves.
func acting(part string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) {
		cmd, err := Self()
		if err == nil {
			cmd.Env = append(cmd.Env, actor+"="+part)
		}
		return cmd, err
	}
}

func TestPoolOfBadWorkers(t *testing.T) {
	ctx := context.Background()
	compile := func(part string) error {
		p, err := NewPool(1, acting(part))
		require.NoError(t, err)
		defer p.Close()
		_, err = p.Compile(ctx, copySource("sm_80"))
		return err
	}
	require.ErrorContains(t, compile("dies"), "does not start as a compiler: the compiling process ended: exit status 7\nno such luck")
	require.ErrorContains(t, compile("talks"), "does not start as a compiler: the compiling process does not answer as one: it begins with")

	p, err := NewPool(1, acting("sleeps"))
	require.NoError(t, err)
	defer p.Close()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = p.Compile(short, copySource("sm_80"))
	require.ErrorIs(t, err, context.DeadlineExceeded)

	missing, err := NewPool(1, func() (*exec.Cmd, error) { return exec.Command("/nowhere/wrnc"), nil })
	require.NoError(t, err)
	defer missing.Close()
	_, err = missing.Compile(ctx, copySource("sm_80"))
	require.ErrorContains(t, err, "/nowhere/wrnc")
}

func TestPoolReplacesAWorkerThatDied(t *testing.T) {
	p, err := NewPool(1, acting("dies later"))
	require.NoError(t, err)
	defer p.Close()
	ctx := context.Background()
	for range 2 { // the second round has a new process
		r, err := p.Compile(ctx, copySource("sm_80"))
		require.NoError(t, err)
		require.Equal(t, "copy.cu", r.Log)
		_, err = p.Compile(ctx, copySource("sm_80"))
		require.EqualError(t, err, "copy.cu for sm_80: the compiling process ended: exit status 9")
	}
}

func TestPoolWithoutNVRTC(t *testing.T) {
	t.Setenv("WRNC_NVRTC", "/nowhere/libnvrtc.so")
	p, err := NewPool(1, Self)
	require.NoError(t, err)
	defer p.Close()
	_, err = p.Compile(context.Background(), copySource("sm_80"))
	require.EqualError(t, err, "WRNC_NVRTC: stat /nowhere/libnvrtc.so: no such file or directory")
}

func TestWorkerNeedsItsCall(t *testing.T) {
	t.Setenv(workerVariable, "1")
	_, err := NewPool(1, Self)
	require.EqualError(t, err, "this process was started to compile, but its main does not call nvrtc.Worker")
}

func TestServeRefusesGarbage(t *testing.T) {
	var out bytes.Buffer
	err := serveWith(strings.NewReader("not gob"), &out, nil, nil)
	require.Error(t, err)
	require.False(t, errors.Is(err, io.EOF))
}
