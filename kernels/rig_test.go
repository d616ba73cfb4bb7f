package kernels_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/f32"
	"wrnc/kernels/harness"
)

// rig executes the texts of one test.
type rig struct {
	t *testing.T
	h *harness.Harness
	m *harness.Machine
}

// newRig starts a machine, or skips the test where there can be none.
func newRig(t *testing.T) *rig {
	t.Helper()
	h := harness.NewForTest(t)
	m, err := h.Start()
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return &rig{t, h, m}
}

// pack lays numbers out one after another.
func pack(values ...any) []byte {
	var b []byte
	for _, v := range values {
		var err error
		b, err = binary.Append(b, binary.LittleEndian, v)
		if err != nil {
			panic(err)
		}
	}
	return b
}

// in is memory that holds the values.
func (r *rig) in(values any) uint64 {
	r.t.Helper()
	bytes := pack(values)
	a, err := r.m.Alloc(len(bytes), false)
	require.NoError(r.t, err)
	require.NoError(r.t, r.m.Write(a, bytes))
	return a
}

// floats is memory that holds the values as f32 or bf16, which must be exact.
func (r *rig) floats(typ string, values []float32) uint64 {
	if typ == "f32" {
		return r.in(values)
	}
	narrow := make([]uint16, len(values))
	for i, v := range values {
		narrow[i] = uint16(f32.ToBF16(v))
	}
	return r.in(narrow)
}

// out is memory for n f32 that hold nothing yet.
func (r *rig) out(n int) uint64 {
	r.t.Helper()
	a, err := r.m.Alloc(4*n, false)
	require.NoError(r.t, err)
	return a
}

// read returns n f32 of memory, all of which must have been written.
func (r *rig) read(address uint64, n int) []float32 {
	r.t.Helper()
	bytes, err := r.m.Read(address, 4*n)
	require.NoError(r.t, err)
	values := make([]float32, n)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
	}
	return values
}

// run executes a text's kernel and requires that it keeps every rule.
func (r *rig) run(text, entry string, blocks, threads, shared int, order harness.Order, args ...any) {
	r.t.Helper()
	module, err := r.h.Compile(entry, text)
	require.NoError(r.t, err, text)
	report, err := r.m.Launch(harness.Launch{
		Module: module, Entry: entry, Blocks: blocks, Threads: threads, Shared: shared,
		Args: pack(args...), Order: order, Seed: 11,
	})
	require.NoError(r.t, err)
	require.NoError(r.t, report.Err())
	require.False(r.t, report.Aborted)
}

// orders are all orders of blocks and threads; a kernel's results are the same in each.
var orders = []harness.Order{harness.Forward, harness.Reverse, harness.Random}

// bits returns the bits of values, which compare NaNs and zeros as what they are.
func bits(values []float32) []uint32 {
	b := make([]uint32, len(values))
	for i, v := range values {
		b[i] = math.Float32bits(v)
	}
	return b
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
