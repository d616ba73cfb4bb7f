package plan

import (
	"fmt"

	"wrnc/compiler/ir"
)

// MaxPixels and MaxFilter bound a convolution, far above any picture or filter that is trained.
// With them every product of [Kernel.Layout] fits an int.
const (
	MaxPixels = 1 << 13 // rows, and columns, of a picture
	MaxFilter = 1 << 6  // rows of a filter, and the stride
)

func (g Grid) verify(batch int) error {
	elems := 1
	for _, n := range []int{g.Samples, g.Rows, g.Px, g.C} {
		if n < 1 || n > maxSize/8/elems {
			return fmt.Errorf("the grid %s is out of bounds", g.text())
		}
		elems *= n
	}
	switch {
	case g.RowsPerUnit < 1 || g.RowsPerUnit > maxSize/elems:
		return fmt.Errorf("the grid has units of %d rows", g.RowsPerUnit)
	case g.SamplesPerUnit < 0 || g.SamplesPerUnit > maxSize/elems || g.PxPerUnit < 0 || g.PxPerUnit > maxSize/elems:
		return fmt.Errorf("the grid has units of %d samples and %d pixels", g.SamplesPerUnit, g.PxPerUnit)
	case g.Step < 0 || g.Step > MaxFilter || g.Step > 0 && (g.RowsPerUnit%g.Step != 0 || g.PxPerUnit%g.Step != 0):
		return fmt.Errorf("the grid has units of every %d-th row", g.Step)
	case g.Tail < 0 || g.Tail >= g.Px*g.C || g.Tail > 0 && g.Samples > 1:
		return fmt.Errorf("the grid's last row has %d of %d elements", g.Tail, g.Px*g.C)
	case g.Batched && g.Samples != batch:
		return fmt.Errorf("the grid has %d samples, the batch %d", g.Samples, batch)
	}
	return nil
}

// elems is the number of elements of the domain.
func (g Grid) elems() int {
	n := g.Samples * g.Rows * g.Px * g.C
	if g.Tail > 0 {
		n += g.Tail - g.Px*g.C
	}
	return n
}

