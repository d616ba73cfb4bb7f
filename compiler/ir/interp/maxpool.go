package interp

import "wrnc/compiler/ir"

// largest calls f for every output y of a maxpool of x and for the offset of the
// element of x that it takes: the first, row by row, of the window's largest,
// where a NaN is larger than any number.
func largest(x *Tensor, yt ir.Type, a *ir.Attrs, f func(y, x int)) {
	d := x.Type.Dims
	h, w, c := d[1], d[2], d[3]
	y := 0
	for n := range d[0] {
		for p := range yt.Dims[1] {
			h0, h1 := window(p, h, a)
			for q := range yt.Dims[2] {
				w0, w1 := window(q, w, a)
				for ch := range c {
					best := ((n*h+h0)*w+w0)*c + ch
					for i := h0; i < h1; i++ {
						for j := w0; j < w1; j++ {
							at := ((n*h+i)*w+j)*c + ch
							if b := x.F[best]; b == b && !(x.F[at] <= b) {
								best = at
							}
						}
					}
					f(y, best)
					y++
				}
			}
		}
	}
}

// window returns the rows [lo, hi) of a picture of n rows, or its columns, that
// output p sees.
func window(p, n int, a *ir.Attrs) (lo, hi int) {
	first := p*a.Stride - a.Pad
	return max(0, first), min(n, first+a.Kernel)
}

// maxPool is the largest element of each window; what lies outside the picture
// counts for nothing.
func maxPool(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	x := in[0]
	y, err := alloc(withBatch(n.Result().Type, x.Type.Dims[0]))
	if err != nil {
		return nil, err
	}
	largest(x, y.Type, &n.Attrs, func(yi, xi int) { y.F[yi] = m.round(x.F[xi]) })
	return []*Tensor{y}, nil
}

// maxPoolGrad gives each window's gradient to the element that maxPool took; the
// gradients of windows that overlap there add up, in the order of the windows,
// each sum rounded.
func maxPoolGrad(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	g, x := in[0], in[1]
	if g.Type.Dims[0] != x.Type.Dims[0] {
		return nil, sameDims(g, x)
	}
	dx, err := alloc(withBatch(n.Result().Type, x.Type.Dims[0]))
	if err != nil {
		return nil, err
	}
	largest(x, g.Type, &n.Attrs, func(yi, xi int) { dx.F[xi] = m.round(dx.F[xi] + g.F[yi]) })
	return []*Tensor{dx}, nil
}
