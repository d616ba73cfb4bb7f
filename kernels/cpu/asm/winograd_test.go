package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/cpu"
	"wrnc/kernels/winograd"
)

func TestTransformOffsets(t *testing.T) {
	var a cpu.TransformArgs
	require.Equal(t, []uintptr{transformX, transformY, transformTiles, transformC, transformXRow, transformXCol, transformXStep, transformYRow, transformYCol, transformYStep},
		[]uintptr{unsafe.Offsetof(a.X), unsafe.Offsetof(a.Y), unsafe.Offsetof(a.Tiles), unsafe.Offsetof(a.C), unsafe.Offsetof(a.XRow), unsafe.Offsetof(a.XCol), unsafe.Offsetof(a.XStep),
			unsafe.Offsetof(a.YRow), unsafe.Offsetof(a.YCol), unsafe.Offsetof(a.YStep)})
	require.EqualValues(t, transformHalf+8, unsafe.Sizeof(a)) // the last field, and its padding
}

var transforms = []struct {
	name  string
	m     winograd.Matrix
	table func(isa *cpu.ISA) func(a *cpu.TransformArgs)
}{
	{"winogradPicture", winograd.Picture, func(isa *cpu.ISA) func(a *cpu.TransformArgs) { return isa.Winograd.Picture }},
	{"winogradFilter", winograd.Filter, func(isa *cpu.ISA) func(a *cpu.TransformArgs) { return isa.Winograd.Filter }},
	{"winogradResult", winograd.Result, func(isa *cpu.ISA) func(a *cpu.TransformArgs) { return isa.Winograd.Result }},
	{"winogradGradient", winograd.Gradient, func(isa *cpu.ISA) func(a *cpu.TransformArgs) { return isa.Winograd.Gradient }},
	{"winogradFilterGradient", winograd.FilterGradient, func(isa *cpu.ISA) func(a *cpu.TransformArgs) { return isa.Winograd.FilterGradient }},
}

// TestTransforms requires the same bits of the program, of Go's functions and of the
// processor, of tiles that overlap and of such that do not, and the value in float64.
func TestTransforms(t *testing.T) {
	each(t, func(t *testing.T, p *program, native, plain *cpu.ISA) {
		for _, f := range transforms {
			for tiles := range 4 {
				for vectors := 1; vectors <= 3; vectors++ {
					r := rand.New(rand.NewPCG(uint64(tiles), uint64(vectors)))
					c := vectors * p.lanes
					n, m := len(f.m[0]), len(f.m)
					xCol, yCol := c*(1+tiles%2), c
					xRow, yRow := xCol*(n+2*max(0, tiles-1))+tiles, yCol*m
					xStep, yStep := 2*xCol, yRow*m
					x, y := zeros(random(r, xRow*n+xStep*tiles)), random(r, yStep*max(tiles, 1)+1)
					args := func() *cpu.TransformArgs {
						return &cpu.TransformArgs{X: unsafe.Pointer(&x[0]), Tiles: tiles, C: c,
							XRow: 4 * xRow, XCol: 4 * xCol, XStep: 4 * xStep, YRow: 4 * yRow, YCol: 4 * yCol, YStep: 4 * yStep}
					}
					run := func(isa *cpu.ISA) []float32 {
						got, a := append([]float32(nil), y...), args()
						a.Y = unsafe.Pointer(&got[0])
						f.table(isa)(a)
						return got
					}
					want := run(plain)
					for tile := range tiles {
						checkTransform(t, f.m, func(r, s int) float32 { return x[tile*xStep+r*xRow+s*xCol] }, func(i, j int) float32 { return want[tile*yStep+i*yRow+j*yCol] })
					}
					what := fmt.Sprintf("%s, %d tiles of %d", f.name, tiles, c)
					got := append([]float32(nil), y...)
					call := p.call(t, in(x), out(got))
					half := uint64(math.Float32bits(0.5))
					call.add(quads(call.address(pointer{0, 0}), call.address(pointer{1, 0}), uint64(tiles), uint64(c),
						uint64(4*xRow), uint64(4*xCol), uint64(4*xStep), uint64(4*yRow), uint64(4*yCol), uint64(4*yStep), half), false)
					call.run(f.name, pointer{2, 0})
					sameBits(t, want, got, what)
					if native != nil {
						sameBits(t, want, run(native), "processor, "+what)
					}
				}
			}
		}
	})
}

// zeros puts both zeros and a number close to them among others.
func zeros(f []float32) []float32 {
	for i := 0; i < len(f); i += 5 {
		f[i] = []float32{0, float32(math.Copysign(0, -1)), 1e-42}[i/5%3]
	}
	return f
}

// checkTransform compares the first channel of a tile with m x m' in float64.
func checkTransform(t *testing.T, m winograd.Matrix, x, y func(i, j int) float32) {
	for i := range m {
		for j := range m {
			want, size := 0.0, 0.0
			for r := range m[0] {
				for s := range m[0] {
					if f := float64(m[i][r]) * float64(m[j][s]); f != 0 {
						v := f * float64(x(r, s))
						want += v
						size += math.Abs(v)
					}
				}
			}
			require.InDelta(t, want, y(i, j), 1e-6*size+1e-40)
		}
	}
}
