package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// guarded is n random floats between two zones that a function must not touch.
type guarded struct {
	all []float32
	f   []float32
}

const zone = 40

func random(r *rand.Rand, n int) guarded {
	g := guarded{all: make([]float32, n+2*zone)}
	for i := range g.all {
		g.all[i] = float32(math.NaN())
	}
	g.f = g.all[zone : zone+n : zone+n]
	for i := range g.f {
		g.f[i] = float32(r.NormFloat64())
	}
	return g
}

func (g guarded) check(t *testing.T) {
	t.Helper()
	for i, v := range g.all {
		if i < zone || i >= len(g.all)-zone {
			require.True(t, v != v, "wrote outside at %d", i-zone)
		}
	}
}

func near(t *testing.T, want, got []float32, tolerance float64) {
	t.Helper()
	scale := 1.0
	for _, w := range want {
		scale = max(scale, math.Abs(float64(w)))
	}
	for i := range want {
		require.InDelta(t, want[i], got[i], tolerance*scale, "at %d", i)
	}
}

func sameBits(t *testing.T, want, got []float32) {
	t.Helper()
	for i := range want {
		require.Equal(t, math.Float32bits(want[i]), math.Float32bits(got[i]), "at %d: want %v, got %v", i, want[i], got[i])
	}
}

// convReference is ConvArgs in float64 over plain slices; offsets in floats.
func convReference(x, w, out []float32, taps []Tap, c, pixels, xStep, outStep, chans int, accumulate bool) {
	for p := range pixels {
		for k := range chans {
			sum := 0.0
			if accumulate {
				sum = float64(out[p*outStep+k])
			}
			for _, t := range taps {
				for i := range c {
					sum += float64(x[p*xStep+int(t.X)/4+i]) * float64(w[int(t.W)/4+i*chans+k])
				}
			}
			out[p*outStep+k] = float32(sum)
		}
	}
}

// named is one instruction set's microkernels of one width.
type named struct {
	Multiply
	name string
}

// multiplies are the microkernels that this machine runs.
func multiplies() []named {
	var all []named
	for _, isa := range Available() {
		all = append(all, named{isa.Wide, isa.Name})
		if isa.Narrow.Chans > 0 {
			all = append(all, named{isa.Narrow, isa.Name + "-narrow"})
		}
	}
	return all
}

func TestConv(t *testing.T) {
	for _, isa := range multiplies() {
		for _, c := range []int{1, 3, 4, 5, 16, 17, 33} {
			for pixels := 1; pixels <= 27; pixels++ {
				nTaps := 1 + pixels%9
				r := rand.New(rand.NewPCG(uint64(c), uint64(pixels)))
				xStep, outStep := c+pixels%3*c, isa.Chans+pixels%2*isa.Chans
				taps := make([]Tap, nTaps)
				far := 0
				for i := range taps {
					taps[i] = Tap{int64(4 * r.IntN(50)), int64(4 * (nTaps - 1 - i) * c * isa.Chans)}
					far = max(far, int(taps[i].X)/4)
				}
				x, w := random(r, pixels*xStep+far+c), random(r, nTaps*c*isa.Chans)
				out := random(r, (pixels-1)*outStep+isa.Chans)
				for _, accumulate := range []int{0, 1} {
					want := append([]float32(nil), out.f...)
					convReference(x.f, w.f, want, taps, c, pixels, xStep, outStep, isa.Chans, accumulate == 1)
					isa.Conv(&ConvArgs{X: unsafe.Pointer(&x.f[0]), W: unsafe.Pointer(&w.f[0]), Out: unsafe.Pointer(&out.f[0]),
						Taps: &taps[0], NTaps: nTaps, C: c, Pixels: pixels, XStep: 4 * xStep, OutStep: 4 * outStep, Accumulate: accumulate})
					near(t, want, out.f, 2e-6)
					out.check(t)
				}
			}
		}
	}
}

