package main

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// machine executes compiled functions one instruction at a time, so that the
// AVX-512 program is tested on machines without AVX-512. It is stricter than a
// processor: every access must lie inside one buffer, a register must be written
// before it is read, and so must the flags; a function must leave the upper
// halves of the vectors clean. That it agrees with processors is tested by the
// AVX2 program, which it and the processor both run.
type machine struct {
	gp      [16]word
	vectors [32]vector
	masks   [8]word
	flags   struct{ known, zero, less bool }
	dirty   bool // an upper half has been written since VZEROUPPER

	frame, params []byte
	buffers       []buffer
}

type word struct {
	known bool
	bits  uint64
}

type vector struct {
	known bool
	data  [64]byte
}

// buffer is memory at an address of the machine.
type buffer struct {
	base     uint64
	data     []byte
	writable bool
}

// fault is what a program did wrong.
type fault string

func faultf(format string, args ...any) fault { return fault(fmt.Sprintf(format, args...)) }

// budget is more instructions than any test runs.
const budget = 5_000_000

// run executes a function whose parameters are laid out in params.
func (m *machine) run(f *ir.Function, params []byte) (err error) {
	m.params, m.frame = params, make([]byte, f.LocalSize)
	var instructions []*ir.Instruction
	labels := map[ir.Label]int{} // avo's own table may name moves that it has pruned since
	for _, node := range f.Nodes {
		switch node := node.(type) {
		case ir.Label:
			labels[node] = len(instructions)
		case *ir.Instruction:
			instructions = append(instructions, node)
		}
	}
	pc := 0
	defer func() {
		if r := recover(); r != nil {
			why, ok := r.(fault)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%s, instruction %d, %s: %s", f.Name, pc, text(instructions[pc]), why)
		}
	}()
	for range budget {
		ins := instructions[pc]
		switch {
		case ins.Opcode == "RET":
			if m.dirty {
				panic(fault("returns with upper halves in use"))
			}
			return nil
		case ins.IsBranch:
			if m.taken(ins.Opcode) {
				target, ok := labels[*ins.TargetLabel()]
				if !ok {
					panic(fault("no such label"))
				}
				pc = target
				continue
			}
		default:
			execute, ok := opcodes[ins.OpcodeWithSuffixes()]
			if !ok {
				panic(fault("unknown instruction"))
			}
			execute(m, ins.Operands)
		}
		pc++
	}
	panic(fault("does not end"))
}

func text(i *ir.Instruction) string {
	s := i.OpcodeWithSuffixes()
	for _, op := range i.Operands {
		s += " " + op.Asm()
	}
	return s
}

func (m *machine) taken(opcode string) bool {
	if opcode == "JMP" {
		return true
	}
	if !m.flags.known {
		panic(fault("flags are not known"))
	}
	switch opcode {
	case "JE":
		return m.flags.zero
	case "JNE":
		return !m.flags.zero
	case "JL":
		return m.flags.less
	case "JLE":
		return m.flags.less || m.flags.zero
	case "JGE":
		return !m.flags.less
	}
	panic(fault("unknown branch"))
}

// address is where a memory operand points, outside parameters and frame.
func (m *machine) address(o operand.Mem) uint64 {
	a := m.readGP(o.Base) + uint64(o.Disp)
	if o.Index != nil {
		a += m.readGP(o.Index) * uint64(o.Scale)
	}
	return a
}

// memory is n bytes at a memory operand.
func (m *machine) memory(o operand.Mem, n int, write bool) []byte {
	within := func(b []byte, at int) []byte {
		if at < 0 || at+n > len(b) {
			panic(faultf("outside the %d bytes of parameters or frame", len(b)))
		}
		return b[at : at+n]
	}
	switch o.Base {
	case reg.FramePointer:
		return within(m.params, o.Disp)
	case reg.StackPointer:
		return within(m.frame, o.Disp)
	}
	a := m.address(o)
	for _, b := range m.buffers {
		if a >= b.base && a+uint64(n) <= b.base+uint64(len(b.data)) {
			if write && !b.writable {
				panic(fault("writes an operand"))
			}
			return b.data[a-b.base:][:n]
		}
	}
	panic(faultf("%d bytes at %#x lie in no buffer", n, a))
}

func (m *machine) readGP(r reg.Register) uint64 {
	w := m.gp[r.(reg.Physical).PhysicalIndex()]
	if !w.known {
		panic(faultf("%s is not known", r.Asm()))
	}
	return w.bits
}

// read is the value of a 64-bit operand.
func (m *machine) read(o operand.Op) uint64 {
	switch o := o.(type) {
	case operand.Mem:
		return binary.LittleEndian.Uint64(m.memory(o, 8, false))
	case reg.Register:
		return m.readGP(o)
	}
	return constant(o)
}

func constant(o operand.Op) uint64 {
	switch c := o.(type) {
	case operand.U8:
		return uint64(c)
	case operand.U16:
		return uint64(c)
	case operand.U32:
		return uint64(c)
	}
	panic(fault("unknown constant"))
}

func (m *machine) write(o operand.Op, bits uint64) {
	if o, ok := o.(operand.Mem); ok {
		binary.LittleEndian.PutUint64(m.memory(o, 8, true), bits)
		return
	}
	m.gp[o.(reg.Physical).PhysicalIndex()] = word{true, bits}
}

// readVector is size bytes of a vector or of memory.
func (m *machine) readVector(o operand.Op, size int) []byte {
	if o, ok := o.(operand.Mem); ok {
		return m.memory(o, size, false)
	}
	v := &m.vectors[o.(reg.Physical).PhysicalIndex()]
	if !v.known {
		panic(faultf("%s is not known", o.Asm()))
	}
	return append([]byte(nil), v.data[:size]...)
}

// writeVector sets a vector and clears what lies above.
func (m *machine) writeVector(o operand.Op, data []byte) {
	r := o.(reg.Physical)
	if int(r.Size()) != len(data) {
		panic(faultf("%d bytes into %s", len(data), r.Asm()))
	}
	v := &m.vectors[r.PhysicalIndex()]
	*v = vector{known: true}
	copy(v.data[:], data)
	m.dirty = m.dirty || len(data) > 16
}

// size is how many bytes a vector register has.
func size(o operand.Op) int { return int(o.(reg.Physical).Size()) }

func getF32(b []byte, lane int) float32 { return math.Float32frombits(getU32(b, lane)) }
func getU32(b []byte, lane int) uint32  { return binary.LittleEndian.Uint32(b[4*lane:]) }
func putU32(b []byte, lane int, v uint32) {
	binary.LittleEndian.PutUint32(b[4*lane:], v)
}
