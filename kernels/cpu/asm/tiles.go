package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tiles writes a loop over register tiles of at most full rows: it takes from
// left, a word of the frame, the rows of the next tile and runs the variant for
// that many.
//
//	for left > 0: n = rows of this tile; left -= n; variant n
//
// A tile is full while two or more are left; what then is left is halved, so
// that no tile is so small that it waits for its own additions.
func (t *target) tiles(full int, left operand.Mem, variant func(n int)) {
	t.Label("tile")
	n := t.GP64()
	t.MOVQ(left, n)
	t.CMPQ(n, operand.Imm(uint64(full)))
	t.JLE(operand.LabelRef("take"))
	t.CMPQ(n, operand.Imm(uint64(2*full)))
	t.JL(operand.LabelRef("half"))
	t.MOVQ(operand.U32(uint32(full)), n)
	t.JMP(operand.LabelRef("take"))
	t.Label("half")
	t.INCQ(n)
	t.SHRQ(operand.Imm(1), n)
	t.Label("take")
	t.SUBQ(n, left)
	for i := full; i >= 1; i-- {
		t.CMPQ(n, operand.Imm(uint64(i)))
		t.JE(operand.LabelRef(label("rows", i)))
	}
	t.end()
	for i := full; i >= 1; i-- {
		t.Label(label("rows", i))
		variant(i)
		t.JMP(operand.LabelRef("tile"))
	}
}

// vecs are n fresh vector registers.
func (t *target) vecs(n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = t.vec()
	}
	return v
}

// accumulators are n rows of width vectors.
func (t *target) accumulators(n, width int) [][]reg.VecVirtual {
	acc := make([][]reg.VecVirtual, n)
	for i := range acc {
		acc[i] = t.vecs(width)
	}
	return acc
}

// loadVectors reads neighbouring vectors.
func (t *target) loadVectors(into []reg.VecVirtual, base reg.Register, disp int) {
	for i, v := range into {
		t.VMOVUPS(mem(base, disp+i*t.bytes), v)
	}
}

// addProduct adds to a row of accumulators the product of vectors and the
// float32 at m, broadcast. A broadcast that one addition alone uses is made part
// of it, where that exists: as an instruction of its own it costs Zen 4 a third of
// its rate.
func (t *target) addProduct(row, vectors []reg.VecVirtual, m operand.Mem) {
	if t.wide() && len(row) == 1 {
		t.VFMADD231PS_BCST(m, vectors[0], row[0])
		return
	}
	v := t.vec()
	t.VBROADCASTSS(m, v)
	for i, r := range row {
		t.VFMADD231PS(vectors[i], v, r)
	}
}

// loadTile reads the accumulators from rows step bytes apart.
func (t *target) loadTile(acc [][]reg.VecVirtual, at operand.Mem, step reg.Register) {
	from := t.GP64()
	t.MOVQ(at, from)
	for i, r := range acc {
		t.loadVectors(r, from, 0)
		if i < len(acc)-1 {
			t.ADDQ(step, from)
		}
	}
}

// cacheLine is the bytes that a prefetch brings in.
const cacheLine = 64

// zeroTile clears the accumulators and asks for the memory that they go to, which
// nothing has touched for long, so that it is there when they are stored.
func (t *target) zeroTile(acc [][]reg.VecVirtual, at operand.Mem, step reg.Register) {
	to := t.GP64()
	t.MOVQ(at, to)
	for i, r := range acc {
		for _, v := range r {
			t.zero(v)
		}
		for b := 0; b < len(r)*t.bytes; b += cacheLine {
			t.PREFETCHT0(mem(to, b))
		}
		if i < len(acc)-1 {
			t.ADDQ(step, to)
		}
	}
}

// storeTile writes the accumulators to rows step bytes apart and moves at, a
// word of the frame, past them.
func (t *target) storeTile(acc [][]reg.VecVirtual, at operand.Mem, step reg.Register) {
	to := t.GP64()
	t.MOVQ(at, to)
	for _, r := range acc {
		for i, v := range r {
			t.VMOVUPS(v, mem(to, i*t.bytes))
		}
		t.ADDQ(step, to)
	}
	t.MOVQ(to, at)
}
