package cpu_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
	"wrnc/runtime/cpu"
	"wrnc/runtime/train"
)

// inferring is a network loaded for inference, with eval beside it.
func inferring(t *testing.T, net *dsl.Network, fold bool, lay func(*ir.Func, plan.Arch) (*plan.Plan, error)) (*ir.Module, *cpu.Program) {
	t.Helper()
	c, err := compiler.Compile(net, compiler.Options{Batch: 2, Fuse: true, Fold: fold, Verify: true})
	require.NoError(t, err)
	m, isa := c.Module, kernels.Detect()
	var plans []*plan.Plan
	for _, name := range []string{"infer", "eval"} {
		p, err := lay(m.Func(name), cpu.Arch(isa))
		require.NoError(t, err)
		require.NoError(t, p.VerifyAgainst(m.Func(name)))
		plans = append(plans, p)
	}
	ex, err := cpu.Load(m, plans, cpu.Options{ISA: isa, Threads: 2, Poison: true})
	require.NoError(t, err)
	t.Cleanup(ex.Close)
	return m, ex
}

// scatter draws the state as training starts it, but for batch norms, which get what
// they may have after it: scales of both signs, some of them zero.
func scatter(t *testing.T, m *ir.Module, programs ...runtime.Executable) {
	r := rand.New(rand.NewPCG(7, 8))
	require.NoError(t, train.Initialize(programs[0], m, 1))
	for _, s := range m.States {
		drawn, err := programs[0].ReadState(s.Name)
		require.NoError(t, err)
		for _, ex := range programs[1:] {
			require.NoError(t, ex.WriteState(s.Name, drawn))
		}
		gamma, run := strings.HasSuffix(s.Name, ".gamma"), strings.HasSuffix(s.Name, ".run")
		if !gamma && !run {
			continue
		}
		values := make([]float32, s.Type.Elems())
		for i := range values {
			switch {
			case run && i >= s.Type.Channels(): // a variance
				values[i] = 0.5 + r.Float32()
			case run:
				values[i] = 0.3 * float32(r.NormFloat64())
			case i%5 != 4:
				values[i] = float32(r.NormFloat64())
			}
		}
		for _, ex := range programs {
			require.NoError(t, ex.WriteState(s.Name, values))
		}
	}
}

func pictures(net *dsl.Network, n int, seed uint64) runtime.Inputs {
	r := rand.New(rand.NewPCG(seed, 9))
	images := make([]float32, n*net.Input[0]*net.Input[1]*net.Input[2])
	labels := make([]int32, n)
	for i := range images {
		images[i] = float32(r.NormFloat64())
	}
	for i := range labels {
		labels[i] = r.Int32N(int32(net.Classes))
	}
	return runtime.Inputs{N: n, F32: map[string][]float32{"images": images}, Labels: map[string][]int32{"labels": labels}}
}

func logits(t *testing.T, ex runtime.Executable, in runtime.Inputs) []float32 {
	t.Helper()
	out, err := ex.Run("infer", in)
	require.NoError(t, err)
	return append([]float32(nil), out[0]...)
}

// TestFoldedInference compares inference with batch norm folded, prepared once, with
// that of evaluation, for the sample networks that do not take long: the logits differ
// by less than 2^-15 of the largest one.
func TestFoldedInference(t *testing.T) {
	const most = 1e9 // multiply-adds
	files, err := filepath.Glob("../../testdata/nets/*.wrn")
	require.NoError(t, err)
	compared := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		net, err := dsl.Load(file, text)
		require.NoError(t, err)
		built, err := irgen.Build(net, 1)
		require.NoError(t, err)
		if irgen.MACs(built.Func("infer")) > most {
			continue
		}
		compared++
		t.Run(filepath.Base(file), func(t *testing.T) {
			m, plain := inferring(t, net, false, lower.Plan)
			_, folded := inferring(t, net, true, lower.PlanPrepared)
			scatter(t, m, plain, folded)
			for call, n := range []int{2, 1, 2} {
				in := pictures(net, n, uint64(call))
				want, got := logits(t, plain, in), logits(t, folded, in)
				largest := float32(0)
				for _, v := range want {
					largest = max(largest, v, -v)
				}
				require.InDeltaSlice(t, want, got, float64(largest)/(1<<15))
			}
		})
	}
	require.Greater(t, compared, 8)
}

// TestPreparedOnce: preparing is done once, and changes no bit, in the first call and in later ones, after
// a change of a state, and after a call of another function, which shares the memory.
func TestPreparedOnce(t *testing.T) {
	net, err := dsl.FromName("WRN-10-2")
	require.NoError(t, err)
	net.Input = [3]int{8, 8, 3}
	m, plain := inferring(t, net, false, lower.Plan)
	_, prepared := inferring(t, net, false, lower.PlanPrepared)
	scatter(t, m, plain, prepared)
	same := func(seed uint64) {
		t.Helper()
		in := pictures(net, 2, seed)
		require.Equal(t, logits(t, plain, in), logits(t, prepared, in))
	}
	prepared.Profile(true)
	same(1)
	same(2)
	p, err := lower.PlanPrepared(m.Func("infer"), cpu.Arch(kernels.Detect()))
	require.NoError(t, err)
	for launch, l := range prepared.LaunchTimes("infer") {
		require.Equal(t, launch < p.Prepared, l.Calls == 1, "launch %d ran %d times", launch, l.Calls)
	}
	prepared.Profile(false)
	for _, ex := range []runtime.Executable{plain, prepared} {
		w, err := ex.ReadState("conv0.w")
		require.NoError(t, err)
		w[0]++
		require.NoError(t, ex.WriteState("conv0.w", w))
	}
	same(3)
	for range 2 {
		in := pictures(net, 2, 4)
		want, err := plain.Run("eval", in)
		require.NoError(t, err)
		got, err := prepared.Run("eval", in)
		require.NoError(t, err)
		require.Equal(t, want, got)
		same(5)
	}
}
