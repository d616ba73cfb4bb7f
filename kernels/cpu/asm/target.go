package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"
)

// target is an instruction set as the generators see it: a vector width and the
// shape of a register tile. Instructions that are spelt differently have a
// method here.
type target struct {
	*build.Context
	suffix string // of function names
	bytes  int    // of a vector
	tile   [3]int // pixels (conv) or input channels (wgrad) of a register tile, by its width of 1 or 2 vectors
}

// describe returns a target. Of AVX2's 16 registers a tile of 6x2 or 12x1 takes
// 12, of AVX-512's 32 one of 12x2 takes 24; the rest hold the vectors of weights
// and the broadcast. AVX-512's tile of 16x1 leaves registers free: 16 additions
// under way are enough, and more general registers for addresses there are not.
func describe(name string) (*target, error) {
	switch name {
	case "avx2":
		return &target{build.NewContext(), "AVX2", 32, [3]int{1: 12, 2: 6}}, nil
	case "avx512":
		return &target{build.NewContext(), "AVX512", 64, [3]int{1: 16, 2: 12}}, nil
	}
	return nil, fmt.Errorf("unknown instruction set %q: avx2 or avx512", name)
}

// compile returns every function of the instruction set, with registers
// allocated.
func compile(name string) (*ir.File, error) {
	t, err := describe(name)
	if err != nil {
		return nil, err
	}
	t.ConstraintExpr("amd64")
	t.conv("conv", 2)
	t.conv("convNarrow", 1)
	t.wgrad("wgrad", 2)
	t.wgrad("wgradNarrow", 1)
	t.elementwise()
	t.channelwise()
	t.reductions()
	t.dropout()
	t.winograd()
	file, err := t.Result()
	if err != nil {
		return nil, err
	}
	return file, pass.Compile.Execute(file)
}

func (t *target) wide() bool { return t.bytes == 64 }

// lanes is the number of float32 in a vector.
func (t *target) lanes() int { return t.bytes / 4 }

// vec is a fresh vector register.
func (t *target) vec() reg.VecVirtual {
	if t.wide() {
		return t.ZMM()
	}
	return t.YMM()
}

// zero clears a vector. Of the ways to do so this is one that avo knows not to
// read its operand, in both instruction sets.
func (t *target) zero(v reg.Register) { t.VXORPS(v, v, v) }

// function opens NAME<suffix>, a leaf that neither keeps nor moves its pointers.
func (t *target) function(name, signature, doc string) {
	t.Function(name + t.suffix)
	t.Attributes(build.NOSPLIT)
	t.Pragma("noescape")
	t.SignatureExpr(signature)
	t.Doc(name + t.suffix + " " + doc)
}

// param loads a parameter of one word.
func (t *target) param(name string) reg.Register { return t.Load(t.Param(name), t.GP64()) }

// field loads the quadword at a byte offset of the argument struct.
func (t *target) field(args reg.Register, offset int) reg.GPVirtual {
	r := t.GP64()
	t.MOVQ(mem(args, offset), r)
	return r
}

// local is a word of the frame that starts as a field of the argument struct.
func (t *target) local(args reg.Register, offset int) operand.Mem {
	m := t.AllocLocal(8)
	t.MOVQ(t.field(args, offset), m)
	return m
}

// end leaves the function, with the upper halves of the vectors clean.
func (t *target) end() {
	t.VZEROUPPER()
	t.RET()
}

func label(name string, n int) string { return fmt.Sprintf("%s%d", name, n) }

// mem is an address.
func mem(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }
