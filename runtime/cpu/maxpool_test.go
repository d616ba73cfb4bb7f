package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime/cpu"
)

// maxPool is a pool between other regions, with its gradient: what it reads and
// what it yields are results of other kernels.
func maxPool(t *testing.T, n, h, w, c, kernel, pad, stride int) *ir.Module {
	t.Helper()
	x := ir.T(ir.F32, n, h, w, c)
	y := ir.T(ir.F32, n, ir.ConvOut(h, kernel, pad, stride), ir.ConvOut(w, kernel, pad, stride), c)
	attrs := fmt.Sprintf("{pad=%d, stride=%d, kernel=%d}", pad, stride, kernel)
	m, err := ir.Parse("maxpool.ir", fmt.Sprintf(`module "maxpool" {batch=%d}
state @b : f32[%d] role=param init=normal(1)
func main(%%x : %v, %%g : %v) {
  %%0 = add_channel %%x, @b : %v #b
  %%1 = maxpool %%0 %s : %v #pool
  %%2 = add %%1, %%g : %v #sum
  %%3 = maxpool_grad %%2, %%0 %s : %v #pool
  %%4 = add %%3, %%x : %v #sum
  return %%1, %%4, %%3
}
`, n, c, x, y, x, attrs, y, y, attrs, x, x))
	require.NoError(t, err)
	return m
}

// TestMaxPool runs windows that overlap, touch and leave gaps, pictures of one
// unit and of many, with equal elements in most windows.
func TestMaxPool(t *testing.T) {
	for _, s := range []struct{ n, h, w, c, kernel, pad, stride int }{
		{2, 53, 21, 33, 3, 1, 2},
		{1, 64, 64, 17, 3, 1, 2},
		{3, 9, 6, 5, 3, 1, 2},
		{2, 8, 7, 3, 2, 0, 2},
		{2, 7, 5, 8, 3, 1, 1},
		{1, 40, 50, 33, 5, 2, 3},
		{1, 41, 50, 24, 2, 1, 3},
		{4, 1, 1, 3, 1, 0, 1},
	} {
		for _, fuse := range []bool{true, false} {
			m := maxPool(t, s.n, s.h, s.w, s.c, s.kernel, s.pad, s.stride)
			_, err := compiler.CompileModule(m, compiler.Options{Fuse: fuse, Verify: true})
			require.NoError(t, err)
			f := m.Func("main")
			in, state := gen.Inputs(m, f, rand.New(rand.NewPCG(3, uint64(s.h))))
			for i, v := range in["x"].F {
				in["x"].F[i] = math.Round(v)
			}
			for _, threads := range []int{1, 3} {
				compare(t, m, f, in, state, cpu.Options{ISA: kernels.Detect(), Threads: threads, Poison: true})
			}
			compare(t, m, f, gen.Cut(in, 1), state, cpu.Options{ISA: kernels.Detect(), Threads: 2, Poison: true})
		}
	}
}

// A NaN reaches the result, and the gradient goes where it is.
func TestMaxPoolOfNaN(t *testing.T) {
	m, err := ir.Parse("nan.ir", `module "nan" {batch=1}
func main(%x : f32[1,3,3,1], %g : f32[1,2,2,1]) {
  %0 = maxpool %x {pad=1, stride=2, kernel=3} : f32[1,2,2,1] #pool
  %1 = maxpool_grad %g, %x {pad=1, stride=2, kernel=3} : f32[1,3,3,1] #pool
  return %0, %1
}
`)
	require.NoError(t, err)
	_, err = compiler.CompileModule(m, compiler.Options{Fuse: true, Verify: true})
	require.NoError(t, err)
	f := m.Func("main")
	in, _ := gen.Inputs(m, f, rand.New(rand.NewPCG(1, 2)))
	nan, inf := math.NaN(), math.Inf(1)
	copy(in["x"].F, []float64{nan, 1, 2, 3, 4, inf, nan, 6, -inf})
	copy(in["g"].F, []float64{1, 2, 4, 8})
	isa := kernels.Detect()
	p, err := lower.Plan(f, cpu.Arch(isa))
	require.NoError(t, err)
	prog, err := cpu.Load(m, []*plan.Plan{p}, cpu.Options{ISA: isa, Threads: 1})
	require.NoError(t, err)
	defer prog.Close()
	out, err := prog.Run("main", inputs(f, in))
	require.NoError(t, err)
	require.True(t, math.IsNaN(float64(out[0][0])) && math.IsNaN(float64(out[0][2])), "%v", out[0])
	require.Equal(t, []float32{float32(inf), float32(inf)}, []float32{out[0][1], out[0][3]})
	require.Equal(t, []float32{1, 0, 0, 0, 0, 10, 4, 0, 0}, out[1])
}

// TestBottleneck runs the other block of the ImageNet family, whose outer widths
// are fixed, in the functions that do not train.
func TestBottleneck(t *testing.T) {
	m := small(t, "WRN-50-0.0625-bottleneck", "", 33, 2, true)
	for _, name := range []string{"eval", "infer"} {
		f := m.Func(name)
		in, state := gen.Inputs(m, f, rand.New(rand.NewPCG(5, 6)))
		compare(t, m, f, in, state, cpu.Options{ISA: kernels.Detect(), Threads: 2, Poison: true})
	}
}
