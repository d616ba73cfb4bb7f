package cpu

import (
	"unsafe"

	"wrnc/compiler/plan"
)

// phase is the set of taps that reach the results of one parity of row and
// column; there is one phase but for a strided gradient.
type phase struct {
	offsets []int64 // of each tap in the tile, in bytes
	first   int     // the phase's first tap in the packed weight
}

// packedTaps lists the filter positions r*R+s in the order in which the packed
// weight has them: phase by phase, so that a phase's taps are neighbours.
func packedTaps(c plan.ConvShape) []int {
	var order []int
	for a := range c.OutStep() {
		for b := range c.OutStep() {
			for _, r := range c.Taps(a) {
				for _, s := range c.Taps(b) {
					order = append(order, r.R*c.R+s.R)
				}
			}
		}
	}
	return order
}

// packKernel lays a filter [K,R,R,C] out for the multiply:
// [block of results][block of inputs][tap][input][result within the block],
// with zeros for results past the last. A unit is a block of results.
type packKernel struct {
	*bound
	taps []int
}

func (k *packKernel) run(u int, _ *worker) {
	c := k.Conv
	w, dst := k.arg(0), k.arg(1)
	in, out, rr := c.In(), c.Out(), c.R*c.R
	dst = dst[u*rr*in*c.Chans:][:rr*in*c.Chans]
	first, n := u*c.Chans, min(c.Chans, out-u*c.Chans)
	if n < c.Chans {
		clear(dst)
	}
	for i0 := 0; i0 < in; i0 += c.CBlock {
		ins := min(c.CBlock, in-i0)
		for t, tap := range k.taps {
			block := dst[(i0*rr+t*ins)*c.Chans:]
			if c.Dgrad { // input i is the filter's K, the results its C
				for i := range ins {
					copy(block[i*c.Chans:][:n], w[((i0+i)*rr+tap)*c.C+first:])
				}
				continue
			}
			for j := range n {
				src := w[((first+j)*rr+tap)*c.C+i0:][:ins]
				for i, v := range src {
					block[i*c.Chans+j] = v
				}
			}
		}
	}
}

// convKernel fills a tile with the prologue's rows, multiplies it with the
// packed filter, and drains the rows of the result. A unit is a band of result
// rows of one sample.
type convKernel struct {
	*bound
	phases [][]phase // by row and column parity
}

func newConv(b *bound) *convKernel {
	c := b.Conv
	k := &convKernel{bound: b}
	first := 0
	for a := range c.OutStep() {
		var row []phase
		for b := range c.OutStep() {
			ph := phase{first: first}
			for _, r := range c.Taps(a) {
				for _, s := range c.Taps(b) {
					ph.offsets = append(ph.offsets, int64(4*(r.Offset*c.TileCols()+s.Offset)*c.In()))
				}
			}
			first += len(ph.offsets)
			row = append(row, ph)
		}
		k.phases = append(k.phases, row)
	}
	return k
}

func (k *convKernel) run(u int, w *worker) {
	c := k.Conv
	sample, lo, hi := k.Grid.Band(u)
	e := w.begin(k.bound, u)
	tile := w.floats(k.layout.Tiles[0], c.MaxTileRows(hi-lo)*c.TileCols()*c.In())
	result := w.floats(k.layout.Result, (hi-lo)*c.OutCols()*c.OutPadded())
	t0, t1 := c.TileRows(lo, hi)
	fill(e, k.pro[0], tile, sample, t0, t1, c.Border(), c.TileCols())
	k.multiply(w, tile, result, lo, hi)
	k.drain(e, result, sample, lo, hi)
}

// fill writes rows [t0, t1) of a picture through its prologue into a tile of
// cols pixels a row, with border zero pixels at each end and rows of zeros for
// rows outside the picture: padding is zero after the prologue.
func fill(e *env, t *tape, tile []float32, sample, t0, t1, border, cols int) {
	g := &t.grid
	edge, inner := border*g.C, g.Px*g.C
	for r := t0; r < t1; r++ {
		row := tile[(r-t0)*cols*g.C:][:cols*g.C]
		if r < 0 || r >= g.Rows {
			clear(row)
			continue
		}
		clear(row[:edge])
		clear(row[edge+inner:])
		e.tile = row[edge : edge+inner]
		t.row(e, sample, r)
	}
}

func (k *convKernel) multiply(w *worker, tile, result []float32, lo, hi int) {
	c := k.Conv
	packed := k.arg(0)
	conv := k.f.p.opts.ISA.Conv
	in, cols, chans, padded, rr := c.In(), c.OutCols(), c.Chans, c.OutPadded(), c.R*c.R
	step, tileRow := c.OutStep(), c.TileCols()*in
	a := &w.conv
	a.XStep, a.OutStep = 4*c.InStep()*in, 4*step*padded
	for kb := 0; kb < padded; kb += chans {
		for i0 := 0; i0 < in; i0 += c.CBlock {
			ins := min(c.CBlock, in-i0)
			weights := packed[(kb*in+i0*chans)*rr:]
			a.C = ins
			a.Accumulate = 0
			if i0 > 0 {
				a.Accumulate = 1
			}
			for p := lo; p < hi; p++ {
				x := tile[(p/step-lo/step)*c.InStep()*tileRow+i0:]
				for b := range step {
					ph := &k.phases[p%step][b]
					a.Pixels = (cols - b + step - 1) / step
					if a.Pixels <= 0 {
						continue
					}
					out := result[((p-lo)*cols+b)*padded+kb:]
					if len(ph.offsets) == 0 {
						zeroPixels(out, a.Pixels, step*padded, chans)
						continue
					}
					a.NTaps = len(ph.offsets)
					a.Taps = &ph.offsets[0]
					a.X = unsafe.Pointer(&x[0])
					a.W = unsafe.Pointer(&weights[ph.first*ins*chans])
					a.Out = unsafe.Pointer(&out[0])
					conv(a)
				}
			}
		}
	}
}

// zeroPixels clears chans channels of every pixel that no tap reaches, as a
// strided 1x1 filter leaves them.
func zeroPixels(out []float32, pixels, step, chans int) {
	for i := range pixels {
		clear(out[i*step:][:chans])
	}
}

// drain closes the gaps that channel padding leaves in the rows of the result
// and runs the epilogue on each.
func (k *bound) drain(e *env, result []float32, sample, lo, hi int) {
	c := k.Conv
	cols, out, padded := c.OutCols(), c.Out(), c.OutPadded()
	for r := lo; r < hi; r++ {
		row := result[(r-lo)*cols*padded:][:cols*padded]
		if out != padded {
			for q := 1; q < cols; q++ {
				copy(row[q*out:(q+1)*out], row[q*padded:])
			}
		}
		e.result = row
		e.seen = (r - lo) * cols
		k.epi.row(e, sample, r)
	}
}
