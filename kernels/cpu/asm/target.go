package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// target is an instruction set as the generators see it: a vector width and the
// shape of a register tile. Instructions that are spelt differently have a
// method here.
type target struct {
	*build.Context
	name   string
	suffix string // of function names
	bytes  int    // of a vector
	tile   int    // pixels (conv) or input channels (wgrad) of a register tile; two vectors wide
}

// describe returns a target. Of AVX2's 16 registers a tile of 6 takes 12, of
// AVX-512's 32 a tile of 12 takes 24; the rest hold two vectors of weights and
// the broadcast.
func describe(ctx *build.Context, name string) (*target, error) {
	switch name {
	case "avx2":
		return &target{ctx, name, "AVX2", 32, 6}, nil
	case "avx512":
		return &target{ctx, name, "AVX512", 64, 12}, nil
	}
	return nil, fmt.Errorf("unknown instruction set %q: avx2 or avx512", name)
}

func (t *target) wide() bool { return t.bytes == 64 }

// vec is a fresh vector register.
func (t *target) vec() reg.VecVirtual {
	if t.wide() {
		return t.ZMM()
	}
	return t.YMM()
}

// zero clears a vector.
func (t *target) zero(v reg.Register) {
	if t.wide() {
		t.VPXORD(v, v, v)
	} else {
		t.VXORPS(v, v, v)
	}
}

// function opens NAME<suffix>(a *ARGS), the form of the microkernels.
func (t *target) function(name, signature, doc string) {
	t.Function(name + t.suffix)
	t.Attributes(build.NOSPLIT)
	t.Pragma("noescape")
	t.SignatureExpr(signature)
	t.Doc(doc)
}

// field loads the quadword at a byte offset of the argument struct.
func (t *target) field(args reg.Register, offset int) reg.GPVirtual {
	r := t.GP64()
	t.MOVQ(operand.Mem{Base: args, Disp: offset}, r)
	return r
}

// end leaves the function, with the upper halves of the vectors clean.
func (t *target) end() {
	t.VZEROUPPER()
	t.RET()
}

func label(parts ...any) string {
	s := "l"
	for _, p := range parts {
		s += fmt.Sprintf("_%v", p)
	}
	return s
}

// mem is an address.
func mem(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }
