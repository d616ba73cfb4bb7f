package interp

import "wrnc/compiler/ir"

// bnStats is mean and sum of squared deviations from it, in two passes.
func bnStats(m *machine, _ *ir.Node, in []*Tensor) ([]*Tensor, error) {
	x := in[0]
	c := x.Type.Channels()
	count := float64(len(x.F) / c)
	s := New(ir.T(ir.F32, 2, c))
	mean, m2 := s.F[:c], s.F[c:]
	for i, v := range x.F {
		mean[i%c] += v
	}
	for i := range mean {
		mean[i] /= count
	}
	for i, v := range x.F {
		d := v - mean[i%c]
		m2[i%c] += float64(d * d)
	}
	m.roundAll(s.F)
	return []*Tensor{s}, nil
}

// bnGradStats is the sum of g and the sum of g*(x - mean).
func bnGradStats(m *machine, _ *ir.Node, in []*Tensor) ([]*Tensor, error) {
	g, x, s := in[0], in[1], in[2]
	if err := sameDims(g, x); err != nil {
		return nil, err
	}
	c := x.Type.Channels()
	mean := s.F[:c]
	q := New(ir.T(ir.F32, 2, c))
	for i, v := range g.F {
		q.F[i%c] += v
		q.F[c+i%c] += float64(v * (x.F[i] - mean[i%c]))
	}
	m.roundAll(q.F)
	return []*Tensor{q}, nil
}

func channelSum(m *machine, _ *ir.Node, in []*Tensor) ([]*Tensor, error) {
	x := in[0]
	c := x.Type.Channels()
	sum := New(ir.T(ir.F32, c))
	for i, v := range x.F {
		sum.F[i%c] += v
	}
	m.roundAll(sum.F)
	return []*Tensor{sum}, nil
}
