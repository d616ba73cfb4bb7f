// Package checkpoint reads and writes the weights and the training state of a
// network as safetensors files.
//
// A file is
//
//	u64 little-endian   n, the length of the header in bytes
//	n bytes             JSON: {"__metadata__": {"key": "text"},
//	                           "name": {"dtype": "F32", "shape": [64, 3, 3, 32],
//	                                    "data_offsets": [begin, end]}, ...}
//	the rest            the elements of every tensor, little-endian, row-major,
//	                    one tensor after another with no holes
//
// Offsets count from the first byte after the header. The same tensors and
// metadata always give the same bytes, and a file is either the old one or the
// new one, never half of one (see [Replace]). A file that is read is not
// trusted: nothing is allocated for a tensor before the header is known to be
// sound (see [Read]).
package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// DType is the element type of a tensor, spelled as in the file.
type DType string

// The element types that a file may hold. wrnc writes F32; the others occur in
// files of other programs.
const (
	F64     DType = "F64"
	F32     DType = "F32"
	F16     DType = "F16"
	BF16    DType = "BF16"
	F8E4M3  DType = "F8_E4M3"
	F8E5M2  DType = "F8_E5M2"
	I64     DType = "I64"
	I32     DType = "I32"
	I16     DType = "I16"
	I8      DType = "I8"
	U64     DType = "U64"
	U32     DType = "U32"
	U16     DType = "U16"
	U8      DType = "U8"
	Boolean DType = "BOOL"
)

// Size returns the bytes of one element, or 0 for an unknown type.
func (d DType) Size() int {
	switch d {
	case F64, I64, U64:
		return 8
	case F32, I32, U32:
		return 4
	case F16, BF16, I16, U16:
		return 2
	case F8E4M3, F8E5M2, I8, U8, Boolean:
		return 1
	}
	return 0
}

// Tensor is one named array.
type Tensor struct {
	Name  string // not empty, UTF-8, not "__metadata__"
	DType DType
	Shape []int  // empty for a scalar
	Data  []byte // little-endian, row-major, product(Shape) * DType.Size() bytes
}

// FromFloat32s returns an F32 tensor that holds a copy of values. [Write]
// reports a shape whose product is not len(values).
func FromFloat32s(name string, shape []int, values []float32) Tensor {
	data := make([]byte, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
	}
	return Tensor{Name: name, DType: F32, Shape: slices.Clone(shape), Data: data}
}

// Float32s returns the elements of an F32, F16 or BF16 tensor as float32, which
// holds every value of the three exactly. Another type is an error.
func (t Tensor) Float32s() ([]float32, error) {
	var at func(i int) float32
	switch t.DType {
	case F32:
		at = func(i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:])) }
	case BF16:
		at = func(i int) float32 {
			return math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:])) << 16)
		}
	case F16:
		at = func(i int) float32 { return widenHalf(binary.LittleEndian.Uint16(t.Data[2*i:])) }
	default:
		return nil, t.isFloat()
	}
	values := make([]float32, len(t.Data)/t.DType.Size())
	for i := range values {
		values[i] = at(i)
	}
	return values, nil
}

// isFloat is the error for a tensor of another type than those of Float32s.
func (t Tensor) isFloat() error {
	switch t.DType {
	case F32, F16, BF16:
		return nil
	}
	return fmt.Errorf("tensor %s is %s; expected F32, F16 or BF16", quote(t.Name), quote(string(t.DType)))
}

// widenHalf converts an IEEE 754 binary16 to float32, keeping the payload of a NaN.
func widenHalf(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent := uint32(h>>10) & 0x1f
	fraction := uint32(h & 0x3ff)
	switch {
	case exponent == 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	case exponent == 0 && fraction == 0:
		return math.Float32frombits(sign)
	case exponent == 0:
		// A subnormal half is a normal float32: fraction * 2^-24.
		shift := uint32(bits.LeadingZeros16(uint16(fraction))) - 5
		return math.Float32frombits(sign | (113-shift)<<23 | (fraction<<shift&0x3ff)<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// byteSize returns product(shape) * dtype.Size(), or why there is none.
func byteSize(dtype DType, shape []int) (int64, error) {
	size := dtype.Size()
	if size == 0 {
		return 0, fmt.Errorf("unknown dtype %s; expected one of F64 F32 F16 BF16 F8_E4M3 F8_E5M2 I64 I32 I16 I8 U64 U32 U16 U8 BOOL", quote(string(dtype)))
	}
	if len(shape) > maxRank {
		return 0, fmt.Errorf("shape has %d dimensions; at most %d are allowed", len(shape), maxRank)
	}
	total := uint64(size)
	for _, n := range shape {
		if n < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		over, product := bits.Mul64(total, uint64(n))
		if over != 0 || product > math.MaxInt64 {
			return 0, fmt.Errorf("shape %v of %s does not fit in memory", shape, dtype)
		}
		total = product
	}
	return int64(total), nil
}

// checkName says why a name cannot stand in a file.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a tensor has no name")
	case name == metadataKey:
		return fmt.Errorf("the tensor name %q is reserved for the file's metadata", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("the tensor name %s is not UTF-8", quote(name))
	}
	return nil
}

// quote prints text from a file for a message: escaped and cut to a line.
func quote(text string) string {
	const longest = 80
	if len(text) > longest {
		return fmt.Sprintf("%q...", strings.ToValidUTF8(text[:longest], ""))
	}
	return fmt.Sprintf("%q", text)
}
