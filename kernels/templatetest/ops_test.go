package templatetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/f32"
)

// opCase is a Map op of up to three operands: its text, and what it means.
type opCase struct {
	name, text string
	want       func(e int, a, b, c float32) float32
}

const seed, step, threshold, stream = 0x123456789abcdef, 1<<33 + 77, 26214, 0xdeadbeef

// bits are the 16 bits of element e in dropout.
func bits(e int) int {
	var key, group, at uint64 = seed, uint64(e / 8), step
	w := f32.Philox4x32([2]uint32{uint32(key), uint32(key >> 32)}, [4]uint32{uint32(group), uint32(group >> 32), uint32(at), stream})
	return int(w[e%8/2] >> (16 * (e % 2)) & 0xffff)
}

func relu(x float32) float32 {
	if x < 0 {
		return 0
	}
	return x
}

var opCases = []opCase{
	{"affine", "affine(a, b, c)", func(_ int, a, b, c float32) float32 { return f32.FMA(a, b, c) }},
	{"affine2", "affine2(a, b, c, a, b)", func(_ int, a, b, c float32) float32 { return f32.FMA(c, a, f32.FMA(a, b, b)) }},
	{"relu", "relu(a)", func(_ int, a, _, _ float32) float32 { return relu(a) }},
	{"relu_grad", "relu_grad(a, b)", func(_ int, a, b, _ float32) float32 {
		if b > 0 {
			return a
		}
		return 0
	}},
	{"add", "add(a, b)", func(_ int, a, b, _ float32) float32 { return a + b }},
	{"add_channel", "add_channel(a, b)", func(_ int, a, b, _ float32) float32 { return a + b }},
	{"axpy", "axpy(0.0005f, a, b)", func(_ int, a, b, _ float32) float32 { return f32.FMA(0.0005, a, b) }},
	{"descend", "descend(a, b, 0.1f)", func(_ int, a, b, _ float32) float32 { return f32.FMA(-0.1, b, a) }},
	{"avgpool_grad", "avgpool_grad(a, 49.0f)", func(_ int, a, _, _ float32) float32 { return float32(float64(a) / 49) }},
	{"to_bf16", "round_to<bf16>(a)", func(_ int, a, _, _ float32) float32 { return f32.RoundBF16(a) }},
	{"to_tf32", "round_to<tf32>(a)", func(_ int, a, _, _ float32) float32 { return f32.RoundTF32(a) }},
	{"to_f32", "round_to<f32>(a)", func(_ int, a, _, _ float32) float32 { return a }},
	{"broadcast", "broadcast<V>(2.5f)", func(int, float32, float32, float32) float32 { return 2.5 }},
	{"dropout_mask", "dropout_mask<V>($T, $STREAMu, $SEEDull, $STEPull, e)", func(e int, _, _, _ float32) float32 {
		if bits(e) >= threshold {
			return 1
		}
		return 0
	}},
	{"mask_scale", "mask_scale(a, dropout_mask<V>($T, $STREAMu, $SEEDull, $STEPull, e), $T)", func(e int, a, _, _ float32) float32 {
		if bits(e) < threshold {
			return 0
		}
		return a * float32(65536.0/(65536-threshold))
	}},
}

// Every Map op, with vectors of each width, on numbers of all kinds: bit for bit, but
// that a NaN is any NaN.
func TestOps(t *testing.T) {
	var body strings.Builder
	for i, op := range opCases {
		fmt.Fprintf(&body, "    store_floats(args.y + %d * args.elems + e, %s);\n", i, op.text)
	}
	text := func(v int) string {
		return strings.NewReplacer("$VEC", fmt.Sprint(v), "$T", fmt.Sprint(threshold), "$STREAM", fmt.Sprint(uint32(stream)),
			"$SEED", fmt.Sprint(uint64(seed)), "$STEP", fmt.Sprint(uint64(step))).Replace(`#include "ops.cuh"

struct Args {
  const f32* x;
  const f32* z;
  f32* y;
  i64 elems;
};

struct Body {
  template <u32 V>
  WRNC_DEVICE void apply(const Args& args, i64 e) {
    const Floats<V> a = load_floats<V>(args.x + e), b = load_floats<V>(args.z + e), c = load_floats<V>(args.x + (args.elems - V - e));
` + body.String() + `  }
};

WRNC_KERNEL(kernel, 32, 1)(const Args args) {
  Body::apply<$VEC>(args, i64(block_index() * 32 + thread_index()) * $VEC);
}
`)
	}
	const n = 32 * 8 * 16
	r := rand.New(rand.NewPCG(8, 8))
	pick := func() float32 {
		switch r.IntN(8) {
		case 0:
			return []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32, 1e-45, -1e-40}[r.IntN(8)]
		case 1: // halfway between two of a narrower type
			return math.Float32frombits(0x3f800000 + uint32(r.IntN(1<<12))<<12)
		case 2:
			return math.Float32frombits(r.Uint32())
		}
		return float32(r.NormFloat64())
	}
	x, z := make([]float32, n), make([]float32, n)
	for i := range x {
		x[i], z[i] = pick(), pick()
	}
	d := newDevice(t)
	dx, dz := d.in(x, float), d.in(z, float)
	for _, v := range []int{1, 2, 4, 8} {
		dy := d.out(len(opCases)*n, float)
		d.launch(fmt.Sprintf("ops%d", v), text(v), n/32/v, 32, 0, ways[0], dx, dz, dy, int64(n))
		y := d.read(dy, len(opCases)*n, float)
		for i, op := range opCases {
			for e := range n {
				c := x[n-v-e/v*v+e%v]
				want, got := op.want(e, x[e], z[e], c), y[i*n+e]
				if want != want && got != got {
					continue
				}
				require.Equal(t, math.Float32bits(want), math.Float32bits(got), "%s of %g, %g, %g (element %d, vectors of %d): got %g, want %g", op.name, x[e], z[e], c, e, v, got, want)
			}
		}
	}
}
