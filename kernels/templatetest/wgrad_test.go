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

type wgradCase struct {
	name    string
	shape   shape
	n, full int // samples of this run and of a full batch
	box     box
	tile    tile
	splits  int
	vecG    int // channels of a call of the gradient's prologue
	vecX    int // of the picture's
	vec     int // of the epilogue
}

// text: the gradient passes affine2 and convert, the picture affine, relu and
// convert, as in a training step.
func (c wgradCase) text() string {
	s, b, t := c.shape, c.box, c.tile
	r := strings.NewReplacer(
		"$ROUND", string(t.dtype()), "$VG", fmt.Sprint(c.vecG), "$VX", fmt.Sprint(c.vecX), "$V", fmt.Sprint(c.vec),
		"$SHAPE", fmt.Sprintf("%d, %d, %d, %d, %d, %d, %d, %d, %d, false", s.h, s.w, s.c, s.p, s.q, s.k, s.r, s.pad, s.stride),
		"$BOX", fmt.Sprintf("%d, %d, %d", b.samples, b.rows, b.pixels),
		"$TILE", fmt.Sprintf("%s, %d, %d, %d, %d, %d", t.math, t.m, t.n, t.warpsM, t.warpsN, t.warpsT),
		"$SPLIT", fmt.Sprint(c.splits > 1), "$SHARED", fmt.Sprint(t.wgradShared(s, b)), "$T", string(t.dtype().stored()), "$K", fmt.Sprint(s.k), "$C", fmt.Sprint(s.c),
	)
	return r.Replace(`#include "wgrad.cuh"

struct Args {
  const $T* g;
  const $T* z;
  const f32* c;
  const $T* x;
  const f32* t;
  f32* dw;
  f32* workspace;
  u32* counter;
  i32 n;
  i32 span;
};

using Shape = ConvShape<$SHAPE>;
using Unit = Box<$BOX>;
using Tile = WgradTile<$TILE>;

struct Gradient {
  static constexpr u32 kVec = $VG;
  struct Channel {
    Floats<$VG> c[3];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    return Channel{{load_floats<$VG>(a.c + c), load_floats<$VG>(a.c + $K + c), load_floats<$VG>(a.c + 2 * $K + c)}};
  }
  WRNC_DEVICE Floats<$VG> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * $K + c;
    return round_to<$ROUND>(affine2(load_floats<$VG>(a.g + e), load_floats<$VG>(a.z + e), ch.c[0], ch.c[1], ch.c[2]));
  }
};

struct Picture {
  static constexpr u32 kVec = $VX;
  struct Channel {
    Floats<$VX> t[2];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    return Channel{{load_floats<$VX>(a.t + c), load_floats<$VX>(a.t + $C + c)}};
  }
  WRNC_DEVICE Floats<$VX> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    return round_to<$ROUND>(relu(affine(load_floats<$VX>(a.x + (at.pixel * $C + c)), ch.t[0], ch.t[1])));
  }
};

struct Epilogue {
  static constexpr u32 kVec = $V;
  static constexpr bool kReduces = false;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return Channel{}; }
  struct Sums {};
  WRNC_DEVICE void apply(const Args& a, const Channel&, Sums&, const At& at, i32 c, Floats<$V> y) {
    store_floats(a.dw + (at.pixel * $C + c), y);
  }
};

static_assert(WgradLayout<Shape, Unit, Tile>::kShared == $SHARED, "");
WRNC_KERNEL(kernel, Tile::kThreads, 1)(const Args args) {
  wgrad<Shape, Unit, Tile, Gradient, Picture, Epilogue, $SPLIT>(args, args.workspace, args.counter, args.span);
}
`)
}

// workspace is the floats of all splits.
func (c wgradCase) workspace() int {
	t := c.tile
	tiles := ceilDiv(c.shape.k, t.m) * ceilDiv(c.shape.c, t.n)
	return c.splits * tiles * c.shape.r * c.shape.r * t.m * t.n
}

