package interp

import (
	"math"

	"wrnc/compiler/ir"
	"wrnc/kernels/f32"
)

// element computes one element of a Map op: operand k's element is at(k), and
// vec(k, row) is the entry of its channel in a row of the channel vector k.
type element func(m *machine, a *ir.Attrs, at operands) float64

// operands gives a Map op its operands at element i, in channel c of C.
type operands struct {
	in   []*Tensor
	i    int
	c, C int
}

func (o operands) act(k int) float64      { return o.in[k].F[o.i] }
func (o operands) vec(k, row int) float64 { return o.in[k].F[row*o.C+o.c] }
func (o operands) scalar(k int) float64   { return o.in[k].F[0] }

// elementwise makes a Map op of what it does to one element. Operand 0 has the
// shape of the result; so has every other activation.
func elementwise(f element) meaning {
	return func(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
		for k, role := range n.Op.Info().Args {
			if role == ir.Act {
				if err := sameDims(in[0], in[k]); err != nil {
					return nil, err
				}
			}
		}
		out, err := alloc(in[0].Type.With(n.Result().Type.DType))
		if err != nil {
			return nil, err
		}
		c := out.Type.Channels()
		for i := range out.F {
			out.F[i] = f(m, &n.Attrs, operands{in, i, i % c, c})
		}
		return []*Tensor{out}, nil
	}
}

func relu(_ *machine, _ *ir.Attrs, o operands) float64 {
	if x := o.act(0); !(x < 0) { // a NaN stays
		return x
	}
	return 0
}

func reluGrad(_ *machine, _ *ir.Attrs, o operands) float64 {
	if o.act(1) > 0 {
		return o.act(0)
	}
	return 0
}

// sigmoid is that of package f32, which every target computes step by step.
func sigmoid(m *machine, _ *ir.Attrs, o operands) float64 {
	if m.opt.Float64 {
		return 1 / (1 + math.Exp(-o.act(0)))
	}
	return float64(f32.Sigmoid(float32(o.act(0))))
}

func sigmoidGrad(m *machine, _ *ir.Attrs, o operands) float64 {
	g, y := o.act(0), o.act(1)
	return m.round(g * m.round(y*m.round(1-y)))
}

func mul(m *machine, _ *ir.Attrs, o operands) float64 { return m.round(o.act(0) * o.act(1)) }

func scale(m *machine, a *ir.Attrs, o operands) float64 {
	return m.round(m.round(a.Alpha) * o.act(0))
}

func add(m *machine, _ *ir.Attrs, o operands) float64 { return m.round(o.act(0) + o.act(1)) }

func addChannel(m *machine, _ *ir.Attrs, o operands) float64 { return m.round(o.act(0) + o.vec(1, 0)) }

func affine(m *machine, _ *ir.Attrs, o operands) float64 {
	return m.fma(o.act(0), o.vec(1, 0), o.vec(1, 1))
}

func affine2(m *machine, _ *ir.Attrs, o operands) float64 {
	g, x := o.act(0), o.act(1)
	return m.fma(o.vec(2, 0), g, m.fma(o.vec(2, 1), x, o.vec(2, 2)))
}

func maskScale(m *machine, a *ir.Attrs, o operands) float64 {
	if o.act(1) == 0 {
		return 0
	}
	return m.round(o.act(0) * m.round(a.KeepScale()))
}

func convert(m *machine, a *ir.Attrs, o operands) float64 { return m.roundTo(a.To, o.act(0)) }

func axpy(m *machine, a *ir.Attrs, o operands) float64 {
	return m.fma(m.round(a.Alpha), o.act(0), o.act(1))
}

func descend(m *machine, _ *ir.Attrs, o operands) float64 {
	return m.fma(-o.scalar(2), o.act(1), o.act(0))
}
