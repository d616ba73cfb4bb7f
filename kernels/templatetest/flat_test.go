package templatetest

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/f32"
)

const flatText = `#include "flat.cuh"

struct Segment {
  const f32* g;
  f32* p;
  f32* v;
  bf16* copy;
  const f32* lr;
  i64 elems;
};

struct Args {
  const Segment* table;
  const u32* first_block;
  u32 segments;
};

using Tile = FlatTile<32, 2>;

struct Body {
  template <u32 V>
  WRNC_DEVICE void apply(const Segment& a, i64 e) {
    const Floats<V> p = load_floats<V>(a.p + e);
    const Floats<V> g = axpy(0.0005f, p, load_floats<V>(a.g + e));
    const Floats<V> v = axpy(0.9f, load_floats<V>(a.v + e), g);
    const Floats<V> q = descend(p, axpy(0.9f, v, g), scalar(a.lr));
    store_floats(a.v + e, v);
    store_floats(a.p + e, q);
    store_floats(a.copy + e, round_to<bf16>(q));
  }
};

WRNC_KERNEL(kernel, Tile::kThreads, 1)(const Args args) { flat<Body, Tile>(args.table, args.first_block, args.segments); }
`

const channelsText = `#include "flat.cuh"

struct Segment {
  const f32* run;
  const f32* gamma;
  const f32* beta;
  f32* t;
  f32* moved;
  i32 channels;
};

struct Args {
  const Segment* table;
  const u32* first_block;
  u32 segments;
};

struct Body {
  WRNC_DEVICE void apply(const Segment& a, i32 c) {
    const Stats s{scalar(a.run + c), scalar(a.run + a.channels + c)};
    const Fold f = bn_fold(s, scalar(a.gamma + c), scalar(a.beta + c), 1e-5f, 1.0f);
    global(a.t)[c] = f.scale;
    global(a.t)[a.channels + c] = f.shift;
    const Running m = bn_running(1.0f, 2.0f, s, 0.1f, 5.0f);
    global(a.moved)[c] = m.mean;
    global(a.moved)[a.channels + c] = m.var;
  }
};

WRNC_KERNEL(kernel, 32, 1)(const Args args) { channels<Body, 32>(args.table, args.first_block, args.segments); }
`

// The optimizer: weight decay, momentum and step on tensors of any size, in one
// launch, with a bf16 copy of the new parameters.
func TestFlat(t *testing.T) {
	d := newDevice(t)
	r := rand.New(rand.NewPCG(6, 6))
	sizes := []int{1000, 1, 256, 7, 515, 64}
	lr := d.in([]float32{0.1}, float)
	for _, w := range ways {
		var table []any
		var first []uint32
		type tensor struct {
			g, p, v    []float32
			dp, dv, dc uint64
		}
		var tensors []tensor
		blocks := 0
		for _, n := range sizes {
			x := tensor{g: normals(r, n, 0, 1, float), p: normals(r, n, 0, 1, float), v: normals(r, n, 0, 1, float)}
			x.dp, x.dv, x.dc = d.in(x.p, float), d.in(x.v, float), d.out(n, half)
			table = append(table, d.in(x.g, float), x.dp, x.dv, x.dc, lr, int64(n))
			tensors = append(tensors, x)
			first = append(first, uint32(blocks))
			blocks += ceilDiv(n, 32*2*4)
		}
		d.launch("flat", flatText, blocks, 32, 0, w, d.bytes(table...), d.bytes(first), uint32(len(sizes)))
		for _, x := range tensors {
			p, v, c := d.read(x.dp, len(x.g), float), d.read(x.dv, len(x.g), float), d.read(x.dc, len(x.g), half)
			for i := range x.g {
				g := f32.FMA(0.0005, x.p[i], x.g[i])
				wantV := f32.FMA(0.9, x.v[i], g)
				wantP := f32.FMA(-0.1, f32.FMA(0.9, wantV, g), x.p[i])
				require.Equal(t, wantV, v[i])
				require.Equal(t, wantP, p[i])
				require.Equal(t, f32.RoundBF16(wantP), c[i])
			}
		}
	}
}

