package gen

import "wrnc/compiler/ir"

// conv picks a convolution: its attributes, and the types of picture, filter and
// output.
func (g *maker) conv() (a ir.Attrs, x, w, y ir.Type) {
	if g.o.Winograd {
		return g.winograd()
	}
	kernel := []int{1, 3}[g.IntN(2)]
	a = ir.Attrs{Pad: kernel / 2, Stride: 1 + g.IntN(2)}
	x = g.picture()
	w = ir.T(ir.F32, g.channels(), kernel, kernel, x.Channels())
	y = ir.T(ir.F32, x.Dims[0], ir.ConvOut(x.Dims[1], kernel, a.Pad, a.Stride), ir.ConvOut(x.Dims[2], kernel, a.Pad, a.Stride), w.Dims[0])
	return a, x, w, y
}

// winograd picks a convolution that Winograd's tiles fit.
func (g *maker) winograd() (a ir.Attrs, x, w, y ir.Type) {
	in, out := []int{32, 33, 40, 48}[g.IntN(4)], 16*(1+g.IntN(4))
	if g.o.Kind == "conv_dgrad" {
		in, out = out, in
	}
	side := func() int { return 2 * (1 + g.IntN(5)) }
	x = ir.T(ir.F32, g.m.Batch, side(), side(), in)
	w = ir.T(ir.F32, out, 3, 3, in)
	y = ir.T(ir.F32, x.Dims[0], x.Dims[1], x.Dims[2], out)
	return ir.Attrs{Pad: 1, Stride: 1}, x, w, y
}

// weight is a state that keeps the root's result of order 1.
func (g *maker) weight(w ir.Type) *ir.Value {
	return g.state(ir.Param, ir.Init{Kind: ir.Normal, A: 0.1}, w.Dims...)
}

func (g *maker) fprop() {
	a, x, w, y := g.conv()
	picture, filter := g.prologue(x), g.narrow(g.weight(w))
	g.epilogue(y, g.op(ir.Conv2D, a, picture, filter), maxSteps)
}

func (g *maker) dgrad() {
	a, x, w, y := g.conv()
	grad, filter := g.prologue(y), g.narrow(g.weight(w))
	a.Height, a.Width = x.Dims[1], x.Dims[2]
	g.epilogue(x, g.op(ir.Conv2DDgrad, a, grad, filter), maxSteps)
}

func (g *maker) wgrad() {
	a, x, w, y := g.conv()
	a.Kernel = w.Dims[1]
	grad, picture := g.prologue(y), g.prologue(x)
	g.update(g.op(ir.Conv2DWgrad, a, grad, picture), g.IntN(4))
}

func (g *maker) pool() {
	x := g.picture()
	y := ir.T(ir.F32, x.Dims[0], 1, 1, x.Channels())
	g.epilogue(y, g.op(ir.AvgPool, ir.Attrs{}, g.prologue(x)), maxSteps)
}

// mapping is a region without a root: over an activation, or, like an optimizer's
// update, over a parameter.
func (g *maker) mapping() {
	if g.chance(25) {
		w := g.state(ir.Param, ir.Init{Kind: ir.Normal, A: 1}, [][]int{{5, 3, 3, 7}, {17}, {33, 1, 1, 3}}[g.IntN(3)]...)
		g.update(w, 1+g.IntN(4))
		return
	}
	c := &chain{maker: g, t: g.picture(), budget: 4}
	c.begin()
	c.steps(1 + g.IntN(maxSteps))
	c.finish()
}

// epilogue extends the root's result y by Map ops, which may read further stored
// activations, and ends the function.
func (g *maker) epilogue(t ir.Type, y *ir.Value, steps int) {
	c := &chain{maker: g, t: t, budget: 3, values: []*ir.Value{y}}
	c.steps(g.IntN(steps + 1))
	c.finish()
}

// update extends a value of a parameter's shape by steps of an optimizer, and
// ends the function.
func (g *maker) update(v *ir.Value, steps int) {
	dims := v.Type.Dims
	param := func() *ir.Value { return g.state(ir.Velocity, ir.Init{Kind: ir.Normal, A: 1}, dims...) }
	var values []*ir.Value
	for range steps {
		switch g.IntN(4) {
		case 0:
			v = g.op(ir.Descend, ir.Attrs{}, param(), v, g.scalar("lr", ir.F32))
		case 1:
			v = g.op(ir.Add, ir.Attrs{}, v, param())
		default:
			v = g.op(ir.Axpy, ir.Attrs{Alpha: 0.9}, param(), v)
		}
		values = append(values, v)
	}
	if len(values) == 0 || g.chance(30) {
		g.f.Returns = append(g.f.Returns, v)
	}
	if len(values) > 0 {
		s := g.m.States[len(g.m.States)-1] // read by the last step or before it
		g.f.Assigns = append(g.f.Assigns, ir.Assign{State: s, Value: v})
		if first := values[0]; first != v && g.chance(30) {
			g.f.Returns = append(g.f.Returns, first)
		}
	}
}
