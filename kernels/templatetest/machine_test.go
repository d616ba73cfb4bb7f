package templatetest

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/f32"
	"wrnc/kernels/harness"
)

// dtype is the element type of a buffer, as CUDA text names it.
type dtype string

const (
	float dtype = "f32"
	half  dtype = "bf16"
	tf32  dtype = "tf32" // what a convert rounds to; stored as f32
)

func (d dtype) stored() dtype {
	if d == half {
		return half
	}
	return float
}

func (d dtype) size() int {
	if d == half {
		return 2
	}
	return 4
}

func (d dtype) round(x float32) float32 {
	switch d {
	case half:
		return f32.RoundBF16(x)
	case tf32:
		return f32.RoundTF32(x)
	}
	return x
}

// device is a machine whose memory a test fills and reads.
type device struct {
	t testing.TB
	h *harness.Harness
	m *harness.Machine
}

func newDevice(t testing.TB) *device {
	t.Helper()
	h := harness.NewForTest(t)
	m, err := h.Start()
	require.NoError(t, err)
	m.Timeout = 5 * time.Minute
	t.Cleanup(func() { m.Close() })
	return &device{t, h, m}
}

// in puts values into memory.
func (d *device) in(values []float32, typ dtype) uint64 {
	d.t.Helper()
	address, err := d.m.Alloc(len(values)*typ.size(), true)
	require.NoError(d.t, err)
	d.write(address, values, typ)
	return address
}

func (d *device) write(address uint64, values []float32, typ dtype) {
	d.t.Helper()
	var b []byte
	for _, v := range values {
		if typ == half {
			b = binary.LittleEndian.AppendUint16(b, f32.ToBF16(v))
		} else {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	require.NoError(d.t, d.m.Write(address, b))
}

// bytes puts any fixed-size values into memory.
func (d *device) bytes(values ...any) uint64 {
	d.t.Helper()
	b := pack(values...)
	address, err := d.m.Alloc(len(b), true)
	require.NoError(d.t, err)
	require.NoError(d.t, d.m.Write(address, b))
	return address
}

// out is memory that a kernel must write before it is read.
func (d *device) out(n int, typ dtype) uint64 {
	d.t.Helper()
	address, err := d.m.Alloc(max(1, n)*typ.size(), false)
	require.NoError(d.t, err)
	return address
}

func (d *device) counters(n int) uint64 { return d.bytes(make([]uint32, n)) }

func (d *device) read(address uint64, n int, typ dtype) []float32 {
	d.t.Helper()
	b, err := d.m.Read(address, n*typ.size())
	require.NoError(d.t, err)
	out := make([]float32, n)
	for i := range out {
		if typ == half {
			out[i] = f32.FromBF16(binary.LittleEndian.Uint16(b[2*i:]))
		} else {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	}
	return out
}

// way is one legal order of execution.
type way struct {
	order harness.Order
	seed  uint64
	async harness.Async
}

var ways = []way{{harness.Forward, 0, harness.Late}, {harness.Reverse, 0, harness.Early}, {harness.Random, 7, harness.Late}}

// launch runs a kernel that must keep all rules.
func (d *device) launch(name, text string, blocks, threads, shared int, w way, args ...any) {
	d.t.Helper()
	start := time.Now()
	module, err := d.h.Compile(name, text)
	require.NoError(d.t, err)
	compiled := time.Since(start)
	start = time.Now()
	report, err := d.m.Launch(harness.Launch{
		Module: module, Entry: "kernel", Blocks: blocks, Threads: threads, Shared: shared, Args: pack(args...),
		Order: w.order, Seed: w.seed, Async: w.async,
	})
	require.NoError(d.t, err)
	require.NoError(d.t, report.Err())
	if testing.Verbose() {
		d.t.Logf("%s: compiled in %v, %d blocks of %d threads in %v", name, compiled.Round(time.Millisecond), blocks, threads, time.Since(start).Round(time.Millisecond))
	}
}

// pack lays values out as a C struct does. The caller ends it on a multiple of eight
// bytes.
func pack(values ...any) []byte {
	var b bytes.Buffer
	for _, v := range values {
		if n := binary.Size(v); n == 8 && b.Len()%8 != 0 {
			b.Write(make([]byte, 8-b.Len()%8))
		}
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	if n := b.Len() % 8; n != 0 {
		b.Write(make([]byte, 8-n))
	}
	return b.Bytes()
}
