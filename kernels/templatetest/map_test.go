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

// normals are numbers as a network has them: all bits of the mantissa, a mean.
func normals(r *rand.Rand, n int, mean, deviation float64, typ dtype) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = typ.round(float32(mean + deviation*r.NormFloat64()))
	}
	return out
}

type mapCase struct {
	name    string
	h, w, c int
	n       int
	box     box
	tileN   int
	threads int
	vec     int
	typ     dtype
}

// text: relu_grad and the three Reduces, with bn_grad_fold as the finish.
func (c mapCase) text() string {
	shared := up16(4 * scratch(c.tileN, c.vec, c.threads))
	r := strings.NewReplacer("$V", fmt.Sprint(c.vec), "$C", fmt.Sprint(c.c), "$DT", string(c.typ), "$SHARED", fmt.Sprint(shared),
		"$SHAPE", fmt.Sprintf("%d, %d, %d", c.h, c.w, c.c), "$PIXELS", fmt.Sprint(c.h*c.w),
		"$BOX", fmt.Sprintf("%d, %d, %d", c.box.samples, c.box.rows, c.box.pixels), "$TILE", fmt.Sprintf("%d, %d", c.tileN, c.threads))
	return r.Replace(`#include "map.cuh"

struct Args {
  const $DT* x;
  const $DT* g;
  const f32* mean;
  const f32* gamma;
  $DT* y;
  f32* part0;
  f32* part1;
  f32* part2;
  f32* stats;
  f32* grads;
  f32* sum;
  f32* fold;
  u32* counter;
  i32 n;
};

using Shape = MapShape<$SHAPE>;
using Unit = Box<$BOX>;
using Tile = MapTile<$TILE>;

struct Epilogue {
  static constexpr u32 kVec = $V;
  struct Channel {
    Floats<$V> mean;
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) { return Channel{load_floats<$V>(a.mean + c)}; }
  struct Sums {
    Acc<Stats, $V> q0;
    Acc<GradStats, $V> q1;
    Acc<ChannelSum, $V> q2;
  };
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, Floats<$V>) {
    const i64 e = at.pixel * $C + c;
    const Floats<$V> x = load_floats<$V>(a.x + e), v = relu_grad(load_floats<$V>(a.g + e), x);
    store_floats(a.y + e, v);
    s.q0.add(x);
    s.q1.add(v, x, ch.mean);
    s.q2.add(v);
  }
  static constexpr bool kReduces = true;
  template <class R>
  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {
    r.write(a.part0, s.q0);
    r.write(a.part1, s.q1);
    r.write(a.part2, s.q2);
  }
  template <class R>
  WRNC_DEVICE void finish(const Args& a, R& r) {
    const Stats q0 = r.merge(a.part0, Stats{});
    const GradStats q1 = r.merge(a.part1, GradStats{});
    const ChannelSum q2 = r.merge(a.part2, ChannelSum{});
    if (r.owns()) {
      const i32 c = r.channel();
      a.stats[c] = q0.mean;
      a.stats[$C + c] = q0.m2;
      a.grads[c] = q1.sum;
      a.grads[$C + c] = q1.dot;
      a.sum[c] = q2.sum;
      const GradFold f = bn_grad_fold(q1, q0, a.gamma[c], 0.01f, f32(a.n) * $PIXELS);
      a.fold[c] = f.c0;
      a.fold[$C + c] = f.c1;
      a.fold[2 * $C + c] = f.c2;
    }
  }
  WRNC_DEVICE u32* counter(const Args& a) { return a.counter; }
};

static_assert(MapLayout<Shape, Tile, Epilogue>::kShared == $SHARED, "");
WRNC_KERNEL(kernel, Tile::kThreads, 1)(const Args args) { map<Shape, Unit, Tile, Epilogue>(args); }
`)
}

