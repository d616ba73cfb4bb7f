// Package f32 is exact float32 arithmetic in plain Go: the operations that the
// vector units of every target have and Go's float32 lacks. The interpreter and
// the row functions share it, so that they agree to the bit.
package f32

import "math"

// minNormal is the float64 bits of the least normal float32, halfway the last 29
// bits of a float64 that lies exactly between two normal float32.
const (
	minNormal = 0x381 << 52
	halfway   = 1 << 28
)

// FMA returns x*y + z rounded once.
//
// The product of two float32 is exact in float64. Their sum with z is rounded to
// float64 first; rounding that again to float32 goes wrong only where the
// float64 sum lies exactly between two float32, and then the error of the first
// rounding, which is exact by Knuth's two-sum, tells the side.
func FMA(x, y, z float32) float32 {
	p := float64(x) * float64(y)
	s := p + float64(z)
	if bits := math.Float64bits(s); bits&(2*halfway-1) == halfway || bits&^(1<<63) < minNormal {
		return fixed(p, float64(z), s)
	}
	return float32(s)
}

// fixed is the rare rest: sums halfway between two float32, and sums that are
// subnormal or zero, where other bits may lie halfway.
func fixed(p, a, s float64) float32 {
	b := s - p
	e := float64(p-float64(s-b)) + float64(a-b)
	if e == 0 || math.IsInf(s, 0) || e != e {
		return float32(s)
	}
	// Move s one step towards the exact sum where its last bit is even: rounding
	// to odd, after which a second rounding cannot go wrong.
	bits := math.Float64bits(s)
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
