package interp

import (
	"fmt"

	"wrnc/compiler/ir"
)

// taps is the geometry of a convolution of x [N,H,W,C] by w [K,R,R,C] to
// y [N,P,Q,K].
type taps struct {
	n, h, w, c int
	p, q, k    int
	kernel     int
	pad        int
	stride     int
}

// newTaps checks that picture, output and filter belong together.
func newTaps(x, y, w ir.Type, a *ir.Attrs) (*taps, error) {
	t := &taps{
		n: x.Dims[0], h: x.Dims[1], w: x.Dims[2], c: x.Dims[3],
		p: y.Dims[1], q: y.Dims[2], k: y.Dims[3],
		kernel: w.Dims[1], pad: a.Pad, stride: a.Stride,
	}
	if y.Dims[0] != t.n {
		return nil, fmt.Errorf("operands differ in their number of samples: %v and %v", x, y)
	}
	return t, nil
}

// each calls f for every output pixel and every tap of it that lies inside the
// picture: y, x and w are the offsets of the pixel's K outputs, of the tap's C
// inputs, and of its C weights for output channel 0; wStep leads to the next
// output channel. Samples, rows, columns, then filter rows and columns: the
// order of the sums.
func (t *taps) each(f func(y, x, w, wStep int)) {
	wStep := t.kernel * t.kernel * t.c
	y := 0
	for n := range t.n {
		for p := range t.p {
			for q := range t.q {
				for r := range t.kernel {
					h := p*t.stride + r - t.pad
					if h < 0 || h >= t.h {
						continue
					}
					for s := range t.kernel {
						w := q*t.stride + s - t.pad
						if w < 0 || w >= t.w {
							continue
						}
						f(y, ((n*t.h+h)*t.w+w)*t.c, (r*t.kernel+s)*t.c, wStep)
					}
				}
				y += t.k
			}
		}
	}
}

// dot adds the products of x and y to sum, first to last.
func dot(sum float64, x, y []float64) float64 {
	for i, v := range x {
		sum += float64(v * y[i])
	}
	return sum
}

// addScaled adds a*x to y.
func addScaled(y []float64, a float64, x []float64) {
	for i, v := range x {
		y[i] += float64(a * v)
	}
}

func conv2D(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	x, w := in[0], in[1]
	y, err := alloc(withBatch(n.Result().Type, x.Type.Dims[0]))
	if err != nil {
		return nil, err
	}
	t, err := newTaps(x.Type, y.Type, w.Type, &n.Attrs)
	if err != nil {
		return nil, err
	}
	t.each(func(yi, xi, wi, wStep int) {
		px := x.F[xi : xi+t.c]
		for k := range t.k {
			y.F[yi+k] = dot(y.F[yi+k], px, w.F[k*wStep+wi:][:t.c])
		}
	})
	m.roundAll(y.F)
	return []*Tensor{y}, nil
}

func conv2DDgrad(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	g, w := in[0], in[1]
	x, err := alloc(withBatch(n.Result().Type, g.Type.Dims[0]))
	if err != nil {
		return nil, err
	}
	t, err := newTaps(x.Type, g.Type, w.Type, &n.Attrs)
	if err != nil {
		return nil, err
	}
	t.each(func(yi, xi, wi, wStep int) {
		px := x.F[xi : xi+t.c]
		for k := range t.k {
			addScaled(px, g.F[yi+k], w.F[k*wStep+wi:][:t.c])
		}
	})
	m.roundAll(x.F)
	return []*Tensor{x}, nil
}

func conv2DWgrad(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	g, x := in[0], in[1]
	w, err := alloc(n.Result().Type)
	if err != nil {
		return nil, err
	}
	t, err := newTaps(x.Type, g.Type, w.Type, &n.Attrs)
	if err != nil {
		return nil, err
	}
	t.each(func(yi, xi, wi, wStep int) {
		px := x.F[xi : xi+t.c]
		for k := range t.k {
			addScaled(w.F[k*wStep+wi:][:t.c], g.F[yi+k], px)
		}
	})
	m.roundAll(w.F)
	return []*Tensor{w}, nil
}
