package compiler

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/passes"
)

// Whatever reads whatever, fusion finds legal regions without a cycle, only
// moves ops, and changes no bit. Networks have a few shapes of graph; these
// functions have all.
func TestRandomFunctions(t *testing.T) {
	for seed := range uint64(300) {
		m := randomModule(rand.New(rand.NewPCG(seed, 9)))
		require.NoError(t, m.Verify())
		checkFusion(t, m.String(), []ir.DType{ir.F32, ir.BF16}[seed%2])
	}
}

// Regions of every kind with long prologues and epilogues, of sizes that miss
// every tile.
func TestRandomRegions(t *testing.T) {
	for seed := range uint64(100) {
		for _, kind := range gen.Kinds() {
			for _, precision := range []ir.DType{ir.F32, ir.BF16} {
				o := gen.Options{Kind: kind, MaxSide: 5, MaxChannels: 5}
				if precision != ir.F32 {
					o.Precision = precision
				}
				checkFusion(t, gen.Region(rand.New(rand.NewPCG(seed, 10)), o).String(), precision)
			}
		}
	}
}

// checkFusion compiles a module with and without fusion and compares the result
// with what the passes before fusion left.
func checkFusion(t *testing.T, text string, precision ir.DType) {
	t.Helper()
	for _, fuse := range []bool{true, false} {
		var plain *ir.Module
		o := Options{Fuse: fuse, Verify: true, Precision: precision}
		o.After = func(pass string, m *ir.Module) {
			if pass == "deadcode" {
				var err error
				plain, err = ir.Parse("plain", m.String())
				require.NoError(t, err)
			}
		}
		m, err := ir.Parse("random", text)
		require.NoError(t, err)
		_, err = CompileModule(m, o)
		require.NoError(t, err, text)
		f := m.Funcs[0]
		checkRegions(t, f)
		require.Equal(t, run(t, plain.Funcs[0]), run(t, f), text)
		require.NoError(t, passes.Inline(f, passes.Options{}))
		require.NoError(t, passes.CSE(f, passes.Options{}))
		require.Equal(t, canonical(t, plain), canonical(t, m), text)
	}
}

