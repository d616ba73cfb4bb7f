package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of ConvArgs; a test compares them with the struct.
const (
	convX          = 0
	convW          = 8
	convOut        = 16
	convTaps       = 24
	convNTaps      = 32
	convC          = 40
	convPixels     = 48
	convXStep      = 56
	convOutStep    = 64
	convAccumulate = 72
)

// unrolled is how many input channels conv takes at a time.
const unrolled = 4

// conv writes Conv for tiles of width vectors of output channels.
//
//	for each register tile: for each tap: for each input channel:
//	    w = vectors of weights
//	    for each pixel: x = broadcast; acc += w*x
func (t *target) conv(name string, width int) {
	t.function(name, "func(a *byte)", "is Conv of "+vectors(width)+", with a *ConvArgs.")
	a := t.param("a")
	row := convRow{t, width, a, t.local(a, convX), t.local(a, convOut)}
	t.tiles(t.tile[width], t.local(a, convPixels), row.tile)
}

func vectors(n int) string {
	return [...]string{1: "one vector of channels", 2: "two vectors of channels", 4: "four vectors of channels"}[n]
}

// convRow is the state between tiles: the first pixel of the next one.
type convRow struct {
	*target
	width  int
	args   reg.Register
	x, out operand.Mem
}

func (t convRow) tile(n int) {
	outStep := t.field(t.args, convOutStep)
	acc := t.accumulators(n, t.width)
	flag := t.field(t.args, convAccumulate)
	t.TESTQ(flag, flag)
	t.JNE(operand.LabelRef(label("load", n)))
	t.zeroTile(acc, t.out, outStep)
	t.JMP(operand.LabelRef(label("start", n)))
	t.Label(label("load", n))
	t.loadTile(acc, t.out, outStep)
	t.Label(label("start", n))

	nTaps := t.field(t.args, convNTaps)
	step := t.field(t.args, convXStep)
	t.TESTQ(nTaps, nTaps)
	t.JLE(operand.LabelRef(label("store", n)))
	t.taps(n, acc, nTaps, step)
	t.Label(label("store", n))
	t.storeTile(acc, t.out, t.field(t.args, convOutStep))
	past := t.GP64()
	t.IMUL3Q(operand.Imm(uint64(n)), step, past)
	t.ADDQ(past, t.x)
}

// taps adds up every tap of the tile. A base is the address of every third
// pixel, since an address takes 0, 1 or 2 times the step.
func (t convRow) taps(n int, acc [][]reg.VecVirtual, nTaps, step reg.Register) {
	taps := t.field(t.args, convTaps)
	three := t.GP64()
	t.LEAQ(operand.Mem{Base: step, Index: step, Scale: 2}, three)
	bases := make([]reg.GPVirtual, (n+2)/3)
	for i := range bases {
		bases[i] = t.GP64()
	}
	t.Label(label("tap", n))
	w := t.field(t.args, convW)
	t.MOVQ(mem(taps, 0), bases[0])
	t.ADDQ(mem(taps, 8), w)
	t.ADDQ(operand.Imm(16), taps)
	t.ADDQ(t.x, bases[0])
	for i := 1; i < len(bases); i++ {
		t.LEAQ(operand.Mem{Base: bases[i-1], Index: three, Scale: 1}, bases[i])
	}
	left := t.field(t.args, convC)
	t.SUBQ(operand.Imm(unrolled), left)
	t.JL(operand.LabelRef(label("rest", n)))
	t.Label(label("many", n))
	for i := range unrolled {
		t.channel(acc, bases, step, w, i)
	}
	t.advance(bases, w, unrolled)
	t.SUBQ(operand.Imm(unrolled), left)
	t.JGE(operand.LabelRef(label("many", n)))
	t.Label(label("rest", n))
	t.ADDQ(operand.Imm(unrolled), left)
	t.JE(operand.LabelRef(label("done", n)))
	t.Label(label("one", n))
	t.channel(acc, bases, step, w, 0)
	t.advance(bases, w, 1)
	t.DECQ(left)
	t.JNE(operand.LabelRef(label("one", n)))
	t.Label(label("done", n))
	t.DECQ(nTaps)
	t.JNE(operand.LabelRef(label("tap", n)))
}

// advance moves on by some input channels.
func (t convRow) advance(bases []reg.GPVirtual, w reg.Register, channels int) {
	for _, b := range bases {
		t.ADDQ(operand.Imm(uint64(4*channels)), b)
	}
	t.ADDQ(operand.U32(uint32(t.width*t.bytes*channels)), w)
}

// channel adds one input channel of one tap, i channels ahead.
func (t convRow) channel(acc [][]reg.VecVirtual, bases []reg.GPVirtual, step, w reg.Register, i int) {
	weights := t.vecs(t.width)
	t.loadVectors(weights, w, t.width*t.bytes*i)
	for p, r := range acc {
		m := mem(bases[p/3], 4*i)
		if s := p % 3; s > 0 {
			m.Index, m.Scale = step, uint8(s)
		}
		t.addProduct(r, weights, m)
	}
}
