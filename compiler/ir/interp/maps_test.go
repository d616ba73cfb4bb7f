package interp

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/kernels/f32"
)

// Two samples of a 1x1 picture with three channels: a row of six elements in
// which a wrong channel or a wrong row shows.
func TestMaps(t *testing.T) {
	act := func(v ...float64) *Tensor { return Floats(ir.T(ir.F32, 2, 1, 1, 3), v...) }
	x := act(1, -2, 3, -4, 5, 0)
	g := act(10, 20, 30, 40, 50, 60)
	params := "%x : f32[2,1,1,3], %g : f32[2,1,1,3], %m : u1[2,1,1,3], %lr : f32[]"
	states := state("t", "f32[2,3]") + state("c", "f32[3,3]") + state("b", "f32[3]")
	in := map[string]*Tensor{"x": x, "g": g, "m": Floats(ir.T(ir.U1, 2, 1, 1, 3), 1, 0, 1, 0, 1, 0), "lr": Floats(ir.T(ir.F32), 0.5)}
	st := map[string]*Tensor{
		"t": Floats(ir.T(ir.F32, 2, 3), 1, 2, 3, 10, 20, 30),
		"c": Floats(ir.T(ir.F32, 3, 3), 1, 2, 3, 10, 20, 30, 100, 200, 300),
		"b": Floats(ir.T(ir.F32, 3), 1, 2, 3),
	}
	for op, want := range map[string][]float64{
		"relu %x":                   {1, 0, 3, 0, 5, 0},
		"relu_grad %g, %x":          {10, 0, 30, 0, 50, 0},
		"add %x, %g":                {11, 18, 33, 36, 55, 60},
		"sigmoid_grad %g, %x":       {0, -120, -180, -800, -1000, 0},
		"mul %x, %g":                {10, -40, 90, -160, 250, 0},
		"scale %g {alpha=-0.5}":     {-5, -10, -15, -20, -25, -30},
		"add_channel %x, @b":        {2, 0, 6, -3, 7, 3},
		"affine %x, @t":             {11, 16, 39, 6, 30, 30},
		"affine2 %g, %x, @c":        {120, 200, 480, 100, 400, 480},
		"mask_scale %g, %m {p=0.5}": {20, 0, 60, 0, 100, 0},
		"axpy %x, %g {alpha=2}":     {12, 16, 36, 32, 60, 60},
		"descend %g, %x, %lr":       {9.5, 21, 28.5, 42, 47.5, 60},
		"convert %x {to=f32}":       {1, -2, 3, -4, 5, 0},
	} {
		t.Run(op, func(t *testing.T) {
			f := opFunc(t, 2, params, states, "%0 = "+op+" : f32[2,1,1,3]\nreturn %0")
			for _, opt := range []Options{{}, exact} {
				out := run(t, f, in, st, opt)[0]
				require.Equal(t, want, out.F)
				require.Equal(t, ir.T(ir.F32, 2, 1, 1, 3), out.Type)
			}
		})
	}
}

func TestSigmoid(t *testing.T) {
	f := opFunc(t, 1, "%x : f32[1,1,1,4]", "", "%0 = sigmoid %x : f32[1,1,1,4]\nreturn %0")
	in := map[string]*Tensor{"x": Floats(ir.T(ir.F32, 1, 1, 1, 4), 0, 1, -3, math.NaN())}
	for _, opt := range []Options{{}, exact} {
		out := run(t, f, in, nil, opt)[0].F
		require.Equal(t, 0.5, out[0])
		require.InDelta(t, 0.7310585786, out[1], 1e-7)
		require.InDelta(t, 0.0474258732, out[2], 1e-8)
		require.True(t, math.IsNaN(out[3]))
	}
	require.Equal(t, float64(f32.Sigmoid(1)), run(t, f, in, nil, Options{})[0].F[1])
}

func TestReluOfSpecials(t *testing.T) {
	f := opFunc(t, 1, "%x : f32[1,1,1,5]", "", "%0 = relu %x : f32[1,1,1,5]\n%1 = relu_grad %x, %0 : f32[1,1,1,5]\nreturn %0, %1")
	negZero := math.Copysign(0, -1)
	out := run(t, f, map[string]*Tensor{"x": Floats(ir.T(ir.F32, 1, 1, 1, 5), math.NaN(), negZero, math.Inf(-1), math.Inf(1), 1e-45)}, nil, Options{})
	require.True(t, math.IsNaN(out[0].F[0]), "a NaN is not hidden")
	require.True(t, math.Signbit(out[0].F[1]), "-0 is not less than 0")
	require.Equal(t, 0.0, out[0].F[2])
	require.Equal(t, math.Inf(1), out[0].F[3])
	require.Equal(t, []float64{0, 0, 0, math.Inf(1)}, out[1].F[:4])
}

