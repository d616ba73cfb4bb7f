package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of ConvArgs and WgradArgs; a test of package cpu
// compares them with the structs.
const (
	convX, convW, convOut, convTaps, convNTaps, convC, convPixels, convXStep, convOutStep, convAccumulate = 0, 8, 16, 24, 32, 40, 48, 56, 64, 72

	wgradX, wgradDY, wgradDW, wgradRows, wgradPixels, wgradC, wgradXRow, wgradXStep, wgradDYRow, wgradDYStep, wgradDWStep = 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80
)

// tileRegs are the accumulators of n rows of two vectors.
func (t *target) tileRegs(n int) [][2]reg.VecVirtual {
	acc := make([][2]reg.VecVirtual, n)
	for i := range acc {
		acc[i] = [2]reg.VecVirtual{t.vec(), t.vec()}
	}
	return acc
}

// conv writes convTile: up to tile pixels by two vectors of output channels,
// with one variant for each number of pixels.
//
//	for each tap: for each input channel:
//	    w0, w1 = two vectors of weights
//	    for each pixel: x = broadcast; acc += w0*x, w1*x
func (t *target) conv() {
	t.function("convTile", "func(a *byte)", "convTile"+t.suffix+" is Conv, with a *ConvArgs, for 1 to "+itoa(t.tile)+" pixels.")
	a := t.Load(t.Param("a"), t.GP64())
	pixels := t.field(a, convPixels)
	for n := 1; n < t.tile; n++ {
		t.CMPQ(pixels, operand.Imm(uint64(n)))
		t.JE(operand.LabelRef(label("px", n)))
	}
	for n := t.tile; n >= 1; n-- {
		if n < t.tile {
			t.Label(label("px", n))
		}
		t.convVariant(a, n)
	}
}

func (t *target) convVariant(a reg.Register, n int) {
	out, outStep := t.field(a, convOut), t.field(a, convOutStep)
	acc := t.tileRegs(n)
	flag := t.field(a, convAccumulate)
	t.TESTQ(flag, flag)
	t.JNE(operand.LabelRef(label("load", n)))
	for _, r := range acc {
		t.zero(r[0])
		t.zero(r[1])
	}
	t.JMP(operand.LabelRef(label("go", n)))
	t.Label(label("load", n))
	from := t.GP64()
	t.MOVQ(out, from)
	for i, r := range acc {
		t.VMOVUPS(mem(from, 0), r[0])
		t.VMOVUPS(mem(from, t.bytes), r[1])
		if i < n-1 {
			t.ADDQ(outStep, from)
		}
	}
	t.Label(label("go", n))

	x, w, taps, nTaps := t.field(a, convX), t.field(a, convW), t.field(a, convTaps), t.field(a, convNTaps)
	c, step := t.field(a, convC), t.field(a, convXStep)
	three := t.GP64() // 3 pixels, since an address takes 0, 1 or 2 times the step
	t.LEAQ(operand.Mem{Base: step, Index: step, Scale: 2}, three)
	bases := make([]reg.GPVirtual, (n+2)/3)
	for i := range bases {
		bases[i] = t.GP64()
	}
	t.Label(label("tap", n))
	t.MOVQ(mem(taps, 0), bases[0])
	t.ADDQ(operand.Imm(8), taps)
	t.ADDQ(x, bases[0])
	for i := 1; i < len(bases); i++ {
		t.LEAQ(operand.Mem{Base: bases[i-1], Index: three, Scale: 1}, bases[i])
	}
	left := t.GP64()
	t.MOVQ(c, left)
	t.SUBQ(operand.Imm(4), left)
	t.JL(operand.LabelRef(label("rest", n)))
	t.Label(label("four", n))
	for i := range 4 {
		t.convChannel(acc, bases, step, w, i)
	}
	t.advance(bases, w, 4)
	t.SUBQ(operand.Imm(4), left)
	t.JGE(operand.LabelRef(label("four", n)))
	t.Label(label("rest", n))
	t.ADDQ(operand.Imm(4), left)
	t.JE(operand.LabelRef(label("done", n)))
	t.Label(label("one", n))
	t.convChannel(acc, bases, step, w, 0)
	t.advance(bases, w, 1)
	t.DECQ(left)
	t.JNE(operand.LabelRef(label("one", n)))
	t.Label(label("done", n))
	t.DECQ(nTaps)
	t.JNE(operand.LabelRef(label("tap", n)))

	for i, r := range acc {
		t.VMOVUPS(r[0], mem(out, 0))
		t.VMOVUPS(r[1], mem(out, t.bytes))
		if i < n-1 {
			t.ADDQ(outStep, out)
		}
	}
	t.end()
}

