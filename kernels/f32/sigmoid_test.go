package f32

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSigmoid walks through the floats between -90 and 90, and compares with
// float64.
func TestSigmoid(t *testing.T) {
	worst := 0.0
	check := func(x float32) {
		got := float64(Sigmoid(x))
		want := 1 / (1 + math.Exp(-float64(min(max(x, -87), 87))))
		unit := float64(math.Nextafter32(float32(want), 2)) - float64(float32(want))
		worst = max(worst, math.Abs(got-want)/unit)
	}
	for bits := uint32(0); bits < math.Float32bits(90); bits += 1009 {
		check(math.Float32frombits(bits))
		check(-math.Float32frombits(bits))
	}
	require.Less(t, worst, 3.0, "units in the last place")
	require.Equal(t, float32(0.5), Sigmoid(0))
	require.Equal(t, float32(1), Sigmoid(float32(math.Inf(1))))
	require.Equal(t, Sigmoid(-87), Sigmoid(float32(math.Inf(-1))))
	require.Less(t, Sigmoid(-87), float32(2e-38))
	require.True(t, math.IsNaN(float64(Sigmoid(float32(math.NaN())))))
}

func TestSigmoidGrad(t *testing.T) {
	require.Equal(t, float32(0.75), SigmoidGrad(4, 0.25))
	require.Equal(t, float32(0), SigmoidGrad(4, 1))
	require.True(t, math.IsNaN(float64(SigmoidGrad(1, float32(math.NaN())))))
}
