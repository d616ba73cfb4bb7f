package cpu

import "golang.org/x/sys/cpu"

//go:generate go run ./asm -isa avx2 -out avx2_amd64.s -stubs avx2_amd64.go
//go:generate go run ./asm -isa avx512 -out avx512_amd64.s -stubs avx512_amd64.go

var avx2 = (&vectorKernels{
	name: "avx2", lanes: 8,
	conv: convAVX2, convNarrow: convNarrowAVX2, wgrad: wgradAVX2, wgradNarrow: wgradNarrowAVX2,
	relu: reluAVX2, reluGrad: reluGradAVX2, add: addAVX2, mul: mulAVX2, scale: scaleAVX2, axpy: axpyAVX2, maskScale: maskScaleAVX2,
	affine:         []perChannel1{affineAVX2, affineX2AVX2, affineX4AVX2},
	affineRelu:     []perChannel1{affineReluAVX2, affineReluX2AVX2, affineReluX4AVX2},
	addChannel:     []perChannel1{addChannelAVX2, addChannelX2AVX2, addChannelX4AVX2},
	affineReluGrad: []perChannel2{affineReluGradAVX2, affineReluGradX2AVX2, affineReluGradX4AVX2},
	affine2:        []perChannel2{affine2AVX2, affine2X2AVX2, affine2X4AVX2},
	sumRow:         sumRowAVX2, sumSquares: sumSquaresAVX2, gradStats: gradStatsAVX2,
	dropoutMask:     dropoutMaskAVX2,
	winogradPicture: winogradPictureAVX2, winogradFilter: winogradFilterAVX2, winogradResult: winogradResultAVX2,
	winogradGradient: winogradGradientAVX2, winogradFilterGradient: winogradFilterGradientAVX2,
}).build()

var avx512 = (&vectorKernels{
	name: "avx512", lanes: 16,
	conv: convAVX512, convNarrow: convNarrowAVX512, wgrad: wgradAVX512, wgradNarrow: wgradNarrowAVX512,
	relu: reluAVX512, reluGrad: reluGradAVX512, add: addAVX512, mul: mulAVX512, scale: scaleAVX512, axpy: axpyAVX512, maskScale: maskScaleAVX512,
	affine:         []perChannel1{affineAVX512, affineX2AVX512, affineX4AVX512},
	affineRelu:     []perChannel1{affineReluAVX512, affineReluX2AVX512, affineReluX4AVX512},
	addChannel:     []perChannel1{addChannelAVX512, addChannelX2AVX512, addChannelX4AVX512},
	affineReluGrad: []perChannel2{affineReluGradAVX512, affineReluGradX2AVX512, affineReluGradX4AVX512},
	affine2:        []perChannel2{affine2AVX512, affine2X2AVX512, affine2X4AVX512},
	sumRow:         sumRowAVX512, sumSquares: sumSquaresAVX512, gradStats: gradStatsAVX512,
	dropoutMask:     dropoutMaskAVX512,
	winogradPicture: winogradPictureAVX512, winogradFilter: winogradFilterAVX512, winogradResult: winogradResultAVX512,
	winogradGradient: winogradGradientAVX512, winogradFilterGradient: winogradFilterGradientAVX512,
}).build()

// All lists the instruction sets that this program holds, the fastest first.
// Plans can be made for each; see [Available] for those that can run here.
func All() []*ISA { return []*ISA{avx512, avx2, &goISA} }

// Available lists the instruction sets that this machine can run, the fastest
// first.
func Available() []*ISA {
	var isas []*ISA
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512BW {
		isas = append(isas, avx512)
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		isas = append(isas, avx2)
	}
	return append(isas, &goISA)
}
