package interp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

// maxPoolFunc pools x [n,h,w,c] and routes a gradient back.
func maxPoolFunc(t *testing.T, n, h, w, c, kernel, pad, stride int) (f *ir.Func, x, y ir.Type) {
	t.Helper()
	x = ir.T(ir.F32, n, h, w, c)
	y = ir.T(ir.F32, n, ir.ConvOut(h, kernel, pad, stride), ir.ConvOut(w, kernel, pad, stride), c)
	attrs := fmt.Sprintf("{pad=%d, stride=%d, kernel=%d}", pad, stride, kernel)
	return opFunc(t, n, fmt.Sprintf("%%x : %v, %%g : %v", x, y), "", fmt.Sprintf(
		"%%0 = maxpool %%x %s : %v\n%%1 = maxpool_grad %%g, %%x %s : %v\nreturn %%0, %%1", attrs, y, attrs, x)), x, y
}

// A picture of negative numbers, so that padding would show: windows of three at
// a step of two overlap in the middle column, and equal elements count once.
func TestMaxPoolByHand(t *testing.T) {
	f, x, y := maxPoolFunc(t, 1, 2, 3, 1, 3, 1, 2)
	require.Equal(t, []int{1, 1, 2, 1}, y.Dims)
	in := map[string]*Tensor{
		"x": Floats(x, -5, -2, -9, -2, -7, -8),
		"g": Floats(y, 3, 10),
	}
	out := run(t, f, in, nil, Options{})
	require.Equal(t, []float64{-2, -2}, out[0].F)
	require.Equal(t, []float64{0, 13, 0, 0, 0, 0}, out[1].F, "the first of two equal ones, for both windows")

	in["x"] = Floats(x, math.NaN(), 1, math.Inf(1), math.NaN(), 0, 0)
	out = run(t, f, in, nil, Options{})
	require.True(t, math.IsNaN(out[0].F[0]), "a NaN is larger than any number")
	require.Equal(t, math.Inf(1), out[0].F[1])
	require.Equal(t, []float64{3, 0, 10, 0, 0, 0}, out[1].F)
}

// The definition in the words of the op table, on pictures with a border of
// minus infinity written out, and the gradient as the adjoint at a fixed choice.
func TestMaxPool(t *testing.T) {
	for i, c := range []struct{ n, h, w, c, kernel, pad, stride int }{
		{1, 1, 1, 1, 1, 0, 1},
		{2, 7, 5, 3, 3, 1, 2},
		{2, 8, 6, 2, 3, 1, 2},
		{1, 4, 5, 2, 2, 0, 2},
		{1, 5, 5, 1, 3, 1, 1},
		{3, 2, 9, 2, 5, 2, 3},
		{1, 9, 7, 2, 2, 1, 3},
	} {
		f, xt, yt := maxPoolFunc(t, c.n, c.h, c.w, c.c, c.kernel, c.pad, c.stride)
		r := rand.New(rand.NewPCG(uint64(i), 5))
		x, g := randomTensor(r, xt), randomTensor(r, yt)
		for j := range x.F {
			x.F[j] = math.Round(2 * x.F[j]) // many equal ones
		}
		out := run(t, f, map[string]*Tensor{"x": x, "g": g}, nil, exact)
		want, grad := make([]float64, yt.Elems()), make([]float64, xt.Elems())
		for y := range want {
			ch, q, p, n := y%c.c, y/c.c%yt.Dims[2], y/c.c/yt.Dims[2]%yt.Dims[1], y/c.c/yt.Dims[2]/yt.Dims[1]
			var window []float64
			var place []int
			for j := range c.kernel * c.kernel {
				row, col := p*c.stride+j/c.kernel-c.pad, q*c.stride+j%c.kernel-c.pad
				v, at := math.Inf(-1), -1
				if row >= 0 && row < c.h && col >= 0 && col < c.w {
					at = ((n*c.h+row)*c.w+col)*c.c + ch
					v = x.F[at]
				}
				window, place = append(window, v), append(place, at)
			}
			want[y] = slices.Max(window)
			grad[place[slices.Index(window, want[y])]] += g.F[y]
		}
		require.Equal(t, want, out[0].F, "%+v", c)
		require.Equal(t, grad, out[1].F, "%+v", c)

		short := run(t, f, map[string]*Tensor{
			"x": Floats(withBatch(xt, 1), x.F[:xt.Elems()/c.n]...), "g": Floats(withBatch(yt, 1), g.F[:yt.Elems()/c.n]...),
		}, nil, exact)
		require.Equal(t, want[:len(want)/c.n], short[0].F, "%+v: a short batch", c)
		require.Equal(t, grad[:len(grad)/c.n], short[1].F, "%+v: a short batch", c)
	}
}
