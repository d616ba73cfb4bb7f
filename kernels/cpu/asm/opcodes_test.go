package main

import (
	"encoding/binary"
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"wrnc/kernels/f32"
)

type execution func(m *machine, ops []operand.Op)

// opcodes is what each instruction does, its operands in the order of Go's
// assembler: the destination last, and of two sources the second first.
var opcodes = map[string]execution{
	"MOVQ":   func(m *machine, o []operand.Op) { m.write(o[1], m.read(o[0])) },
	"LEAQ":   func(m *machine, o []operand.Op) { m.write(o[1], m.address(o[0].(operand.Mem))) },
	"ADDQ":   func(m *machine, o []operand.Op) { m.write(o[1], m.add(m.read(o[1]), m.read(o[0]))) },
	"INCQ":   func(m *machine, o []operand.Op) { m.write(o[0], m.add(m.read(o[0]), 1)) },
	"SUBQ":   func(m *machine, o []operand.Op) { m.write(o[1], m.sub(m.read(o[1]), m.read(o[0]))) },
	"DECQ":   func(m *machine, o []operand.Op) { m.write(o[0], m.sub(m.read(o[0]), 1)) },
	"CMPQ":   func(m *machine, o []operand.Op) { m.sub(m.read(o[0]), m.read(o[1])) },
	"TESTQ":  func(m *machine, o []operand.Op) { m.add(m.read(o[0])&m.read(o[1]), 0) },
	"SHRQ":   func(m *machine, o []operand.Op) { m.write(o[1], m.read(o[1])>>m.read(o[0])); m.flags.known = false },
	"IMUL3Q": func(m *machine, o []operand.Op) { m.write(o[2], m.read(o[0])*m.read(o[1])); m.flags.known = false },

	"VZEROUPPER": zeroUpper,

	"VMOVUPS":         move,
	"PREFETCHT0":      func(m *machine, o []operand.Op) { m.memory(o[0].(operand.Mem), 1, false) },
	"VMOVAPS":         moveRegister,
	"VMOVAPS.Z":       moveMasked,
	"VBROADCASTSS":    repeat(4),
	"VPBROADCASTD":    repeat(4),
	"VBROADCASTI128":  repeat(16),
	"VBROADCASTI32X4": repeat(16),
	"VEXTRACTI128":    extract,
	"VEXTRACTI64X4":   extract,

	"VADDPS": floats(func(a, b float32) float32 { return a + b }),
	"VSUBPS": floats(func(a, b float32) float32 { return a - b }),
	"VMULPS": floats(func(a, b float32) float32 { return a * b }),
	"VMAXPS": floats(func(a, b float32) float32 {
		if a > b {
			return a
		}
		return b // for NaN and equal zeros too
	}),
	"VFMADD231PS": fused(func(a, b, c float32) float32 { return f32.FMA(b, a, c) }),
	"VFMADD231PS.BCST": func(m *machine, o []operand.Op) {
		x := getF32(m.memory(o[0].(operand.Mem), 4, false), 0)
		fused(func(_, b, c float32) float32 { return f32.FMA(b, x, c) })(m, []operand.Op{o[1], o[1], o[2]})
	},
	"VFMADD213PS": fused(func(a, b, c float32) float32 { return f32.FMA(b, c, a) }),
	"VCMPPS":      compare,

	"VXORPS": xor,
	"VPXOR":  xor,
	"VPXORD": xor,
	"VANDPS": words(func(a, b uint32) uint32 { return a & b }),
	"VPANDD": words(func(a, b uint32) uint32 { return a & b }),
	"VPSUBD": words(func(a, b uint32) uint32 { return a - b }),
	"VPSRAD": func(m *machine, o []operand.Op) {
		words(func(a, _ uint32) uint32 { return uint32(int32(a) >> constant(o[0])) })(m, []operand.Op{o[1], o[1], o[2]})
	},
	"VPSHUFD": shuffle,
	"VPMULUDQ": pairs(func(a, b uint64) uint64 {
		return a & math.MaxUint32 * (b & math.MaxUint32)
	}),
	"VPADDQ": pairs(func(a, b uint64) uint64 { return a + b }),
	"VPSRLQ": func(m *machine, o []operand.Op) {
		pairs(func(a, _ uint64) uint64 { return a >> constant(o[0]) })(m, []operand.Op{o[1], o[1], o[2]})
	},
	"VPMOVZXWD": widen,
}

// add and sub set the flags: less is the sign of the result without overflow.
func (m *machine) add(a, b uint64) uint64 {
	sum := a + b
	overflow := int64((a^sum)&(b^sum)) < 0
	m.flags.known, m.flags.zero, m.flags.less = true, sum == 0, (int64(sum) < 0) != overflow
	return sum
}

func (m *machine) sub(a, b uint64) uint64 {
	m.flags.known, m.flags.zero, m.flags.less = true, a == b, int64(a) < int64(b)
	return a - b
}

