package cpu

import (
	"unsafe"

	"wrnc/compiler/plan"
	kernels "wrnc/kernels/cpu"
)

// packKernel lays a filter [K,R,R,C] out for the multiply:
// [block of results][block of inputs][tap][input][result within the block],
// with zeros for results past the last. A unit is a block of results.
type packKernel struct{ *bound }

func (k *packKernel) run(u int, worker *worker) {
	c := k.Conv
	w, dst := k.arg(0), k.arg(1)
	in, out, rr := c.In(), c.Out(), c.R*c.R
	dst = dst[u*rr*in*c.Chans:][:rr*in*c.Chans]
	first, n := u*c.Chans, min(c.Chans, out-u*c.Chans)
	if !c.Dgrad { // read in order; below one tap's channels at a time, a stride that no prefetcher follows
		filters := worker.floats(k.layout.Tiles[0], n*rr*in)
		copy(filters, w[first*rr*in:])
		w = filters
	}
	if n < c.Chans {
		clear(dst)
	}
	for i0 := 0; i0 < in; i0 += c.CBlock {
		ins := min(c.CBlock, in-i0)
		for tap := range rr {
			block := dst[(i0*rr+tap*ins)*c.Chans:]
			if c.Dgrad { // input i is the filter's K, the results its C
				for i := range ins {
					copy(block[i*c.Chans:][:n], w[((i0+i)*rr+tap)*c.C+first:])
				}
				continue
			}
			for j := range n {
				src := w[(j*rr+tap)*c.C+i0:][:ins]
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
	conv  func(a *kernels.ConvArgs)
	areas []area
	home  []float32 // where the results are computed, if not in scratch
}

// area is a rectangle of one phase's results that the same taps reach. There is
// one phase, but for a strided gradient: there the results of each parity of row
// and column have taps of their own.
type area struct {
	row, col       int // the phase
	p0, p1, q0, q1 int // rows and columns, counted in the phase
	columns        bool
	blocks         [2][]kernels.Tap // for a block of CBlock inputs, and for the last block
}

func newConv(b *bound) (*convKernel, error) {
	c := b.Conv
	m, err := b.f.p.opts.ISA.Multiply(c.Chans)
	if err != nil {
		return nil, err
	}
	k := &convKernel{bound: b, conv: m.Conv}
	if home, ok := b.Home(); ok {
		k.home = b.arg(home)
	}
	for row := range c.OutStep() {
		for col := range c.OutStep() {
			k.phase(row, col)
		}
	}
	return k, nil
}

// phase cuts the results of a phase into areas, so that zeros around the picture
// are not multiplied. A few columns at the picture's edge are walked downwards,
// with the rows' edges in them: a line of one or two pixels would not fill a
// register tile.
func (k *convKernel) phase(row, col int) {
	c := k.Conv
	rows := c.Runs(row, c.OutRows(), c.InRows())
	if len(rows) == 0 {
		return
	}
	for _, q := range c.Runs(col, c.OutCols(), c.InCols()) {
		if q.Hi-q.Lo < k.Grid.RowsPerUnit/c.OutStep() {
			k.areas = append(k.areas, area{row, col, 0, rows[len(rows)-1].Hi, q.Lo, q.Hi, true, k.taps(c.Taps(row), q.Taps)})
			continue
		}
		for _, p := range rows {
			k.areas = append(k.areas, area{row, col, p.Lo, p.Hi, q.Lo, q.Hi, false, k.taps(p.Taps, q.Taps)})
		}
	}
}

// taps are the products of rows and columns of the filter, for both sizes of a
// block of inputs.
func (k *convKernel) taps(rows, columns []plan.Tap) (blocks [2][]kernels.Tap) {
	c := k.Conv
	for i, ins := range []int{c.CBlock, c.In() % c.CBlock} {
		for _, r := range rows {
			for _, s := range columns {
				blocks[i] = append(blocks[i], kernels.Tap{
					X: int64(4 * (r.Offset*c.TileCols() + s.Offset) * c.In()),
					W: int64(4 * (r.R*c.R + s.R) * ins * c.Chans),
				})
			}
		}
	}
	return blocks
}

func (k *convKernel) run(u int, w *worker) {
	c := k.Conv
	sample, lo, hi := k.Grid.Band(u)
	e := w.begin(k.bound, u)
	n := (hi - lo) * c.OutCols() * c.OutPadded()
	var result []float32
	if k.home != nil {
		result = k.home[(sample*c.OutRows()+lo)*c.OutCols()*c.Out():][:n]
	} else {
		result = w.floats(k.layout.Result, n)
	}
	k.multiply(w, k.picture(e, 0, sample, lo, hi), result, lo, hi)
	k.drain(e, result, sample, lo, hi)
}

// picture returns the tile that prologue i makes for the result's rows [lo, hi).
func (k *bound) picture(e *env, i, sample, lo, hi int) []float32 {
	c, t := &k.Conv, k.pro[i]
	t0, t1 := c.TileRows(lo, hi)
	if source, ok := k.source(i, sample, t0); ok {
		return source
	}
	tile := e.w.floats(k.layout.Tiles[i], (t1-t0)*c.TileCols()*t.grid.C)
	fill(e, t, tile, sample, t0, t1, c)
	return tile
}

// source returns what lies in memory as prologue i would make it, from a row on.
func (k *bound) source(i, sample, row int) ([]float32, bool) {
	arg, ok := k.Source(i)
	if !ok {
		return nil, false
	}
	g := &k.pro[i].grid
	return k.arg(arg)[(sample*g.Rows+row)*g.Px*g.C:], true
}

// fill writes rows [t0, t1) of a picture through its prologue into the tile of a
// convolution c, with a border of zero pixels at each end and rows of zeros for
// rows outside the picture: padding is zero after the prologue. Rows between those
// that a small filter with a stride reads are left out.
func fill(e *env, t *tape, tile []float32, sample, t0, t1 int, c *plan.ConvShape) {
	g := &t.grid
	cols := c.TileCols()
	edge, inner := c.Border()*g.C, g.Px*g.C
	for r := t0; r < t1; r++ {
		if (r-t0)%c.InStep() >= c.R {
			continue
		}
		row := tile[(r-t0)*cols*g.C:][:cols*g.C]
		if r < 0 || r >= g.Rows {
			clear(row)
			continue
		}
		clear(row[:edge])
		clear(row[edge+inner:])
		e.tile = row[edge : edge+inner]
		t.rows(e, sample, r, 1)
	}
}

// multiply computes the result's rows [lo, hi): for each block of outputs, for each
// block of inputs whose weights stay in the second cache, all areas, line by line.
func (k *convKernel) multiply(w *worker, tile, result []float32, lo, hi int) {
	c := k.Conv
	packed := k.arg(0)
	in, padded := c.In(), c.OutPadded()
	a := &w.conv
	for kb := 0; kb < padded; kb += c.Chans {
		for i0 := 0; i0 < in; i0 += c.CBlock {
			a.C = min(c.CBlock, in-i0)
			a.W = unsafe.Pointer(&packed[kb*in*c.R*c.R+i0*c.Chans*c.R*c.R])
			a.Accumulate = min(i0, 1)
			for i := range k.areas {
				k.areas[i].lines(k, a, tile[i0:], result[kb:], lo, hi)
			}
		}
	}
}

// lines computes what of the area lies in rows [lo, hi).
func (s *area) lines(k *convKernel, a *kernels.ConvArgs, tile, result []float32, lo, hi int) {
	c := &k.Conv
	step, base := c.OutStep(), lo/c.OutStep()
	p0, p1 := max(s.p0, base), min(s.p1, (hi-s.row+step-1)/step)
	if p0 >= p1 {
		return
	}
	xCol := c.InStep() * c.In()
	xRow := xCol * c.TileCols()
	outCol := step * c.OutPadded()
	outRow := outCol * c.OutCols()
	taps := s.blocks[0]
	if a.C < c.CBlock {
		taps = s.blocks[1]
	}
	a.Taps, a.NTaps = unsafe.SliceData(taps), len(taps)
	x := (p0-base)*xRow + s.q0*xCol
	out := (p0-base)*outRow + s.q0*outCol + (s.row*c.OutCols()+s.col)*c.OutPadded()
	lines, xLine, outLine := p1-p0, xRow, outRow
	a.Pixels, a.XStep, a.OutStep = s.q1-s.q0, 4*xCol, 4*outCol
	if s.columns {
		lines, xLine, outLine = s.q1-s.q0, xCol, outCol
		a.Pixels, a.XStep, a.OutStep = p1-p0, 4*xRow, 4*outRow
	}
	for i := range lines {
		a.X = unsafe.Pointer(&tile[x+i*xLine])
		a.Out = unsafe.Pointer(&result[out+i*outLine])
		k.conv(a)
	}
}

// drain closes the gaps that channel padding leaves in the rows of the result
// and runs the epilogue on them.
func (k *bound) drain(e *env, result []float32, sample, lo, hi int) {
	c := k.Conv
	cols, out, padded := c.OutCols(), c.Out(), c.OutPadded()
	if out != padded {
		for q := 1; q < (hi-lo)*cols; q++ {
			copy(result[q*out:(q+1)*out], result[q*padded:])
		}
	}
	for r := lo; r < hi; r += k.strip {
		e.result = result[(r-lo)*cols*out:]
		e.seen = (r - lo) * cols
		k.epi.rows(e, sample, r, min(k.strip, hi-r))
	}
}
