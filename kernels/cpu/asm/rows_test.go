package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/cpu"
)

// rowCase is a row function: the call of the program, one vector of channels or
// the whole row, and the same by an instruction set's table.
type rowCase struct {
	name    string
	inputs  int
	vectors int // channel vectors; 0: single elements
	scalar  bool
	table   func(i *cpu.ISA, dst []float32, x [][]float32, v []float32, px, c int)
}

const scalar = 0.3

var rowCases = []rowCase{
	{"relu", 1, 0, false, func(i *cpu.ISA, d []float32, x [][]float32, _ []float32, px, c int) { i.Relu(d, x[0], px*c) }},
	{"reluGrad", 2, 0, false, func(i *cpu.ISA, d []float32, x [][]float32, _ []float32, px, c int) { i.ReluGrad(d, x[1], x[0], px*c) }},
	{"add", 2, 0, false, func(i *cpu.ISA, d []float32, x [][]float32, _ []float32, px, c int) { i.Add(d, x[1], x[0], px*c) }},
	{"mul", 2, 0, false, func(i *cpu.ISA, d []float32, x [][]float32, _ []float32, px, c int) { i.Mul(d, x[1], x[0], px*c) }},
	{"scale", 1, 0, true, func(i *cpu.ISA, d []float32, x [][]float32, _ []float32, px, c int) { i.Scale(d, x[0], scalar, px*c) }},
	{"axpy", 2, 0, true, func(i *cpu.ISA, d []float32, x [][]float32, _ []float32, px, c int) {
		i.Axpy(d, scalar, x[1], x[0], px*c)
	}},
	{"affine", 1, 2, false, func(i *cpu.ISA, d []float32, x [][]float32, v []float32, px, c int) { i.Affine(d, x[0], v, px, c) }},
	{"affineRelu", 1, 2, false, func(i *cpu.ISA, d []float32, x [][]float32, v []float32, px, c int) { i.AffineRelu(d, x[0], v, px, c) }},
	{"affineReluGrad", 2, 2, false, func(i *cpu.ISA, d []float32, x [][]float32, v []float32, px, c int) {
		i.AffineReluGrad(d, x[1], x[0], v, px, c)
	}},
	{"affine2", 2, 3, false, func(i *cpu.ISA, d []float32, x [][]float32, v []float32, px, c int) {
		i.Affine2(d, x[1], x[0], v, px, c)
	}},
	{"addChannel", 1, 1, false, func(i *cpu.ISA, d []float32, x [][]float32, v []float32, px, c int) { i.AddChannel(d, x[0], v, px, c) }},
}

// TestRows requires the same bits of the program, of Go's functions and of the
// processor, also where the result lies on an operand.
func TestRows(t *testing.T) {
	each(t, func(t *testing.T, p *program, native, plain *cpu.ISA) {
		for _, k := range rowCases {
			for px := 1; px <= 9; px++ {
				for _, c := range []int{p.lanes, 7 * p.lanes} {
					testRow(t, p, native, plain, k, px, c)
				}
			}
		}
	})
}

func testRow(t *testing.T, p *program, native, plain *cpu.ISA, k rowCase, px, c int) {
	r := rand.New(rand.NewPCG(uint64(px), uint64(c)))
	x := [][]float32{special(random(r, px*c))}
	if k.inputs == 2 {
		x = append(x, random(r, px*c))
	}
	v := random(r, k.vectors*c)
	want := make([]float32, px*c)
	k.table(plain, want, x, v, px, c)
	for _, onto := range []bool{false, true} {
		what := fmt.Sprintf("%s, %d pixels of %d, in place %v", k.name, px, c, onto)
		dst, real := random(r, px*c), make([]float32, px*c)
		if onto {
			copy(dst, x[0])
		}
		runRow(t, p, k, dst, x, v, px, c, onto)
		sameBits(t, want, dst, what)
		if native != nil {
			k.table(native, real, x, v, px, c)
			sameBits(t, dst, real, "processor, "+what)
		}
	}
}

