package oracle_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/oracle"
)

// TestCompareNoNumbers: an infinite element or one that is no number makes no other
// element pass, and is itself right only where it is wanted.
func TestCompareNoNumbers(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		want, got []float64
		ok        bool
	}{
		{[]float64{1, 2}, []float64{1, 2}, true},
		{[]float64{inf, 2}, []float64{inf, 2}, true},
		{[]float64{nan, 2}, []float64{nan, 2}, true},
		{[]float64{1, 2}, []float64{nan, 2}, false},
		{[]float64{1, 2}, []float64{inf, 2}, false},
		{[]float64{inf, 2}, []float64{inf, 3}, false},
		{[]float64{inf, 2}, []float64{-inf, 2}, false},
		{[]float64{inf, 2}, []float64{7, 2}, false},
		{[]float64{nan, 2}, []float64{nan, 3}, false},
		{[]float64{nan, 2}, []float64{7, 2}, false},
		{[]float64{1e-3, inf, 2}, []float64{1, inf, 2}, false},
	} {
		for _, tolerance := range []float64{0, 0.1} {
			want := interp.Floats(ir.T(ir.F32, len(c.want)), c.want...)
			d, err := oracle.Compare("x", want, c.got, tolerance)
			require.NoError(t, err)
			require.Equal(t, c.ok, d.OK(), "%v for %v: %v", c.got, c.want, d)
			d, err = oracle.CompareWhole("x", want, c.got, tolerance)
			require.NoError(t, err)
			require.Equal(t, c.ok, d.OK(), "the whole of %v for %v: %v", c.got, c.want, d)
		}
	}
}
