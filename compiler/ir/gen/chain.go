package gen

import (
	"fmt"

	"wrnc/compiler/ir"
)

// chain is a run of Map ops on activations of one shape.
type chain struct {
	*maker
	t      ir.Type
	budget int         // stored activations that it may still read
	values []*ir.Value // results in order; the last is what the next step extends
}

// maxSteps bounds a prologue and an epilogue.
const maxSteps = 5

// prologue makes an operand of the root: a stored activation and what is done
// to it, reading at most two stored ones in all.
func (g *maker) prologue(t ir.Type) *ir.Value {
	c := &chain{maker: g, t: t, budget: 2}
	c.begin()
	c.steps(g.IntN(maxSteps + 1))
	return g.narrow(c.last())
}

// narrow converts an operand of a root to the precision.
func (g *maker) narrow(v *ir.Value) *ir.Value {
	if p := g.o.Precision; p != ir.InvalidDType && v.Type.DType != p {
		return g.op(ir.Convert, ir.Attrs{To: p}, v)
	}
	return v
}

// begin starts from a stored activation or a stored pixel spread over the picture.
func (c *chain) begin() {
	if c.chance(15) {
		d := c.t.Dims
		pixel := c.activation(ir.T(ir.F32, d[0], 1, 1, d[3]))
		c.budget--
		c.values = append(c.values, c.op(ir.AvgPoolGrad, ir.Attrs{Height: d[1], Width: d[2]}, pixel))
		return
	}
	c.values = append(c.values, c.fresh())
}

func (c *chain) last() *ir.Value { return c.values[len(c.values)-1] }

// fresh is a stored activation that the chain has not read yet.
func (c *chain) fresh() *ir.Value {
	c.budget--
	return c.activation(c.t)
}

// other is an operand beside the last value: an earlier value, a new stored
// activation, or one of them through an affine, as relu_grad recomputes it.
func (c *chain) other() *ir.Value {
	v := c.values[c.IntN(len(c.values))]
	if c.budget > 0 && c.chance(70) {
		v = c.fresh()
	}
	if c.chance(25) {
		v = c.op(ir.Affine, ir.Attrs{}, v, c.vector(2, c.t.Channels()))
	}
	return v
}

// steps extends the chain by n steps, each of one to three ops.
func (c *chain) steps(n int) {
	for range n {
		c.values = append(c.values, c.step(c.last()))
	}
}

func (c *chain) step(v *ir.Value) *ir.Value {
	channels := c.t.Channels()
	none := ir.Attrs{}
	switch c.IntN(14) {
	case 0, 1:
		return c.op(ir.ReLU, none, v)
	case 2:
		return c.op(ir.ReLUGrad, none, v, c.other())
	case 3:
		return c.op(ir.Add, none, v, c.other())
	case 4:
		return c.op(ir.AddChannel, none, v, c.vector(channels))
	case 5:
		return c.op(ir.Affine2, none, v, c.other(), c.vector(3, channels))
	case 6:
		return c.dropout(v)
	case 7:
		return c.op(ir.Axpy, ir.Attrs{Alpha: []float64{0.9, -1.5, 0.0005}[c.IntN(3)]}, v, c.other())
	case 8:
		if n := c.narrow(v); n != v {
			return n
		}
	case 9:
		return c.op(ir.Mul, none, v, c.other())
	case 10:
		return c.op(ir.Scale, ir.Attrs{Alpha: []float64{-1, 0.3}[c.IntN(2)]}, v)
	case 11:
		return c.op(ir.Sigmoid, none, v)
	case 12:
		return c.op(ir.SigmoidGrad, none, v, c.op(ir.Sigmoid, none, c.other()))
	}
	return c.op(ir.Affine, none, v, c.vector(2, channels))
}

// dropout draws a mask and applies it.
func (c *chain) dropout(v *ir.Value) *ir.Value {
	p := []float64{0.1, 0.3, 0.5}[c.IntN(3)]
	seed, step := c.scalar("seed", ir.U64), c.scalar("step", ir.U64)
	c.next("drop")
	mask := c.b.DropoutMask(c.t, p, fmt.Sprintf("g.drop%d", c.line), seed, step)
	return c.op(ir.MaskScale, ir.Attrs{P: p}, v, mask)
}
