package driver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/plan"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/cache"
	"wrnc/runtime/cuda/contract"
	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/cuda/libcuda"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/cuda/toolkit"
)

func TestContract(t *testing.T) {
	contract.Test(t, func(t *testing.T) cuda.Driver { return newFake(t).open(t, nil) }, contract.Options{})
}

// TestContractWithNVRTC compiles the contract's kernels by NVRTC, in other processes.
func TestContractWithNVRTC(t *testing.T) {
	if _, err := nvrtc.Open(""); err != nil {
		toolkit.Missing(t, err)
	}
	dir := t.TempDir()
	contract.Test(t, func(t *testing.T) cuda.Driver {
		return newFake(t).open(t, func(o *Options) {
			o.JIT = func() (*jit.JIT, error) {
				c, err := jit.Library()
				if err != nil {
					return nil, err
				}
				return jit.New(c, jit.Options{Cache: cache.Open(dir, cache.Limit, func(s string) { t.Error(s) })}), nil
			}
		})
	}, contract.Options{})
}

// TestContractOnGPU holds a GPU to the contract, where there is one.
func TestContractOnGPU(t *testing.T) {
	contract.Test(t, func(t *testing.T) cuda.Driver { return OpenForTest(t, system) }, contract.Options{Executes: true})
}

func TestInfo(t *testing.T) {
	f := newFake(t)
	f.set("count", 2)
	d := f.open(t, func(o *Options) { o.Device = 1 })
	require.Equal(t, Info{Name: "Fake GPU 1", Major: 9, Memory: 1 << 34, Processors: 132, Shared: 232448, Driver: 13000, Devices: 2}, d.Info())
	p, err := d.Alloc(1 << 20)
	require.NoError(t, err)
	free, total, err := d.MemInfo()
	require.NoError(t, err)
	require.Equal(t, 1<<34, total)
	require.Equal(t, 1<<34-1<<20, free)
	require.NoError(t, d.Free(p))
}

// TestNoDevice has each reason for which there is no GPU to use.
func TestNoDevice(t *testing.T) {
	f := newFake(t)
	for _, c := range []struct {
		name   string
		set    map[string]int64
		change func(*Options)
		want   string
	}{
		{"no GPU", map[string]int64{"count": 0}, nil,
			"no GPU: cuInit: CUDA_ERROR_NO_DEVICE (no CUDA-capable device is detected): look whether nvidia-smi lists one, and whether CUDA_VISIBLE_DEVICES hides it; --target cpu needs none"},
		{"none counted", map[string]int64{"count": -1}, nil,
			"the driver finds no GPU: look whether nvidia-smi lists one, and whether CUDA_VISIBLE_DEVICES hides it; --target cpu needs none"},
		{"another number", map[string]int64{"count": 2}, func(o *Options) { o.Device = 2 }, "there is no GPU 2: the driver finds 2, numbered from 0"},
		{"a negative number", nil, func(o *Options) { o.Device = -1 }, "there is no GPU -1: the driver finds 1, numbered from 0"},
		{"an old driver", map[string]int64{"version": 11080}, nil,
			"the driver knows CUDA 11.8, and kernels are compiled by CUDA 12.0 or newer: update NVIDIA's driver"},
		{"an old GPU", map[string]int64{"major": 7, "minor": 5}, nil, "Fake GPU 0 is an sm_75, and kernels need an sm_80 or newer: use --target cpu"},
	} {
		f.reset(0)
		for name, value := range c.set {
			f.set(name, value)
		}
		_, err := Open(f.api, f.options(c.change))
		require.EqualError(t, err, c.want, c.name)
		require.NotContains(t, err.Error(), "\n")
		require.Empty(t, f.left(), c.name)
	}
	f.reset(0)
	f.fail("cuDevicePrimaryCtxRetain", 1, libcuda.CodeOutOfMemory)
	_, err := Open(f.api, f.options(nil))
	require.EqualError(t, err, "Fake GPU 0 cannot be used: cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY (out of memory): "+
		"not even a context fits in what other processes leave of its 17179869184 bytes; nvidia-smi lists them")
	require.Empty(t, f.left())
	f.reset(0)
	f.fail("cuMemHostAlloc", 1, libcuda.CodeOutOfMemory)
	_, err = Open(f.api, f.options(nil))
	require.EqualError(t, err, "Fake GPU 0 cannot be used: cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY (out of memory): "+
		"the system lets this process pin no 8388608 bytes of memory; see ulimit -l")
	require.Empty(t, f.left())
}

func TestOutOfMemory(t *testing.T) {
	f := newFake(t)
	f.set("memory", 1000<<20)
	d := f.open(t, nil)
	p, err := d.Alloc(600 << 20)
	require.NoError(t, err)
	_, err = d.Alloc(500 << 20)
	require.EqualError(t, err, "cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY (out of memory): asked for 524288000 bytes, 419430400 of 1048576000 are free; a smaller --batch needs less")
	require.NoError(t, d.Free(p))
	p, err = d.Alloc(500 << 20) // it was no error of the device
	require.NoError(t, err)
	require.NoError(t, d.Free(p))
	f.set("taken", 900<<20)
	_, err = d.Alloc(200 << 20)
	require.EqualError(t, err, "cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY (out of memory): asked for 209715200 bytes, 104857600 of 1048576000 are free; "+
		"a smaller --batch needs less, and other processes hold up to 943718400 bytes, which nvidia-smi lists")
}

