// Package f32 is exact float32 arithmetic in plain Go: the operations that the
// vector units of every target have and Go's float32 lacks. The interpreter and
// the row functions share it, so that they agree to the bit.
package f32

import "math"

// FMA returns x*y + z rounded once.
//
// The product of two float32 is exact in float64. Their sum with z is rounded to
// float64 first; rounding that again to float32 goes wrong only where the
// float64 sum lies exactly between two float32, and then the error of the first
// rounding, which is exact by Knuth's two-sum, tells the side.
func FMA(x, y, z float32) float32 {
	p, a := float64(x)*float64(y), float64(z)
	s := p + a
	bits := math.Float64bits(s)
	if bits&(1<<29-1) != 1<<28 && s >= 0x1p-126 || s != s {
		return float32(s)
	}
	return fixed(p, a, s, bits)
}

// fixed is the rare rest: sums halfway between two float32, negative ones,
// subnormal ones and zero.
func fixed(p, a, s float64, bits uint64) float32 {
	b := s - p
	e := float64(p-float64(s-b)) + float64(a-b)
	if e == 0 || math.IsInf(s, 0) || e != e {
		return float32(s)
	}
	// Move s one step towards the exact sum where its last bit is even: rounding
	// to odd, after which a second rounding cannot go wrong.
	if bits&1 == 0 {
		if (e > 0) == (s > 0) {
			bits++
		} else {
			bits--
		}
	}
	return float32(math.Float64frombits(bits))
}

// ToBF16 rounds to nearest even in bfloat16, as its 16 bits; NaN stays NaN.
func ToBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBF16 widens exactly.
func FromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// RoundBF16 is FromBF16(ToBF16(x)).
func RoundBF16(x float32) float32 { return FromBF16(ToBF16(x)) }

// RoundTF32 rounds to nearest even with ten mantissa bits; NaN stays NaN.
func RoundTF32(x float32) float32 {
	b := math.Float32bits(x)
	if b&0x7f800000 == 0x7f800000 {
		return x
	}
	return math.Float32frombits((b + 0xfff + b>>13&1) &^ 0x1fff)
}
