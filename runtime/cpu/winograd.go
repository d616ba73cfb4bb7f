package cpu

import (
	"unsafe"

	"wrnc/compiler/plan"
	kernels "wrnc/kernels/cpu"
	"wrnc/kernels/winograd"
)

// Winograd's convolution takes the same units, tiles and microkernels as the others: a
// product of the transformed filter with the transformed tiles is a 1x1 convolution,
// of which there are 16, one for each product.

// transform takes a block of Chans results of the filter, [9 taps][inputs][Chans], to
// [inputs][Chans] of each product, which lie as far apart as all blocks together. A
// gradient has the filter's taps turned around.
func (k *packKernel) transform(w *worker, filter, packed []float32) {
	c := &k.Conv
	n := c.In() * c.Chans
	tap, first := 4*n, 0
	if c.Dgrad {
		tap, first = -tap, (c.R*c.R-1)*n
	}
	product := 4 * c.OutPadded() * c.In()
	w.transform = kernels.TransformArgs{X: unsafe.Pointer(&filter[first]), Y: unsafe.Pointer(&packed[0]), Tiles: 1, C: n,
		XRow: c.R * tap, XCol: tap, YRow: winograd.Tile * product, YCol: product}
	w.p.opts.ISA.Winograd.Filter(&w.transform)
}

// transformPicture takes the tiles of some rows of results to v, [16 products][most
// tiles][channels].
func (w *worker) transformPicture(c *plan.ConvShape, tile, v []float32, rows, most int) {
	in, across := c.In(), c.OutCols()/winograd.Outputs
	pixel, row := 4*in, 4*in*c.TileCols()
	product := pixel * most
	a := &w.transform
	*a = kernels.TransformArgs{Tiles: across, C: in, XRow: row, XCol: pixel, XStep: winograd.Outputs * pixel,
		YRow: winograd.Tile * product, YCol: product, YStep: pixel}
	for r := range rows / winograd.Outputs {
		a.X = unsafe.Pointer(&tile[winograd.Outputs*r*row/4])
		a.Y = unsafe.Pointer(&v[r*across*in])
		w.p.opts.ISA.Winograd.Picture(a)
	}
}

// winograd computes some rows of the result.
func (k *convKernel) winograd(w *worker, tile, result []float32, rows int) {
	c := &k.Conv
	in, out := c.In(), c.Out()
	across, tiles := c.OutCols()/winograd.Outputs, c.WinogradTiles(rows)
	v := w.floats(k.layout.Winograd[0], c.WinogradElems(rows, in))
	m := w.floats(k.layout.Winograd[1], c.WinogradElems(rows, out))
	w.transformPicture(c, tile, v, rows, tiles)

	packed := k.arg(0)
	w.conv = kernels.ConvArgs{Taps: &k.one, NTaps: 1, C: in, Pixels: tiles, XStep: 4 * in, OutStep: 4 * out}
	for p := range winograd.Products {
		w.conv.X = unsafe.Pointer(&v[p*tiles*in])
		for kb := 0; kb < out; kb += c.Chans {
			w.conv.W = unsafe.Pointer(&packed[(p*out+kb)*in])
			w.conv.Out = unsafe.Pointer(&m[p*tiles*out+kb])
			k.conv(&w.conv)
		}
	}

	pixel, product := 4*out, 4*tiles*out
	a := &w.transform
	*a = kernels.TransformArgs{Tiles: across, C: out, XRow: winograd.Tile * product, XCol: product, XStep: pixel,
		YRow: pixel * c.OutCols(), YCol: pixel, YStep: winograd.Outputs * pixel}
	for r := range rows / winograd.Outputs {
		a.X = unsafe.Pointer(&m[r*across*out])
		a.Y = unsafe.Pointer(&result[winograd.Outputs*r*c.OutCols()*out])
		w.p.opts.ISA.Winograd.Result(a)
	}
}

