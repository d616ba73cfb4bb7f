package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
	"wrnc/kernels/f32"
)

// windows is a maxpool: n pictures of h x w pixels of c channels.
type windows struct {
	n, h, w, c          int
	kernel, pad, stride int
	threads, vec        int // of a block; channels of a thread
	g, x                string
}

func (s windows) p() int { return ir.ConvOut(s.h, s.kernel, s.pad, s.stride) }
func (s windows) q() int { return ir.ConvOut(s.w, s.kernel, s.pad, s.stride) }

func (s windows) shape() string {
	return fmt.Sprintf("using Shape = WindowShape<%d, %d, %d, %d, %d, %d, %d, %d>;\n", s.h, s.w, s.c, s.p(), s.q(), s.kernel, s.pad, s.stride)
}

// forward and backward are what codegen prints.
func (s windows) forward() string {
	return fmt.Sprintf(`#include "maxpool.cuh"

struct Args { const %s* a0; f32* a1; i32 n; };
%s
WRNC_KERNEL(maxpool_, %[3]d, 2)(const Args args) { maxpool<Shape, %[4]d, %[3]d>(args.a0, args.a1, args.n); }
`, s.x, s.shape(), s.threads, s.vec)
}

func (s windows) backward() string {
	return fmt.Sprintf(`#include "maxpool.cuh"

struct Args { const %s* a0; const %s* a1; f32* a2; i32 n; };
%s
WRNC_KERNEL(maxpool_grad_, %[4]d, 2)(const Args args) { maxpool_grad<Shape, %[5]d, %[4]d>(args.a0, args.a1, args.a2, args.n); }
`, s.g, s.x, s.shape(), s.threads, s.vec)
}

// interpreted evaluates both ops by the interpreter.
func (s windows) interpreted(t *testing.T, x, g []float32) (y, dx []float32) {
	t.Helper()
	m, err := ir.Parse("pool.ir", fmt.Sprintf(`module "pool" {batch=%[1]d}
func main(%%x : f32[%[1]d,%[2]d,%[3]d,%[4]d], %%g : f32[%[1]d,%[5]d,%[6]d,%[4]d]) {
  %%0 = maxpool %%x {pad=%[7]d, stride=%[8]d, kernel=%[9]d} : f32[%[1]d,%[5]d,%[6]d,%[4]d]
  %%1 = maxpool_grad %%g, %%x {pad=%[7]d, stride=%[8]d, kernel=%[9]d} : f32[%[1]d,%[2]d,%[3]d,%[4]d]
  return %%0, %%1
}
`, s.n, s.h, s.w, s.c, s.p(), s.q(), s.pad, s.stride, s.kernel))
	require.NoError(t, err)
	f := m.Func("main")
	in := map[string]*interp.Tensor{}
	for name, values := range map[string][]float32{"x": x, "g": g} {
		in[name] = interp.New(f.Param(name).Type)
		for i, v := range values {
			in[name].F[i] = float64(v)
		}
	}
	res, err := interp.Run(f, in, nil, interp.Options{})
	require.NoError(t, err)
	narrow := func(values []float64) []float32 {
		out := make([]float32, len(values))
		for i, v := range values {
			out[i] = float32(v)
		}
		return out
	}
	return narrow(res.Returns[0].F), narrow(res.Returns[1].F)
}

// sameFloats requires equal numbers, and NaN where there is NaN.
func sameFloats(t *testing.T, want, got []float32, what string) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, w := range want {
		if g := got[i]; g != w && !(g != g && w != w) {
			require.Failf(t, "they differ", "%s: element %d is %v, expected %v", what, i, g, w)
		}
	}
}

