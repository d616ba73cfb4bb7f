package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tiles writes a loop over register tiles: it takes from left, a word of the
// frame, the rows of the next tile and runs the variant for that many.
//
//	for left > 0: n = rows of this tile; left -= n; variant n
//
// A tile is full while two or more are left; what then is left is halved, so
// that no tile is so small that it waits for its own additions.
func (t *target) tiles(left operand.Mem, variant func(n int)) {
	t.Label("tile")
	n := t.GP64()
	t.MOVQ(left, n)
	t.CMPQ(n, operand.Imm(uint64(t.tile)))
	t.JLE(operand.LabelRef("take"))
	t.CMPQ(n, operand.Imm(uint64(2*t.tile)))
	t.JL(operand.LabelRef("half"))
	t.MOVQ(operand.U32(uint32(t.tile)), n)
	t.JMP(operand.LabelRef("take"))
	t.Label("half")
	t.INCQ(n)
	t.SHRQ(operand.Imm(1), n)
	t.Label("take")
	t.SUBQ(n, left)
	for i := t.tile; i >= 1; i-- {
		t.CMPQ(n, operand.Imm(uint64(i)))
		t.JE(operand.LabelRef(label("rows", i)))
	}
	t.end()
	for i := t.tile; i >= 1; i-- {
		t.Label(label("rows", i))
		variant(i)
		t.JMP(operand.LabelRef("tile"))
	}
}

// accumulators are n rows of two vectors.
func (t *target) accumulators(n int) [][2]reg.VecVirtual {
	acc := make([][2]reg.VecVirtual, n)
	for i := range acc {
		acc[i] = [2]reg.VecVirtual{t.vec(), t.vec()}
	}
	return acc
}

// loadTile reads the accumulators from rows step bytes apart.
func (t *target) loadTile(acc [][2]reg.VecVirtual, at operand.Mem, step reg.Register) {
	from := t.GP64()
	t.MOVQ(at, from)
	for i, r := range acc {
		t.VMOVUPS(mem(from, 0), r[0])
		t.VMOVUPS(mem(from, t.bytes), r[1])
		if i < len(acc)-1 {
			t.ADDQ(step, from)
		}
	}
}

// storeTile writes the accumulators to rows step bytes apart and moves at, a
// word of the frame, past them.
func (t *target) storeTile(acc [][2]reg.VecVirtual, at operand.Mem, step reg.Register) {
	to := t.GP64()
	t.MOVQ(at, to)
	for _, r := range acc {
		t.VMOVUPS(r[0], mem(to, 0))
		t.VMOVUPS(r[1], mem(to, t.bytes))
		t.ADDQ(step, to)
	}
	t.MOVQ(to, at)
}
