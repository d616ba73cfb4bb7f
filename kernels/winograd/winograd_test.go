package winograd

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// apply is m x m'.
func apply(m Matrix, x [][]float64) [][]float64 {
	y := make([][]float64, len(m))
	for i := range y {
		y[i] = make([]float64, len(m))
		for j := range y[i] {
			for _, r := range m.Terms(i) {
				for _, s := range m.Terms(j) {
					y[i][j] += float64(r.Factor) * float64(s.Factor) * x[r.Index][s.Index]
				}
			}
		}
	}
	return y
}

func random(r *rand.Rand, n int) [][]float64 {
	x := make([][]float64, n)
	for i := range x {
		for range n {
			x[i] = append(x[i], r.NormFloat64())
		}
	}
	return x
}

func product(a, b [][]float64) [][]float64 {
	y := make([][]float64, len(a))
	for i := range y {
		for j := range a[i] {
			y[i] = append(y[i], a[i][j]*b[i][j])
		}
	}
	return y
}

// The transforms give a convolution and its gradient by the filter.
func TestConvolution(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		x, g, dy := random(r, Tile), random(r, 3), random(r, Outputs)
		y := apply(Result, product(apply(Filter, g), apply(Picture, x)))
		dg := apply(FilterGradient, product(apply(Gradient, dy), apply(Picture, x)))
		for i := range Outputs {
			for j := range Outputs {
				want := 0.0
				for a := range 3 {
					for b := range 3 {
						want += g[a][b] * x[i+a][j+b]
					}
				}
				require.InDelta(t, want, y[i][j], 1e-12)
			}
		}
		for a := range 3 {
			for b := range 3 {
				want := 0.0
				for i := range Outputs {
					for j := range Outputs {
						want += dy[i][j] * x[i+a][j+b]
					}
				}
				require.InDelta(t, want, dg[a][b], 1e-12)
			}
		}
	}
}
