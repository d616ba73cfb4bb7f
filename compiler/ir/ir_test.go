package ir_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

// everyOp builds a module that holds each op of the table, a dropout mask in a
// fusion, several functions, all roles, distributions and element types.
func everyOp() *ir.Module {
	m := &ir.Module{Name: "every \"op\"", Batch: 2}
	line := 0
	at := func() ir.Pos { line++; return ir.Pos{Line: line, Col: 3} }
	state := func(name string, role ir.Role, init ir.Init, dims ...int) *ir.State {
		s := &ir.State{Name: name, Type: ir.T(ir.F32, dims...), Role: role, Init: init, Pos: at()}
		m.States = append(m.States, s)
		return s
	}
	w := state("g1.b0.conv1.w", ir.Param, ir.Init{Kind: ir.Normal, A: 0.1178511301977579}, 5, 3, 3, 3)
	v := state("g1.b0.conv1.w.v", ir.Velocity, ir.Init{Kind: ir.Constant}, 5, 3, 3, 3)
	gamma := state("bn.gamma", ir.Param, ir.Init{Kind: ir.Uniform, B: 1}, 5)
	beta := state("bn.beta", ir.Param, ir.Init{Kind: ir.Constant, A: -1e-7}, 5)
	run := state("bn.run", ir.Running, ir.Init{Kind: ir.Rows, B: 1}, 2, 5)

	f := &ir.Func{Name: "train", Module: m}
	m.Funcs = append(m.Funcs, f)
	b := ir.NewBuilder(f)
	x := b.Param("images", ir.T(ir.F32, 2, 7, 5, 3))
	labels := b.Param("labels", ir.T(ir.S32, 2))
	lr := b.Param("lr", ir.T(ir.F32))
	seed, step := b.Param("seed", ir.T(ir.U64)), b.Param("step", ir.T(ir.U64))
	b.Param("bytes", ir.T(ir.U8, 2, 7))
	set, table := b.Resident("set", ir.T(ir.U8, 9, 7, 5, 3)), b.Resident("table", ir.T(ir.F32, 3, 256))
	st := f.StateValue
	conv := ir.Attrs{Pad: 1, Stride: 2}

	b.At("conv0", at())
	y := b.Op1(ir.Conv2D, conv, b.Op1(ir.Convert, ir.Attrs{To: ir.BF16}, x), b.Op1(ir.Convert, ir.Attrs{To: ir.BF16}, st(w)))
	b.At("bn", at())
	bn := b.Op(ir.BatchNorm, ir.Attrs{Eps: 1e-5, Momentum: 0.1}, y, st(gamma), st(beta), st(run))
	b.Op(ir.BatchNormEval, ir.Attrs{Eps: 1e-5}, y, st(gamma), st(beta), st(run))
	r := b.At("relu", at()).Op1(ir.ReLU, ir.Attrs{}, bn[0])
	gate := b.At("gate", at()).Op1(ir.Sigmoid, ir.Attrs{}, r)
	r = b.Op1(ir.Mul, ir.Attrs{}, b.Op1(ir.SigmoidGrad, ir.Attrs{}, r, gate), b.Op1(ir.Scale, ir.Attrs{Alpha: -1}, r))
	mask := b.At("drop", at()).DropoutMask(r.Type, 0.3, "g1.b0.drop1", seed, step)
	d := b.Op1(ir.MaskScale, ir.Attrs{P: 0.3}, r, mask)
	p := b.At("pool", at()).Op1(ir.AvgPool, ir.Attrs{}, d)
	logits := b.At("fc", at()).Op1(ir.AddChannel, ir.Attrs{}, p, st(beta))
	loss := b.At("loss", at()).Op1(ir.Xent, ir.Attrs{}, logits, labels)
	g := b.Op1(ir.XentGrad, ir.Attrs{}, logits, labels)
	b.At("", at())
	db := b.Op1(ir.ChannelSum, ir.Attrs{}, g)
	g = b.Op1(ir.AvgPoolGrad, ir.Attrs{Height: 4, Width: 3}, g)
	window := ir.Attrs{Pad: 1, Stride: 2, Kernel: 3}
	m1 := b.At("maxpool", at()).Op1(ir.MaxPool, window, bn[0])
	b.Op1(ir.MaxPoolGrad, window, m1, bn[0])
	g = b.At("", at()).Op1(ir.ReLUGrad, ir.Attrs{}, g, bn[0])
	b.Op(ir.BatchNormGrad, ir.Attrs{Eps: 1e-5}, g, y, st(gamma))
	s := b.Op1(ir.BNStats, ir.Attrs{}, y)
	q := b.Op1(ir.BNGradStats, ir.Attrs{}, g, y, s)
	c := b.Op(ir.BNGradFold, ir.Attrs{Eps: 1e-5, Count: 24}, q, s, st(gamma))
	g = b.Op1(ir.Affine2, ir.Attrs{}, g, y, c[0])
	b.Op1(ir.Conv2DDgrad, ir.Attrs{Pad: 1, Stride: 2, Height: 7, Width: 5}, g, st(w))
	dw := b.Op1(ir.Conv2DWgrad, ir.Attrs{Pad: 1, Stride: 2, Kernel: 3}, b.Op1(ir.Convert, ir.Attrs{To: ir.TF32}, g), b.Op1(ir.Convert, ir.Attrs{To: ir.TF32}, x))
	dw = b.Op1(ir.Axpy, ir.Attrs{Alpha: 0.0005}, st(w), dw)
	vNew := b.Op1(ir.Axpy, ir.Attrs{Alpha: 0.9}, st(v), dw)
	wNew := b.Op1(ir.Descend, ir.Attrs{}, st(w), vNew, lr)
	b.Op1(ir.Augment, ir.Attrs{Pad: 4, Flip: true, Fill: ir.FillReflect}, set, labels, seed, step, table)
	b.Op(ir.FoldFilter, ir.Attrs{}, st(w), s)
	rNew := b.Op1(ir.BNRunning, ir.Attrs{Momentum: 0.1, Count: 24}, st(run), s)
	f.Returns = []*ir.Value{loss, db, x, st(gamma)}
	f.Assigns = []ir.Assign{{State: w, Value: wNew}, {State: v, Value: vNew}, {State: run, Value: rNew}}

	e := &ir.Func{Name: "eval", Module: m}
	m.Funcs = append(m.Funcs, e)
	b = ir.NewBuilder(e).At("bn", at())
	x = b.Param("images", ir.T(ir.F32, 2, 7, 5, 5))
	t := b.Op1(ir.BNFold, ir.Attrs{Eps: 1e-5, Count: 1}, e.StateValue(run), e.StateValue(gamma), e.StateValue(beta))
	inside := &ir.Func{Module: m}
	b = ir.NewBuilder(inside).At("bn", at())
	y = b.Op1(ir.Affine, ir.Attrs{}, x, t)
	b.At("add", at())
	z := b.Op1(ir.Add, ir.Attrs{}, y, x)
	s = b.Op1(ir.BNStats, ir.Attrs{}, z)
	fusion := ir.NewFusion("add.map", "map", at(), &ir.Body{Nodes: inside.Nodes, Yields: []*ir.Value{z, s, y}})
	e.Nodes = append(e.Nodes, fusion)
	e.Returns = []*ir.Value{fusion.Results[1], fusion.Results[0]}

	m.Funcs = append(m.Funcs, &ir.Func{Name: "nothing", Module: m})
	return m
}