// advance moves on by some input channels.
func (t *target) advance(bases []reg.GPVirtual, w reg.Register, channels int) {
	for _, b := range bases {
		t.ADDQ(operand.Imm(uint64(4*channels)), b)
	}
	t.ADDQ(operand.U32(uint32(2*t.bytes*channels)), w)
}

// convChannel adds one input channel of one tap, i channels ahead.
func (t *target) convChannel(acc [][2]reg.VecVirtual, bases []reg.GPVirtual, step, w reg.Register, i int) {
	w0, w1 := t.vec(), t.vec()
	t.VMOVUPS(mem(w, 2*t.bytes*i), w0)
	t.VMOVUPS(mem(w, 2*t.bytes*i+t.bytes), w1)
	for p, r := range acc {
		v := t.vec()
		m := mem(bases[p/3], 4*i)
		if s := p % 3; s > 0 {
			m.Index, m.Scale = step, uint8(s)
		}
		t.VBROADCASTSS(m, v)
		t.VFMADD231PS(w0, v, r[0])
		t.VFMADD231PS(w1, v, r[1])
	}
}

// wgrad writes wgradTile: up to tile input channels by two vectors of output
// channels, summed over rows of pixels.
func (t *target) wgrad() {
	t.function("wgradTile", "func(a *byte)", "wgradTile"+t.suffix+" is Wgrad, with a *WgradArgs, for 1 to "+itoa(t.tile)+" input channels.")
	a := t.Load(t.Param("a"), t.GP64())
	c := t.field(a, wgradC)
	for n := 1; n < t.tile; n++ {
		t.CMPQ(c, operand.Imm(uint64(n)))
		t.JE(operand.LabelRef(label("c", n)))
	}
	for n := t.tile; n >= 1; n-- {
		if n < t.tile {
			t.Label(label("c", n))
		}
		t.wgradVariant(a, n)
	}
}

func (t *target) wgradVariant(a reg.Register, n int) {
	dw, dwStep := t.field(a, wgradDW), t.field(a, wgradDWStep)
	acc := t.tileRegs(n)
	from := t.GP64()
	t.MOVQ(dw, from)
	for i, r := range acc {
		t.VMOVUPS(mem(from, 0), r[0])
		t.VMOVUPS(mem(from, t.bytes), r[1])
		if i < n-1 {
			t.ADDQ(dwStep, from)
		}
	}
	xRow, dyRow, rows := t.field(a, wgradX), t.field(a, wgradDY), t.field(a, wgradRows)
	xStep, dyStep := t.field(a, wgradXStep), t.field(a, wgradDYStep)
	t.Label(label("row", n))
	x, dy, left := t.GP64(), t.GP64(), t.field(a, wgradPixels)
	t.MOVQ(xRow, x)
	t.MOVQ(dyRow, dy)
	t.Label(label("pixel", n))
	d0, d1 := t.vec(), t.vec()
	t.VMOVUPS(mem(dy, 0), d0)
	t.VMOVUPS(mem(dy, t.bytes), d1)
	for i, r := range acc {
		v := t.vec()
		t.VBROADCASTSS(mem(x, 4*i), v)
		t.VFMADD231PS(d0, v, r[0])
		t.VFMADD231PS(d1, v, r[1])
	}
	t.ADDQ(xStep, x)
	t.ADDQ(dyStep, dy)
	t.DECQ(left)
	t.JNE(operand.LabelRef(label("pixel", n)))
	t.ADDQ(mem(a, wgradXRow), xRow)
	t.ADDQ(mem(a, wgradDYRow), dyRow)
	t.DECQ(rows)
	t.JNE(operand.LabelRef(label("row", n)))
	for i, r := range acc {
		t.VMOVUPS(r[0], mem(dw, 0))
		t.VMOVUPS(r[1], mem(dw, t.bytes))
		if i < n-1 {
			t.ADDQ(dwStep, dw)
		}
	}
	t.end()
}
