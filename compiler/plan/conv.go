package plan

import (
	"slices"

	"wrnc/kernels/winograd"
)

// ConvShape is the geometry of a convolution kernel: the picture [H,W,C] that
// its filter [K,R,R,C] reads, and the result [P,Q,K]. For a gradient (Dgrad) the
// kernel reads [P,Q,K] and produces [H,W,C].
type ConvShape struct {
	H, W, C     int
	P, Q, K     int
	R           int // filter rows and columns
	Pad, Stride int
	Dgrad       bool
	Chans       int // output channels of a multiply tile
	CBlock      int // input channels whose weights are used together
	Splits      int // wgrad: partial sums, each of a fixed share of the full batch
	Step        int // wgrad: rows of the gradient that are multiplied at a time; Winograd's may be of several samples

	// Winograd has tiles of 2x2 results computed by 16 products a channel instead of
	// 36: see package winograd, and WinogradFits. Inputs are not cut into blocks.
	Winograd bool
}

// WinogradFits tells whether tiles of 2x2 results cover the convolution: that of a 3x3
// filter with stride 1, an even number of rows and of columns, and result channels that
// fill the multiply's tiles.
func (c ConvShape) WinogradFits() bool {
	return c.R == 3 && c.Stride == 1 && c.Pad == 1 && c.P%winograd.Outputs == 0 && c.Q%winograd.Outputs == 0 && c.Out() == c.OutPadded()
}

// Products is the number of weights of an input and an output channel that are
// multiplied: those of each tap, or of Winograd's transformed filter.
func (c ConvShape) Products() int {
	if c.Winograd {
		return winograd.Products
	}
	return c.R * c.R
}

// UnitStep is what the number of rows of a unit is a multiple of: phases and tiles
// stay whole.
func (c ConvShape) UnitStep() int {
	if c.Winograd {
		return winograd.Outputs
	}
	return c.OutStep()
}

// WinogradTiles is the number of tiles of some rows of the result.
func (c ConvShape) WinogradTiles(rows int) int {
	return rows / winograd.Outputs * (c.OutCols() / winograd.Outputs)
}

// WinogradElems is the size of those tiles' products, or of what is multiplied to yield
// them: [16 products][tiles][channels].
func (c ConvShape) WinogradElems(rows, channels int) int {
	if !c.Winograd {
		return 0
	}
	return winograd.Products * c.WinogradTiles(rows) * channels
}

// In is the number of channels that a multiply sums over, Out the number it
// produces.
func (c ConvShape) In() int {
	if c.Dgrad {
		return c.K
	}
	return c.C
}

// Out is the number of channels of the result.
func (c ConvShape) Out() int {
	if c.Dgrad {
		return c.C
	}
	return c.K
}

// OutPadded is Out rounded up to whole multiply tiles.
func (c ConvShape) OutPadded() int { return (c.Out() + c.Chans - 1) / c.Chans * c.Chans }

// InRows and InCols are the size of the picture that the prologue yields.
func (c ConvShape) InRows() int {
	if c.Dgrad {
		return c.P
	}
	return c.H
}

// InCols is the number of columns of the prologue's picture.
func (c ConvShape) InCols() int {
	if c.Dgrad {
		return c.Q
	}
	return c.W
}

// OutRows is the number of rows of the result.
func (c ConvShape) OutRows() int {
	if c.Dgrad {
		return c.H
	}
	return c.P
}

// OutCols is the number of columns of the result.
func (c ConvShape) OutCols() int {
	if c.Dgrad {
		return c.W
	}
	return c.Q
}

// Border is the number of zero rows and columns on each side of the tile, so
// that every tap of every result lies inside it.
func (c ConvShape) Border() int {
	if c.Dgrad {
		return max(c.R-1-c.Pad, c.Pad)
	}
	return c.Pad
}

// TileCols is the number of columns of the tile.
func (c ConvShape) TileCols() int { return c.InCols() + 2*c.Border() }

// InStep is the distance in the tile between the inputs of neighbouring results
// of one phase; OutStep the distance between those results.
func (c ConvShape) InStep() int {
	if c.Dgrad {
		return 1
	}
	return c.Stride
}

// OutStep is the distance between neighbouring results of one phase: a strided
// dgrad has Stride x Stride phases, by the parity of row and column.
func (c ConvShape) OutStep() int {
	if c.Dgrad {
		return c.Stride
	}
	return 1
}

// Tap is a position of the filter as one phase of the kernel sees it.
type Tap struct {
	R      int // row (or column) of the filter
	Offset int // in tile rows (or columns), from InStep times the result's index in its phase
}