// randomModule has one function of up to forty ops, each of which reads earlier
// values of its operands' shapes, the latest more often.
func randomModule(r *rand.Rand) *ir.Module {
	const batch, h, w, c = 2, 3, 2, 2
	act, small := ir.T(ir.F32, batch, h, w, c), ir.T(ir.F32, batch, 1, 1, c)
	m := &ir.Module{Name: "random", Batch: batch}
	f := &ir.Func{Name: "train", Module: m}
	m.Funcs = []*ir.Func{f}
	state := func(name string, role ir.Role, dims ...int) *ir.Value {
		s := &ir.State{Name: name, Type: ir.T(ir.F32, dims...), Role: role, Init: ir.Init{Kind: ir.Constant}}
		m.States = append(m.States, s)
		return f.StateValue(s)
	}
	b := ir.NewBuilder(f)
	pool := map[string][]*ir.Value{
		"act":    {b.Param("x", act), b.Param("y", act)},
		"small":  {b.Param("z", small)},
		"weight": {state("w", ir.Param, c, 3, 3, c)},
		"gamma":  {state("gamma", ir.Param, c)},
		"rows2":  {state("run", ir.Running, 2, c)},
		"rows3":  {},
		"mask":   {},
	}
	seed, step, lr := b.Param("seed", ir.T(ir.U64)), b.Param("step", ir.T(ir.U64)), b.Param("lr", ir.T(ir.F32))
	pick := func(kind string) *ir.Value {
		vs := pool[kind]
		return vs[max(r.IntN(len(vs)), r.IntN(len(vs)))]
	}
	put := func(kind string, v *ir.Value) { pool[kind] = append(pool[kind], v) }
	conv := ir.Attrs{Pad: 1, Stride: 1}
	dgrad := ir.Attrs{Pad: 1, Stride: 1, Height: h, Width: w}
	bn := ir.Attrs{Eps: 1e-5, Count: batch * h * w}
	ops := []func(){
		func() { put("act", b.Op1(ir.Conv2D, conv, pick("act"), pick("weight"))) },
		func() { put("act", b.Op1(ir.Conv2DDgrad, dgrad, pick("act"), pick("weight"))) },
		func() {
			put("weight", b.Op1(ir.Conv2DWgrad, ir.Attrs{Pad: 1, Stride: 1, Kernel: 3}, pick("act"), pick("act")))
		},
		func() { put("small", b.Op1(ir.AvgPool, ir.Attrs{}, pick("act"))) },
		func() { put("act", b.Op1(ir.AvgPoolGrad, ir.Attrs{Height: h, Width: w}, pick("small"))) },
		func() { put("act", b.Op1(ir.ReLU, ir.Attrs{}, pick("act"))) },
		func() { put("act", b.Op1(ir.ReLUGrad, ir.Attrs{}, pick("act"), pick("act"))) },
		func() { put("act", b.Op1(ir.Add, ir.Attrs{}, pick("act"), pick("act"))) },
		func() { put("act", b.Op1(ir.Sigmoid, ir.Attrs{}, pick("act"))) },
		func() { put("act", b.Op1(ir.SigmoidGrad, ir.Attrs{}, pick("act"), pick("act"))) },
		func() { put("act", b.Op1(ir.Mul, ir.Attrs{}, pick("act"), pick("act"))) },
		func() { put("act", b.Op1(ir.Scale, ir.Attrs{Alpha: -0.5}, pick("act"))) },
		func() { put("small", b.Op1(ir.ReLU, ir.Attrs{}, pick("small"))) },
		func() { put("act", b.Op1(ir.Affine, ir.Attrs{}, pick("act"), pick("rows2"))) },
		func() { put("act", b.Op1(ir.AddChannel, ir.Attrs{}, pick("act"), pick("gamma"))) },
		func() { put("rows2", b.Op1(ir.BNStats, ir.Attrs{}, pick("act"))) },
		func() { put("rows2", b.Op1(ir.BNGradStats, ir.Attrs{}, pick("act"), pick("act"), pick("rows2"))) },
		func() { put("gamma", b.Op1(ir.ChannelSum, ir.Attrs{}, pick("act"))) },
		func() {
			put("rows2", b.Op1(ir.BNRunning, ir.Attrs{Momentum: 0.1, Count: bn.Count}, pick("rows2"), pick("rows2")))
		},
		func() {
			out := b.Op(ir.BNGradFold, bn, pick("rows2"), b.Op1(ir.BNStats, ir.Attrs{}, pick("act")), pick("gamma"))
			put("rows3", out[0])
			put("gamma", out[1])
		},
		func() {
			if len(pool["rows3"]) > 0 {
				put("act", b.Op1(ir.Affine2, ir.Attrs{}, pick("act"), pick("act"), pick("rows3")))
			}
		},
		func() { put("mask", b.DropoutMask(act, 0.4, "d", seed, step)) },
		func() {
			if len(pool["mask"]) > 0 {
				put("act", b.Op1(ir.MaskScale, ir.Attrs{P: 0.4}, pick("act"), pick("mask")))
			}
		},
		func() { put("gamma", b.Op1(ir.Axpy, ir.Attrs{Alpha: 0.9}, pick("gamma"), pick("gamma"))) },
		func() { put("weight", b.Op1(ir.Axpy, ir.Attrs{Alpha: 0.9}, pick("weight"), pick("weight"))) },
		func() { put("weight", b.Op1(ir.Descend, ir.Attrs{}, pick("weight"), pick("weight"), lr)) },
	}
	for range 5 + r.IntN(36) {
		b.At([]string{"a", "b", "c"}[r.IntN(3)], ir.Pos{Line: 1, Col: 1})
		ops[r.IntN(len(ops))]()
	}
	for _, kind := range []string{"act", "small", "weight", "gamma", "rows2"} {
		f.Returns = append(f.Returns, pick(kind))
	}
	f.Assigns = []ir.Assign{{State: m.State("w"), Value: pick("weight")}, {State: m.State("gamma"), Value: pick("gamma")}}
	return m
}
