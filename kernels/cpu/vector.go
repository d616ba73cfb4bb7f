package cpu

import "unsafe"

// vectorKernels are the generated functions of one vector instruction set. They
// take whole vectors and whole register tiles; build wraps them to take any
// size, giving what is left over to the Go functions.
type vectorKernels struct {
	name  string
	lanes int
	tile  int // pixels of a conv tile, input channels of a wgrad tile

	conv, wgrad func(a *byte)

	relu      func(dst, x *float32, n int)
	reluGrad  func(dst, g, x *float32, n int)
	add       func(dst, a, b *float32, n int)
	axpy      func(dst, x, y *float32, n int, alpha float32)
	maskScale func(dst, x, mask *float32, n int, scale float32)

	affine, affineRelu, addChannel func(dst, x, v *float32, vStep, px, step int)
	affineReluGrad, affine2        func(dst, g, x, v *float32, vStep, px, step int)

	sumRow     func(acc, x *float32, accStep, px, step int)
	sumSquares func(acc, x, v *float32, accStep, px, step int)
	gradStats  func(acc, g, x, v *float32, accStep, px, step int)
}

func (k *vectorKernels) build() *ISA {
	isa := goISA
	isa.Name, isa.Lanes, isa.ConvChans = k.name, k.lanes, 2*k.lanes
	isa.Conv, isa.Wgrad = k.convRow, k.wgradBlock
	isa.Relu, isa.ReluGrad, isa.Add, isa.Axpy, isa.MaskScale = k.reluRow, k.reluGradRow, k.addRow, k.axpyRow, k.maskScaleRow
	isa.Affine, isa.AffineRelu, isa.AddChannel = k.channels1(k.affine, goAffine, 2), k.channels1(k.affineRelu, goAffineRelu, 2), k.channels1(k.addChannel, goAddChannel, 1)
	isa.AffineReluGrad, isa.Affine2 = k.channels2(k.affineReluGrad, goAffineReluGrad, 2), k.channels2(k.affine2, goAffine2, 3)
	isa.BNStats, isa.BNGradStats, isa.SumRows = k.bnStats, k.bnGradStats, k.sumRows
	return &isa
}

// even cuts n into the fewest pieces of at most most, as equal as they get, and
// returns their number: equal pieces keep every register tile busy.
func even(n, most int) int { return (n + most - 1) / most }

// convRow cuts the row into register tiles. It moves the caller's arguments along
// and puts them back: a copy would be made on the heap at each call, since
// nothing is known of a function value.
func (k *vectorKernels) convRow(a *ConvArgs) {
	x, out, pixels := a.X, a.Out, a.Pixels
	pieces := even(pixels, k.tile)
	for i, left := 0, pixels; i < pieces; i++ {
		a.Pixels = (left + pieces - i - 1) / (pieces - i)
		k.conv((*byte)(unsafe.Pointer(a)))
		a.X = unsafe.Add(a.X, a.Pixels*a.XStep)
		a.Out = unsafe.Add(a.Out, a.Pixels*a.OutStep)
		left -= a.Pixels
	}
	a.X, a.Out, a.Pixels = x, out, pixels
}

// wgradBlock cuts the input channels into register tiles.
func (k *vectorKernels) wgradBlock(a *WgradArgs) {
	x, dw, c := a.X, a.DW, a.C
	pieces := even(c, k.tile)
	for i, left := 0, c; i < pieces; i++ {
		a.C = (left + pieces - i - 1) / (pieces - i)
		k.wgrad((*byte)(unsafe.Pointer(a)))
		a.X = unsafe.Add(a.X, 4*a.C)
		a.DW = unsafe.Add(a.DW, a.C*a.DWStep)
		left -= a.C
	}
	a.X, a.DW, a.C = x, dw, c
}

// whole is the part of n that whole vectors cover.
func (k *vectorKernels) whole(n int) int { return n / k.lanes * k.lanes }

func (k *vectorKernels) reluRow(dst, x []float32, n int) {
	_, _ = dst[:n], x[:n]
	m := k.whole(n)
	if m > 0 {
		k.relu(&dst[0], &x[0], m)
	}
	goRelu(dst[m:], x[m:], n-m)
}

func (k *vectorKernels) reluGradRow(dst, g, x []float32, n int) {
	_, _, _ = dst[:n], g[:n], x[:n]
	m := k.whole(n)
	if m > 0 {
		k.reluGrad(&dst[0], &g[0], &x[0], m)
	}
	goReluGrad(dst[m:], g[m:], x[m:], n-m)
}

func (k *vectorKernels) addRow(dst, a, b []float32, n int) {
	_, _, _ = dst[:n], a[:n], b[:n]
	m := k.whole(n)
	if m > 0 {
		k.add(&dst[0], &a[0], &b[0], m)
	}
	goAdd(dst[m:], a[m:], b[m:], n-m)
}