func TestEveryOpIsInTheModule(t *testing.T) {
	seen := map[ir.Op]bool{}
	for _, f := range everyOp().Funcs {
		for _, n := range f.Nodes {
			seen[n.Op] = true
			if n.Body != nil {
				for _, b := range n.Body.Nodes {
					seen[b.Op] = true
				}
			}
		}
	}
	for _, op := range ir.Ops() {
		require.True(t, seen[op], "%s", op)
	}
}

// Print, parse, print is the identity; positions survive when they are printed
// and are the line in the text when they are not.
func TestPrintParsePrint(t *testing.T) {
	m := everyOp()
	require.NoError(t, m.Verify())
	for _, o := range []ir.PrintOptions{{}, {Positions: true}} {
		text := m.Format(o)
		back, err := ir.Parse("every.ir", text)
		require.NoError(t, err, text)
		require.Equal(t, text, back.Format(o))
		require.Equal(t, m.String(), back.String(), "positions change nothing else")
		for i, s := range back.States {
			require.Equal(t, m.States[i].Init, s.Init)
			require.Equal(t, m.States[i].Role, s.Role)
		}
		first := back.Func("train").Nodes[0].Pos
		if o.Positions {
			require.Equal(t, m.Func("train").Nodes[0].Pos, first)
			require.Equal(t, m.Func("eval").Nodes[1].Pos, back.Func("eval").Nodes[1].Pos, "of a fusion")
			require.Equal(t, m.States[3].Pos, back.States[3].Pos)
		} else {
			require.Equal(t, ir.Pos{Line: 10, Col: 1}, first)
		}
	}
}