// bn_fold by the running statistics, for two layers in one launch.
func TestChannels(t *testing.T) {
	d := newDevice(t)
	r := rand.New(rand.NewPCG(7, 7))
	var table []any
	var first []uint32
	var want, moved [][]float64
	var at, movedAt []uint64
	blocks := 0
	for _, n := range []int{16, 100, 3} {
		mean, variance := normals(r, n, 0, 1, float), normals(r, n, 4, 0.5, float)
		gamma, beta := normals(r, n, 1, 0.1, float), normals(r, n, 0, 0.1, float)
		at, movedAt = append(at, d.out(2*n, float)), append(movedAt, d.out(2*n, float))
		table = append(table, d.in(append(mean, variance...), float), d.in(gamma, float), d.in(beta, float), at[len(at)-1], movedAt[len(at)-1], int32(n), int32(0))
		fold, run := make([]float64, 2*n), make([]float64, 2*n)
		for c := range n {
			fold[c] = float64(gamma[c]) / math.Sqrt(float64(variance[c])+1e-5)
			fold[n+c] = float64(beta[c]) - float64(mean[c])*fold[c]
			run[c] = 0.9 + 0.1*float64(mean[c])
			run[n+c] = 1.8 + 0.1*float64(variance[c])/4
		}
		want, moved = append(want, fold), append(moved, run)
		first = append(first, uint32(blocks))
		blocks += ceilDiv(n, 32)
	}
	d.launch("channels", channelsText, blocks, 32, 0, ways[0], d.bytes(table...), d.bytes(first), uint32(3))
	for i, w := range want {
		for c, v := range d.read(at[i], len(w), float) {
			require.InDelta(t, w[c], v, 1e-6)
		}
		for c, v := range d.read(movedAt[i], len(w), float) {
			require.InDelta(t, moved[i][c], v, 1e-6)
		}
	}
}

// A mask is stored as a byte an element.
func TestStoredMask(t *testing.T) {
	const text = `#include "flat.cuh"

struct Segment {
  const f32* x;
  const u8* before;
  u8* mask;
  f32* y;
  i64 elems;
};

struct Args {
  const Segment* table;
  const u32* first_block;
  u32 segments;
};

using Tile = FlatTile<32, 1>;

struct Body {
  template <u32 V>
  WRNC_DEVICE void apply(const Segment& a, i64 e) {
    store_floats(a.mask + e, dropout_mask<V>(32768, 5, 6, 7, e));
    store_floats(a.y + e, mask_scale(load_floats<V>(a.x + e), load_floats<V>(a.before + e), 32768));
  }
};

WRNC_KERNEL(kernel, Tile::kThreads, 1)(const Args args) { flat<Body, Tile>(args.table, args.first_block, args.segments); }
`
	const n = 203
	d := newDevice(t)
	x := normals(rand.New(rand.NewPCG(9, 9)), n, 0, 1, float)
	before := make([]byte, n)
	for i := range before {
		before[i] = byte(i / 3 % 2)
	}
	mask, y := d.bytes(make([]byte, n)), d.out(n, float)
	table := d.bytes(d.in(x, float), d.bytes(before), mask, y, int64(n))
	d.launch("mask", text, ceilDiv(n, 128), 32, 0, ways[0], table, d.bytes([]uint32{0}), uint32(1))
	kept, err := d.m.Read(mask, n)
	require.NoError(t, err)
	for i, v := range d.read(y, n, float) {
		w := f32.Philox4x32([2]uint32{6, 0}, [4]uint32{uint32(i / 8), 0, 7, 5})
		require.Equal(t, w[i%8/2]>>(16*(i%2))&0xffff >= 32768, kept[i] == 1)
		require.Equal(t, x[i]*2*float32(before[i]), v)
	}
}