func (c wgradCase) run(t *testing.T, d *device, w way) {
	s, typ := c.shape, c.tile.dtype()
	r := rand.New(rand.NewPCG(uint64(len(c.name)), 2))
	px, gx := c.n*s.h*s.w, c.n*s.p*s.q
	g, z, x := numbers(r, gx*s.k, 3, 1), numbers(r, gx*s.k, 3, 1), numbers(r, px*s.c, 4, 1)
	coef := append(append(numbers(r, s.k, 2, 1), numbers(r, s.k, 2, 0.5)...), numbers(r, s.k, 2, 1)...)
	scale, shift := numbers(r, s.c, 2, 0.5), numbers(r, s.c, 3, 1)

	tiles := ceilDiv(s.k, c.tile.m) * ceilDiv(s.c, c.tile.n)
	span := ceilDiv(units(s.p, s.q, 1, c.full, c.box), c.splits)
	dw := d.out(s.k*s.r*s.r*s.c, float)
	counter := d.counters(tiles * (1 + ceilDiv(c.splits, splitGroup)))
	st := typ.stored()
	d.launch(c.name, c.text(), c.splits*tiles, c.tile.wgradThreads(), c.tile.wgradShared(s, c.box), w,
		d.in(g, st), d.in(z, st), d.in(coef, float), d.in(x, st), d.in(append(scale, shift...), float), dw,
		d.out(c.workspace(), float), counter, int32(c.n), int32(span))

	for i := range g {
		k := i % s.k
		g[i] = typ.round(f32.FMA(coef[k], g[i], f32.FMA(coef[s.k+k], z[i], coef[2*s.k+k])))
	}
	for i := range x {
		ch := i % s.c
		x[i] = typ.round(max(0, f32.FMA(x[i], scale[ch], shift[ch])))
	}
	want := make([]float64, s.k*s.r*s.r*s.c)
	for i := range c.n {
		s.taps(func(p, q, h, wd, tap int) {
			picture := x[((i*s.h+h)*s.w+wd)*s.c:][:s.c]
			for k := range s.k {
				v := float64(g[((i*s.p+p)*s.q+q)*s.k+k])
				row := want[(k*s.r*s.r+tap)*s.c:][:s.c]
				for ch, u := range picture {
					row[ch] += v * float64(u)
				}
			}
		})
	}
	for i, v := range d.read(dw, len(want), float) {
		if float64(v) != want[i] {
			t.Fatalf("k %d, tap %d, c %d: got %g, want %g", i/s.c/s.r/s.r, i/s.c%(s.r*s.r), i%s.c, v, want[i])
		}
	}
	for i, v := range d.read(counter, tiles, float) {
		require.Zero(t, math.Float32bits(v), "counter %d", i)
	}
}

var wgradCases = func() []wgradCase {
	var cases []wgradCase
	add := func(name string, s shape, n, full int, b box, m, nn, wm, wn, wt, splits, vg, vx, v int, maths ...string) {
		for _, math := range maths {
			cases = append(cases, wgradCase{name + "-" + math, s, n, full, b, tile{math: math, m: m, n: nn, warpsM: wm, warpsN: wn, warpsT: wt}, splits, vg, vx, v})
		}
	}
	const B, T, F = "Bf16", "Tf32", "Ffma"
	add("one-split", newShape(8, 8, 16, 16, 3, 1, 1, false), 2, 2, box{1, 4, 8}, 16, 16, 1, 1, 1, 1, 8, 8, 4, B, T, F)
	add("tap-groups", newShape(8, 8, 24, 40, 3, 1, 1, false), 2, 2, box{1, 4, 8}, 32, 16, 2, 1, 3, 2, 8, 8, 8, B, T, F)
	add("odd", newShape(7, 5, 6, 10, 3, 1, 1, false), 3, 3, box{2, 3, 2}, 16, 8, 1, 1, 1, 3, 2, 2, 2, B, T, F)
	add("stem", newShape(8, 8, 3, 16, 3, 1, 1, false), 2, 4, box{1, 2, 8}, 16, 8, 1, 1, 3, 4, 8, 1, 1, B, T, F)
	add("stem7", newShape(15, 14, 3, 16, 7, 3, 2, false), 2, 2, box{1, 4, 7}, 16, 8, 1, 1, 7, 2, 8, 1, 1, B, T, F)
	add("stride", newShape(9, 10, 12, 20, 3, 1, 2, false), 3, 5, box{2, 2, 5}, 32, 16, 2, 1, 3, 3, 4, 4, 4, B, T, F)
	add("point", newShape(6, 6, 40, 72, 1, 0, 1, false), 2, 2, box{1, 3, 6}, 32, 32, 1, 2, 1, 2, 8, 8, 8, B, T, F)
	add("point-stride", newShape(7, 6, 18, 12, 1, 0, 2, false), 3, 3, box{1, 2, 3}, 16, 24, 1, 1, 1, 2, 4, 2, 2, B, T, F)
	add("many-splits", newShape(8, 8, 16, 16, 3, 1, 1, false), 9, 10, box{1, 4, 8}, 16, 16, 1, 2, 1, 19, 8, 8, 8, B)
	return cases
}()

func TestWgrad(t *testing.T) {
	for _, c := range wgradCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			for _, w := range ways {
				c.run(t, d, w)
			}
		})
	}
}
