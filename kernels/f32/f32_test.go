package f32

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// exactFMA computes x*y+z in 2,000-bit arithmetic and rounds once.
func exactFMA(x, y, z float32) float32 {
	f := func(v float32) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(float64(v)) }
	sum := new(big.Float).SetPrec(2000).Mul(f(x), f(y))
	sum.Add(sum, f(z))
	r, _ := sum.Float32()
	return r
}

func TestFMA(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func() float32 {
		switch r.IntN(4) {
		case 0: // few bits: products and sums that fall halfway
			return float32(r.IntN(1<<13)-1<<12) * float32(math.Ldexp(1, r.IntN(60)-30))
		case 1: // subnormal and near it
			return math.Float32frombits(uint32(r.IntN(1<<25)) | r.Uint32()&(1<<31))
		}
		v := math.Float32frombits(r.Uint32())
		if v-v != 0 {
			return 1
		}
		return v
	}
	for range 300_000 {
		x, y, z := pick(), pick(), pick()
		if r.IntN(3) == 0 { // z of the size of the product's last bits
			z = float32(math.Ldexp(float64(x)*float64(y), r.IntN(60)-30))
		}
		want, got := exactFMA(x, y, z), FMA(x, y, z)
		if want == 0 && got == 0 {
			continue
		}
		require.Equal(t, math.Float32bits(want), math.Float32bits(got), "fma(%g, %g, %g): got %g, want %g", x, y, z, got, want)
	}
	require.True(t, FMA(float32(math.NaN()), 1, 1) != FMA(1, 1, 0))
	require.Equal(t, float32(math.Inf(1)), FMA(math.MaxFloat32, 2, 0))
	require.Equal(t, float32(math.Inf(-1)), FMA(1, 1, float32(math.Inf(-1))))
}

// TestHalfway is a case that rounds wrongly when it is rounded twice.
func TestHalfway(t *testing.T) {
	x, y, z := float32(1+0x1p-12), float32(1+0x1p-12), float32(0x1p-60)
	require.Equal(t, exactFMA(x, y, z), FMA(x, y, z))
	require.NotEqual(t, float32(float64(x)*float64(y)+float64(z)), FMA(x, y, z))
}

// TestPhilox compares with the known answers that Random123 publishes for
// philox4x32-10.
func TestPhilox(t *testing.T) {
	for _, k := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, [2]uint32{0xffffffff, 0xffffffff}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		require.Equal(t, k.want, Philox4x32(k.key, k.ctr))
	}
}

func TestNarrow(t *testing.T) {
	require.Equal(t, uint16(0x3f80), ToBF16(1))
	require.Equal(t, uint16(0x3f80), ToBF16(1+0x1p-8), "a tie goes to the even neighbour")
	require.Equal(t, uint16(0x3f82), ToBF16(1+3*0x1p-8))
	require.Equal(t, uint16(0x7f80), ToBF16(math.MaxFloat32))
	require.True(t, math.IsNaN(float64(FromBF16(ToBF16(float32(math.NaN()))))))
	require.Equal(t, float32(1), RoundTF32(1+0x1p-11))
	require.Equal(t, float32(1+0x1p-9), RoundTF32(1+3*0x1p-11))
	require.Equal(t, float32(math.Inf(1)), RoundTF32(math.MaxFloat32))
	require.Equal(t, RoundBF16(1.2345), RoundBF16(RoundBF16(1.2345)))
}