// Chains of fused multiply-adds round once each: the product 1+2^-11+2^-24 of
// two f32 numbers would lose its last bit if it were rounded before the add.
func TestFusedRounding(t *testing.T) {
	e := 1 + math.Ldexp(1, -12)
	f := opFunc(t, 1, "%x : f32[1,1,1,1], %lr : f32[]", state("t", "f32[2,1]")+state("c", "f32[3,1]"),
		`%0 = affine %x, @t : f32[1,1,1,1]
%1 = affine2 %x, %x, @c : f32[1,1,1,1]
%2 = axpy %x, %x {alpha=0.1} : f32[1,1,1,1]
%3 = add %x, %0 : f32[1,1,1,1]
%4 = descend %x, %x, %lr : f32[1,1,1,1]
return %0, %1, %2, %3, %4`)
	in := map[string]*Tensor{"x": Floats(ir.T(ir.F32, 1, 1, 1, 1), e), "lr": Floats(ir.T(ir.F32), e)}
	st := map[string]*Tensor{"t": Floats(ir.T(ir.F32, 2, 1), e, -1), "c": Floats(ir.T(ir.F32, 3, 1), -1, e, -1)}
	out := run(t, f, in, st, Options{})
	product := math.Ldexp(1, -11) + math.Ldexp(1, -24) // e*e - 1
	require.Equal(t, product, out[0].F[0])
	require.Equal(t, product-e, out[1].F[0], "both steps are exact")
	require.Equal(t, float64(float32(float64(float32(0.1))*e+e)), out[2].F[0], "alpha is an f32")
	require.Equal(t, float64(float32(e+product)), out[3].F[0])
	require.Equal(t, float64(float32(e-e*e)), out[4].F[0])
}

func TestConvertRoundsToNearestEven(t *testing.T) {
	type row struct{ in, bf16, tf32 float64 }
	rows := []row{
		{1, 1, 1},
		{1 + math.Ldexp(1, -8), 1, 1 + math.Ldexp(1, -8)},                         // tie, to even below
		{1 + 3*math.Ldexp(1, -8), 1 + math.Ldexp(1, -6), 1 + 3*math.Ldexp(1, -8)}, // tie, to even above
		{nextAfter(float32(1+math.Ldexp(1, -8)), 1), 1 + math.Ldexp(1, -7), 1 + math.Ldexp(1, -8)},
		{1 + math.Ldexp(1, -11), 1, 1},
		{1 + 3*math.Ldexp(1, -11), 1, 1 + math.Ldexp(1, -9)},
		{-1 - 3*math.Ldexp(1, -11), -1, -1 - math.Ldexp(1, -9)},
		{math.MaxFloat32, math.Inf(1), math.Inf(1)},
	}
	for to, want := range map[string]func(row) float64{
		"bf16": func(r row) float64 { return r.bf16 },
		"tf32": func(r row) float64 { return r.tf32 },
	} {
		f := opFunc(t, 8, "%x : f32[8]", "", "%0 = convert %x {to="+to+"} : "+to+"[8]\nreturn %0")
		x := New(ir.T(ir.F32, 8))
		for i, r := range rows {
			x.F[i] = r.in
		}
		out := run(t, f, map[string]*Tensor{"x": x}, nil, Options{})[0]
		for i, r := range rows {
			require.Equal(t, want(r), out.F[i], "%s of %v", to, r.in)
		}
		require.Equal(t, x.F, run(t, f, map[string]*Tensor{"x": x}, nil, exact)[0].F, "the identity without rounding")
	}
}

// The mask by the definition, written out, and the same sample's bits in any
// batch.
func TestDropoutMask(t *testing.T) {
	const p, step = 0.3, 7
	const seed = 0x0123456789abcdef
	f := opFunc(t, 3, "%x : f32[3,3,5,7], %seed : u64[], %step : u64[]", "",
		"%0 = dropout_mask %seed, %step {p=0.3, stream=g1.b0.drop1} : u1[3,3,5,7]\n%1 = mask_scale %x, %0 {p=0.3} : f32[3,3,5,7]\nreturn %0, %1")
	in := func(n int) map[string]*Tensor {
		x := New(ir.T(ir.F32, n, 3, 5, 7))
		for i := range x.F {
			x.F[i] = float64(1 / float32(i+3))
		}
		return map[string]*Tensor{"x": x, "seed": Words(ir.T(ir.U64), seed), "step": Words(ir.T(ir.U64), 1<<32|step)}
	}
	out := run(t, f, in(3), nil, Options{})
	stream := uint32(2166136261)
	for _, b := range []byte("g1.b0.drop1") {
		stream = (stream ^ uint32(b)) * 16777619
	}
	kept := 0
	for e, got := range out[0].F {
		w := f32.Philox4x32([2]uint32{0x89abcdef, 0x01234567}, [4]uint32{uint32(e / 8), 0, step, stream})
		u16 := []uint32{w[0] & 0xffff, w[0] >> 16, w[1] & 0xffff, w[1] >> 16, w[2] & 0xffff, w[2] >> 16, w[3] & 0xffff, w[3] >> 16}[e%8]
		keep := u16 >= 19661 // round(65536 * 0.3)
		require.Equal(t, keep, got == 1, "element %d", e)
		want := 0.0
		if keep {
			kept++
			want = float64(1 / float32(e+3) * float32(65536.0/(65536-19661))) // the scale is an f32
		}
		require.Equal(t, want, out[1].F[e])
	}
	require.InDelta(t, 0.7, float64(kept)/float64(len(out[0].F)), 0.08)
	require.Equal(t, out[0].F[:105], run(t, f, in(1), nil, Options{})[0].F)
}
