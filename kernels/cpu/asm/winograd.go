package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"wrnc/kernels/winograd"
)

// Byte offsets of the fields of TransformArgs; a test compares them with the struct.
const (
	transformX     = 0
	transformY     = 8
	transformTiles = 16
	transformC     = 24
	transformXRow  = 32
	transformXCol  = 40
	transformXStep = 48
	transformYRow  = 56
	transformYCol  = 64
	transformYStep = 72
	transformHalf  = 80
)

// winograd writes the transforms of Winograd's convolution.
func (t *target) winograd() {
	t.transform("winogradPicture", winograd.Picture)
	t.transform("winogradFilter", winograd.Filter)
	t.transform("winogradResult", winograd.Result)
	t.transform("winogradGradient", winograd.Gradient)
	t.transform("winogradFilterGradient", winograd.FilterGradient)
}

// transform writes m x m' of tiles of vectors of channels:
//
//	for each tile: for each vector of channels: for each row of m:
//	    u = the row times x; a row of y = u times m'
func (t *target) transform(name string, m winograd.Matrix) {
	t.function(name, "func(a *byte)", "is a transform of whole vectors of channels, with a *TransformArgs.")
	a := t.param("a")
	f := transformTile{target: t, m: m, half: t.vec()}
	t.VBROADCASTSS(mem(a, transformHalf), f.half)
	x, y, tiles := t.local(a, transformX), t.local(a, transformY), t.local(a, transformTiles)

	t.Label("tile")
	left := t.GP64()
	t.MOVQ(tiles, left)
	t.DECQ(left)
	t.JL(operand.LabelRef("done"))
	t.MOVQ(left, tiles)
	f.x = []reg.GPVirtual{t.GP64()}
	t.MOVQ(x, f.x[0])
	xRow := t.field(a, transformXRow)
	for i := 1; i < len(m[0]); i++ {
		f.x = append(f.x, t.GP64())
		t.LEAQ(operand.Mem{Base: f.x[i-1], Index: xRow, Scale: 1}, f.x[i])
	}
	f.xCol, f.yRow, f.yCol = t.columns(a, transformXCol), t.field(a, transformYRow), t.columns(a, transformYCol)
	to := t.GP64()
	t.MOVQ(y, to)
	channels := t.field(a, transformC)
	t.Label("vector")
	t.SUBQ(operand.Imm(uint64(t.lanes())), channels)
	t.JL(operand.LabelRef("next"))
	f.write(to)
	for _, p := range append(f.x, to) {
		t.ADDQ(operand.Imm(uint64(t.bytes)), p)
	}
	t.JMP(operand.LabelRef("vector"))
	t.Label("next")
	t.move(x, a, transformXStep)
	t.move(y, a, transformYStep)
	t.JMP(operand.LabelRef("tile"))
	t.Label("done")
	t.end()
}

// move adds a field of the argument struct to a word of the frame.
func (t *target) move(at operand.Mem, args reg.Register, offset int) {
	r := t.GP64()
	t.MOVQ(at, r)
	t.ADDQ(mem(args, offset), r)
	t.MOVQ(r, at)
}

// columns are a step from one column to the next, and three of them.
func (t *target) columns(args reg.Register, offset int) [2]reg.GPVirtual {
	one, three := t.field(args, offset), t.GP64()
	t.LEAQ(operand.Mem{Base: one, Index: one, Scale: 2}, three)
	return [2]reg.GPVirtual{one, three}
}

// column is the address of a column of a row.
func column(row reg.Register, step [2]reg.GPVirtual, i int) operand.Mem {
	m := operand.Mem{Base: row}
	switch i {
	case 1, 2:
		m.Index, m.Scale = step[0], uint8(i)
	case 3:
		m.Index, m.Scale = step[1], 1
	}
	return m
}

// transformTile is what the transform of one vector of channels of a tile needs.
type transformTile struct {
	*target
	m          winograd.Matrix
	half       reg.VecVirtual
	x          []reg.GPVirtual // rows
	xCol, yCol [2]reg.GPVirtual
	yRow       reg.Register
}

// write transforms one vector of channels to what begins at to.
func (t transformTile) write(to reg.Register) {
	row := t.GP64()
	t.MOVQ(to, row)
	for i := range t.m {
		u := make([]reg.VecVirtual, len(t.m[0]))
		for s := range u {
			u[s] = t.sum(i, func(r int) operand.Op { return column(t.x[r], t.xCol, s) })
		}
		for j := range t.m {
			t.VMOVUPS(t.sum(j, func(s int) operand.Op { return u[s] }), column(row, t.yCol, j))
		}
		if i < len(t.m)-1 {
			t.ADDQ(t.yRow, row)
		}
	}
}

// sum adds up a row of the matrix times operands.
func (t transformTile) sum(row int, x func(i int) operand.Op) reg.VecVirtual {
	sum := t.vec()
	for i, term := range t.m.Terms(row) {
		switch o := x(term.Index); {
		case i == 0 && term.Factor == 1:
			t.VMOVUPS(o, sum)
		case i == 0:
			t.VMULPS(o, t.half, sum)
		case term.Factor == 1:
			t.VADDPS(o, sum, sum)
		case term.Factor == -1:
			t.VSUBPS(o, sum, sum)
		default:
			product := t.vec()
			t.VMULPS(o, t.half, product)
			if term.Factor > 0 {
				t.VADDPS(product, sum, sum)
			} else {
				t.VSUBPS(product, sum, sum)
			}
		}
	}
	return sum
}