// runRow calls the program as the wrappers of package cpu do: of functions of
// channels the widest that still fits.
func runRow(t *testing.T, p *program, k rowCase, dst []float32, x [][]float32, v []float32, px, c int, onto bool) {
	operands := []any{out(dst), in(v)}
	var inputs []int // the last first: gradients come before activations
	for i := len(x) - 1; i >= 0; i-- {
		if i == 0 && onto {
			inputs = append(inputs, 0)
			continue
		}
		inputs = append(inputs, len(operands))
		operands = append(operands, in(x[i]))
	}
	call := p.call(t, operands...)
	if k.vectors == 0 {
		params := []any{pointer{0, 0}}
		for _, i := range inputs {
			params = append(params, pointer{i, 0})
		}
		params = append(params, px*c)
		if k.scalar {
			params = append(params, float32(scalar))
		}
		call.run(k.name, params...)
		return
	}
	for first, width := 0, 4; first < c; first += width * p.lanes {
		for width*p.lanes > c-first {
			width /= 2
		}
		params := []any{pointer{0, 4 * first}}
		for _, i := range inputs {
			params = append(params, pointer{i, 4 * first})
		}
		call.run(numbered(k.name, width), append(params, pointer{1, 4 * first}, 4*c, px, 4*c)...)
	}
}

func TestMaskScale(t *testing.T) {
	each(t, func(t *testing.T, p *program, native, plain *cpu.ISA) {
		for vectors := 1; vectors <= 9; vectors++ {
			n := vectors * p.lanes
			r := rand.New(rand.NewPCG(3, uint64(n)))
			x, mask, dst, want := special(random(r, n)), make([]uint32, n), random(r, n), make([]float32, n)
			for i := range mask {
				mask[i] = -uint32(r.IntN(2))
			}
			p.call(t, out(dst), in(x), bytesOf(mask)).run("maskScale", pointer{0, 0}, pointer{1, 0}, pointer{2, 0}, n, float32(1.7))
			plain.MaskScale(want, x, mask, n, 1.7)
			sameBits(t, want, dst, "mask_scale")
			if native != nil {
				native.MaskScale(want, x, mask, n, 1.7)
				sameBits(t, want, dst, "processor")
			}
		}
	})
}

// TestSums compares the sums with Go's within rounding and with the processor's
// to the bit.
func TestSums(t *testing.T) {
	each(t, func(t *testing.T, p *program, native, plain *cpu.ISA) {
		for px := 1; px <= 20; px++ {
			r := rand.New(rand.NewPCG(9, uint64(px)))
			c := 2 * p.lanes
			x, g, mean := random(r, px*c), random(r, px*c), random(r, c)
			check := func(name string, rows, steps int, inputs []any, table func(i *cpu.ISA, acc []float32)) {
				acc := random(r, rows*c)
				want, real := append([]float32(nil), acc...), append([]float32(nil), acc...)
				call := p.call(t, append([]any{out(acc)}, inputs...)...)
				for first := 0; first < c; first += p.lanes {
					var params []any
					for i := range 1 + len(inputs) {
						params = append(params, pointer{i, 4 * first})
					}
					call.run(name, append(params, steps, px, 4*c)...)
				}
				table(plain, want)
				for i := range want {
					require.InDelta(t, want[i], acc[i], 1e-5*max(1, math.Abs(float64(want[i]))), "%s, %d pixels", name, px)
				}
				if native != nil {
					table(native, real)
					sameBits(t, acc, real, "processor, "+name)
				}
			}
			check("sumRow", 1, 0, []any{in(x)}, func(i *cpu.ISA, acc []float32) { i.SumRows(acc, x, px, c) })
			check("gradStats", 2, 4*c, []any{in(g), in(x), in(mean)}, func(i *cpu.ISA, acc []float32) { i.BNGradStats(acc, g, x, mean, px, c) })
		}
	})
}

func TestSumSquares(t *testing.T) {
	each(t, func(t *testing.T, p *program, _, _ *cpu.ISA) {
		for px := 1; px <= 9; px++ {
			r := rand.New(rand.NewPCG(4, uint64(px)))
			x, mean, acc := random(r, px*p.lanes), random(r, p.lanes), make([]float32, p.lanes)
			p.call(t, out(acc), in(x), in(mean)).run("sumSquares", pointer{0, 0}, pointer{1, 0}, pointer{2, 0}, 0, px, 4*p.lanes)
			for i, got := range acc {
				want := 0.0
				for q := range px {
					d := float64(x[q*p.lanes+i]) - float64(mean[i])
					want += float64(d * d)
				}
				require.InDelta(t, want, got, 1e-5*max(1, want))
			}
		}
	})
}
