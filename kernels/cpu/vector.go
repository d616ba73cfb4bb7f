//go:build amd64

package cpu

import (
	"math/bits"
	"sync"
	"unsafe"
)

// vectorKernels are the generated functions of one vector instruction set. The
// microkernels take any size; the row functions take whole vectors, and build
// wraps them to take any size, giving what is left over to the Go functions.
type vectorKernels struct {
	name  string
	lanes int

	conv, convNarrow, wgrad, wgradNarrow func(a *byte)

	relu      func(dst, x *float32, n int)
	reluGrad  func(dst, g, x *float32, n int)
	add       func(dst, a, b *float32, n int)
	mul       func(dst, a, b *float32, n int)
	scale     func(dst, x *float32, n int, alpha float32)
	axpy      func(dst, x, y *float32, n int, alpha float32)
	maskScale func(dst, x, mask *float32, n int, scale float32)

	// Of one, two and four vectors of channels.
	affine, affineRelu, addChannel []perChannel1
	affineReluGrad, affine2        []perChannel2

	sumRow     func(acc, x *float32, accStep, px, step int)
	sumSquares func(acc, x, v *float32, accStep, px, step int)
	gradStats  func(acc, g, x, v *float32, accStep, px, step int)

	dropoutMask func(dst *uint32, a *byte, n int)

	winogradPicture, winogradFilter, winogradResult, winogradGradient, winogradFilterGradient func(a *byte)
}

// perChannel1 and perChannel2 are functions of one and of two activations and of
// channel vectors, for some vectors of channels of px >= 1 pixels.
type (
	perChannel1 = func(dst, x, v *float32, vStep, px, step int)
	perChannel2 = func(dst, g, x, v *float32, vStep, px, step int)
)

func (k *vectorKernels) build() *ISA {
	return &ISA{
		Name: k.name, Lanes: k.lanes,
		Wide:        multiply(2*k.lanes, k.conv, k.wgrad),
		Narrow:      multiply(k.lanes, k.convNarrow, k.wgradNarrow),
		Affine:      k.channels1(k.affine, goAffine, 2),
		Affine2:     k.channels2(k.affine2, goAffine2, 3),
		Relu:        k.reluRow,
		ReluGrad:    k.reluGradRow,
		Add:         k.addRow,
		Mul:         k.mulRow,
		Scale:       k.scaleRow,
		Sigmoid:     goSigmoid, // the gates of a Highway network alone have one
		SigmoidGrad: goSigmoidGrad,
		AddChannel:  k.channels1(k.addChannel, goAddChannel, 1),
		Axpy:        k.axpyRow,
		DropoutMask: k.dropoutRow,
		MaskScale:   k.maskScaleRow,
		BNStats:     k.bnStats,
		BNGradStats: k.bnGradStats,
		SumRows:     k.sumRows,

		AffineRelu:     k.channels1(k.affineRelu, goAffineRelu, 2),
		AffineReluGrad: k.channels2(k.affineReluGrad, goAffineReluGrad, 2),

		Winograd: Winograd{
			Picture:        k.transform(k.winogradPicture, goTransforms.Picture),
			Filter:         k.transform(k.winogradFilter, goTransforms.Filter),
			Result:         k.transform(k.winogradResult, goTransforms.Result),
			Gradient:       k.transform(k.winogradGradient, goTransforms.Gradient),
			FilterGradient: k.transform(k.winogradFilterGradient, goTransforms.FilterGradient),
		},
	}
}

// transform wraps a transform of whole vectors of channels.
func (k *vectorKernels) transform(vectors func(a *byte), rest func(a *TransformArgs)) func(a *TransformArgs) {
	return func(a *TransformArgs) {
		a.half = 0.5
		vectors((*byte)(unsafe.Pointer(a)))
		if m := k.whole(a.C); m < a.C {
			b := *a
			b.X, b.Y, b.C = unsafe.Add(a.X, 4*m), unsafe.Add(a.Y, 4*m), a.C-m
			rest(&b)
		}
	}
}

func multiply(chans int, conv, wgrad func(a *byte)) Multiply {
	return Multiply{
		Chans: chans,
		Conv:  func(a *ConvArgs) { conv((*byte)(unsafe.Pointer(a))) },
		Wgrad: func(a *WgradArgs) {
			if a.Rows > 0 && a.Pixels > 0 {
				wgrad((*byte)(unsafe.Pointer(a)))
			}
		},
	}
}

// whole is the part of n that whole vectors cover.
func (k *vectorKernels) whole(n int) int { return n / k.lanes * k.lanes }

// need panics where a slice is shorter than n, so that no generated function
// leaves its operands.
func need(n int, operands ...[]float32) {
	for _, s := range operands {
		_ = s[:n:len(s)]
	}
}

func (k *vectorKernels) reluRow(dst, x []float32, n int) {
	need(n, dst, x)
	m := k.whole(n)
	if m > 0 {
		k.relu(&dst[0], &x[0], m)
	}
	goRelu(dst[m:], x[m:], n-m)
}