func text(name, body string) cuda.Text {
	return cuda.Text{Threads: 64, Source: plan.Source{Entry: name, Text: "WRNC_KERNEL(" + name + ", 64, 1)(const Args args) {" + body + "}"}}
}

func TestLoadErrors(t *testing.T) {
	f := newFake(t)
	d := f.open(t, nil)
	load := func(texts ...cuda.Text) error {
		_, err := d.Load(cuda.Texts{Kernels: texts})
		return err
	}
	much := text("much", "")
	much.Shared = 300000
	require.EqualError(t, load(text("a", ""), much), "kernel much needs 300000 bytes of shared memory a block, Fake GPU 0 has 232448")
	require.EqualError(t, load(text("a", ""), text("b", "bad image")),
		"kernel b: cuModuleLoadDataEx: CUDA_ERROR_INVALID_IMAGE: the driver cannot read the kernel; update NVIDIA's driver\nptxas: line 1; fatal: no entry in \"// nothing\"")
	other := text("c", "")
	other.Entry = "d"
	require.EqualError(t, load(other), "kernel d: cuModuleGetFunction: CUDA_ERROR_NOT_FOUND: this is a fault of wrnc, please report it")
	f.fail("cuModuleLoadDataEx", 2, libcuda.CodePTXVersion)
	require.EqualError(t, load(text("a", ""), text("b", "")), "kernel b: cuModuleLoadDataEx: CUDA_ERROR_UNSUPPORTED_PTX_VERSION: "+
		"the driver is older than NVRTC; update NVIDIA's driver, or let WRNC_NVRTC name an older NVRTC")
	require.NoError(t, load(text("a", "")))

}

func TestNoCompiler(t *testing.T) {
	load := func(d *Device) error {
		_, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text("a", "")}})
		return err
	}
	for want, open := range map[string]func() (*jit.JIT, error){
		"the device was opened without a compiler of kernels": nil,
		"no NVRTC": func() (*jit.JIT, error) { return nil, errors.New("no NVRTC") },
	} {
		t.Run(want, func(t *testing.T) {
			require.EqualError(t, load(newFake(t).open(t, func(o *Options) { o.JIT = open })), want)
		})
	}
}

// TestTwoDevices has two users of one GPU's context.
func TestTwoDevices(t *testing.T) {
	f := newFake(t)
	a, err := Open(f.api, f.options(nil))
	require.NoError(t, err)
	b, err := Open(f.api, f.options(nil))
	require.NoError(t, err)
	p, err := b.Alloc(100)
	require.NoError(t, err)
	require.NoError(t, a.Close())
	require.NoError(t, a.Close())
	require.NoError(t, b.Write(p, []byte{1}))
	require.NoError(t, b.Sync())
	require.NoError(t, b.Close())
	require.Empty(t, f.left())
}

// TestPTX has a compiler that is older than the device.
func TestPTX(t *testing.T) {
	f := newFake(t)
	f.set("major", 12)
	var notes []string
	d := f.open(t, func(o *Options) {
		o.JIT = func() (*jit.JIT, error) {
			return jit.New(&stand{}, jit.Options{Note: func(s string) { notes = append(notes, s) }}), nil
		}
	})
	_, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text("a", "")}})
	require.NoError(t, err)
	require.Equal(t, []string{"NVRTC 13.0 does not know sm_120; kernels are compiled to PTX for sm_90, which the driver compiles further"}, notes)
}

func TestLaunch(t *testing.T) {
	f := newFake(t)
	d := f.open(t, nil)
	functions, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text("a", "u32 add;"), text("b", "")}})
	require.NoError(t, err)
	args := []byte("twenty-four bytes of it.")
	require.NoError(t, d.Launch(functions[0], cuda.Grid{Blocks: 70000, Threads: 64}, args))
	require.EqualValues(t, 1, f.launches())
	hash := uint64(14695981039346656037)
	for _, b := range args {
		hash = (hash ^ uint64(b)) * 1099511628211
	}
	require.Equal(t, hash, f.arguments(), "the device got other bytes")
	require.NoError(t, d.Launch(functions[1], cuda.Grid{Blocks: 1, Threads: 64}, make([]byte, maxParams)))
	for want, err := range map[string]error{
		"kernel a: a grid of 0 blocks":                                           d.Launch(functions[0], cuda.Grid{Threads: 64}, args),
		"kernel a: blocks of 32 threads and 0 bytes, it was loaded for 64 and 0": d.Launch(functions[0], cuda.Grid{Blocks: 1, Threads: 32}, args),
		"kernel b: 4097 bytes of arguments, at most 4096 are possible":           d.Launch(functions[1], cuda.Grid{Blocks: 1, Threads: 64}, make([]byte, maxParams+1)),
		"there is no function 9":                                                 d.Launch(9, cuda.Grid{Blocks: 1, Threads: 64}, nil),
	} {
		require.EqualError(t, err, want)
	}
}