// verifyConv checks that the geometry is that of a convolution, and that the
// grid is the domain that the kind works on.
func (v *kernelVerifier) verifyConv() error {
	k, c := v.k, v.k.Conv
	if k.Kind == Pool {
		if c.H < 1 || c.W < 1 || c.C < 1 || max(c.H, c.W) > MaxPixels || c.C > maxCount {
			return fmt.Errorf("the picture of %dx%d pixels of %d channels is out of bounds", c.H, c.W, c.C)
		}
		if c != (ConvShape{H: c.H, W: c.W, C: c.C}) {
			return fmt.Errorf("pooling has a picture and no filter")
		}
		return v.verifyDomain(1, 1, c.C)
	}
	if k.Kind == MaxPool || k.Kind == MaxPoolGrad {
		return v.verifyWindow()
	}
	switch {
	case min(c.H, c.W, c.C, c.P, c.Q, c.K) < 1 || max(c.H, c.W, c.P, c.Q) > MaxPixels || max(c.C, c.K) > maxCount:
		return fmt.Errorf("convolution: the sizes %s are out of bounds", c.text())
	case min(c.R, c.Stride) < 1 || max(c.R, c.Stride) > MaxFilter || c.Pad < 0 || c.Pad >= c.R:
		return fmt.Errorf("convolution: filter %d, pad %d or stride %d is out of bounds", c.R, c.Pad, c.Stride)
	case c.P != ir.ConvOut(c.H, c.R, c.Pad, c.Stride) || c.Q != ir.ConvOut(c.W, c.R, c.Pad, c.Stride):
		return fmt.Errorf("convolution: %dx%d with filter %d, pad %d, stride %d gives %dx%d, not %dx%d", c.H, c.W, c.R, c.Pad, c.Stride,
			ir.ConvOut(c.H, c.R, c.Pad, c.Stride), ir.ConvOut(c.W, c.R, c.Pad, c.Stride), c.P, c.Q)
	case c.Chans != v.p.Arch.Chans && (c.Chans != v.p.Arch.Narrow || c.Chans == 0):
		return fmt.Errorf("convolution: tiles of %d channels, the target's have %d", c.Chans, v.p.Arch.Chans)
	case c.CBlock < 1 || c.CBlock > c.In():
		return fmt.Errorf("convolution: blocks of %d of %d input channels", c.CBlock, c.In())
	case c.Winograd && (!c.WinogradFits() || c.CBlock != c.In() || k.Block != (Block{})):
		return fmt.Errorf("convolution: Winograd's tiles do not fit %s", c.text())
	}
	switch k.Kind {
	case WgradSum:
		t := k.Block
		if c.Dgrad || c.Splits < 1 || c.Splits > maxCount || c.Step != 0 || min(t.M, t.N) < 1 || c.Splits > maxSize/8/k.SplitElems() {
			return fmt.Errorf("weight gradient: %d splits, steps of %d rows, tiles of %dx%d", c.Splits, c.Step, t.M, t.N)
		}
	case Wgrad, Sum:
		if c.Dgrad || c.Splits < 1 || c.Splits > maxCount || c.Step < 1 || c.Step > c.P && !c.Winograd || c.Step > maxCount || c.Splits > maxSize/8/c.PartialElems() {
			return fmt.Errorf("weight gradient: %d splits, steps of %d rows of %d", c.Splits, c.Step, c.P)
		}
	default:
		if c.Splits != 0 || c.Step != 0 {
			return fmt.Errorf("convolution: only a weight gradient has splits and steps")
		}
	}
	switch k.Kind {
	case Conv:
		rows := c.OutRows()
		if u := k.Grid.RowsPerUnit; u%c.UnitStep() != 0 || u > rows+c.UnitStep() {
			return fmt.Errorf("units of %d rows of %d, expected a multiple of the step %d", u, rows, c.UnitStep())
		}
		return v.verifyDomain(rows, c.OutCols(), c.Out())
	case Wgrad:
		if u := k.Grid.RowsPerUnit; u > c.P || u%c.UnitStep() != 0 || c.Winograd && c.Step%u != 0 {
			return fmt.Errorf("units of %d rows of %d, of which %d are multiplied at a time", u, c.P, c.Step)
		}
		if c.Splits > k.Grid.Samples {
			return fmt.Errorf("%d splits of %d samples", c.Splits, k.Grid.Samples)
		}
		return v.verifyDomain(c.P, c.Q, c.K)
	case Sum:
		return v.verifyDomain(c.K, c.R*c.R, c.C)
	case WgradSum:
		if err := k.Pixels.verify(v.p.Batch); err != nil {
			return err
		}
		if g := k.Pixels; g.Rows != c.P || g.Px != c.Q || g.C != c.K || g.Tail != 0 {
			return fmt.Errorf("the pixels are %d rows of %d of %d channels, the gradient has %d, %d, %d", g.Rows, g.Px, g.C, c.P, c.Q, c.K)
		}
		return v.verifyDomain(c.K, c.R*c.R, c.C)
	}
	return nil
}

// verifyWindow checks the geometry of a maxpool or its gradient: a picture
// [H,W,C], a window of R rows and columns, and the result [P,Q,C].
func (v *kernelVerifier) verifyWindow() error {
	c := v.k.Conv
	switch {
	case min(c.H, c.W, c.C, c.P, c.Q) < 1 || max(c.H, c.W, c.P, c.Q) > MaxPixels || c.C > maxCount:
		return fmt.Errorf("maxpool: the sizes %s are out of bounds", c.text())
	case min(c.R, c.Stride) < 1 || max(c.R, c.Stride) > MaxFilter || c.Pad < 0 || c.Pad >= c.R:
		return fmt.Errorf("maxpool: window %d, pad %d or stride %d is out of bounds", c.R, c.Pad, c.Stride)
	case c.P != ir.ConvOut(c.H, c.R, c.Pad, c.Stride) || c.Q != ir.ConvOut(c.W, c.R, c.Pad, c.Stride):
		return fmt.Errorf("maxpool: %dx%d with window %d, pad %d, stride %d does not give %dx%d", c.H, c.W, c.R, c.Pad, c.Stride, c.P, c.Q)
	case c != (ConvShape{H: c.H, W: c.W, C: c.C, P: c.P, Q: c.Q, R: c.R, Pad: c.Pad, Stride: c.Stride}):
		return fmt.Errorf("maxpool has a window and no filter")
	}
	if v.k.Kind == MaxPool {
		return v.verifyDomain(c.P, c.Q, c.C)
	}
	return v.verifyDomain(c.H, c.W, c.C)
}

// verifyDomain compares the kernel's grid with what its geometry says.
func (v *kernelVerifier) verifyDomain(rows, px, c int) error {
	g := v.k.Grid
	if g.Rows != rows || g.Px != px || g.C != c || g.Tail != 0 {
		return fmt.Errorf("the grid has %d rows of %d pixels of %d channels, the geometry says %d, %d, %d", g.Rows, g.Px, g.C, rows, px, c)
	}
	return nil
}
