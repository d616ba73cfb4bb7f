package interp

import (
	"math"

	"wrnc/compiler/ir"
	"wrnc/kernels/f32"
)

// round is the result of an op whose exact value is x: to f32 but for the
// float64 mode.
func (m *machine) round(x float64) float64 {
	if m.opt.Float64 {
		return x
	}
	return float64(float32(x))
}

// roundTo rounds to nearest even in a float type, and a mask's bit not at all.
func (m *machine) roundTo(d ir.DType, x float64) float64 {
	if m.opt.Float64 {
		return x
	}
	switch d {
	case ir.BF16:
		return float64(f32.FromBF16(f32.ToBF16(float32(x))))
	case ir.TF32:
		return float64(f32.RoundTF32(float32(x)))
	case ir.F32:
		return float64(float32(x))
	}
	return x
}

// fma is x*y + z rounded once.
func (m *machine) fma(x, y, z float64) float64 {
	if m.opt.Float64 {
		return math.FMA(x, y, z)
	}
	return float64(f32.FMA(float32(x), float32(y), float32(z)))
}

// roundAll rounds every element as the result of an op.
func (m *machine) roundAll(xs []float64) {
	for i, x := range xs {
		xs[i] = m.round(x)
	}
}

// leaf is an input as a function sees it: rounded to its element type.
func (m *machine) leaf(t *Tensor) *Tensor {
	if m.opt.Float64 || !t.Type.DType.IsFloat() {
		return t
	}
	out := New(t.Type)
	for i, x := range t.F {
		out.F[i] = m.roundTo(t.Type.DType, x)
	}
	return out
}