func zeroUpper(m *machine, _ []operand.Op) {
	for i := range m.vectors[:16] {
		clear(m.vectors[i].data[16:])
	}
	m.dirty = false
}

func move(m *machine, o []operand.Op) {
	if to, ok := o[1].(operand.Mem); ok {
		data := m.readVector(o[0], size(o[0]))
		copy(m.memory(to, len(data), true), data)
		return
	}
	m.writeVector(o[1], m.readVector(o[0], size(o[1])))
}

// moveRegister refuses memory, which would have to be aligned.
func moveRegister(m *machine, o []operand.Op) {
	m.writeVector(o[1], m.readVector(o[0].(reg.Physical), size(o[1])))
}

func moveMasked(m *machine, o []operand.Op) {
	data := m.readVector(o[0].(reg.Physical), size(o[2]))
	mask := m.masks[o[1].(reg.Physical).PhysicalIndex()]
	if !mask.known {
		panic(fault("mask is not known"))
	}
	for i := range len(data) / 4 {
		if mask.bits>>i&1 == 0 {
			putU32(data, i, 0)
		}
	}
	m.writeVector(o[2], data)
}

func repeat(n int) execution {
	return func(m *machine, o []operand.Op) {
		from, data := m.memory(o[0].(operand.Mem), n, false), make([]byte, size(o[1]))
		for i := range data {
			data[i] = from[i%n]
		}
		m.writeVector(o[1], data)
	}
}

func extract(m *machine, o []operand.Op) {
	n := size(o[2])
	m.writeVector(o[2], m.readVector(o[1], size(o[1]))[int(constant(o[0]))*n:][:n])
}

// words is an instruction on the 32-bit lanes of two sources.
func words(f func(a, b uint32) uint32) execution {
	return func(m *machine, o []operand.Op) {
		n := size(o[2])
		a, b, data := m.readVector(o[1], n), m.readVector(o[0], n), make([]byte, n)
		for i := range n / 4 {
			putU32(data, i, f(getU32(a, i), getU32(b, i)))
		}
		m.writeVector(o[2], data)
	}
}

func floats(f func(a, b float32) float32) execution {
	return words(func(a, b uint32) uint32 {
		return math.Float32bits(f(math.Float32frombits(a), math.Float32frombits(b)))
	})
}

// pairs is an instruction on the 64-bit lanes of two sources.
func pairs(f func(a, b uint64) uint64) execution {
	return func(m *machine, o []operand.Op) {
		n := size(o[2])
		a, b, data := m.readVector(o[1], n), m.readVector(o[0], n), make([]byte, n)
		for i := 0; i < n; i += 8 {
			binary.LittleEndian.PutUint64(data[i:], f(binary.LittleEndian.Uint64(a[i:]), binary.LittleEndian.Uint64(b[i:])))
		}
		m.writeVector(o[2], data)
	}
}

// fused is a multiply-add of operands a, b and the destination c.
func fused(f func(a, b, c float32) float32) execution {
	return func(m *machine, o []operand.Op) {
		n := size(o[2])
		a, b, c, data := m.readVector(o[0], n), m.readVector(o[1], n), m.readVector(o[2], n), make([]byte, n)
		for i := range n / 4 {
			putU32(data, i, math.Float32bits(f(getF32(a, i), getF32(b, i), getF32(c, i))))
		}
		m.writeVector(o[2], data)
	}
}

// compare has the one predicate in use, less than, into a vector or a mask.
func compare(m *machine, o []operand.Op) {
	if constant(o[0]) != 1 {
		panic(fault("unknown predicate"))
	}
	n := size(o[2])
	a, b, data := m.readVector(o[2], n), m.readVector(o[1], n), make([]byte, n)
	var mask uint64
	for i := range n / 4 {
		if getF32(a, i) < getF32(b, i) {
			putU32(data, i, math.MaxUint32)
			mask |= 1 << i
		}
	}
	if r := o[3].(reg.Physical); r.Kind() == reg.KindOpmask {
		m.masks[r.PhysicalIndex()] = word{true, mask}
		return
	}
	m.writeVector(o[3], data)
}

// xor of a register with itself is zero whatever it held.
func xor(m *machine, o []operand.Op) {
	if o[0] == o[1] {
		m.writeVector(o[2], make([]byte, size(o[2])))
		return
	}
	words(func(a, b uint32) uint32 { return a ^ b })(m, o)
}

func shuffle(m *machine, o []operand.Op) {
	n, order := size(o[2]), constant(o[0])
	from, data := m.readVector(o[1], n), make([]byte, n)
	for i := range n / 4 {
		putU32(data, i, getU32(from, i/4*4+int(order>>(2*(i%4))&3)))
	}
	m.writeVector(o[2], data)
}

func widen(m *machine, o []operand.Op) {
	n := size(o[1])
	from, data := m.readVector(o[0], n/2), make([]byte, n)
	for i := range n / 4 {
		putU32(data, i, uint32(binary.LittleEndian.Uint16(from[2*i:])))
	}
	m.writeVector(o[1], data)
}
