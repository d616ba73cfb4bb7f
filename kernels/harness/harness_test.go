package harness

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// start returns a machine, or skips the test where there can be none.
func start(t testing.TB) (*Harness, *Machine) {
	t.Helper()
	h := NewForTest(t)
	m, err := h.Start()
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return h, m
}

func floats(v ...float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func TestCopy(t *testing.T) {
	h, m := start(t)
	module, err := h.Compile("copy", `
#include "device.cuh"
struct Args { const f32* x; f32* y; };
WRNC_KERNEL(copy, 64, 1)(const Args args) {
  Smem smem(64 * 4);
  f32* s = smem.take<f32, 64>();
  const u32 i = block_index() * 64 + thread_index();
  s[thread_index()] = args.x[i];
  barrier();
  args.y[i] = s[63 - thread_index()];
}
`)
	require.NoError(t, err)
	x, err := m.Alloc(4*128, true)
	require.NoError(t, err)
	y, err := m.Alloc(4*128, false)
	require.NoError(t, err)
	in := make([]float32, 128)
	for i := range in {
		in[i] = float32(i)
	}
	require.NoError(t, m.Write(x, floats(in...)))
	r, err := m.Launch(Launch{Module: module, Entry: "copy", Blocks: 2, Threads: 64, Shared: 256, Args: fields(x, y)})
	require.NoError(t, err)
	require.NoError(t, r.Err())
	out, err := m.Read(y, 4*128)
	require.NoError(t, err)
	require.Equal(t, float32(63), math.Float32frombits(binary.LittleEndian.Uint32(out)))
	t.Log(r.Counters)
}