// tiles are transformed tiles of a picture and of the gradient at its convolution's
// result, until there are enough to be multiplied.
type tiles struct {
	k       *wgradKernel
	e       *env
	partial []float32 // [block of K][16 products][C][Chans]
	rows    int       // of the gradient
}

// add takes the gradient's rows [lo, hi) of a sample, and what they come from.
func (t *tiles) add(sample, lo, hi int) {
	k, w, c := t.k, t.e.w, &t.k.Conv
	if t.rows+hi-lo > c.Step {
		t.multiply()
	}
	first := c.WinogradTiles(t.rows)
	t.rows += hi - lo
	v, z := t.memory()
	w.transformPicture(c, k.picture(t.e, 1, sample, lo, hi), v[first*c.C:], hi-lo, c.WinogradTiles(c.Step))
	w.transformGradient(c, k.gradient(t.e, sample, lo, hi), z[first*c.K:], hi-lo, c.WinogradTiles(c.Step))
}

// transformGradient takes the tiles of some rows of the gradient g to z, [16
// products][most tiles][K].
func (w *worker) transformGradient(c *plan.ConvShape, g, z []float32, rows, most int) {
	across := c.Q / winograd.Outputs
	pixel := 4 * c.K
	product := pixel * most
	a := &w.transform
	*a = kernels.TransformArgs{Tiles: across, C: c.K, XRow: pixel * c.Q, XCol: pixel, XStep: winograd.Outputs * pixel,
		YRow: winograd.Tile * product, YCol: product, YStep: pixel}
	for r := range rows / winograd.Outputs {
		a.X = unsafe.Pointer(&g[winograd.Outputs*r*c.Q*c.K])
		a.Y = unsafe.Pointer(&z[r*across*c.K])
		w.p.opts.ISA.Winograd.Gradient(a)
	}
}

// memory is where the picture's tiles lie, and the gradient's.
func (t *tiles) memory() (v, z []float32) {
	k, w := t.k, t.e.w
	return w.floats(k.layout.Winograd[0], k.Conv.WinogradElems(k.Conv.Step, k.Conv.C)), w.floats(k.layout.Winograd[1], k.Conv.WinogradElems(k.Conv.Step, k.Conv.K))
}

// multiply adds the products of the tiles that there are.
func (t *tiles) multiply() {
	if t.rows == 0 {
		return
	}
	c := &t.k.Conv
	v, z := t.memory()
	most := c.WinogradTiles(c.Step)
	a := &t.e.w.wgrad
	*a = kernels.WgradArgs{Rows: 1, Pixels: c.WinogradTiles(t.rows), C: c.C, XStep: 4 * c.C, DYStep: 4 * c.K, DWStep: 4 * c.Chans}
	for p := range winograd.Products {
		a.X = unsafe.Pointer(&v[p*most*c.C])
		for kb := 0; kb < c.K; kb += c.Chans {
			a.DY = unsafe.Pointer(&z[p*most*c.K+kb])
			a.DW = unsafe.Pointer(&t.partial[(kb*winograd.Products+p*c.Chans)*c.C])
			t.k.wgrad(a)
		}
	}
	t.rows = 0
}

// untransform takes a block of a filter's gradient, [16 products][C][Chans], to [9
// taps][C][Chans].
func (k *sumKernel) untransform(w *worker, sum []float32) []float32 {
	c := &k.Conv
	n := c.C * c.Chans
	taps := w.floats(k.layout.Tiles[1], c.R*c.R*n)
	w.transform = kernels.TransformArgs{X: unsafe.Pointer(&sum[0]), Y: unsafe.Pointer(&taps[0]), Tiles: 1, C: n,
		XRow: winograd.Tile * 4 * n, XCol: 4 * n, YRow: c.R * 4 * n, YCol: 4 * n}
	w.p.opts.ISA.Winograd.FilterGradient(&w.transform)
	return taps
}
