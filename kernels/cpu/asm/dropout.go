package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of philoxArgs; a test compares them with the struct.
const (
	philoxKeys       = 0   // ten round keys of four words: key low, 0, key high, 0
	philoxCounter    = 160 // counters of the first vector: four of four words
	philoxIncrement  = 224 // counters of a vector, 0, 0, 0
	philoxMultiplier = 240 // of word 0, 0, of word 2, 0
	philoxBelow      = 256 // the threshold less one
)

// together is how many vectors of counters go through the rounds side by side,
// so that a round's multiplication of one hides that of the others.
const together = 4

// dropout writes dropoutMask(dst, a, n): the mask of n vectors of counters, two
// vectors of elements each.
//
// A counter's four words lie side by side in a 128-bit lane, the form in which
// a round is five instructions: the even words times their multipliers give
// [low0 high0 low2 high2], which reversed are [high2 low2 high0 low0]; words 1
// and 3, shifted down to the even places, and the round's key are added to that
// by xor. The results' half-words then lie in the order of the elements.
func (t *target) dropout() {
	t.function("dropoutMask", "func(dst *uint32, a *byte, n int)", "does n vectors of Philox counters, two vectors of elements each, with a *philoxArgs.")
	d := dropoutLoop{target: t, dst: t.param("dst"), args: t.param("a")}
	n := t.param("n")
	d.counter, d.increment, d.multiplier, d.below = t.vec(), t.vec(), t.vec(), t.vec()
	t.VMOVUPS(mem(d.args, philoxCounter), d.counter)
	d.broadcast(philoxIncrement, d.increment)
	d.broadcast(philoxMultiplier, d.multiplier)
	t.VPBROADCASTD(mem(d.args, philoxBelow), d.below)
	t.SUBQ(operand.Imm(together), n)
	t.JL(operand.LabelRef("rest"))
	t.Label("many")
	d.vectors(together)
	t.SUBQ(operand.Imm(together), n)
	t.JGE(operand.LabelRef("many"))
	t.Label("rest")
	t.ADDQ(operand.Imm(together), n)
	t.JE(operand.LabelRef("done"))
	t.Label("one")
	d.vectors(1)
	t.DECQ(n)
	t.JNE(operand.LabelRef("one"))
	t.Label("done")
	t.end()
}

type dropoutLoop struct {
	*target
	dst, args                             reg.Register
	counter, increment, multiplier, below reg.VecVirtual
}

// broadcast fills a vector with four words of the arguments.
func (t dropoutLoop) broadcast(offset int, v reg.Register) {
	if t.wide() {
		t.VBROADCASTI32X4(mem(t.args, offset), v)
	} else {
		t.VBROADCASTI128(mem(t.args, offset), v)
	}
}

func (t dropoutLoop) xor(a, b, dst reg.Register) {
	if t.wide() {
		t.VPXORD(a, b, dst)
	} else {
		t.VPXOR(a, b, dst)
	}
}

// vectors does the next count vectors of counters.
func (t dropoutLoop) vectors(count int) {
	words := make([]reg.VecVirtual, count)
	for i := range words {
		words[i] = t.vec()
		t.VMOVAPS(t.counter, words[i])
		t.VPADDQ(t.increment, t.counter, t.counter)
	}
	key := t.vec()
	for round := range 10 {
		t.broadcast(philoxKeys+16*round, key)
		for _, w := range words {
			product := t.vec()
			t.VPMULUDQ(t.multiplier, w, product)
			t.VPSHUFD(operand.Imm(0b00_01_10_11), product, product)
			t.VPSRLQ(operand.Imm(32), w, w)
			t.xor(product, w, w)
			t.xor(key, w, w)
		}
	}
	for i, w := range words {
		t.keep(w, i)
	}
	t.ADDQ(operand.U32(uint32(2*t.bytes*count)), t.dst)
}

// keep writes two vectors of masks: each half-word widened, all ones where the
// threshold less one is below it.
func (t dropoutLoop) keep(words reg.VecVirtual, at int) {
	low, high := t.vec(), t.vec()
	if t.wide() {
		upper := t.YMM()
		t.VEXTRACTI64X4(operand.Imm(1), words, upper)
		t.VPMOVZXWD(words.AsY(), low)
		t.VPMOVZXWD(upper, high)
	} else {
		upper := t.XMM()
		t.VEXTRACTI128(operand.Imm(1), words, upper)
		t.VPMOVZXWD(words.AsX(), low)
		t.VPMOVZXWD(upper, high)
	}
	for i, u := range []reg.VecVirtual{low, high} {
		t.VPSUBD(u, t.below, u) // below - u
		t.VPSRAD(operand.Imm(31), u, u)
		t.VMOVUPS(u, mem(t.dst, (2*at+i)*t.bytes))
	}
}