func (c mapCase) run(t *testing.T, d *device, w way) {
	r := rand.New(rand.NewPCG(uint64(len(c.name)), 3))
	elems := c.n * c.h * c.w * c.c
	x, g := normals(r, elems, 3, 0.5, c.typ), normals(r, elems, 0.25, 1, c.typ)
	mean, gamma := normals(r, c.c, 3, 0.1, float), normals(r, c.c, 1, 0.2, float)
	nUnits, tiles := units(c.h, c.w, 1, c.n, c.box), ceilDiv(c.c, c.tileN)
	y, stats, grads := d.out(elems, c.typ), d.out(2*c.c, float), d.out(2*c.c, float)
	sum, fold := d.out(c.c, float), d.out(3*c.c, float)
	counter := d.counters(tiles * (1 + ceilDiv(nUnits, unitGroup)))
	d.launch(c.name, c.text(), nUnits*tiles, c.threads, up16(4*scratch(c.tileN, c.vec, c.threads)), w,
		d.in(x, c.typ), d.in(g, c.typ), d.in(mean, float), d.in(gamma, float), y,
		d.out(nUnits*2*c.c, float), d.out(nUnits*2*c.c, float), d.out(nUnits*c.c, float), stats, grads, sum, fold, counter, int32(c.n))

	got := d.read(y, elems, c.typ)
	sums, dots, size := make([]float64, c.c), make([]float64, c.c), make([]float64, c.c)
	for i, v := range x {
		want := float32(0)
		if v > 0 {
			want = g[i]
		}
		require.Equal(t, want, got[i])
		ch := i % c.c
		sums[ch] += float64(want)
		dots[ch] += float64(want) * (float64(v) - float64(mean[ch]))
		size[ch] += math.Abs(float64(want))
	}
	checkStats(t, x, c.c, d.read(stats, 2*c.c, float))
	gs, st, fd := d.read(grads, 2*c.c, float), d.read(stats, 2*c.c, float), d.read(fold, 3*c.c, float)
	count := float64(elems / c.c)
	for ch, v := range d.read(sum, c.c, float) {
		require.InDelta(t, sums[ch], v, 1e-6*size[ch])
		require.InDelta(t, sums[ch], gs[ch], 1e-6*size[ch])
		require.InDelta(t, dots[ch], gs[c.c+ch], 1e-6*size[ch])
		rs := 1 / math.Sqrt(float64(st[c.c+ch])/count+0.01)
		c0 := float64(gamma[ch]) * rs
		c1 := -c0 * rs * rs * float64(gs[c.c+ch]) / count
		require.InEpsilon(t, c0, fd[ch], 1e-6)
		require.InDelta(t, c1, fd[c.c+ch], 1e-6*math.Abs(c1))
		require.InDelta(t, -c0*float64(gs[ch])/count-c1*float64(st[ch]), fd[2*c.c+ch], 1e-6*(math.Abs(c0)+math.Abs(3*c1)))
	}
	for i, v := range d.read(counter, tiles, float) {
		require.Zero(t, math.Float32bits(v), "counter %d", i)
	}
}

func TestMap(t *testing.T) {
	for _, c := range []mapCase{
		{"even", 8, 8, 16, 4, box{2, 4, 8}, 16, 64, 4, float},
		{"bf16", 8, 8, 40, 3, box{2, 4, 8}, 32, 128, 8, half},
		{"odd", 7, 5, 10, 3, box{2, 2, 3}, 16, 32, 2, float},
		{"ones", 4, 4, 35, 5, box{1, 2, 4}, 32, 64, 1, half},
		{"wide", 4, 4, 256, 5, box{1, 4, 4}, 128, 64, 2, half}, // more channels than threads
		{"groups", 16, 16, 16, 3, box{1, 1, 8}, 16, 32, 8, half},
		{"groups-odd", 15, 11, 16, 3, box{1, 2, 4}, 16, 32, 4, float},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			for _, w := range ways {
				c.run(t, d, w)
			}
		})
	}
}

