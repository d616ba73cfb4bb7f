package interp

import "wrnc/compiler/ir"

// avgPool is the mean over each picture, one sum and one division.
func avgPool(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	x := in[0]
	y, err := alloc(withBatch(n.Result().Type, x.Type.Dims[0]))
	if err != nil {
		return nil, err
	}
	c, pixels := x.Type.Channels(), x.Type.Dims[1]*x.Type.Dims[2]
	for i, v := range x.F {
		y.F[i/(pixels*c)*c+i%c] += v
	}
	for i, v := range y.F {
		y.F[i] = m.round(v / float64(pixels))
	}
	return []*Tensor{y}, nil
}

// avgPoolGrad spreads a gradient evenly over each picture.
func avgPoolGrad(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	g := in[0]
	x, err := alloc(withBatch(n.Result().Type, g.Type.Dims[0]))
	if err != nil {
		return nil, err
	}
	c, pixels := x.Type.Channels(), x.Type.Dims[1]*x.Type.Dims[2]
	for i := range x.F {
		x.F[i] = m.round(g.F[i/(pixels*c)*c+i%c] / float64(pixels))
	}
	return []*Tensor{x}, nil
}