// TestGraph captures launches, whose arguments are those of then.
func TestGraph(t *testing.T) {
	f := newFake(t)
	d := f.open(t, nil)
	functions, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text("a", "u32 add;"), text("b", "")}})
	require.NoError(t, err)
	grid := cuda.Grid{Blocks: 3, Threads: 64}
	args := []byte("twenty-four bytes of it.")
	require.NoError(t, d.Launch(functions[0], grid, args))
	hash := f.arguments()
	g, err := d.Capture([]cuda.Launch{{Function: functions[1], Grid: grid}, {Function: functions[0], Grid: grid, Args: args}})
	require.NoError(t, err)
	clear(args)
	require.NoError(t, d.Launch(functions[0], grid, args))
	require.EqualValues(t, 2, f.launches(), "nothing was started")
	require.NoError(t, d.Replay(g))
	require.NoError(t, d.Replay(g))
	require.EqualValues(t, 6, f.launches())
	require.Equal(t, hash, f.arguments())

	_, err = d.Capture([]cuda.Launch{{Function: functions[1], Grid: grid}, {Function: 9, Grid: grid}})
	require.EqualError(t, err, "there is no function 9")
	require.NoError(t, d.Sync(), "the capture has ended")
	f.fail("cuStreamBeginCapture_v2", 1, libcuda.CodeNotSupported)
	_, err = d.Capture(nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "CUDA_ERROR_NOT_SUPPORTED")

	f.set("late", libcuda.CodeIllegalAddress)
	require.NoError(t, d.Replay(g))
	require.ErrorContains(t, d.Sync(), "one of 2 launches failed, the last of which was a: cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS")
	require.ErrorContains(t, d.Discard(g), "one of 2 launches failed")
}

// TestCapturing holds the fake library to what is forbidden while a stream captures:
// to wait, to take or give back memory or code, to copy memory that is not pinned.
func TestCapturing(t *testing.T) {
	f := newFake(t)
	d := f.open(t, nil)
	p, err := d.Alloc(100)
	require.NoError(t, err)
	free, err := d.Alloc(100)
	require.NoError(t, err)
	unpinned := new([8]byte)
	for name, forbidden := range map[string]func() error{
		"wait":          d.Sync,
		"read":          func() error { return d.Read(make([]byte, 4), p) },
		"take memory":   func() error { _, err := d.Alloc(1); return err },
		"free memory":   func() error { return d.Free(free) },
		"load a kernel": func() error { _, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text("a", "")}}); return err },
		"copy what is not pinned": func() error {
			defer d.leave()
			require.NoError(t, d.enter())
			return d.api.MemcpyHtoDAsync(libcuda.Memory(p), unsafe.Pointer(unpinned), 8, d.work.stream)
		},
	} {
		runtime.LockOSThread()
		require.NoError(t, d.api.StreamBeginCapture(d.work.stream))
		require.ErrorContains(t, d.api.StreamBeginCapture(d.work.stream), "cuStreamBeginCapture_v2", "twice")
		require.ErrorContains(t, forbidden(), "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", name)
		_, err := d.api.StreamEndCapture(d.work.stream)
		require.ErrorContains(t, err, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", name)
		runtime.UnlockOSThread()
	}
	require.NoError(t, d.Sync())
}

func TestEvents(t *testing.T) {
	f := newFake(t)
	d := f.open(t, nil)
	from, err := d.NewEvent()
	require.NoError(t, err)
	to, err := d.NewEvent()
	require.NoError(t, err)
	p, err := d.Alloc(100)
	require.NoError(t, err)
	require.NoError(t, d.Record(from))
	for range 3 {
		require.NoError(t, d.Fill(p, 0, 100))
	}
	require.NoError(t, d.Record(to))
	took, err := d.Elapsed(from, to)
	require.NoError(t, err)
	require.Equal(t, 2*time.Millisecond, took, "the fake's clock goes half a millisecond for everything")
	require.NoError(t, d.FreeEvent(from))
	require.EqualError(t, d.Record(from), fmt.Sprintf("there is no event %#x", uint64(from)))
	_, err = d.Elapsed(from, to)
	require.ErrorContains(t, err, "there is no event")
}

// TestGoroutines uses a device from several goroutines in turn, each on its thread.
func TestGoroutines(t *testing.T) {
	f := newFake(t)
	d := f.open(t, nil)
	p, err := d.Alloc(8)
	require.NoError(t, err)
	var turn sync.Mutex
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			turn.Lock()
			defer turn.Unlock()
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], uint64(i))
			if err := d.Write(p, b[:]); err != nil {
				t.Error(err)
			}
			b = [8]byte{}
			if err := d.Read(b[:], p); err != nil || binary.LittleEndian.Uint64(b[:]) != uint64(i) {
				t.Error(err, b)
			}
		})
	}
	wait.Wait()
}