// The statistics are right where the mean is ten thousand deviations away, and where
// all elements are equal.
func TestStatsFarFromZero(t *testing.T) {
	c := mapCase{"even", 8, 8, 16, 4, box{2, 4, 8}, 16, 64, 4, float}
	d := newDevice(t)
	elems := c.n * c.h * c.w * c.c
	r := rand.New(rand.NewPCG(1, 4))
	x := normals(r, elems, 1000, 0.1, float)
	for i := 0; i < elems; i += c.c {
		x[i] = 1000.5
	}
	stats := d.out(2*c.c, float)
	zero := make([]float32, elems)
	d.launch(c.name, c.text(), units(c.h, c.w, 1, c.n, c.box), c.threads, up16(4*scratch(c.tileN, c.vec, c.threads)), ways[0],
		d.in(x, float), d.in(zero, float), d.in(zero[:c.c], float), d.in(zero[:c.c], float), d.out(elems, float),
		d.out(elems, float), d.out(elems, float), d.out(elems, float), stats, d.out(2*c.c, float), d.out(c.c, float), d.out(3*c.c, float),
		d.counters(2), int32(c.n))
	got := d.read(stats, 2*c.c, float)
	require.Equal(t, float32(1000.5), got[0])
	require.Zero(t, got[c.c])
	for ch := 1; ch < c.c; ch++ {
		mean, m2, count := 0.0, 0.0, float64(elems/c.c)
		for i := ch; i < elems; i += c.c {
			mean += float64(x[i]) / count
		}
		for i := ch; i < elems; i += c.c {
			m2 += (float64(x[i]) - mean) * (float64(x[i]) - mean)
		}
		require.InDelta(t, mean, got[ch], 1e-4)
		require.InEpsilon(t, m2, got[c.c+ch], 1e-4)
	}
}

// Average pool with affine and relu before it, and a convert after it.
func TestPool(t *testing.T) {
	for _, c := range []struct {
		name              string
		h, w, c, n        int
		tileN, threads    int
		vecIn, vec, lanes int
	}{
		{"pool", 8, 8, 40, 3, 32, 64, 8, 4, 16},
		{"pool-odd", 3, 5, 10, 2, 16, 32, 2, 1, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			shared := up16(c.lanes * c.tileN * 4)
			r := strings.NewReplacer("$VI", fmt.Sprint(c.vecIn), "$V", fmt.Sprint(c.vec), "$C", fmt.Sprint(c.c), "$SHARED", fmt.Sprint(shared),
				"$SHAPE", fmt.Sprintf("%d, %d, %d", c.h, c.w, c.c), "$TILE", fmt.Sprintf("%d, %d", c.tileN, c.threads))
			text := r.Replace(`#include "pool.cuh"

struct Args {
  const bf16* x;
  const f32* t;
  f32* y;
  i32 n;
};

using Shape = MapShape<$SHAPE>;
using Tile = MapTile<$TILE>;

struct Prologue {
  static constexpr u32 kVec = $VI;
  struct Channel {
    Floats<$VI> t[2];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    return Channel{{load_floats<$VI>(a.t + c), load_floats<$VI>(a.t + $C + c)}};
  }
  WRNC_DEVICE Floats<$VI> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    return relu(affine(load_floats<$VI>(a.x + (at.pixel * $C + c)), ch.t[0], ch.t[1]));
  }
};

struct Epilogue {
  static constexpr u32 kVec = $V;
  static constexpr bool kReduces = false;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return Channel{}; }
  struct Sums {};
  WRNC_DEVICE void apply(const Args& a, const Channel&, Sums&, const At& at, i32 c, Floats<$V> y) {
    store_floats(a.y + (at.pixel * $C + c), round_to<bf16>(y));
  }
};

static_assert(PoolLayout<Tile, Prologue>::kShared == $SHARED, "");
WRNC_KERNEL(kernel, Tile::kThreads, 1)(const Args args) { avgpool<Shape, Tile, Prologue, Epilogue>(args); }
`)
			d := newDevice(t)
			rnd := rand.New(rand.NewPCG(5, 5))
			pixels := c.h * c.w
			x := numbers(rnd, c.n*pixels*c.c, 8, 1)
			scale, shift := numbers(rnd, c.c, 2, 0.5), numbers(rnd, c.c, 3, 1)
			want := make([]float64, c.n*c.c)
			for i, v := range x {
				ch := i % c.c
				want[i/c.c/pixels*c.c+ch] += float64(max(0, f32.FMA(v, scale[ch], shift[ch])))
			}
			for _, w := range ways {
				y := d.out(c.n*c.c, float)
				d.launch(c.name, text, c.n*ceilDiv(c.c, c.tileN), c.threads, shared, w, d.in(x, half), d.in(append(scale, shift...), float), y, int32(c.n))
				for i, v := range d.read(y, c.n*c.c, float) {
					require.Equal(t, f32.RoundBF16(float32(want[i])/float32(pixels)), v)
				}
			}
		})
	}
}
