package verify_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
	"wrnc/runtime/cpu"
	"wrnc/runtime/verify"
)

// module is a network on small pictures, compiled for a batch of 3.
func module(t *testing.T, text string, precision ir.DType, side int) *ir.Module {
	t.Helper()
	net, err := dsl.Load("test.wrn", []byte("model "+text))
	require.NoError(t, err)
	net.Input = [3]int{side, side, 3}
	c, err := compiler.Compile(net, compiler.Options{Batch: 3, Precision: precision, Fuse: true, Verify: true})
	require.NoError(t, err)
	return c.Module
}

func onCPU(isa *kernels.ISA) verify.Target {
	return verify.Target{Name: "cpu", Arch: cpu.Arch(isa), Load: func(m *ir.Module, plans []*plan.Plan) (runtime.Executable, error) {
		return cpu.Load(m, plans, cpu.Options{ISA: isa, Threads: 2, Poison: true})
	}}
}

func options() verify.Options { return verify.Options{Samples: 3, Seed: 1, Limit: math.Inf(1)} }

func print(t *testing.T, r *verify.Report) {
	for _, c := range r.Checks {
		t.Logf("%-6s %-24s x%d %d samples, against the %s: %.2g of %.2g (%s)", c.Function, c.Name(), c.Alike, c.Samples, c.Against, c.Worst.Error, c.Worst.Tolerance, c.Worst.Name)
	}
}

func TestCPU(t *testing.T) {
	for _, isa := range kernels.Available() {
		t.Run(isa.Name, func(t *testing.T) {
			m := module(t, "WRN-10-2; dropout 0.3", ir.F32, 9)
			r, err := verify.Run(context.Background(), verify.Network{Module: m, Target: onCPU(isa)}, options())
			require.NoError(t, err)
			print(t, r)
			require.True(t, r.OK(), "%v", r)
			require.Empty(t, r.LeftOut)
			regions := 0
			for _, c := range r.Checks {
				regions += c.Alike
			}
			all := 0
			for _, f := range m.Funcs {
				all += len(f.Nodes)
			}
			require.Equal(t, all, regions, "every region is checked, or one like it")
		})
	}
}