func TestWgrad(t *testing.T) {
	for _, isa := range multiplies() {
		for c := 1; c <= 27; c++ {
			r := rand.New(rand.NewPCG(uint64(c), 7))
			rows, pixels := 1+c%3, 1+c%7
			xStep, dyStep, dwStep := c+3, isa.Chans+c%2*8, isa.Chans+c%2*16
			xRow, dyRow := pixels*xStep+5, pixels*dyStep+8
			x, dy := random(r, rows*xRow+c), random(r, rows*dyRow+isa.Chans)
			dw := random(r, (c-1)*dwStep+isa.Chans)
			want := append([]float32(nil), dw.f...)
			for i := range c {
				for k := range isa.Chans {
					sum := float64(want[i*dwStep+k])
					for row := range rows {
						for p := range pixels {
							sum += float64(x.f[row*xRow+p*xStep+i]) * float64(dy.f[row*dyRow+p*dyStep+k])
						}
					}
					want[i*dwStep+k] = float32(sum)
				}
			}
			isa.Wgrad(&WgradArgs{X: unsafe.Pointer(&x.f[0]), DY: unsafe.Pointer(&dy.f[0]), DW: unsafe.Pointer(&dw.f[0]),
				Rows: rows, Pixels: pixels, C: c, XRow: 4 * xRow, XStep: 4 * xStep, DYRow: 4 * dyRow, DYStep: 4 * dyStep, DWStep: 4 * dwStep})
			near(t, want, dw.f, 2e-6)
			dw.check(t)
		}
	}
}

// TestRows compares every vector row function with Go's on all sizes around a
// vector, with NaN, infinities and signed zeros among the elements.
func TestRows(t *testing.T) {
	for _, isa := range vectorISAs() {
		for _, c := range []int{1, 3, 7, 8, 9, 15, 16, 17, 24, 33, 63, 112} {
			for _, px := range []int{1, 2, 3, 4, 5, 20} {
				r := rand.New(rand.NewPCG(uint64(c), uint64(px)))
				n := px * c
				x, g, v := random(r, n), random(r, n), random(r, 3*c)
				special := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}
				for i := 0; i < n; i += 5 {
					x.f[i] = special[i/5%len(special)]
				}
				mask := make([]uint32, n)
				for i := range mask {
					mask[i] = -uint32(r.IntN(2))
				}
				exact := func(name string, f func(i *ISA, dst []float32)) {
					t.Run(fmt.Sprintf("%s/%s/%dx%d", isa.Name, name, px, c), func(t *testing.T) {
						want, got := make([]float32, n), random(r, n)
						f(&goISA, want)
						f(isa, got.f)
						sameBits(t, want, got.f)
						got.check(t)
					})
				}
				inPlace := func(name string, f func(i *ISA, dst []float32)) {
					t.Run(fmt.Sprintf("%s/%s in place/%dx%d", isa.Name, name, px, c), func(t *testing.T) {
						want, got := append([]float32(nil), x.f...), append([]float32(nil), x.f...)
						f(&goISA, want)
						f(isa, got)
						sameBits(t, want, got)
					})
				}
				inPlace("affine2", func(i *ISA, d []float32) { i.Affine2(d, g.f, d, v.f, px, c) })
				inPlace("affine_relu_grad", func(i *ISA, d []float32) { i.AffineReluGrad(d, g.f, d, v.f[:2*c], px, c) })
				inPlace("relu_grad", func(i *ISA, d []float32) { i.ReluGrad(d, d, g.f, n) })
				inPlace("mul", func(i *ISA, d []float32) { i.Mul(d, d, g.f, n) })
				inPlace("scale", func(i *ISA, d []float32) { i.Scale(d, d, 0.3, n) })
				inPlace("axpy", func(i *ISA, d []float32) { i.Axpy(d, 0.3, g.f, d, n) })
				exact("affine", func(i *ISA, d []float32) { i.Affine(d, x.f, v.f[:2*c], px, c) })
				exact("affine2", func(i *ISA, d []float32) { i.Affine2(d, g.f, x.f, v.f, px, c) })
				exact("affine_relu", func(i *ISA, d []float32) { i.AffineRelu(d, x.f, v.f[:2*c], px, c) })
				exact("affine_relu_grad", func(i *ISA, d []float32) { i.AffineReluGrad(d, g.f, x.f, v.f[:2*c], px, c) })
				exact("relu", func(i *ISA, d []float32) { i.Relu(d, x.f, n) })
				exact("relu_grad", func(i *ISA, d []float32) { i.ReluGrad(d, g.f, x.f, n) })
				exact("add", func(i *ISA, d []float32) { i.Add(d, x.f, g.f, n) })
				exact("mul", func(i *ISA, d []float32) { i.Mul(d, x.f, g.f, n) })
				exact("scale", func(i *ISA, d []float32) { i.Scale(d, x.f, -0.3, n) })
				exact("sigmoid", func(i *ISA, d []float32) { i.Sigmoid(d, x.f, n) })
				exact("sigmoid_grad", func(i *ISA, d []float32) { i.SigmoidGrad(d, g.f, x.f, n) })
				exact("add_channel", func(i *ISA, d []float32) { i.AddChannel(d, x.f, v.f, px, c) })
				exact("axpy", func(i *ISA, d []float32) { i.Axpy(d, 0.3, x.f, g.f, n) })
				exact("mask_scale", func(i *ISA, d []float32) { i.MaskScale(d, x.f, mask, n, 1.7) })

				sums := func(name string, size int, f func(i *ISA, acc []float32)) {
					t.Run(fmt.Sprintf("%s/%s/%dx%d", isa.Name, name, px, c), func(t *testing.T) {
						got := random(r, size)
						want := append([]float32(nil), got.f...)
						f(&goISA, want)
						f(isa, got.f)
						near(t, want, got.f, 1e-5)
						got.check(t)
					})
				}
				y := random(r, n)
				sums("bn_stats", 2*c, func(i *ISA, acc []float32) { i.BNStats(acc, 11, y.f, px, c) })
				sums("bn_grad_stats", 2*c, func(i *ISA, acc []float32) { i.BNGradStats(acc, g.f, y.f, v.f, px, c) })
				sums("channel_sum", c, func(i *ISA, acc []float32) { i.SumRows(acc, y.f, px, c) })
			}
		}
	}
}

