// Package cpu holds the microkernels and row functions of the cpu target: one
// table, filled once for each instruction set. They know numbers and strides,
// nothing of networks or fusion.
package cpu

import (
	"fmt"
	"strings"
	"unsafe"
)

// ISA is one instruction set's microkernels and row functions.
//
// A row is px pixels of c channels, contiguous (NHWC); n = px*c. A channel
// vector holds c values. A result may lie where an operand lies. Functions of
// single elements agree to the bit between all instruction sets; sums differ in
// the order of additions.
type ISA struct {
	Name  string // avx512, avx2, go
	Lanes int    // float32 in a vector

	Wide, Narrow Multiply // the narrow one for few output channels; no Chans where there is none

	Affine      func(dst, x, t []float32, px, c int)                                              // fma(x, t[0:c], t[c:2c])
	Affine2     func(dst, g, x, t []float32, px, c int)                                           // fma(t[0:c], g, fma(t[c:2c], x, t[2c:3c]))
	Relu        func(dst, x []float32, n int)                                                     // 0 where x < 0, else x
	ReluGrad    func(dst, g, x []float32, n int)                                                  // g where x > 0, else 0
	Add         func(dst, a, b []float32, n int)                                                  // a + b
	Mul         func(dst, a, b []float32, n int)                                                  // a * b
	Scale       func(dst, x []float32, alpha float32, n int)                                      // alpha * x
	Sigmoid     func(dst, x []float32, n int)                                                     // f32.Sigmoid(x)
	SigmoidGrad func(dst, g, y []float32, n int)                                                  // f32.SigmoidGrad(g, y)
	AddChannel  func(dst, x, b []float32, px, c int)                                              // x + b[0:c]
	Axpy        func(dst []float32, alpha float32, x, y []float32, n int)                         // fma(alpha, x, y)
	DropoutMask func(dst []uint32, e0 uint64, n int, seed, step uint64, stream, threshold uint32) // all ones where element e0+i is kept
	MaskScale   func(dst, x []float32, mask []uint32, n int, scale float32)                       // x*scale where the mask is set, else 0
	BNStats     func(acc []float32, seen int, x []float32, px, c int)                             // acc = (mean, M2) of seen pixels, joined with the row
	BNGradStats func(acc, g, x, mean []float32, px, c int)                                        // acc[0:c] += g, acc[c:2c] += g*(x - mean)
	SumRows     func(acc, x []float32, px, c int)                                                 // acc[0:c] += x

	AffineRelu     func(dst, x, t []float32, px, c int)    // relu(affine(x, t))
	AffineReluGrad func(dst, g, x, t []float32, px, c int) // relu_grad(g, affine(x, t))

	Winograd Winograd
}

// Winograd is the transforms of Winograd's convolution, which package winograd defines.
type Winograd struct {
	Picture, Filter, Result, Gradient, FilterGradient func(a *TransformArgs)
}

// Multiply is the microkernels of one width of register tile.
type Multiply struct {
	Chans int // output channels of a tile
	Conv  func(a *ConvArgs)
	Wgrad func(a *WgradArgs)
}

// Multiply returns the microkernels of tiles of chans output channels.
func (isa *ISA) Multiply(chans int) (Multiply, error) {
	for _, m := range []Multiply{isa.Wide, isa.Narrow} {
		if chans > 0 && m.Chans == chans {
			return m, nil
		}
	}
	return Multiply{}, fmt.Errorf("instruction set %s: tiles of %d channels, expected %d or %d", isa.Name, chans, isa.Wide.Chans, isa.Narrow.Chans)
}

// Tap is where a tap of a filter reads its inputs and its weights, in bytes.
type Tap struct{ X, W int64 }

// ConvArgs is one line of results, a row or a column, of one block of Chans
// output channels:
//
//	Out[p*OutStep + k] (+)= sum over taps t and channels i < C of
//	    X[p*XStep + t.X + 4i] * W[t.W + 4(i*Chans + k)]
//
// for p < Pixels. Steps and taps are in bytes. The sum runs over taps, then
// channels, one after the other whatever the register tiles, from zero or, with
// Accumulate, from what Out holds. Vector instruction sets fuse each
// multiplication with its addition, so that all of them agree to the bit; Go
// rounds both. No taps or no channels add nothing.
type ConvArgs struct {
	X, W, Out      unsafe.Pointer // float32
	Taps           *Tap
	NTaps          int
	C              int
	Pixels         int
	XStep, OutStep int
	Accumulate     int
}

// WgradArgs is a block of a filter's gradient at one tap:
//
//	DW[i*DWStep + k] += sum over rows r and pixels p of
//	    X[r*XRow + p*XStep + 4i] * DY[r*DYRow + p*DYStep + k]
//
// for i < C and k < Chans. Steps are in bytes. The sum runs over rows, then
// pixels, and rounds as Conv's does.
type WgradArgs struct {
	X, DY, DW     unsafe.Pointer // float32
	Rows, Pixels  int
	C             int
	XRow, XStep   int
	DYRow, DYStep int
	DWStep        int
}

// TransformArgs is a line of tiles of channels, each of which a transform m takes to
// m x m':
//
//	Y[i, j] = sum over s of m[j, s] * (sum over r of m[i, r] * X[r, s])
//
// where X[r, s] lies r*XRow + s*XCol from the tile's begin and Y[i, j] likewise, and a
// tile begins XStep and YStep from the one before. Steps are in bytes. Sums are in the
// order of Matrix.Terms, and round after each product and each addition: all
// instruction sets agree to the bit.
type TransformArgs struct {
	X, Y       unsafe.Pointer // float32
	Tiles      int
	C          int
	XRow, XCol int
	XStep      int
	YRow, YCol int
	YStep      int
	half       float32 // 0.5, for generated functions
}

// ByName returns an instruction set that this machine can run.
func ByName(name string) (*ISA, error) {
	var names []string
	for _, isa := range Available() {
		if isa.Name == name {
			return isa, nil
		}
		names = append(names, isa.Name)
	}
	return nil, fmt.Errorf("instruction set %q: this machine runs %s", name, strings.Join(names, ", "))
}

// Detect returns the fastest instruction set of this machine.
func Detect() *ISA { return Available()[0] }
