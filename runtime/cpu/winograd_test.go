package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime/cpu"
)

// TestWinogradRegions is TestRandomRegions for convolutions that Winograd's tiles fit.
func TestWinogradRegions(t *testing.T) {
	for seed := range uint64(90) {
		for _, isa := range kernels.Available() {
			t.Run(fmt.Sprintf("%d/%s", seed, isa.Name), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 2))
				kind := []string{"conv_fprop", "conv_dgrad", "conv_wgrad"}[seed%3]
				m := gen.Fused(r, gen.Options{Kind: kind, Winograd: true})
				f := m.Func("main")
				in, state := gen.Inputs(m, f, r)
				arch := cpu.Arch(isa)
				if seed%2 == 1 {
					arch.L2 = 16 << 10
				}
				requireWinograd(t, f, arch)
				compareFor(t, arch, m, f, in, state, cpu.Options{ISA: isa, Threads: 1 + int(seed%3), Poison: true})
			})
		}
	}
}

func requireWinograd(t *testing.T, f *ir.Func, arch plan.Arch) *plan.Plan {
	t.Helper()
	p, err := lower.Plan(f, arch)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(p.Kernels, func(k *plan.Kernel) bool { return k.Conv.Winograd }), f.Module.String())
	again, err := plan.Parse("plan", p.String())
	require.NoError(t, err)
	require.Equal(t, p.String(), again.String())
	return p
}

// TestWinogradError requires errors no greater than those of float32's sums one after
// the other, of activations after ReLU and weights as they start.
func TestWinogradError(t *testing.T) {
	for _, c := range []struct{ side, channels int }{{32, 32}, {16, 64}, {8, 256}} {
		sizes := fmt.Sprintf("%[1]d,%[1]d,%[2]d", c.side, c.channels)
		filter := fmt.Sprintf("%[1]d,3,3,%[1]d", c.channels)
		m, err := ir.Parse("error.ir", `module "error" {batch=2}
state @w : f32[`+filter+`] role=param init=normal(`+fmt.Sprint(math.Sqrt(2/float64(9*c.channels)))+`)
func main(%x : f32[2,`+sizes+`], %g : f32[2,`+sizes+`]) {
  %1 = fusion @y {kind=conv_fprop} (%x, @w) {
    %0 = conv2d %x, @w {pad=1, stride=1} : f32[2,`+sizes+`] #y
    yield %0
  } : f32[2,`+sizes+`]
  %3 = fusion @dx {kind=conv_dgrad} (%g, @w) {
    %2 = conv2d_dgrad %g, @w {pad=1, stride=1, height=`+fmt.Sprint(c.side)+`, width=`+fmt.Sprint(c.side)+`} : f32[2,`+sizes+`] #dx
    yield %2
  } : f32[2,`+sizes+`]
  %5 = fusion @dw {kind=conv_wgrad} (%g, %x) {
    %4 = conv2d_wgrad %g, %x {pad=1, stride=1, kernel=3} : f32[`+filter+`] #dw
    yield %4
  } : f32[`+filter+`]
  return %1, %3, %5
}
`)
		require.NoError(t, err)
		f := m.Func("main")
		in, state := gen.Inputs(m, f, rand.New(rand.NewPCG(1, uint64(c.side))))
		for i, v := range in["x"].F {
			in["x"].F[i] = max(0, v)
		}
		exact, err := interp.Run(f, in, state, interp.Options{Float64: true})
		require.NoError(t, err)
		for _, isa := range kernels.Available() {
			p := requireWinograd(t, f, cpu.Arch(isa))
			prog, err := cpu.Load(m, []*plan.Plan{p}, cpu.Options{ISA: isa, Threads: 2})
			require.NoError(t, err)
			require.NoError(t, prog.WriteState("w", floats(state["w"])))
			got, err := prog.Run("main", inputs(f, in))
			require.NoError(t, err)
			for i, what := range []string{"result", "gradient by the picture", "gradient by the filter"} {
				error := deviation(exact.Returns[i].F, got[i])
				t.Logf("%dx%dx%d, %s, %s: %.2g", c.side, c.side, c.channels, isa.Name, what, error)
				require.Less(t, error, 1e-6)
			}
			prog.Close()
		}
	}
}

// deviation is the root of the mean squared error as a share of that of the values.
func deviation(want []float64, got []float32) float64 {
	var wrong, all float64
	for i, w := range want {
		wrong += (float64(got[i]) - w) * (float64(got[i]) - w)
		all += w * w
	}
	return math.Sqrt(wrong / all)
}
