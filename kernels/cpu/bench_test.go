package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// best reports work per second, in units of 1e9, of the fastest of many short
// stretches: what the processor does while nothing else wants it.
func best(b *testing.B, unit string, work float64, f func()) {
	const stretch = 64
	fastest := time.Duration(1 << 62)
	for range b.N {
		start := time.Now()
		for range stretch {
			f()
		}
		fastest = min(fastest, time.Since(start))
	}
	b.ReportMetric(work*stretch/float64(fastest.Nanoseconds()), unit)
}

// BenchmarkMultiply reports GF/s (2 x MAC/s) of both microkernels on a row of a
// 3x3 filter and on one tap of four rows of its gradient.
func BenchmarkMultiply(b *testing.B) {
	for _, m := range multiplies() {
		for _, c := range []int{3, 16, 32, 64, 128} {
			const pixels, nTaps, rows = 16, 9, 4
			r := rand.New(rand.NewPCG(1, 2))
			cols := pixels + 2
			x, w, out := random(r, (rows+2)*cols*c).f, random(r, nTaps*c*m.Chans).f, random(r, rows*pixels*m.Chans).f
			var taps []Tap
			for i := range nTaps {
				taps = append(taps, Tap{int64(4 * c * (i/3*cols + i%3)), int64(4 * i * c * m.Chans)})
			}
			a := ConvArgs{X: unsafe.Pointer(&x[0]), W: unsafe.Pointer(&w[0]), Out: unsafe.Pointer(&out[0]), Taps: &taps[0],
				NTaps: nTaps, C: c, Pixels: pixels, XStep: 4 * c, OutStep: 4 * m.Chans}
			b.Run(fmt.Sprintf("conv/%s/%d", m.name, c), func(b *testing.B) {
				best(b, "GF/s", 2*float64(pixels*nTaps*c*m.Chans), func() { m.Conv(&a) })
			})
			g := WgradArgs{X: a.X, DY: a.Out, DW: a.W, Rows: rows, Pixels: pixels,
				C: c, XRow: 4 * c * cols, XStep: 4 * c, DYRow: 4 * m.Chans * pixels, DYStep: 4 * m.Chans, DWStep: 4 * m.Chans}
			b.Run(fmt.Sprintf("wgrad/%s/%d", m.name, c), func(b *testing.B) {
				best(b, "GF/s", 2*float64(rows*pixels*c*m.Chans), func() { m.Wgrad(&g) })
			})
		}
	}
}

// BenchmarkRows reports elements per nanosecond of row functions in L1.
func BenchmarkRows(b *testing.B) {
	const px, c = 32, 32
	r := rand.New(rand.NewPCG(1, 2))
	dst, x, g, v, mask := random(r, px*c).f, random(r, px*c).f, random(r, px*c).f, random(r, 3*c).f, make([]uint32, px*c)
	for _, isa := range Available() {
		row := func(name string, f func()) {
			b.Run(name+"/"+isa.Name, func(b *testing.B) { best(b, "elem/ns", px*c, f) })
		}
		row("affine_relu", func() { isa.AffineRelu(dst, x, v, px, c) })
		row("affine2", func() { isa.Affine2(dst, g, x, v, px, c) })
		row("add", func() { isa.Add(dst, x, g, px*c) })
		row("bn_stats", func() { isa.BNStats(v, 0, x, px, c) })
		row("bn_grad_stats", func() { isa.BNGradStats(v, g, x, v, px, c) })
		row("dropout_mask", func() { isa.DropoutMask(mask, 0, px*c, 1, 2, 3, 19661) })
	}
}
