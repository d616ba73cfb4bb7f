package verify_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
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

// nets is a network as it is trained.
func nets(m *ir.Module) []verify.Network { return []verify.Network{{Module: m, Plan: lower.Plan}} }

func options() verify.Options { return verify.Options{Samples: 3, Seed: 1, Limit: math.Inf(1)} }

// wrong are the names of what is off, with what it is compared with.
func wrong(r *verify.Report) []string {
	var list []string
	for _, c := range r.Checks {
		if !c.OK() {
			list = append(list, c.Name()+" against the "+c.Against)
		}
	}
	return list
}

func TestCPU(t *testing.T) {
	for _, isa := range kernels.Available() {
		t.Run(isa.Name, func(t *testing.T) {
			m := module(t, "WRN-10-2; dropout 0.3", ir.F32, 9)
			r, err := verify.Run(context.Background(), onCPU(isa), nets(m), options())
			require.NoError(t, err)
			require.Empty(t, wrong(r))
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

// TestFaultsAreNamed gives the CPU target a row function that is wrong in one element,
// and a network whose buffers overlap. The first shows in the regions that use the
// function, and in the functions; the second only in a function.
func TestFaultsAreNamed(t *testing.T) {
	m := module(t, "WRN-10-1; dropout 0.3", ir.F32, 8)
	isa := *kernels.Detect()
	mask := isa.MaskScale
	isa.MaskScale = func(dst, x []float32, m []uint32, n int, scale float32) {
		mask(dst, x, m, n, scale)
		dst[n-1] *= 1 + 1.0/1024
	}
	r, err := verify.Run(context.Background(), onCPU(&isa), nets(m), options())
	require.NoError(t, err)
	require.Contains(t, wrong(r), "g1.b0.conv2 against the interpreter", "a dropout mask is in its prologue")
	masked := map[string]bool{"": true} // the step as a whole
	for _, f := range m.Func("train").Nodes {
		for _, n := range f.Body.Nodes {
			masked[f.Layer] = masked[f.Layer] || n.Op == ir.MaskScale
		}
	}
	for _, c := range r.Checks {
		require.True(t, c.OK() || c.Function == "train" && masked[c.Region], "%s %s", c.Function, c.Region)
	}

	target := onCPU(kernels.Detect())
	load := target.Load
	target.Load = func(m *ir.Module, plans []*plan.Plan) (runtime.Executable, error) {
		if m.State("conv0.w") != nil { // the whole network
			last := plans[0].Launches[len(plans[0].Launches)-1]
			plans[0].Launches[len(plans[0].Launches)-1], plans[0].Launches[1] = plans[0].Launches[1], last
		}
		return load(m, plans)
	}
	r, err = verify.Run(context.Background(), target, nets(m), options())
	require.NoError(t, err)
	require.Equal(t, []string{"train against the interpreter"}, wrong(r))
}

// TestSecondCall overwrites prepared weights late in a call, so that the next one finds
// others: only the function as a whole shows it.
func TestSecondCall(t *testing.T) {
	net, err := dsl.Load("test.wrn", []byte("model WRN-10-1"))
	require.NoError(t, err)
	net.Input = [3]int{8, 8, 3}
	c, err := compiler.Compile(net, compiler.Options{Batch: 3, Fuse: true, Fold: true})
	require.NoError(t, err)
	target := onCPU(kernels.Detect())
	n := []verify.Network{{Module: c.Module, Plan: lower.PlanPrepared}}
	r, err := verify.Run(context.Background(), target, n, options())
	require.NoError(t, err)
	require.Empty(t, wrong(r))

	load := target.Load
	target.Load = func(m *ir.Module, plans []*plan.Plan) (runtime.Executable, error) {
		for _, p := range plans {
			if p.Func != "infer" {
				continue
			}
			kept, late := bufferNamed(t, p, "conv0.packed"), bufferNamed(t, p, "g3.b0.conv2.0")
			kept.Offset, late.Offset = p.Arena, p.Arena
			p.Arena += max(kept.Bytes, late.Bytes)
		}
		return load(m, plans)
	}
	r, err = verify.Run(context.Background(), target, n, options())
	require.NoError(t, err)
	require.Equal(t, []string{"infer against the interpreter"}, wrong(r))
}

func bufferNamed(t *testing.T, p *plan.Plan, name string) *plan.Buffer {
	t.Helper()
	i := slices.IndexFunc(p.Buffers, func(b plan.Buffer) bool { return b.Name == name })
	require.GreaterOrEqual(t, i, 0, "%s in\n%v", name, p)
	return &p.Buffers[i]
}

// closed counts what is loaded and what of it is closed.
type closed struct {
	runtime.Executable
	open *int
}

func (c closed) Close() {
	*c.open--
	c.Executable.Close()
}

// TestClosedOnce closes all that is loaded, once, and nothing of what a Load that fails
// returns.
func TestClosedOnce(t *testing.T) {
	m := module(t, "WRN-10-1", ir.F32, 8)
	target, open := onCPU(kernels.Detect()), 0
	load := target.Load
	target.Load = func(m *ir.Module, plans []*plan.Plan) (runtime.Executable, error) {
		ex, err := load(m, plans)
		if err == nil {
			open++
		}
		return closed{ex, &open}, err
	}
	n := nets(m)
	n[0].Other = &verify.Other{Network: nets(m)[0], Target: target}
	r, err := verify.Run(context.Background(), target, n, options())
	require.NoError(t, err)
	require.Empty(t, wrong(r))
	require.Zero(t, open)

	failing := verify.Target{Name: "failing", Arch: target.Arch, Load: func(*ir.Module, []*plan.Plan) (runtime.Executable, error) {
		return closed{open: &open}, errors.New("no device")
	}}
	n[0].Other.Target = failing
	for _, on := range []verify.Target{target, failing} {
		_, err = verify.Run(context.Background(), on, n, options())
		require.EqualError(t, err, "no device")
		require.Zero(t, open)
	}
}

// TestLimit leaves out what is dear, and says so.
func TestLimit(t *testing.T) {
	m := module(t, "WRN-10-1", ir.F32, 8)
	target := onCPU(kernels.Detect())
	o := options()
	o.Limit = 1e6
	var next []string
	o.Progress = func(done, all int, name string) { next = append(next, name) }
	r, err := verify.Run(context.Background(), target, nets(m), o)
	require.NoError(t, err)
	require.Empty(t, wrong(r))
	done := 0.0
	for _, l := range r.LeftOut {
		require.Greater(t, l.MACs, 1e5)
		done++
	}
	require.Positive(t, done)
	require.Len(t, next, len(r.Checks)+len(r.LeftOut)+1)
	require.NotContains(t, r.LeftOut, verify.LeftOut{Function: "train", Region: "loss"})

	o.Samples = 4
	_, err = verify.Run(context.Background(), target, nets(m), o)
	require.EqualError(t, err, "4 samples: the network is compiled for 1 to 3")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = verify.Run(ctx, target, nets(m), options())
	require.ErrorIs(t, err, context.Canceled)
}