// Taps lists the filter rows that reach results of the given phase, and where
// in the tile; columns behave alike. In the forward direction result p reads
// input row p*Stride + r - Pad. Backward, result h = OutStep*i + phase gets
// gradient row (h + Pad - r)/Stride for those r that divide.
func (c ConvShape) Taps(phase int) []Tap {
	var taps []Tap
	for r := range c.R {
		if !c.Dgrad {
			taps = append(taps, Tap{r, r - c.Pad + c.Border()})
			continue
		}
		if d := phase + c.Pad - r; d%c.Stride == 0 {
			taps = append(taps, Tap{r, d/c.Stride + c.Border()})
		}
	}
	return taps
}

// Run is a range of results of one phase, along rows or columns, and the taps that
// reach them from inside the picture.
type Run struct {
	Lo, Hi int // in results of the phase
	Taps   []Tap
}

// Runs cuts the results of a phase along one axis where the taps that read the
// picture, and not the zeros around it, change. results is the number of rows or
// columns of the result, inputs that of the picture.
func (c ConvShape) Runs(phase, results, inputs int) []Run {
	var runs []Run
	taps := c.Taps(phase)
	for i := range (results - phase + c.OutStep() - 1) / c.OutStep() {
		var inside []Tap
		for _, t := range taps {
			if at := i*c.InStep() + t.Offset - c.Border(); at >= 0 && at < inputs {
				inside = append(inside, t)
			}
		}
		if n := len(runs); n > 0 && slices.Equal(runs[n-1].Taps, inside) {
			runs[n-1].Hi++
			continue
		}
		runs = append(runs, Run{i, i + 1, inside})
	}
	return runs
}

// Inside returns the results [lo, hi), rows or columns, that filter row or column r
// reaches from inside the picture in the forward direction. results and inputs are
// as in [ConvShape.Runs].
func (c ConvShape) Inside(r, results, inputs int) (lo, hi int) {
	lo = max(0, c.Pad-r+c.Stride-1) / c.Stride
	hi = min(results, max(0, inputs+c.Pad-r+c.Stride-1)/c.Stride)
	return min(lo, hi), hi
}

// TileRows returns the input rows [lo, hi) that results [p0, p1) read, rows
// outside the picture included.
func (c ConvShape) TileRows(p0, p1 int) (lo, hi int) {
	if !c.Dgrad {
		return p0*c.Stride - c.Pad, (p1-1)*c.Stride - c.Pad + c.R
	}
	return p0/c.Stride - c.Border(), (p1-1)/c.Stride + c.Border() + 1
}

// MaxTileRows is the largest number of tile rows that rows results need.
func (c ConvShape) MaxTileRows(rows int) int {
	if !c.Dgrad {
		return (rows-1)*c.Stride + c.R
	}
	return (rows-1)/c.Stride + 2 + 2*c.Border()
}

// Window returns the rows [lo, hi) of a picture of n rows that row p of a
// maxpool's result sees; columns behave alike.
func (c ConvShape) Window(p, n int) (lo, hi int) {
	first := p*c.Stride - c.Pad
	return max(0, first), min(n, first+c.R)
}

// PackedElems is the size of the packed weight: [block of Chans results][block
// of CBlock inputs][R*R taps][inputs][Chans], or for Winograd [16 products][block of
// Chans results][inputs][Chans].
func (c ConvShape) PackedElems() int { return c.OutPadded() * c.Products() * c.In() }

// SplitElems is the size of the partial weight gradient of one split of a
// WgradSum: tiles of M x N channels, each of all R*R taps, padded at the edges.
func (k *Kernel) SplitElems() int {
	c, t := k.Conv, k.Block
	return (c.K + t.M - 1) / t.M * t.M * ((c.C + t.N - 1) / t.N * t.N) * c.R * c.R
}

// PartialElems is the size of one partial weight gradient: [block of Chans of
// K][R*R taps or Winograd's products][C][Chans].
func (c ConvShape) PartialElems() int {
	return c.Products() * c.C * ((c.K + c.Chans - 1) / c.Chans * c.Chans)
}

// TapRange is the least and the greatest distance, in rows of the gradient, from
// a result of a strided dgrad in its phase's plane to the gradients it reads:
// those of row h = Stride*i + phase lie at i + d for some d in [lo, hi].
func (c ConvShape) TapRange() (lo, hi int) {
	lo, hi = 1<<30, -1<<30
	for phase := range c.OutStep() {
		for _, t := range c.Taps(phase) {
			lo, hi = min(lo, t.Offset-c.Border()), max(hi, t.Offset-c.Border())
		}
	}
	return lo, hi
}
