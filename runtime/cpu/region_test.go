package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
	"wrnc/runtime/cpu"
)

// TestRandomRegions runs 500 random regions, each wrapped as one fusion, through
// plan and target and compares every result with the interpreter. Every other one is
// planned for a small cache, so that there are several bands and blocks of channels.
func TestRandomRegions(t *testing.T) {
	for seed := range uint64(500) {
		for _, isa := range kernels.Available() {
			t.Run(fmt.Sprintf("%d/%s", seed, isa.Name), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				m := gen.Fused(r, gen.Options{})
				f := m.Func("main")
				in, state := gen.Inputs(m, f, r)
				threads := 1 + int(seed%3)
				arch := cpu.Arch(isa)
				if seed%2 == 1 {
					arch.L2 = 16 << 10
				}
				compareFor(t, arch, m, f, in, state, cpu.Options{ISA: isa, Threads: threads, Poison: true})
			})
		}
	}
}

// compare runs f on the target and in the interpreter.
func compare(t *testing.T, m *ir.Module, f *ir.Func, in, state map[string]*interp.Tensor, o cpu.Options) {
	t.Helper()
	compareFor(t, cpu.Arch(o.ISA), m, f, in, state, o)
}

// compareFor has f planned for arch.
func compareFor(t *testing.T, arch plan.Arch, m *ir.Module, f *ir.Func, in, state map[string]*interp.Tensor, o cpu.Options) {
	t.Helper()
	p, err := lower.Plan(f, arch)
	require.NoError(t, err, m.String())
	require.NoError(t, p.VerifyAgainst(f), m.String())
	prog, err := cpu.Load(m, []*plan.Plan{p}, o)
	require.NoError(t, err, m.String())
	defer prog.Close()
	for _, s := range m.States {
		require.NoError(t, prog.WriteState(s.Name, floats(state[s.Name])))
	}
	got, err := prog.Run(f.Name, inputs(f, in))
	require.NoError(t, err, m.String())
	want, err := interp.Run(f, in, state, interp.Options{})
	require.NoError(t, err)
	require.Len(t, got, len(want.Returns))
	for i, w := range want.Returns {
		near(t, fmt.Sprintf("result %d", i), w.F, got[i], m)
	}
	for name, w := range want.State {
		g, err := prog.ReadState(name)
		require.NoError(t, err)
		near(t, "@"+name, w.F, g, m)
	}
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
	out := runtime.Inputs{N: f.Module.Batch, F32: map[string][]float32{}, Labels: map[string][]int32{}, U64: map[string]uint64{}}
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

// near requires agreement within the target's tolerance for f32: relative to
// the largest element, since sums over channels and pixels cancel.
func near(t *testing.T, what string, want []float64, got []float32, m *ir.Module) {
	t.Helper()
	require.Len(t, got, len(want), what)
	scale := 1e-3
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= 2e-5*scale) {
			t.Fatalf("%s[%d]: got %v, want %v (largest %v)\n%s", what, i, got[i], w, scale, m)
		}
	}
}
