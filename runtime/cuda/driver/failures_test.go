package driver

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/libcuda"
)

// TestLateError has a kernel that fails while the host goes on.
func TestLateError(t *testing.T) {
	f := newFake(t)
	d := f.open(t, nil)
	functions, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text("a", ""), text("b", "")}})
	require.NoError(t, err)
	p, err := d.Alloc(100)
	require.NoError(t, err)
	f.set("late", libcuda.CodeIllegalAddress)
	for _, fn := range functions {
		require.NoError(t, d.Launch(fn, cuda.Grid{Blocks: 1, Threads: 64}, nil))
	}
	want := "one of 2 launches failed, the last of which was b: cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered): " +
		"a kernel is at fault, please report it; a new process can use the GPU"
	require.EqualError(t, d.Sync(), want)
	// All else says the same, and Close gives back what it can.
	require.EqualError(t, d.Free(p), want)
	require.EqualError(t, d.Write(p, []byte{1}), want)
	require.EqualError(t, d.Unload(functions[0]), want)
	_, err = d.Load(cuda.Texts{Kernels: []cuda.Text{text("c", "")}})
	require.EqualError(t, err, want)
	_, err = d.Alloc(1)
	require.EqualError(t, err, want)
	require.NoError(t, d.Close())
	require.EqualError(t, d.Sync(), "Fake GPU 0 is closed")
}

// session uses all that there is, and returns the first error.
func session(f *fake) error {
	d, err := Open(f.api, f.options(nil))
	if err != nil {
		return err
	}
	err = use(d)
	if late := d.Close(); err == nil {
		err = late
	}
	return err
}

func use(d *Device) error {
	functions, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text("a", ""), func() cuda.Text { t := text("b", ""); t.Shared = 100000; return t }()}})
	if err != nil {
		return err
	}
	p, err := d.Alloc(2*half + 100)
	if err != nil {
		return err
	}
	incoming, err := d.Alloc(100)
	if err != nil {
		return err
	}
	from, err := d.NewEvent()
	if err != nil {
		return err
	}
	to, err := d.NewEvent()
	if err != nil {
		return err
	}
	data := make([]byte, 2*half+100)
	grid := cuda.Grid{Blocks: 1, Threads: 64}
	var graphs [2]cuda.Graph
	for i := range graphs { // the second is left to Close
		if graphs[i], err = d.Capture([]cuda.Launch{{Function: functions[0], Grid: grid}, {Function: functions[0], Grid: grid}}); err != nil {
			return err
		}
	}
	for _, step := range []func() error{
		func() error { return d.Fill(p, 1, 100) },
		func() error { return d.Record(from) },
		func() error { return d.Write(p, data) },
		func() error { return d.Upload(incoming, data[:100]) },
		func() error { return d.Land([]cuda.Move{{To: p, From: incoming, Bytes: 100}}) },
		func() error { return d.Upload(incoming, data[:100]) },
		func() error { return d.Launch(functions[0], cuda.Grid{Blocks: 1, Threads: 64}, nil) },
		func() error { return d.Launch(functions[1], cuda.Grid{Blocks: 1, Threads: 64, Shared: 100000}, nil) },
		func() error { return d.Replay(graphs[0]) },
		func() error { return d.Replay(graphs[1]) },
		func() error { return d.Read(data, p) },
		func() error { return d.Record(to) },
		d.Sync,
		func() error { _, err := d.Elapsed(from, to); return err },
		func() error { _, _, err := d.MemInfo(); return err },
		func() error { return d.Discard(graphs[0]) },
		func() error { return d.Unload(functions[0]) },
		func() error { return d.FreeEvent(from) },
		func() error { return d.Free(p) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	_, err = d.Alloc(50) // left to Close, as the other function is
	return err
}

// TestEveryCallFails lets each call of a session fail in turn, by an error of the
// call and by one of the device: one clear error, nothing left, no rule broken.
func TestEveryCallFails(t *testing.T) {
	f := newFake(t)
	f.reset(1)
	require.NoError(t, session(f))
	require.Empty(t, f.left())
	calls := strings.Fields(f.trace())
	seen := map[string]bool{}
	for i, call := range calls {
		seen[call] = true
		for code, name := range map[int32]string{libcuda.CodeInvalidValue: "CUDA_ERROR_INVALID_VALUE", libcuda.CodeIllegalAddress: "CUDA_ERROR_ILLEGAL_ADDRESS"} {
			f.reset(0)
			f.fail("", int32(i+1), code)
			err := session(f)
			where := fmt.Sprintf("call %d, %s, %s", i+1, call, name)
			require.Equal(t, call, f.fired(), where)
			require.ErrorContains(t, err, call+": "+name, where)
			require.Equal(t, 1, strings.Count(err.Error(), "CUDA_ERROR"), where)
			require.NotContains(t, err.Error(), "\n", where)
			if call != "cuDevicePrimaryCtxRelease_v2" {
				require.Empty(t, f.left(), where)
			}
		}
	}
	for method := range reflect.TypeFor[libcuda.API]().Methods() {
		name := "cu" + method.Name
		require.True(t, seen[name] || seen[name+"_v2"] || seen[name+"WithFlags"], "%s is never called", name)
	}
}