func TestPrintedText(t *testing.T) {
	text := everyOp().Func("eval").String()
	require.Equal(t, `func eval(%images : f32[2,7,5,5]) {
  %0 = bn_fold @bn.run, @bn.gamma, @bn.beta {eps=1e-05, count=1} : f32[2,5] #bn
  %4, %5, %6 = fusion @add.map {kind=map} (%images, %0) {
    %1 = affine %images, %0 : f32[2,7,5,5] #bn
    %2 = add %1, %images : f32[2,7,5,5] #add
    %3 = bn_stats %2 : f32[2,5] #add
    yield %2, %3, %1
  } : f32[2,7,5,5], f32[2,5], f32[2,7,5,5]
  return %5, %4
}
`, text)
	require.Equal(t, `  %0 = affine %in0, %in1 : f32[2,7,5,5] #bn
  %1 = add %0, %in0 : f32[2,7,5,5] #add
  %2 = bn_stats %1 : f32[2,5] #add
  yield %1, %2, %0
`, everyOp().Func("eval").Nodes[1].Body.String())
}

// Text by hand may be laid out otherwise than the printer does.
func TestParseIsLenient(t *testing.T) {
	m, err := ir.Parse("by-hand.ir", "\r\n// a comment\nmodule \"m\" {batch=4}\r\nfunc f(%x : f32[4,3]) {\n\n%first = relu %x : f32[4,3]\n\t// another\nreturn %first\n}")
	require.NoError(t, err)
	require.Equal(t, "module \"m\" {batch=4}\n\nfunc f(%x : f32[4,3]) {\n  %0 = relu %x : f32[4,3]\n  return %0\n}\n", m.String())
}

func TestTables(t *testing.T) {
	for _, op := range ir.Ops() {
		info := op.Info()
		require.NotEmpty(t, info.Name)
		require.NotEmpty(t, info.Means, "%s", op)
		require.NotZero(t, op.Class(), "%s", op)
		if op != ir.Fusion {
			require.NotEmpty(t, info.Args, "%s", op)
			require.NotZero(t, info.Outs, "%s", op)
		}
	}
}

// Every op's number of results is the table's.
func TestOuts(t *testing.T) {
	for _, f := range everyOp().Funcs {
		for _, n := range f.Nodes {
			if n.Op != ir.Fusion {
				require.Len(t, n.Results, n.Op.Info().Outs, "%s", n.Op)
			}
		}
	}
}

// 32-bit FNV-1a by its published vectors.
func TestStreamID(t *testing.T) {
	for name, want := range map[string]uint32{"": 0x811c9dc5, "a": 0xe40c292c, "foobar": 0xbf9cf968} {
		require.Equal(t, want, ir.Attrs{Stream: name}.StreamID(), name)
	}
}

func TestKeepScale(t *testing.T) {
	require.Equal(t, 0, ir.Attrs{}.KeepThreshold())
	require.Equal(t, 1.0, ir.Attrs{}.KeepScale())
	require.Equal(t, 19661, ir.Attrs{P: 0.3}.KeepThreshold())
	require.Equal(t, 65536.0/45875, ir.Attrs{P: 0.3}.KeepScale())
}

func TestTypeBytes(t *testing.T) {
	for want, typ := range map[int]ir.Type{
		2:  ir.T(ir.U1, 3, 3),
		9:  ir.T(ir.U8, 3, 3),
		18: ir.T(ir.BF16, 3, 3),
		36: ir.T(ir.TF32, 3, 3),
		8:  ir.T(ir.U64),
	} {
		require.Equal(t, want, typ.Bytes(), "%v", typ)
	}
}
