package cpu

import (
	"unsafe"

	kernels "wrnc/kernels/cpu"
)

// wgradKernel sums a filter's gradient over a fixed share of the samples of a
// full batch, into a partial of its own: [block of K][tap][C][K within the
// block]. A unit is a split.
type wgradKernel struct {
	*bound
	wgrad func(a *kernels.WgradArgs)
}

func newWgrad(b *bound) (*wgradKernel, error) {
	m, err := b.f.p.opts.ISA.Multiply(b.Conv.Chans)
	return &wgradKernel{b, m.Wgrad}, err
}

func (k *wgradKernel) run(u int, w *worker) {
	c := k.Conv
	e := w.begin(k.bound, u)
	partial := k.arg(0)[u*c.PartialElems():][:c.PartialElems()]
	clear(partial)
	share := (k.Grid.Samples + c.Splits - 1) / c.Splits
	samples := k.Grid.Samples
	if k.Grid.Batched {
		samples = k.f.n
	}
	rows := k.Grid.RowsPerUnit
	for n := u * share; n < min((u+1)*share, samples); n++ {
		for lo := 0; lo < c.P; lo += rows {
			k.band(e, partial, n, lo, min(lo+rows, c.P))
		}
	}
}

// band adds the gradient rows [lo, hi) of sample n.
func (k *wgradKernel) band(e *env, partial []float32, n, lo, hi int) {
	c := k.Conv
	g, x := k.gradient(e, n, lo, hi), k.picture(e, 1, n, lo, hi)
	for p := lo; p < hi; p += c.Step {
		k.multiply(e.w, g[(p-lo)*c.Q*c.OutPadded():], x[(p-lo)*c.Stride*c.TileCols()*c.C:], partial, p, min(p+c.Step, hi))
	}
}

// gradient returns the gradient's rows [lo, hi), of padded channels.
func (k *wgradKernel) gradient(e *env, sample, lo, hi int) []float32 {
	if source, ok := k.source(0, sample, lo); ok {
		return source
	}
	c := &k.Conv
	padded := c.OutPadded()
	g := e.w.floats(k.layout.Tiles[0], (hi-lo)*c.Q*padded)
	for r := lo; r < hi; r += k.strip {
		rows := min(k.strip, hi-r)
		e.tile = g[(r-lo)*c.Q*padded:]
		k.pro[0].rows(e, sample, r, rows)
		spread(e.tile, rows*c.Q, c.K, padded)
	}
	return g
}

// fewChannels are too few to keep a register tile's additions under way.
const fewChannels = 8

// multiply adds the products of the gradient's rows [lo, hi) in g with the tile x
// that they read. Of each tap it takes those results that the tap reaches from
// inside the picture. Of a picture of few channels, such as colours, the taps of a
// row of the filter are one tap of as many times the channels: they are neighbours in
// the tile and in the gradient.
func (k *wgradKernel) multiply(w *worker, g, x, partial []float32, lo, hi int) {
	c := &k.Conv
	padded := c.OutPadded()
	gRow, xRow := c.Q*padded, c.TileCols()*c.C
	joined := 1
	if c.C < fewChannels {
		joined = c.R
	}
	a := &w.wgrad
	*a = kernels.WgradArgs{C: joined * c.C, XRow: 4 * c.Stride * xRow, XStep: 4 * c.Stride * c.C,
		DYRow: 4 * gRow, DYStep: 4 * padded, DWStep: 4 * c.Chans}
	for kb := 0; kb < padded; kb += c.Chans {
		for r := range c.R {
			p0, p1 := c.Inside(r, c.P, c.H)
			p0, p1 = max(p0, lo), min(p1, hi)
			for s := 0; s < c.R; s += joined {
				q0, q1 := 0, c.Q
				if joined == 1 {
					q0, q1 = c.Inside(s, c.Q, c.W)
				}
				if p0 >= p1 || q0 >= q1 {
					continue
				}
				a.Rows, a.Pixels = p1-p0, q1-q0
				a.DY = unsafe.Pointer(&g[(p0-lo)*gRow+q0*padded+kb])
				a.X = unsafe.Pointer(&x[((p0-lo)*c.Stride+r)*xRow+(q0*c.Stride+s)*c.C])
				a.DW = unsafe.Pointer(&partial[(kb*c.R*c.R+(r*c.R+s)*c.Chans)*c.C])
				k.wgrad(a)
			}
		}
	}
}

// spread opens a row of pixels of c channels to padded channels, the rest zero.
func spread(row []float32, px, c, padded int) {
	if c == padded {
		return
	}
	for q := px - 1; q >= 0; q-- {
		copy(row[q*padded:q*padded+c], row[q*c:(q+1)*c])
		clear(row[q*padded+c : (q+1)*padded])
	}
}

// sumKernel adds the partials in the order of the splits and drains the rows of
// the gradient, each the filter [R,R,C] of one output channel. A unit is a
// block of Chans output channels.
type sumKernel struct{ *bound }

func (k *sumKernel) run(u int, w *worker) {
	c := k.Conv
	e := w.begin(k.bound, u)
	n := c.R * c.R * c.C
	size := n * c.Chans
	sum := w.floats(k.layout.Tiles[0], size)
	partial := k.arg(0)
	copy(sum, partial[u*size:])
	for s := 1; s < c.Splits; s++ {
		w.p.opts.ISA.Add(sum, sum, partial[s*c.PartialElems()+u*size:][:size], size)
	}
	_, lo, hi := k.Grid.Band(u)
	row := w.floats(k.layout.Result, n)
	for r := lo; r < hi; r++ {
		for i := range row {
			row[i] = sum[i*c.Chans+r-lo]
		}
		e.result, e.seen = row, (r-lo)*k.Grid.Px
		k.epi.rows(e, 0, r, 1)
	}
}

// mapKernel drains rows that come from memory alone.
type mapKernel struct{ *bound }

func (k *mapKernel) run(u int, w *worker) {
	e := w.begin(k.bound, u)
	sample, lo, hi := k.Grid.Band(u)
	for r := lo; r < hi; r += k.strip {
		e.seen = (r - lo) * k.Grid.Px
		k.epi.rows(e, sample, r, min(k.strip, hi-r))
	}
}

// poolKernel averages the pixels of one sample. A unit is a sample.
type poolKernel struct{ *bound }

func (k *poolKernel) run(u int, w *worker) {
	c := k.Conv
	e := w.begin(k.bound, u)
	e.tile = w.floats(k.layout.Tiles[0], c.W*c.C)
	mean := w.floats(k.layout.Result, c.C)
	clear(mean)
	for r := range c.H {
		k.pro[0].rows(e, u, r, 1)
		w.p.opts.ISA.SumRows(mean, e.tile, c.W, c.C)
	}
	area := float32(c.H * c.W)
	for i := range mean {
		mean[i] /= area
	}
	e.result = mean
	k.epi.rows(e, u, 0, 1)
}
