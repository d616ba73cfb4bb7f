package interp

import (
	"errors"
	"math"

	"wrnc/compiler/ir"
)

// count is the number of elements a channel has in this run. The attribute
// states it for the module's batch; 1 marks running statistics, whose variance
// is no sum.
func (m *machine) count(a *ir.Attrs) float64 {
	if a.Count == 1 {
		return 1
	}
	return float64(a.Count) * float64(m.n) / float64(m.batch)
}

// bnFold turns statistics into an affine map (Ioffe and Szegedy, "Batch
// Normalization", algorithm 1): t[0] = gamma*r, t[1] = beta - mean*t[0] with
// r = 1/sqrt(M2/count + eps).
func bnFold(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	s, gamma, beta := in[0].F, in[1].F, in[2].F
	c, count := len(gamma), m.count(&n.Attrs)
	t := New(ir.T(ir.F32, 2, c))
	for i := range c {
		scale := gamma[i] / math.Sqrt(s[c+i]/count+n.Attrs.Eps)
		t.F[i] = m.round(scale)
		t.F[c+i] = m.round(beta[i] - float64(s[i]*scale))
	}
	return []*Tensor{t}, nil
}

// foldFilter scales each filter and hands on the shift, so that a convolution by the
// result and the shift is the convolution by w followed by the affine map t.
func foldFilter(m *machine, _ *ir.Node, in []*Tensor) ([]*Tensor, error) {
	w, t := in[0], in[1].F
	k := w.Type.Dims[0]
	out, shift := New(w.Type), New(ir.T(ir.F32, k))
	each := len(w.F) / k
	for i, v := range w.F {
		out.F[i] = m.round(t[i/each] * v)
	}
	copy(shift.F, t[k:])
	return []*Tensor{out, shift}, nil
}

// bnRunning moves the running mean and the running unbiased variance towards
// those of the batch.
func bnRunning(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	run, s := in[0].F, in[1].F
	c, count, mom := len(run)/2, m.count(&n.Attrs), n.Attrs.Momentum
	if count <= 1 {
		return nil, errOneElement
	}
	out := New(ir.T(ir.F32, 2, c))
	for i := range out.F {
		v := s[i]
		if i >= c {
			v /= count - 1
		}
		out.F[i] = m.round(float64((1-mom)*run[i]) + float64(mom*v))
	}
	return []*Tensor{out}, nil
}

var errOneElement = errors.New("batch norm in training needs more than one element a channel, this batch has one")

// bnGradFold turns the sums of the backward pass into dx = c0*g + c1*x + c2 and
// the gradients by gamma and beta.
func bnGradFold(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	q, s, gamma := in[0].F, in[1].F, in[2].F
	c, count := len(gamma), m.count(&n.Attrs)
	t, dgamma, dbeta := New(ir.T(ir.F32, 3, c)), New(ir.T(ir.F32, c)), New(ir.T(ir.F32, c))
	for i := range c {
		mean, r := s[i], 1/math.Sqrt(s[c+i]/count+n.Attrs.Eps)
		q0, q1 := q[i], q[c+i]
		c1 := -gamma[i] * r * r * r * q1 / count
		t.F[i] = m.round(gamma[i] * r)
		t.F[c+i] = m.round(c1)
		t.F[2*c+i] = m.round(float64(-gamma[i]*r*q0/count) - float64(c1*mean))
		dgamma.F[i] = m.round(r * q1)
		dbeta.F[i] = m.round(q0)
	}
	return []*Tensor{t, dgamma, dbeta}, nil
}
