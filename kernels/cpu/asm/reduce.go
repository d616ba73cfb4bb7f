package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// reductions writes the sums over the pixels of a row, for one vector of
// channels. Sums run over chains partial sums, pixel p in chain p mod chains (the
// last px mod chains pixels all in the first), so that additions overlap; the
// chains are added at the end.
func (t *target) reductions() {
	t.sumPixels("sumRow", []string{"x"}, 1, 0, func(in, sums, _ []reg.VecVirtual) {
		t.VADDPS(in[0], sums[0], sums[0])
	})
	t.sumPixels("sumSquares", []string{"x"}, 1, 1, func(in, sums, v []reg.VecVirtual) { // squared deviations from v
		t.VSUBPS(v[0], in[0], in[0])
		t.VFMADD231PS(in[0], in[0], sums[0])
	})
	t.sumPixels("gradStats", []string{"grad", "x"}, 2, 1, func(in, sums, v []reg.VecVirtual) {
		t.VADDPS(in[0], sums[0], sums[0])
		t.VSUBPS(v[0], in[1], in[1])
		t.VFMADD231PS(in[0], in[1], sums[1])
	})
}

// chains is how many additions of one sum are under way at a time.
const chains = 4

// sumPixels writes NAME(acc, inputs..., [v,] accStep, px, step): adds to one or
// two vectors of acc, accStep bytes apart, the sums over px pixels.
func (t *target) sumPixels(name string, inputs []string, sums, vectors int, f func(in, sums, v []reg.VecVirtual)) {
	sig := "func(acc"
	for _, in := range inputs {
		sig += ", " + in
	}
	if vectors > 0 {
		sig += ", v"
	}
	t.function(name, sig+" *float32, accStep, px, step int)", "does one vector of channels of px >= 1 pixels.")
	var ptrs []reg.Register
	for _, in := range inputs {
		ptrs = append(ptrs, t.param(in))
	}
	acc, accStep := t.param("acc"), t.param("accStep")
	px, step := t.param("px"), t.param("step")
	var vecs []reg.VecVirtual
	if vectors > 0 {
		v := t.param("v")
		r := t.vec()
		t.VMOVUPS(mem(v, 0), r)
		vecs = append(vecs, r)
	}
	var chain [chains][]reg.VecVirtual
	for i := range chain {
		for range sums {
			r := t.vec()
			t.zero(r)
			chain[i] = append(chain[i], r)
		}
	}
	pixel := func(into []reg.VecVirtual) {
		var in []reg.VecVirtual
		for _, p := range ptrs {
			r := t.vec()
			t.VMOVUPS(mem(p, 0), r)
			t.ADDQ(step, p)
			in = append(in, r)
		}
		f(in, into, vecs)
	}
	t.SUBQ(operand.Imm(chains), px)
	t.JL(operand.LabelRef("rest"))
	t.Label("many")
	for i := range chain {
		pixel(chain[i])
	}
	t.SUBQ(operand.Imm(chains), px)
	t.JGE(operand.LabelRef("many"))
	t.Label("rest")
	t.ADDQ(operand.Imm(chains), px)
	t.JE(operand.LabelRef("done"))
	t.Label("one")
	pixel(chain[0])
	t.DECQ(px)
	t.JNE(operand.LabelRef("one"))
	t.Label("done")
	for s := range sums {
		for _, other := range chain[1:] {
			t.VADDPS(other[s], chain[0][s], chain[0][s])
		}
		t.VADDPS(mem(acc, 0), chain[0][s], chain[0][s])
		t.VMOVUPS(chain[0][s], mem(acc, 0))
		if s < sums-1 {
			t.ADDQ(accStep, acc)
		}
	}
	t.end()
}