func (k *vectorKernels) axpyRow(dst []float32, alpha float32, x, y []float32, n int) {
	_, _, _ = dst[:n], x[:n], y[:n]
	m := k.whole(n)
	if m > 0 {
		k.axpy(&dst[0], &x[0], &y[0], m, alpha)
	}
	goAxpy(dst[m:], alpha, x[m:], y[m:], n-m)
}

func (k *vectorKernels) maskScaleRow(dst, x []float32, mask []uint32, n int, scale float32) {
	_, _, _ = dst[:n], x[:n], mask[:n]
	m := k.whole(n)
	if m > 0 {
		k.maskScale(&dst[0], &x[0], (*float32)(unsafe.Pointer(&mask[0])), m, scale)
	}
	goMaskScale(dst[m:], x[m:], mask[m:], n-m, scale)
}

// channels1 wraps a function of one activation and a channel vector of some rows.
func (k *vectorKernels) channels1(f func(dst, x, v *float32, vStep, px, step int), rest func(dst, x, v []float32, px, c int), rows int) func(dst, x, v []float32, px, c int) {
	return func(dst, x, v []float32, px, c int) {
		_, _, _ = dst[:px*c], x[:px*c], v[:rows*c]
		m := k.whole(c)
		for i := 0; i < m && px > 0; i += k.lanes {
			f(&dst[i], &x[i], &v[i], 4*c, px, 4*c)
		}
		if m < c {
			tail(px, c, m, rows, v, dst, func(d, t []float32, p int) { rest(d, x[p*c+m:(p+1)*c], t, 1, c-m) })
		}
	}
}

// channels2 wraps a function of two activations and a channel vector.
func (k *vectorKernels) channels2(f func(dst, g, x, v *float32, vStep, px, step int), rest func(dst, g, x, v []float32, px, c int), rows int) func(dst, g, x, v []float32, px, c int) {
	return func(dst, g, x, v []float32, px, c int) {
		_, _, _, _ = dst[:px*c], g[:px*c], x[:px*c], v[:rows*c]
		m := k.whole(c)
		for i := 0; i < m && px > 0; i += k.lanes {
			f(&dst[i], &g[i], &x[i], &v[i], 4*c, px, 4*c)
		}
		if m < c {
			tail(px, c, m, rows, v, dst, func(d, t []float32, p int) {
				rest(d, g[p*c+m:(p+1)*c], x[p*c+m:(p+1)*c], t, 1, c-m)
			})
		}
	}
}

// tail runs f on the last c-m channels of each pixel, with the last c-m entries
// of each row of the channel vectors side by side. There are fewer than a
// vector's lanes of them.
func tail(px, c, m, rows int, v, dst []float32, f func(dst, v []float32, p int)) {
	var t [3 * 16]float32
	for r := range rows {
		copy(t[r*(c-m):(r+1)*(c-m)], v[r*c+m:(r+1)*c])
	}
	for p := range px {
		f(dst[p*c+m:(p+1)*c], t[:rows*(c-m)], p)
	}
}

func (k *vectorKernels) bnStats(acc []float32, seen int, x []float32, px, c int) {
	_, _ = acc[:2*c], x[:px*c]
	total := float32(seen + px)
	toMean, toM2 := float32(px)/total, float32(seen)*float32(px)/total
	m := k.whole(c)
	var mean, m2 [16]float32
	for i := 0; i < m; i += k.lanes {
		clear(mean[:])
		clear(m2[:])
		k.sumRow(&mean[0], &x[i], 0, px, 4*c)
		for j := range k.lanes {
			mean[j] /= float32(px)
		}
		k.sumSquares(&m2[0], &x[i], &mean[0], 0, px, 4*c)
		for j := range k.lanes {
			d := mean[j] - acc[i+j]
			acc[i+j] += float32(d * toMean)
			acc[c+i+j] += float32(float32(d*d)*toM2) + m2[j]
		}
	}
	if m < c {
		bnStatsFrom(m, acc, seen, x, px, c)
	}
}

func (k *vectorKernels) bnGradStats(acc, g, x, mean []float32, px, c int) {
	_, _, _, _ = acc[:2*c], g[:px*c], x[:px*c], mean[:c]
	m := k.whole(c)
	for i := 0; i < m && px > 0; i += k.lanes {
		k.gradStats(&acc[i], &g[i], &x[i], &mean[i], 4*c, px, 4*c)
	}
	bnGradStatsFrom(m, acc, g, x, mean, px, c)
}

func (k *vectorKernels) sumRows(acc, x []float32, px, c int) {
	_, _ = acc[:c], x[:px*c]
	m := k.whole(c)
	for i := 0; i < m && px > 0; i += k.lanes {
		k.sumRow(&acc[i], &x[i], 0, px, 4*c)
	}
	sumRowsFrom(m, acc, x, px, c)
}