func (k *vectorKernels) reluGradRow(dst, g, x []float32, n int) {
	need(n, dst, g, x)
	m := k.whole(n)
	if m > 0 {
		k.reluGrad(&dst[0], &g[0], &x[0], m)
	}
	goReluGrad(dst[m:], g[m:], x[m:], n-m)
}

func (k *vectorKernels) addRow(dst, a, b []float32, n int) {
	need(n, dst, a, b)
	m := k.whole(n)
	if m > 0 {
		k.add(&dst[0], &a[0], &b[0], m)
	}
	goAdd(dst[m:], a[m:], b[m:], n-m)
}

func (k *vectorKernels) mulRow(dst, a, b []float32, n int) {
	need(n, dst, a, b)
	m := k.whole(n)
	if m > 0 {
		k.mul(&dst[0], &a[0], &b[0], m)
	}
	goMul(dst[m:], a[m:], b[m:], n-m)
}

func (k *vectorKernels) scaleRow(dst, x []float32, alpha float32, n int) {
	need(n, dst, x)
	m := k.whole(n)
	if m > 0 {
		k.scale(&dst[0], &x[0], m, alpha)
	}
	goScale(dst[m:], x[m:], alpha, n-m)
}

func (k *vectorKernels) axpyRow(dst []float32, alpha float32, x, y []float32, n int) {
	need(n, dst, x, y)
	m := k.whole(n)
	if m > 0 {
		k.axpy(&dst[0], &x[0], &y[0], m, alpha)
	}
	goAxpy(dst[m:], alpha, x[m:], y[m:], n-m)
}

func (k *vectorKernels) maskScaleRow(dst, x []float32, mask []uint32, n int, scale float32) {
	need(n, dst, x)
	_ = mask[:n:len(mask)]
	m := k.whole(n)
	if m > 0 {
		k.maskScale(&dst[0], &x[0], (*float32)(unsafe.Pointer(&mask[0])), m, scale)
	}
	goMaskScale(dst[m:], x[m:], mask[m:], n-m, scale)
}

// widest is the log2 of the most vectors that a function of variants takes at a
// time, of those that c channels hold. A row that is walked once for each vector is
// read in pieces that no prefetcher recognizes.
func (k *vectorKernels) widest(variants, c int) int {
	return min(variants, bits.Len(uint(c/k.lanes))) - 1
}

// channels1 wraps functions of one activation and a channel vector of some rows.
func (k *vectorKernels) channels1(f []perChannel1, rest func(dst, x, v []float32, px, c int), rows int) func(dst, x, v []float32, px, c int) {
	return func(dst, x, v []float32, px, c int) {
		need(px*c, dst, x)
		need(rows*c, v)
		m := k.whole(c)
		for i := 0; i < m && px > 0; {
			n := k.widest(len(f), m-i)
			f[n](&dst[i], &x[i], &v[i], 4*c, px, 4*c)
			i += k.lanes << n
		}
		if m < c {
			tail(px, c, m, rows, v, dst, func(d, t []float32, p int) { rest(d, x[p*c+m:(p+1)*c], t, 1, c-m) })
		}
	}
}

// channels2 wraps functions of two activations and a channel vector.
func (k *vectorKernels) channels2(f []perChannel2, rest func(dst, g, x, v []float32, px, c int), rows int) func(dst, g, x, v []float32, px, c int) {
	return func(dst, g, x, v []float32, px, c int) {
		need(px*c, dst, g, x)
		need(rows*c, v)
		m := k.whole(c)
		for i := 0; i < m && px > 0; {
			n := k.widest(len(f), m-i)
			f[n](&dst[i], &g[i], &x[i], &v[i], 4*c, px, 4*c)
			i += k.lanes << n
		}
		if m < c {
			tail(px, c, m, rows, v, dst, func(d, t []float32, p int) {
				rest(d, g[p*c+m:(p+1)*c], x[p*c+m:(p+1)*c], t, 1, c-m)
			})
		}
	}
}

// maxLanes is the widest vector's.
const maxLanes = 16

// operands are memory that a wrapper passes to a function it does not know by name,
// for which the compiler would take it from the heap at every call.
type operands struct {
	mean, m2 [maxLanes]float32
	tail     [3 * maxLanes]float32
	philox   philoxArgs
}

var operandsPool = sync.Pool{New: func() any { return new(operands) }}

// tail runs f on the last c-m channels of each pixel, with the last c-m entries
// of each row of the channel vectors side by side. There are fewer than a
// vector's lanes of them.
func tail(px, c, m, rows int, v, dst []float32, f func(dst, v []float32, p int)) {
	o := operandsPool.Get().(*operands)
	defer operandsPool.Put(o)
	t := &o.tail
	for r := range rows {
		copy(t[r*(c-m):(r+1)*(c-m)], v[r*c+m:(r+1)*c])
	}
	for p := range px {
		f(dst[p*c+m:(p+1)*c], t[:rows*(c-m)], p)
	}
}