// Both ops agree with the interpreter to the bit, on pictures with many equal
// elements, with NaNs and infinities.
func TestMaxPool(t *testing.T) {
	r := newRig(t)
	for i, s := range []windows{
		{1, 1, 1, 1, 1, 0, 1, 32, 1, "f32", "f32"},
		{2, 7, 5, 8, 3, 1, 2, 64, 4, "f32", "f32"},
		{2, 8, 6, 8, 3, 1, 2, 64, 8, "bf16", "bf16"},
		{3, 5, 9, 6, 3, 1, 2, 32, 2, "f32", "bf16"},
		{1, 4, 5, 3, 2, 0, 2, 96, 1, "bf16", "f32"},
		{1, 5, 5, 4, 3, 1, 1, 64, 4, "f32", "f32"},
		{3, 2, 9, 2, 5, 2, 3, 64, 2, "f32", "bf16"},
		{1, 9, 7, 16, 2, 1, 3, 64, 8, "bf16", "f32"},
		{2, 17, 17, 12, 3, 1, 2, 256, 4, "f32", "bf16"},
		{1, 6, 4, 5, 4, 3, 1, 32, 1, "f32", "f32"},
	} {
		for _, special := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v special %v", s, special), func(t *testing.T) {
				r.t = t
				source := rand.New(rand.NewPCG(uint64(i), 7))
				x, g := make([]float32, s.n*s.h*s.w*s.c), make([]float32, s.n*s.p()*s.q()*s.c)
				for j := range x {
					x[j] = float32(math.Round(2 * source.NormFloat64()))
					if special && source.IntN(5) == 0 {
						x[j] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[source.IntN(3)]
					}
				}
				for j := range g {
					g[j] = f32.FromBF16(f32.ToBF16(float32(source.NormFloat64())))
				}
				wantY, wantD := s.interpreted(t, x, g)
				a0, a1 := r.floats(s.g, g), r.floats(s.x, x)
				for _, order := range orders {
					y, d := r.out(len(g)), r.out(len(x))
					r.run(s.forward(), "maxpool_", ceilDiv(len(g)/s.vec, s.threads), s.threads, 0, order, a1, y, int32(s.n), int32(0))
					sameFloats(t, wantY, r.read(y, len(g)), "y")
					r.run(s.backward(), "maxpool_grad_", ceilDiv(len(x)/s.vec, s.threads), s.threads, 0, order, a0, a1, d, int32(s.n), int32(0))
					sameFloats(t, wantD, r.read(d, len(x)), "dx")
				}
			})
		}
	}
}

// Gradients that meet add up in the order of the windows, each sum rounded to f32:
// what compiler/ir and the CPU target do.
func TestMaxPoolGradAddsInOrder(t *testing.T) {
	r := newRig(t)
	s := windows{1, 3, 3, 2, 3, 1, 1, 32, 2, "f32", "f32"}
	x := make([]float32, 18)
	x[8], x[9] = 1, 1 // the middle pixel is the largest of all nine windows
	source := rand.New(rand.NewPCG(5, 6))
	g := make([]float32, 18)
	var want [2]float32
	for i := range g {
		g[i] = float32(source.NormFloat64() * math.Exp(5*source.NormFloat64()))
		want[i%2] += g[i]
	}
	dx := r.out(18)
	r.run(s.backward(), "maxpool_grad_", 1, 32, 0, orders[0], r.in(g), r.in(x), dx, int32(1), int32(0))
	expected := make([]float32, 18)
	expected[8], expected[9] = want[0], want[1]
	require.Equal(t, expected, r.read(dx, 18))
}

// Of -0 and +0, which are equal, the first is taken as it is.
func TestMaxPoolOfZeros(t *testing.T) {
	r := newRig(t)
	s := windows{1, 2, 2, 2, 2, 0, 1, 32, 1, "f32", "f32"}
	minus := float32(math.Copysign(0, -1))
	y := r.out(2)
	r.run(s.forward(), "maxpool_", 1, 32, 0, orders[0], r.in([]float32{minus, 0, 0, minus, 0, minus, 0, 0}), y, int32(1), int32(0))
	require.Equal(t, bits([]float32{minus, 0}), bits(r.read(y, 2)))
}
