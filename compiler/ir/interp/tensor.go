package interp

import (
	"fmt"

	"wrnc/compiler/ir"
)

// MaxElems bounds one value of a run: 2^27 elements, 1 GiB.
const MaxElems = 1 << 27

// Tensor is a value: its type with the dimensions it really has, and its
// elements in row-major order. Float types hold them in F, whatever their
// precision; so does u1, as 0 and 1. The integer types s32, u8 and u64 hold
// them in U, a negative s32 as its two's complement.
type Tensor struct {
	Type ir.Type
	F    []float64
	U    []uint64
}

// New returns a tensor of zeros.
func New(t ir.Type) *Tensor {
	if inFloats(t.DType) {
		return &Tensor{Type: t, F: make([]float64, t.Elems())}
	}
	return &Tensor{Type: t, U: make([]uint64, t.Elems())}
}

// Floats returns a tensor of a float type or u1 with the given elements.
func Floats(t ir.Type, elems ...float64) *Tensor { return &Tensor{Type: t, F: elems} }

// Words returns a tensor of an integer type with the given elements.
func Words(t ir.Type, elems ...uint64) *Tensor { return &Tensor{Type: t, U: elems} }

func inFloats(d ir.DType) bool { return d.IsFloat() || d == ir.U1 }

// check reports whether the tensor is a well-formed one of the given type.
func (t *Tensor) check(want ir.Type) error {
	if !t.Type.Equal(want) {
		return fmt.Errorf("expected a tensor %v, found %v", want, t.Type)
	}
	floats, words := t.Type.Elems(), 0
	if !inFloats(t.Type.DType) {
		floats, words = words, floats
	}
	if len(t.F) != floats || len(t.U) != words {
		return fmt.Errorf("tensor %v holds %d floats and %d words, expected %d and %d", t.Type, len(t.F), len(t.U), floats, words)
	}
	return nil
}

// withBatch is the type for a run of n samples.
func withBatch(t ir.Type, n int) ir.Type {
	dims := append([]int{n}, t.Dims[1:]...)
	return ir.T(t.DType, dims...)
}

// alloc returns zeros for a result of type t.
func alloc(t ir.Type) (*Tensor, error) {
	elems := 1
	for _, d := range t.Dims {
		if d < 1 || d > MaxElems/elems {
			return nil, fmt.Errorf("a value %v is too large to interpret; at most %d elements are", t, MaxElems)
		}
		elems *= d
	}
	return New(t), nil
}