// TestJoined requires the joined row functions to equal the run of single ones.
func TestJoined(t *testing.T) {
	const px, c = 5, 19
	r := rand.New(rand.NewPCG(1, 1))
	x, g, v := random(r, px*c).f, random(r, px*c).f, random(r, 2*c).f
	for _, isa := range Available() {
		want, got := make([]float32, px*c), make([]float32, px*c)
		isa.Affine(want, x, v, px, c)
		isa.Relu(want, want, px*c)
		isa.AffineRelu(got, x, v, px, c)
		sameBits(t, want, got)
		isa.Affine(want, x, v, px, c)
		isa.ReluGrad(want, g, want, px*c)
		isa.AffineReluGrad(got, g, x, v, px, c)
		sameBits(t, want, got)
	}
}

func TestDropoutMask(t *testing.T) {
	for _, isa := range append(vectorISAs(), &goISA) {
		whole, want := make([]uint32, 4096), make([]uint32, 4096)
		isa.DropoutMask(whole, 0, len(whole), 5, 9, 77, 19661)
		goDropoutMask(want, 0, len(want), 5, 9, 77, 19661)
		require.Equal(t, want, whole)
		kept := 0
		for _, m := range whole {
			require.True(t, m == 0 || m == ^uint32(0))
			kept += int(m & 1)
		}
		require.InDelta(t, 0.7, float64(kept)/float64(len(whole)), 0.03)
		for _, at := range []int{1, 7, 8, 9, 100, 1003} { // a row may start anywhere
			part := make([]uint32, 93)
			isa.DropoutMask(part, uint64(at), len(part), 5, 9, 77, 19661)
			require.Equal(t, whole[at:at+len(part)], part)
		}
	}
}

// TestShort requires a panic, not an access outside, where an operand is short.
func TestShort(t *testing.T) {
	for _, isa := range append(vectorISAs(), &goISA) {
		long, short := make([]float32, 64), make([]float32, 64)[:63]
		require.Panics(t, func() { isa.Add(long, long, short, 64) })
		require.Panics(t, func() { isa.Relu(short, long, 64) })
		require.Panics(t, func() { isa.Affine(long, long, short[:31], 4, 16) })
		require.Panics(t, func() { isa.Affine2(long, long, short, long, 4, 16) })
		require.Panics(t, func() { isa.BNStats(short[:31], 0, long, 4, 16) })
		require.Panics(t, func() { isa.BNGradStats(long, long, long, short[:15], 4, 16) })
		require.Panics(t, func() { isa.SumRows(long, short, 4, 16) })
		require.Panics(t, func() { isa.DropoutMask(make([]uint32, 64)[:63], 0, 64, 1, 2, 3, 4) })
	}
}

func TestByName(t *testing.T) {
	require.Same(t, Available()[0], Detect())
	isa, err := ByName("go")
	require.NoError(t, err)
	require.Equal(t, "go", isa.Name)
	_, err = ByName("sse")
	require.ErrorContains(t, err, `"sse": this machine runs`)
}
