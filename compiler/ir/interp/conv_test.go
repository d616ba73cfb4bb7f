package interp

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

type convCase struct{ n, h, w, c, k, kernel, pad, stride int }

var convCases = []convCase{
	{1, 1, 1, 1, 1, 1, 0, 1},
	{1, 1, 1, 2, 3, 3, 1, 1},
	{2, 5, 4, 3, 2, 3, 1, 1},
	{2, 5, 4, 3, 2, 3, 1, 2},
	{1, 6, 7, 2, 5, 3, 0, 2},
	{3, 4, 5, 3, 4, 1, 0, 2},
	{1, 7, 6, 1, 2, 5, 2, 3},
	{1, 4, 4, 2, 2, 2, 1, 1},
}

func (c convCase) types() (x, w, y ir.Type) {
	p, q := (c.h+2*c.pad-c.kernel)/c.stride+1, (c.w+2*c.pad-c.kernel)/c.stride+1
	return ir.T(ir.F32, c.n, c.h, c.w, c.c), ir.T(ir.F32, c.k, c.kernel, c.kernel, c.c), ir.T(ir.F32, c.n, p, q, c.k)
}

// reference is the sum of the op table on a picture with its zeros written out.
func reference(c convCase, x, w *Tensor) []float64 {
	hh, ww := c.h+2*c.pad, c.w+2*c.pad
	padded := make([]float64, c.n*hh*ww*c.c)
	for i, v := range x.F {
		ch, col, row, n := i%c.c, i/c.c%c.w, i/c.c/c.w%c.h, i/c.c/c.w/c.h
		padded[((n*hh+row+c.pad)*ww+col+c.pad)*c.c+ch] = v
	}
	_, _, yt := c.types()
	y := make([]float64, yt.Elems())
	for i := range y {
		k, q, p, n := i%c.k, i/c.k%yt.Dims[2], i/c.k/yt.Dims[2]%yt.Dims[1], i/c.k/yt.Dims[2]/yt.Dims[1]
		for j := range c.kernel * c.kernel * c.c {
			ch, s, r := j%c.c, j/c.c%c.kernel, j/c.c/c.kernel
			y[i] += float64(padded[((n*hh+p*c.stride+r)*ww+q*c.stride+s)*c.c+ch] * w.F[k*c.kernel*c.kernel*c.c+j])
		}
	}
	return y
}

// conv2d is its definition; dgrad and wgrad are its adjoints:
// <conv(x,w), g> = <x, dgrad(g,w)> = <w, wgrad(g,x)> for all x, w and g.
func TestConvolutions(t *testing.T) {
	for i, c := range convCases {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			xt, wt, yt := c.types()
			f := opFunc(t, c.n, fmt.Sprintf("%%x : %v, %%g : %v", xt, yt), state("w", wt.String()), fmt.Sprintf(
				`%%0 = conv2d %%x, @w {pad=%d, stride=%d} : %v
%%1 = conv2d_dgrad %%g, @w {pad=%d, stride=%d, height=%d, width=%d} : %v
%%2 = conv2d_wgrad %%g, %%x {pad=%d, stride=%d, kernel=%d} : %v
return %%0, %%1, %%2`, c.pad, c.stride, yt, c.pad, c.stride, c.h, c.w, xt, c.pad, c.stride, c.kernel, wt))
			r := rand.New(rand.NewPCG(uint64(i), 3))
			x, g, w := randomTensor(r, xt), randomTensor(r, yt), randomTensor(r, wt)
			in, st := map[string]*Tensor{"x": x, "g": g}, map[string]*Tensor{"w": w}
			out := run(t, f, in, st, exact)
			require.InDeltaSlice(t, reference(c, x, w), out[0].F, 1e-12)
			want := inner(out[0].F, g.F)
			require.InDelta(t, want, inner(x.F, out[1].F), 1e-11)
			require.InDelta(t, want, inner(w.F, out[2].F), 1e-11)
			for k, rounded := range run(t, f, in, st, Options{}) {
				require.Equal(t, out[k].Type, rounded.Type)
				for j, v := range out[k].F {
					require.Equal(t, float64(float32(v)), rounded.F[j], "a root rounds once")
				}
			}
		})
	}
}

func TestAvgPool(t *testing.T) {
	f := opFunc(t, 2, "%x : f32[2,1,3,2], %g : f32[2,1,1,2]", "",
		"%0 = avgpool %x : f32[2,1,1,2]\n%1 = avgpool_grad %g {height=1, width=3} : f32[2,1,3,2]\nreturn %0, %1")
	in := map[string]*Tensor{
		"x": Floats(ir.T(ir.F32, 2, 1, 3, 2), 1, 10, 2, 20, 6, 60, -1, 0, -2, 0, -6, 1),
		"g": Floats(ir.T(ir.F32, 2, 1, 1, 2), 3, 6, 9, 1),
	}
	out := run(t, f, in, nil, Options{})
	third := float64(float32(1.0 / 3))
	require.Equal(t, []float64{3, 30, -3, third}, out[0].F)
	require.Equal(t, []float64{1, 2, 1, 2, 1, 2, 3, third, 3, third, 3, third}, out[1].F)
	in["x"], in["g"] = Floats(ir.T(ir.F32, 1, 1, 3, 2), 1, 10, 2, 20, 6, 60), Floats(ir.T(ir.F32, 1, 1, 1, 2), 3, 6)
	require.Equal(t, []float64{3, 30}, run(t, f, in, nil, Options{})[0].F, "a short batch")
}
