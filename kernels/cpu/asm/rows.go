package main

import (
	"strconv"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// unroll is how many vectors an elementwise loop takes at a time.
const unroll = 4

// elementwise writes the functions of single elements. They take whole vectors;
// the caller does what is left.
func (t *target) elementwise() {
	t.perElement("relu", []string{"x"}, "", func(in []reg.VecVirtual, _ reg.VecVirtual) reg.VecVirtual {
		return t.relu(in[0])
	})
	t.perElement("reluGrad", []string{"grad", "x"}, "", func(in []reg.VecVirtual, _ reg.VecVirtual) reg.VecVirtual {
		return t.keepPositive(in[0], in[1])
	})
	t.perElement("add", []string{"a", "b"}, "", func(in []reg.VecVirtual, _ reg.VecVirtual) reg.VecVirtual {
		t.VADDPS(in[0], in[1], in[1])
		return in[1]
	})
	t.perElement("mul", []string{"a", "b"}, "", func(in []reg.VecVirtual, _ reg.VecVirtual) reg.VecVirtual {
		t.VMULPS(in[0], in[1], in[1])
		return in[1]
	})
	t.perElement("scale", []string{"x"}, "alpha", func(in []reg.VecVirtual, alpha reg.VecVirtual) reg.VecVirtual {
		t.VMULPS(alpha, in[0], in[0])
		return in[0]
	})
	t.perElement("axpy", []string{"x", "y"}, "alpha", func(in []reg.VecVirtual, alpha reg.VecVirtual) reg.VecVirtual {
		t.VFMADD231PS(in[0], alpha, in[1])
		return in[1]
	})
	t.perElement("maskScale", []string{"x", "mask"}, "scale", func(in []reg.VecVirtual, scale reg.VecVirtual) reg.VecVirtual {
		t.VMULPS(scale, in[0], in[0])
		if t.wide() {
			t.VPANDD(in[0], in[1], in[1])
		} else {
			t.VANDPS(in[0], in[1], in[1])
		}
		return in[1]
	})
}

// relu is max(0, x) with x the second source, which the instruction returns for
// NaN and for equal zeros: 0 where x < 0, else x.
func (t *target) relu(x reg.VecVirtual) reg.VecVirtual {
	z := t.vec()
	t.zero(z)
	t.VMAXPS(x, z, x)
	return x
}

// keepPositive is g where x > 0, else 0.
func (t *target) keepPositive(g, x reg.VecVirtual) reg.VecVirtual {
	z := t.vec()
	t.zero(z)
	if t.wide() {
		k := t.K()
		t.VCMPPS(operand.Imm(1), x, z, k) // 0 < x
		t.VMOVAPS_Z(g, k, g)
		return g
	}
	t.VCMPPS(operand.Imm(1), x, z, x)
	t.VANDPS(g, x, g)
	return g
}

// perElement writes NAME(dst, inputs..., n[, scalar]): dst[i] = f(inputs[i]) for
// n elements, a multiple of the vector.
func (t *target) perElement(name string, inputs []string, scalar string, f func(in []reg.VecVirtual, s reg.VecVirtual) reg.VecVirtual) {
	sig := "func(dst"
	for _, in := range inputs {
		sig += ", " + in
	}
	sig += " *float32, n int"
	if scalar != "" {
		sig += ", " + scalar + " float32"
	}
	t.function(name, sig+")", "takes n, a multiple of "+strconv.Itoa(t.lanes())+".")
	var ptrs []reg.Register
	for _, in := range inputs {
		ptrs = append(ptrs, t.param(in))
	}
	dst, n := t.param("dst"), t.param("n")
	var s reg.VecVirtual
	if scalar != "" {
		s = t.vec()
		addr, err := t.Param(scalar).Resolve()
		if err != nil {
			panic(err)
		}
		t.VBROADCASTSS(addr.Addr, s)
	}
	lanes := t.lanes()
	loop := func(count int, lbl string) {
		t.Label(lbl)
		for i := range count {
			var in []reg.VecVirtual
			for _, p := range ptrs {
				v := t.vec()
				t.VMOVUPS(mem(p, i*t.bytes), v)
				in = append(in, v)
			}
			t.VMOVUPS(f(in, s), mem(dst, i*t.bytes))
		}
		for _, p := range append(ptrs, dst) {
			t.ADDQ(operand.U32(uint32(count*t.bytes)), p)
		}
		t.SUBQ(operand.Imm(uint64(count*lanes)), n)
	}
	t.SUBQ(operand.Imm(uint64(unroll*lanes)), n)
	t.JL(operand.LabelRef("rest"))
	loop(unroll, "many")
	t.JGE(operand.LabelRef("many"))
	t.Label("rest")
	t.ADDQ(operand.Imm(uint64(unroll*lanes)), n)
	t.JE(operand.LabelRef("done"))
	loop(1, "one")
	t.JNE(operand.LabelRef("one"))
	t.Label("done")
	t.end()
}

// channelwise writes the functions with channel vectors, for some vectors of
// channels: they stay in registers while pixels pass by.
func (t *target) channelwise() {
	for _, width := range []int{1, 2, 4} {
		t.perChannels(width)
	}
}

func (t *target) perChannels(width int) {
	affine := func(in, v []reg.VecVirtual) reg.VecVirtual { // x*t0 + t1
		r := t.vec()
		t.VMOVAPS(v[1], r)
		t.VFMADD231PS(in[0], v[0], r)
		return r
	}
	t.perChannel("affine", width, []string{"x"}, 2, affine)
	t.perChannel("affineRelu", width, []string{"x"}, 2, func(in, v []reg.VecVirtual) reg.VecVirtual { return t.relu(affine(in, v)) })
	t.perChannel("affineReluGrad", width, []string{"grad", "x"}, 2, func(in, v []reg.VecVirtual) reg.VecVirtual {
		return t.keepPositive(in[0], affine(in[1:], v))
	})
	t.perChannel("affine2", width, []string{"grad", "x"}, 3, func(in, v []reg.VecVirtual) reg.VecVirtual {
		r := t.vec()
		t.VMOVAPS(v[2], r)
		t.VFMADD231PS(in[1], v[1], r) // t1*x + t2
		t.VFMADD213PS(r, v[0], in[0]) // t0*g + that
		return in[0]
	})
	t.perChannel("addChannel", width, []string{"x"}, 1, func(in, v []reg.VecVirtual) reg.VecVirtual {
		t.VADDPS(in[0], v[0], in[0])
		return in[0]
	})
}

// perChannel writes NAME(dst, inputs..., v, vStep, px, step): width vectors of
// channels of px pixels, step bytes apart; v holds the channel vectors, vStep
// bytes apart. The name of a function of several vectors ends in their number.
func (t *target) perChannel(name string, width int, inputs []string, channels int, f func(in, v []reg.VecVirtual) reg.VecVirtual) {
	sig := "func(dst"
	for _, in := range inputs {
		sig += ", " + in
	}
	t.function(numbered(name, width), sig+", v *float32, vStep, px, step int)", "does "+vectors(width)+" of px >= 1 pixels.")
	var ptrs []reg.Register
	for _, in := range inputs {
		ptrs = append(ptrs, t.param(in))
	}
	dst, v := t.param("dst"), t.param("v")
	vStep, px, step := t.param("vStep"), t.param("px"), t.param("step")
	rows := make([][]reg.VecVirtual, width) // the channel vectors' values for each vector of channels
	for i := range channels {
		for j := range rows {
			r := t.vec()
			t.VMOVUPS(mem(v, j*t.bytes), r)
			rows[j] = append(rows[j], r)
		}
		if i < channels-1 {
			t.ADDQ(vStep, v)
		}
	}
	pixel := func(offset reg.Register) {
		for j, vecs := range rows {
			at := func(p reg.Register) operand.Mem {
				m := mem(p, j*t.bytes)
				if offset != nil {
					m.Index, m.Scale = offset, 1
				}
				return m
			}
			var in []reg.VecVirtual
			for _, p := range ptrs {
				r := t.vec()
				t.VMOVUPS(at(p), r)
				in = append(in, r)
			}
			t.VMOVUPS(f(in, vecs), at(dst))
		}
	}
	two := t.GP64()
	t.LEAQ(operand.Mem{Base: step, Index: step, Scale: 1}, two)
	t.SUBQ(operand.Imm(2), px)
	t.JL(operand.LabelRef("rest"))
	t.Label("pair")
	pixel(nil)
	pixel(step)
	for _, p := range append(ptrs, dst) {
		t.ADDQ(two, p)
	}
	t.SUBQ(operand.Imm(2), px)
	t.JGE(operand.LabelRef("pair"))
	t.Label("rest")
	t.ADDQ(operand.Imm(2), px)
	t.JE(operand.LabelRef("done"))
	pixel(nil)
	t.Label("done")
	t.end()
}

// numbered is the name of a function of width vectors.
func numbered(name string, width int) string {
	if width == 1 {
		return name
	}
	return name + "X" + strconv.Itoa(width)
}
