package cpu

import "wrnc/compiler/plan"

// maxPoolKernel takes the largest element of each window, a NaN before any
// number. A unit is a band of rows of a sample's result.
type maxPoolKernel struct{ *bound }

func (k *maxPoolKernel) run(u int, _ *worker) {
	c := k.Conv
	sample, lo, hi := k.Grid.Band(u)
	x := k.arg(0)[sample*c.H*c.W*c.C:][:c.H*c.W*c.C]
	y := k.arg(1)[sample*c.P*c.Q*c.C:][:c.P*c.Q*c.C]
	for p := lo; p < hi; p++ {
		h0, h1 := c.Window(p, c.H)
		for q := range c.Q {
			w0, w1 := c.Window(q, c.W)
			out := y[(p*c.Q+q)*c.C:][:c.C]
			copy(out, x[(h0*c.W+w0)*c.C:])
			for h := h0; h < h1; h++ {
				for w := w0; w < w1; w++ {
					for i, v := range x[(h*c.W+w)*c.C:][:c.C] {
						if b := out[i]; b == b && !(v <= b) {
							out[i] = v
						}
					}
				}
			}
		}
	}
}

// maxPoolGradKernel adds each window's gradient where its largest element is. A
// unit is a band of rows of a sample's picture: it searches every window that
// reaches into the band, and takes what falls there. So an element's gradients
// add up in the order of the windows however the picture is cut.
type maxPoolGradKernel struct{ *bound }

func (k *maxPoolGradKernel) run(u int, _ *worker) {
	c := k.Conv
	sample, lo, hi := k.Grid.Band(u)
	g := k.arg(0)[sample*c.P*c.Q*c.C:][:c.P*c.Q*c.C]
	x := k.arg(1)[sample*c.H*c.W*c.C:][:c.H*c.W*c.C]
	dx := k.arg(2)[sample*c.H*c.W*c.C:][:c.H*c.W*c.C]
	first, last := lo*c.W*c.C, hi*c.W*c.C
	clear(dx[first:last])
	for p := range c.P {
		h0, h1 := c.Window(p, c.H)
		if h1 <= lo || h0 >= hi {
			continue
		}
		for q := range c.Q {
			w0, w1 := c.Window(q, c.W)
			for i, v := range g[(p*c.Q+q)*c.C:][:c.C] {
				if at := largest(x, c, h0, h1, w0, w1, i); at >= first && at < last {
					dx[at] += v
				}
			}
		}
	}
}

// largest is where channel i of a window has its largest element, the first of
// equal ones row by row, or its first NaN.
func largest(x []float32, c plan.ConvShape, h0, h1, w0, w1, i int) int {
	best := (h0*c.W+w0)*c.C + i
	for h := h0; h < h1; h++ {
		for at := (h*c.W+w0)*c.C + i; at < (h*c.W+w1)*c.C; at += c.C {
			if b := x[best]; b == b && !(x[at] <= b) {
				best = at
			}
		}
	}
	return best
}
