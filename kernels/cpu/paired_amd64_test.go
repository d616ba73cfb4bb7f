package cpu

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/cpu"
)

// paired has vectors of 16 lanes made of AVX2's two of 8, so that the wrappers
// are tested with AVX-512's lanes on machines without it.
var paired = (&vectorKernels{
	name: "paired", lanes: 16,
	relu: reluAVX2, reluGrad: reluGradAVX2, add: addAVX2, mul: mulAVX2, scale: scaleAVX2, axpy: axpyAVX2, maskScale: maskScaleAVX2,
	affine: []perChannel1{twice1(affineAVX2)}, affineRelu: []perChannel1{twice1(affineReluAVX2)}, addChannel: []perChannel1{twice1(addChannelAVX2)},
	affineReluGrad: []perChannel2{twice2(affineReluGradAVX2)}, affine2: []perChannel2{twice2(affine2AVX2)},
	sumRow: func(acc, x *float32, accStep, px, step int) {
		sumRowAVX2(acc, x, accStep, px, step)
		sumRowAVX2(upper(acc), upper(x), accStep, px, step)
	},
	sumSquares: func(acc, x, v *float32, accStep, px, step int) {
		sumSquaresAVX2(acc, x, v, accStep, px, step)
		sumSquaresAVX2(upper(acc), upper(x), upper(v), accStep, px, step)
	},
	gradStats: twice2(gradStatsAVX2),
	dropoutMask: func(dst *uint32, a *byte, n int) {
		b := *(*philoxArgs)(unsafe.Pointer(a))
		b.increment[0] /= 2
		dropoutMaskAVX2(dst, (*byte)(unsafe.Pointer(&b)), 2*n)
	},
}).build()

// upper is the second of two vectors.
func upper(p *float32) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(p), 32)) }

func twice1(f func(dst, x, v *float32, vStep, px, step int)) func(dst, x, v *float32, vStep, px, step int) {
	return func(dst, x, v *float32, vStep, px, step int) {
		f(dst, x, v, vStep, px, step)
		f(upper(dst), upper(x), upper(v), vStep, px, step)
	}
}

func twice2(f func(dst, g, x, v *float32, vStep, px, step int)) func(dst, g, x, v *float32, vStep, px, step int) {
	return func(dst, g, x, v *float32, vStep, px, step int) {
		f(dst, g, x, v, vStep, px, step)
		f(upper(dst), upper(g), upper(x), upper(v), vStep, px, step)
	}
}

// vectorISAs are those whose row functions are compared with Go's.
func vectorISAs() []*ISA {
	all := Available()
	all = all[:len(all)-1]
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		all = append(all, paired)
	}
	return all
}

// TestPhiloxArgs has the byte offsets that the generated code reads at.
func TestPhiloxArgs(t *testing.T) {
	var a philoxArgs
	require.Equal(t, []uintptr{0, 160, 224, 240, 256}, []uintptr{unsafe.Offsetof(a.keys), unsafe.Offsetof(a.counter),
		unsafe.Offsetof(a.increment), unsafe.Offsetof(a.multiplier), unsafe.Offsetof(a.below)})
}
