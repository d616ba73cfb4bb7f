package lower

import (
	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// flatRow is the length of a row of a tensor that has no pixels: long enough to
// hide a call, short enough for the first cache.
const flatRow = 2048

// flat is the grid of n elements without structure.
func flat(n int) plan.Grid {
	if n <= flatRow {
		return plan.Grid{Samples: 1, Rows: 1, Px: n, C: 1, RowsPerUnit: 1}
	}
	return plan.Grid{Samples: 1, Rows: (n + flatRow - 1) / flatRow, Px: flatRow, C: 1, RowsPerUnit: 8, Tail: n % flatRow}
}

// mapUnit is about how many elements a unit of a Map kernel covers.
const mapUnit = 1 << 14

// grid cuts a value's domain: a row of an activation is a picture's row, a row
// of a weight [K,R,S,C] one output channel's filter.
func (r *region) grid(v *ir.Value) plan.Grid {
	d := v.Type.Dims
	switch {
	case len(d) == 4 && r.batched[v]:
		return pictures(v.Type, true)
	case len(d) == 4:
		return plan.Grid{Samples: 1, Rows: d[0], Px: d[1] * d[2], C: d[3], RowsPerUnit: max(1, min(d[0], mapUnit/(d[1]*d[2]*d[3])))}
	}
	return flat(v.Type.Elems())
}

// pictures is the grid of activations [N,H,W,C]: a sample is one picture.
func pictures(t ir.Type, batched bool) plan.Grid {
	d := t.Dims
	return plan.Grid{Samples: d[0], Batched: batched, Rows: d[1], Px: d[2], C: d[3],
		RowsPerUnit: min(d[1], max(1, mapUnit/(d[2]*d[3])))}
}

// convShape is the geometry of the convolution between picture or gradient x,
// filter w and result y, all given as the root has them.
func (r *region) convShape(x, w, y ir.Type) plan.ConvShape {
	c := plan.ConvShape{H: x.Dims[1], W: x.Dims[2], P: y.Dims[1], Q: y.Dims[2],
		R: w.Dims[1], C: w.Dims[3], K: w.Dims[0], Pad: r.root.Attrs.Pad, Stride: r.root.Attrs.Stride}
	if r.root.Op == ir.Conv2DDgrad {
		c.H, c.W, c.P, c.Q = y.Dims[1], y.Dims[2], x.Dims[1], x.Dims[2]
		c.Dgrad = true
	}
	c.Chans = tileChans(c, r.arch)
	c.Winograd = winograd(c, r.arch)
	c.CBlock = channelBlock(c, r.arch)
	return c
}

// tileChans is the width of the multiply's tile: the target's, or the narrower one
// where that leaves less of the last tile unused. For 16 channels, AVX-512's tile
// of 32 would do the work twice.
func tileChans(c plan.ConvShape, arch plan.Arch) int {
	width := func(chans int) int {
		c.Chans = chans
		return c.OutPadded()
	}
	if arch.Narrow > 0 && width(arch.Narrow) < width(arch.Chans) {
		return arch.Narrow
	}
	return arch.Chans
}

// fewInputs is a product of input channels and lanes of a vector below which Winograd's
// transforms cost more than they save: the sums of its products are short, and there are
// 16 to begin and to store. From 16 channels on they pay with AVX-512, from 32 with AVX2.
const fewInputs = 256

// winograd tells whether a convolution is done by Winograd's tiles: on the CPU where
// they fit. Its products are fewer than half of the others', its sums shorter.
func winograd(c plan.ConvShape, arch plan.Arch) bool {
	lanes := arch.Narrow
	if lanes == 0 {
		lanes = arch.Chans
	}
	return !arch.OnGPU() && c.In()*lanes >= fewInputs && c.WinogradFits()
}

// channelBlock is the number of input channels whose weights, for one tile of
// output channels and all taps, take a quarter of the second cache: while pixels
// pass by, they are read again and again and in order. Blocks for the first cache
// are slower: each is one more pass over the results, and over pixels of which it
// takes a few channels each.
func channelBlock(c plan.ConvShape, arch plan.Arch) int {
	if c.Winograd {
		return c.In()
	}
	fits := max(4, arch.L2/4/(4*c.R*c.R*c.Chans))
	blocks := (c.In() + fits - 1) / fits
	return (c.In() + blocks - 1) / blocks
}

// convBand is the number of result rows of a unit: as many as keep tile and
// result within half of the second cache, cut evenly. A unit of a strided
// dgrad starts at the first phase. Winograd's transformed tiles may make it four times
// as much: they pass by once, and each unit reads all transformed weights.
func convBand(c plan.ConvShape, arch plan.Arch) int {
	rows := c.OutRows()
	limit := arch.L2 / 2
	if c.Winograd {
		limit *= 4
	}
	fit := 1
	for n := 1; n <= rows; n++ {
		bytes := 4 * (c.MaxTileRows(n)*c.TileCols()*c.In() + n*c.OutCols()*c.OutPadded() + c.WinogradElems(n, c.In()+c.OutPadded()))
		if bytes > limit {
			break
		}
		fit = n
	}
	return cutEvenly(rows, (rows+fit-1)/fit, c.UnitStep())
}

// fewUnits is the number of units below which those of a convolution are cut smaller,
// for more workers to have one: 8 are shared evenly by two, four and eight. A unit of
// few rows multiplies a little slower.
const fewUnits = 8

// shareBand is the number of result rows of a unit, where convBand would take so many
// that a few samples have fewer than fewUnits units. At least two rows stay together.
func shareBand(c plan.ConvShape, samples int, arch plan.Arch) int {
	rows, band := c.OutRows(), convBand(c, arch)
	bands := (rows + band - 1) / band
	wanted := min((fewUnits+samples-1)/samples, rows/2)
	if bands >= wanted {
		return band
	}
	return cutEvenly(rows, wanted, c.UnitStep())
}

// cutEvenly is the number of rows of each of some bands, a multiple of step.
func cutEvenly(rows, bands, step int) int {
	band := (rows + bands - 1) / bands
	return (band + step - 1) / step * step
}

// partialBudget bounds the memory of all partial weight gradients of a kernel.
const partialBudget = 32 << 20

// wgradSplits is the number of partial weight gradients: enough to share among
// many workers, not so many that adding them up costs more than it gains.
func wgradSplits(c plan.ConvShape, samples int) int {
	return max(1, min(samples, 16, max(2, partialBudget/(4*c.PartialElems()))))
}

// fewTiles are too few to hide the time in which the gradient's sums are read and
// written again.
const fewTiles = 64

// winogradStep is the number of the gradient's rows, of one sample or of several of a
// split, whose tiles are multiplied at a time: whole bands, and so many that their tiles
// are not few.
func winogradStep(c plan.ConvShape, band, samples int) int {
	tiles := c.WinogradTiles(band)
	bands := (samples + c.Splits - 1) / c.Splits * ((c.P + band - 1) / band)
	return band * min(bands, (fewTiles+tiles-1)/tiles)
}
