package emulator_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	printer "wrnc/codegen/cuda"
	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	"wrnc/kernels/harness"
	"wrnc/runtime"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/contract"
	"wrnc/runtime/cuda/driver"
	"wrnc/runtime/cuda/emulator"
	"wrnc/runtime/cuda/libcuda"
	"wrnc/runtime/cuda/nvrtc"
)

func TestMain(m *testing.M) {
	nvrtc.Worker()
	os.Exit(m.Run())
}

// open returns a device of a harness that keeps what it compiles.
func open(t *testing.T, o emulator.Options) *emulator.Device {
	t.Helper()
	h := harness.NewForTest(t)
	d, err := emulator.Open(h, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// built is a network on small pictures, planned for a GPU and printed.
type built struct {
	m       *ir.Module
	plans   []*plan.Plan
	sources [][]plan.Source
}

func build(t *testing.T, model string, side, batch int, precision ir.DType, fuse bool) *built {
	t.Helper()
	net, err := dsl.Load("test.wrn", []byte("model "+model))
	require.NoError(t, err)
	net.Input = [3]int{side, side, 3}
	c, err := compiler.Compile(net, compiler.Options{Batch: batch, Precision: precision, Fuse: fuse, Verify: true})
	require.NoError(t, err)
	arch, err := printer.Arch(printer.DefaultArch)
	require.NoError(t, err)
	b := &built{m: c.Module}
	for _, f := range c.Module.Funcs {
		p, err := lower.Plan(f, arch)
		require.NoError(t, err)
		require.NoError(t, p.VerifyAgainst(f))
		s, err := printer.Emit(p, f)
		require.NoError(t, err)
		b.plans, b.sources = append(b.plans, p), append(b.sources, s)
	}
	return b
}

func (b *built) load(t *testing.T, d cuda.Driver, o cuda.Options) *cuda.Program {
	t.Helper()
	p, err := cuda.Load(b.m, b.plans, b.sources, d, o)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	peak := 0
	for _, pl := range b.plans {
		peak = max(peak, pl.Arena)
	}
	require.Equal(t, b.plans[0].State+peak+counters(b.plans), p.Allocated())
	return p
}

func counters(plans []*plan.Plan) int {
	n := 0
	for _, p := range plans {
		n = max(n, p.Counters)
	}
	return n
}

func floats(t *interp.Tensor) []float32 {
	out := make([]float32, len(t.F))
	for i, v := range t.F {
		out[i] = float32(v)
	}
	return out
}

// inputs converts the interpreter's inputs.
func inputs(f *ir.Func, in map[string]*interp.Tensor) runtime.Inputs {
	out := runtime.Inputs{F32: map[string][]float32{}, Labels: map[string][]int32{}, U64: map[string]uint64{}}
	for _, p := range f.Params {
		t := in[p.Name]
		switch p.Type.DType {
		case ir.F32:
			out.F32[p.Name] = floats(t)
			if p.Type.Rank() > 0 {
				out.N = t.Type.Dims[0]
			}
		case ir.S32:
			for _, u := range t.U {
				out.Labels[p.Name] = append(out.Labels[p.Name], int32(u))
			}
		case ir.U64:
			out.U64[p.Name] = t.U[0]
		}
	}
	return out
}

// distance is the largest difference, relative to the largest element; NaN is far.
func distance(want []float64, got []float32) float64 {
	scale, d := 1e-3, 0.0
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i, w := range want {
		d = max(d, math.Abs(float64(got[i])-w)) // NaN wins
	}
	return d / scale
}

// whole tells whether all that the harness can show is to run, which takes minutes.
func whole() bool { return os.Getenv("WRNC_HARNESS") == "whole" }

// Tolerances, relative to the largest element of a result: sums in another order,
// and where values are narrowed, now and then a rounding that they tip over, and a
// ReLU with it. Each region is held to its own rounding by tests of codegen/cuda.
const tolF32, tolBF16 = 2e-5, 0.1

// sample is a network to be run whole.
type sample struct {
	model     string
	side      int
	precision ir.DType
	fuse      bool
	tolerance float64
	whole     bool
}

var samples = []sample{
	{"WRN-10-1", 32, ir.F32, true, tolF32, false},
	{"WRN-10-1", 32, ir.BF16, true, tolBF16, false},
	{"WRN-10-1", 8, ir.F32, false, tolF32, false},
	{"WRN-10-1", 8, ir.BF16, false, tolBF16, true},
	{"WRN-10-1", 9, ir.TF32, true, tolBF16, true},
	{"WRN-10-2; dropout 0.3", 9, ir.F32, true, tolF32, true},
	{"WRN-10-1.5-B(1,3) { stride first3x3 }", 7, ir.F32, true, tolF32, true},
	{"WRN-10-1-B(3,1,3); dropout 0.2", 8, ir.F32, true, tolF32, true},
	{"WRN-10-1-B(3,1,3); dropout 0.2", 8, ir.BF16, true, tolBF16, true},
}

func (s sample) String() string { return fmt.Sprintf("%s %v fuse=%v", s.model, s.precision, s.fuse) }

// TestNetworks runs every function of small networks whole, on the texts that a
// GPU gets, against the interpreter: with a full batch and with a short one, and with
// poison where nothing should be read. The short form takes the pictures of the
// sample networks, whose texts other tests have compiled.
func TestNetworks(t *testing.T) {
	for _, s := range samples {
		t.Run(s.String(), func(t *testing.T) {
			if s.whole && !whole() {
				t.Skip("a short form; WRNC_HARNESS=whole runs all")
			}
			s.run(t, open(t, emulator.Options{}))
		})
	}
}

// TestNetworksOnGPU is TestNetworks on a GPU, where there is one.
func TestNetworksOnGPU(t *testing.T) {
	for _, s := range samples {
		t.Run(s.String(), func(t *testing.T) { s.run(t, driver.OpenForTest(t, libcuda.Load)) })
	}
}

func (s sample) run(t *testing.T, d cuda.Driver) {
	const batch = 3
	b := build(t, s.model, s.side, batch, s.precision, s.fuse)
	plain, poisoned := b.load(t, d, cuda.Options{}), b.load(t, d, cuda.Options{Poison: true})
	for _, f := range b.m.Funcs {
		full, state := gen.Inputs(b.m, f, rand.New(rand.NewPCG(5, 6)))
		for _, in := range []map[string]*interp.Tensor{full, gen.Cut(full, 2)} {
			want, err := interp.Run(f, in, state, interp.Options{})
			require.NoError(t, err)
			for _, p := range []*cuda.Program{plain, poisoned} {
				for name, v := range state {
					require.NoError(t, p.WriteState(name, floats(v)))
				}
				args := inputs(f, in)
				got, err := p.Run(f.Name, args)
				require.NoError(t, err)
				require.Len(t, got, len(want.Returns))
				worst, at := 0.0, ""
				note := func(name string, want []float64, got []float32) {
					require.Len(t, got, len(want), name)
					if d := distance(want, got); !(d <= worst) {
						worst, at = d, name
					}
				}
				for i, w := range want.Returns {
					note(fmt.Sprintf("result %d", i), w.F, got[i])
				}
				for name, w := range want.State {
					g, err := p.ReadState(name)
					require.NoError(t, err)
					note("@"+name, w.F, g)
				}
				require.True(t, worst <= s.tolerance, "%s of %d: %s differs by %v of its largest element", f.Name, args.N, at, worst)
				t.Logf("%s of %d: at most %.2g, %s", f.Name, args.N, worst, at)
			}
		}
	}
}

// TestSameBits trains two steps in every order that is legal on a device; all give
// the same bits.
func TestSameBits(t *testing.T) {
	b := build(t, "WRN-10-1", 32, 1, ir.F32, true)
	in, state := gen.Inputs(b.m, b.m.Func("train"), rand.New(rand.NewPCG(5, 6)))
	var want map[string][]float32
	for i, o := range []emulator.Options{
		{},
		{Order: harness.Reverse, Async: harness.Early},
		{Order: harness.Random, Seed: 3},
	} {
		d := open(t, o)
		p := b.load(t, d, cuda.Options{})
		for name, s := range state {
			require.NoError(t, p.WriteState(name, floats(s)))
		}
		got := map[string][]float32{}
		for step := range uint64(2) {
			args := inputs(b.m.Func("train"), in)
			args.U64["step"] = step
			out, err := p.Run("train", args)
			require.NoError(t, err)
			got[fmt.Sprintf("loss %d", step)] = append([]float32(nil), out[0]...)
		}
		for _, s := range b.m.States {
			v, err := p.ReadState(s.Name)
			require.NoError(t, err)
			got[s.Name] = v
		}
		if want == nil {
			want = got
		}
		for name := range want {
			require.Equal(t, want[name], got[name], "%s, order %d", name, i)
		}
		require.Positive(t, d.Counters().Barriers)
	}
}

// double is a kernel of the tests: to[i] = 2*from[i] for a block's 32 elements.
const double = `#include "device.cuh"
struct Args { const f32* from; f32* to; };
WRNC_KERNEL(double_it, 32, 1)(const Args args) {
  const u32 i = block_index() * 32 + thread_index();
  args.to[i] = 2.0f * args.from[i];
}
`

func TestDevice(t *testing.T) {
	d := open(t, emulator.Options{})
	text := cuda.Text{Source: plan.Source{Entry: "double_it", Text: double}, Threads: 32}
	functions, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text, text}})
	require.NoError(t, err)
	require.Len(t, functions, 2)
	require.NotEqual(t, functions[0], functions[1])

	from, err := d.Alloc(256)
	require.NoError(t, err)
	to, err := d.Alloc(256)
	require.NoError(t, err)
	require.Zero(t, from%plan.Align)
	args := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(from)), uint64(to))
	grid := cuda.Grid{Blocks: 2, Threads: 32}

	err = d.Launch(functions[0], grid, args)
	require.ErrorContains(t, err, "global-uninit", "nobody has written what it reads")
	require.NoError(t, d.Fill(from, 0, 256))
	require.NoError(t, d.Write(from+128, []byte{0, 0, 0xc0, 0x3f})) // 1.5
	require.NoError(t, d.Launch(functions[0], grid, args))
	require.NoError(t, d.Sync())
	got := make([]byte, 8)
	require.NoError(t, d.Read(got, to+124))
	require.Equal(t, []byte{0, 0, 0, 0, 0, 0, 0x40, 0x40}, got, "0 and 3")
	require.Positive(t, d.Counters().Accesses)

	grid.Blocks = 3
	require.ErrorContains(t, d.Launch(functions[1], grid, args), "global-oob", "past the end of both")
	require.NoError(t, d.Unload(functions[0]))
	require.EqualError(t, d.Unload(functions[0]), "there is no function 1")
	require.EqualError(t, d.Launch(functions[0], grid, args), "there is no function 1")
	require.NoError(t, d.Free(from))
	require.Error(t, d.Free(from))

	text.Entry, text.Text = "broken", "#include \"device.cuh\"\nno C++\n"
	functions, err = d.Load(cuda.Texts{Kernels: []cuda.Text{text}})
	require.ErrorContains(t, err, "kernel broken: ")
	require.Empty(t, functions)
}

func TestContract(t *testing.T) {
	contract.Test(t, func(t *testing.T) cuda.Driver { return open(t, emulator.Options{}) }, contract.Options{Executes: true})
}
