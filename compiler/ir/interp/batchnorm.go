package interp

import "wrnc/compiler/ir"

// The batch norm ops mean the ops that they are split into, one after the
// other, each rounded as on its own: so splitting them changes no bit.

// part evaluates one op of n's sequence, with n's constants and the number of
// elements that a channel of x has at the module's batch.
func (m *machine) part(op ir.Op, n *ir.Node, x *ir.Value, in ...*Tensor) ([]*Tensor, error) {
	a := n.Attrs
	a.Count = x.Type.Elems() / x.Type.Channels()
	if n.Op == ir.BatchNormEval {
		a.Count = 1
	}
	return m.table[op](m, &ir.Node{Op: op, Attrs: a, Results: []*ir.Value{{Type: x.Type.With(ir.F32)}}}, in)
}

// batchNorm is bn_stats, bn_fold, affine and, for the running statistics,
// bn_running.
func batchNorm(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	x, gamma, beta, run := in[0], in[1], in[2], in[3]
	s, err := m.part(ir.BNStats, n, n.Args[0], x)
	if err != nil {
		return nil, err
	}
	newRun, err := m.part(ir.BNRunning, n, n.Args[0], run, s[0])
	if err != nil {
		return nil, err
	}
	t, err := m.part(ir.BNFold, n, n.Args[0], s[0], gamma, beta)
	if err != nil {
		return nil, err
	}
	y, err := m.part(ir.Affine, n, n.Args[0], x, t[0])
	if err != nil {
		return nil, err
	}
	return []*Tensor{y[0], newRun[0]}, nil
}

// batchNormEval is bn_fold of the running statistics and affine.
func batchNormEval(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	x, gamma, beta, run := in[0], in[1], in[2], in[3]
	t, err := m.part(ir.BNFold, n, n.Args[0], run, gamma, beta)
	if err != nil {
		return nil, err
	}
	return m.part(ir.Affine, n, n.Args[0], x, t[0])
}

// batchNormGrad is bn_stats of x, bn_grad_stats, bn_grad_fold and affine2.
func batchNormGrad(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	g, x, gamma := in[0], in[1], in[2]
	s, err := m.part(ir.BNStats, n, n.Args[1], x)
	if err != nil {
		return nil, err
	}
	q, err := m.part(ir.BNGradStats, n, n.Args[1], g, x, s[0])
	if err != nil {
		return nil, err
	}
	c, err := m.part(ir.BNGradFold, n, n.Args[1], q[0], s[0], gamma)
	if err != nil {
		return nil, err
	}
	dx, err := m.part(ir.Affine2, n, n.Args[1], g, x, c[0])
	if err != nil {
		return nil, err
	}
	return []*Tensor{dx[0], c[1], c[2]}, nil
}
