package ir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DType is the type of one element.
type DType uint8

// The element types. TF32 is stored like F32 with ten mantissa bits kept; U1 is
// a dropout mask's bit.
const (
	InvalidDType DType = iota
	U1
	U8
	S32
	U64
	BF16
	TF32
	F32
)

var dtypeNames = [...]string{InvalidDType: "invalid", U1: "u1", U8: "u8", S32: "s32", U64: "u64", BF16: "bf16", TF32: "tf32", F32: "f32"}

func (d DType) String() string { return dtypeNames[d] }

// ParseDType is the inverse of [DType.String].
func ParseDType(s string) (DType, bool) {
	i := slices.Index(dtypeNames[1:], s)
	return DType(i + 1), i >= 0
}

// IsFloat tells whether arithmetic on the type rounds.
func (d DType) IsFloat() bool { return d == BF16 || d == TF32 || d == F32 }

// Bytes is the size of one stored element. A mask's bit takes a whole byte
// count only in groups of eight; see [Type.Bytes].
func (d DType) Bytes() int {
	switch d {
	case U1, U8:
		return 1
	case BF16:
		return 2
	case S32, TF32, F32:
		return 4
	case U64:
		return 8
	}
	return 0
}

// Type is an element type and a shape; a scalar has no dimensions.
type Type struct {
	DType DType
	Dims  []int
}

// T builds a type.
func T(d DType, dims ...int) Type { return Type{d, dims} }

// String prints a type as in "f32[128,32,32,16]".
func (t Type) String() string {
	var b strings.Builder
	b.WriteString(t.DType.String())
	b.WriteByte('[')
	for i, d := range t.Dims {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(d))
	}
	b.WriteByte(']')
	return b.String()
}

// Equal reports whether element type and shape agree.
func (t Type) Equal(u Type) bool { return t.DType == u.DType && slices.Equal(t.Dims, u.Dims) }

// SameDims reports whether the shapes agree, whatever the element types.
func (t Type) SameDims(u Type) bool { return slices.Equal(t.Dims, u.Dims) }

// Rank is the number of dimensions.
func (t Type) Rank() int { return len(t.Dims) }

// Elems is the number of elements.
func (t Type) Elems() int {
	n := 1
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Bytes is the stored size; eight bits of a mask share a byte.
func (t Type) Bytes() int {
	if t.DType == U1 {
		return (t.Elems() + 7) / 8
	}
	return t.Elems() * t.DType.Bytes()
}

// Channels is the last dimension: C of an activation or a channel vector.
func (t Type) Channels() int {
	if len(t.Dims) == 0 {
		return 0
	}
	return t.Dims[len(t.Dims)-1]
}

// With returns the type with another element type.
func (t Type) With(d DType) Type { return Type{d, t.Dims} }

// maxElems bounds a single value: sizes past it are a mistake or an attack,
// and every product of dimensions below it fits an int.
const maxElems = 1 << 40

// bounded refuses a type of more than maxElems elements, without overflow.
func (t Type) bounded() error {
	n := 1
	for _, d := range t.Dims {
		if d < 1 || d > maxElems/n {
			return fmt.Errorf("%v has more than %d elements", t, maxElems)
		}
		n *= d
	}
	return nil
}

// parseType reads what [Type.String] prints.
func parseType(s string) (Type, error) {
	open := strings.IndexByte(s, '[')
	if open < 0 || !strings.HasSuffix(s, "]") {
		return Type{}, fmt.Errorf("expected a type such as f32[128,32,32,16], found %q", s)
	}
	d, ok := ParseDType(s[:open])
	if !ok {
		return Type{}, fmt.Errorf("unknown element type %q; there are %s", s[:open], strings.Join(dtypeNames[1:], ", "))
	}
	t := Type{DType: d}
	inner := s[open+1 : len(s)-1]
	if inner == "" {
		return t, nil
	}
	elems := 1
	for _, w := range strings.Split(inner, ",") {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > maxElems/elems {
			return Type{}, fmt.Errorf("bad dimension %q in type %q: expected a whole number from 1, at most %d elements in all", w, s, maxElems)
		}
		elems *= n
		t.Dims = append(t.Dims, n)
	}
	if len(t.Dims) > 4 {
		return Type{}, fmt.Errorf("type %q has %d dimensions; at most 4 are known", s, len(t.Dims))
	}
	return t, nil
}
