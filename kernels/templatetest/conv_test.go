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

// numbers are small integers times unit: so few bits that every sum in these tests
// is exact, in any order and type, and results can be compared bit for bit.
func numbers(r *rand.Rand, n, limit int, unit float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.IntN(2*limit+1)-limit) * unit
	}
	return out
}

type convCase struct {
	name  string
	shape shape
	n     int // samples
	box   box
	tile  tile
	vecIn int  // channels of a call of the prologue
	vec   int  // and of the epilogue
	plain bool // no affine, no add, no statistics
}

// text is the kernel as the generator prints it: affine, relu, convert before the
// root; add, convert, bn_stats and bn_fold after it.
func (c convCase) text() string {
	s, b, t := c.shape, c.box, c.tile
	typ := t.dtype()
	r := strings.NewReplacer(
		"$ROUND", string(typ), "$IN", fmt.Sprint(s.in()), "$OUT", fmt.Sprint(s.out()),
		"$VI", fmt.Sprint(c.vecIn), "$V", fmt.Sprint(c.vec), "$PIXELS", fmt.Sprint(s.outRows()*s.outCols()),
		"$SHAPE", fmt.Sprintf("%d, %d, %d, %d, %d, %d, %d, %d, %d, %v", s.h, s.w, s.c, s.p, s.q, s.k, s.r, s.pad, s.stride, s.dgrad),
		"$BOX", fmt.Sprintf("%d, %d, %d", b.samples, b.rows, b.pixels),
		"$TILE", fmt.Sprintf("%s, %d, %d, %d, %d, %d, %d", t.math, t.m, t.n, t.k, t.warpsM, t.warpsN, t.stages),
		"$SHARED", fmt.Sprint(t.convShared(s, b, c.vec, !c.plain)), "$T", string(typ.stored()),
	)
	prologue, epilogue := `
struct Prologue {
  static constexpr u32 kVec = $VI;
  struct Channel {
    Floats<$VI> t[2];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    return Channel{{load_floats<$VI>(a.t + c), load_floats<$VI>(a.t + $IN + c)}};
  }
  WRNC_DEVICE Floats<$VI> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const Floats<$VI> v0 = affine(load_floats<$VI>(a.x + (at.pixel * $IN + c)), ch.t[0], ch.t[1]);
    return round_to<$ROUND>(relu(v0));
  }
};`, `
struct Epilogue {
  static constexpr u32 kVec = $V;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return Channel{}; }
  struct Sums {
    Acc<Stats, $V> q0;
  };
  WRNC_DEVICE void apply(const Args& a, const Channel&, Sums& s, const At& at, i32 c, Floats<$V> y) {
    const i64 e = at.pixel * $OUT + c;
    const Floats<$V> v = round_to<$ROUND>(add(y, load_floats<$V>(a.other + e)));
    store_floats(a.y + e, v);
    s.q0.add(v);
  }
  static constexpr bool kReduces = true;
  template <class R>
  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {
    r.write(a.partial, s.q0);
  }
  template <class R>
  WRNC_DEVICE void finish(const Args& a, R& r) {
    const Stats q0 = r.merge(a.partial, Stats{});
    if (r.owns()) {
      const i32 c = r.channel();
      a.stats[c] = q0.mean;
      a.stats[$OUT + c] = q0.m2;
      const Fold f = bn_fold(q0, a.gamma[c], a.beta[c], 0.01f, f32(a.n) * $PIXELS);
      a.fold[c] = f.scale;
      a.fold[$OUT + c] = f.shift;
    }
  }
  WRNC_DEVICE u32* counter(const Args& a) { return a.counter; }
};`
	if c.plain {
		prologue = `
struct Prologue {
  static constexpr u32 kVec = $VI;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return Channel{}; }
  WRNC_DEVICE Floats<$VI> apply(const Args& a, const Channel&, const At& at, i32 c) {
    return load_floats<$VI>(a.x + (at.pixel * $IN + c));
  }
};`
		epilogue = `
struct Epilogue {
  static constexpr u32 kVec = $V;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return Channel{}; }
  struct Sums {};
  WRNC_DEVICE void apply(const Args& a, const Channel&, Sums&, const At& at, i32 c, Floats<$V> y) {
    store_floats(a.y + (at.pixel * $OUT + c), round_to<$ROUND>(y));
  }
  static constexpr bool kReduces = false;
};`
	}
	return r.Replace(`#include "conv.cuh"

struct Args {
  const $T* w;
  const $T* x;
  const f32* t;
  const $T* other;
  $T* y;
  f32* partial;
  f32* stats;
  f32* fold;
  const f32* gamma;
  const f32* beta;
  u32* counter;
  i32 n;
};

using Shape = ConvShape<$SHAPE>;
using Unit = Box<$BOX>;
using Tile = ConvTile<$TILE>;
` + prologue + epilogue + `
static_assert(ConvLayout<Shape, Unit, Tile, Epilogue>::kShared == $SHARED, "");
WRNC_KERNEL(kernel, Tile::kThreads, 1)(const Args args) { conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.w); }
`)
}

func (s shape) outRows() int {
	if s.dgrad {
		return s.h
	}
	return s.p
}

func (s shape) outCols() int {
	if s.dgrad {
		return s.w
	}
	return s.q
}

func (s shape) inPixels() int {
	if s.dgrad {
		return s.p * s.q
	}
	return s.h * s.w
}

// taps calls f for every pair of a result's pixel (p, q) and a picture's pixel
// (h, w) that a tap joins.
func (s shape) taps(f func(p, q, h, w, tap int)) {
	for p := range s.p {
		for q := range s.q {
			for r := range s.r {
				for t := range s.r {
					if h, w := p*s.stride+r-s.pad, q*s.stride+t-s.pad; h >= 0 && h < s.h && w >= 0 && w < s.w {
						f(p, q, h, w, r*s.r+t)
					}
				}
			}
		}
	}
}

// conv is the convolution, or its gradient, in float64.
func (s shape) conv(n int, x, w []float32) []float64 {
	y := make([]float64, n*s.outRows()*s.outCols()*s.out())
	for i := range n {
		s.taps(func(p, q, h, wd, tap int) {
			picture, result := ((i*s.h+h)*s.w+wd)*s.c, ((i*s.p+p)*s.q+q)*s.k
			for k := range s.k {
				row := w[(k*s.r*s.r+tap)*s.c:][:s.c]
				if s.dgrad {
					g := float64(x[result+k])
					for c, v := range row {
						y[picture+c] += g * float64(v)
					}
					continue
				}
				sum := 0.0
				for c, v := range row {
					sum += float64(x[picture+c]) * float64(v)
				}
				y[result+k] += sum
			}
		})
	}
	return y
}

func (c convCase) run(t *testing.T, d *device, w way) {
	s, typ := c.shape, c.tile.dtype()
	r := rand.New(rand.NewPCG(uint64(len(c.name)), 1))
	inElems, outElems := c.n*s.inPixels()*s.in(), c.n*s.outRows()*s.outCols()*s.out()
	x, weight := numbers(r, inElems, 4, 1), numbers(r, s.k*s.r*s.r*s.c, 2, 1)
	scale, shift := numbers(r, s.in(), 2, 0.5), numbers(r, s.in(), 3, 1)
	other := numbers(r, outElems, 8, 1)
	gamma, beta := numbers(r, s.out(), 4, 0.25), numbers(r, s.out(), 4, 0.25)

	nUnits := units(s.outRows(), s.outCols(), s.phase(), c.n, c.box)
	tiles := ceilDiv(s.out(), c.tile.n)
	st := typ.stored()
	y := d.out(outElems, st)
	counter := d.counters(tiles * (1 + ceilDiv(nUnits, unitGroup)))
	stats, fold := d.out(2*s.out(), float), d.out(2*s.out(), float)
	d.launch(c.name, c.text(), nUnits*tiles, c.tile.convThreads(), c.tile.convShared(s, c.box, c.vec, !c.plain), w,
		d.in(weight, st), d.in(x, st), d.in(append(scale, shift...), float), d.in(other, st), y,
		d.out(nUnits*2*s.out(), float), stats, fold, d.in(gamma, float), d.in(beta, float), counter, int32(c.n))

	if !c.plain {
		for i, v := range x {
			ch := i % s.in()
			x[i] = typ.round(max(0, f32.FMA(v, scale[ch], shift[ch])))
		}
	}
	want := s.conv(c.n, x, weight)
	got := d.read(y, outElems, st)
	for i, v := range want {
		sum := float32(v)
		if !c.plain {
			sum += other[i]
		}
		if sum = typ.round(sum); sum != got[i] {
			ch, px := i%s.out(), i/s.out()
			t.Fatalf("sample %d, row %d, column %d, channel %d: got %g, want %g", px/s.outCols()/s.outRows(), px/s.outCols()%s.outRows(), px%s.outCols(), ch, got[i], sum)
		}
	}
	if c.plain {
		return
	}
	for i, v := range d.read(counter, tiles, float) {
		require.Zero(t, math.Float32bits(v), "counter %d", i)
	}
	checkStats(t, got, s.out(), d.read(stats, 2*s.out(), float))
	st32, fd := d.read(stats, 2*s.out(), float), d.read(fold, 2*s.out(), float)
	for ch := range s.out() {
		count := float64(outElems / s.out())
		scale := float64(gamma[ch]) / math.Sqrt(float64(st32[s.out()+ch])/count+0.01)
		require.InDelta(t, scale, fd[ch], 1e-6*math.Abs(scale)+1e-9)
		require.InDelta(t, float64(beta[ch])-float64(st32[ch])*scale, fd[s.out()+ch], 1e-5)
	}
}

// checkStats compares (mean, M2) of each channel with those of y in float64.
func checkStats(t *testing.T, y []float32, channels int, stats []float32) {
	t.Helper()
	count := float64(len(y) / channels)
	for ch := range channels {
		mean, m2 := 0.0, 0.0
		for i := ch; i < len(y); i += channels {
			mean += float64(y[i]) / count
		}
		for i := ch; i < len(y); i += channels {
			m2 += (float64(y[i]) - mean) * (float64(y[i]) - mean)
		}
		deviation := math.Sqrt(m2 / count)
		require.InDelta(t, mean, stats[ch], 1e-5*deviation+1e-6*math.Abs(mean), "mean of channel %d", ch)
		require.InDelta(t, m2, stats[channels+ch], 1e-5*m2+1e-9, "M2 of channel %d", ch)
	}
}

// convCases: sizes that divide nothing, tails of channels and samples, both
// strides in both directions, for each math.
var convCases = func() []convCase {
	var cases []convCase
	add := func(name string, s shape, n int, b box, m, nn, k, wm, wn, stages int, vecIn, vec int, plain bool, maths ...string) {
		for _, math := range maths {
			cases = append(cases, convCase{name + "-" + math, s, n, b, tile{math: math, m: m, n: nn, k: k, warpsM: wm, warpsN: wn, stages: stages}, vecIn, vec, plain})
		}
	}
	const B, T, F = "Bf16", "Tf32", "Ffma"
	add("one-chunk", newShape(8, 8, 16, 16, 3, 1, 1, false), 2, box{1, 8, 8}, 64, 16, 16, 2, 1, 2, 8, 4, false, B, T, F)
	add("chunks", newShape(8, 8, 48, 40, 3, 1, 1, false), 2, box{1, 4, 8}, 32, 24, 32, 1, 1, 3, 8, 8, false, B, T, F)
	add("odd", newShape(7, 5, 20, 10, 3, 1, 1, false), 3, box{2, 3, 2}, 16, 16, 16, 1, 2, 4, 4, 2, false, B, T, F)
	add("stem", newShape(9, 8, 3, 16, 3, 1, 1, false), 2, box{1, 2, 8}, 16, 16, 16, 1, 1, 2, 1, 4, false, B, T, F)
	add("stem7", newShape(21, 18, 3, 16, 7, 3, 2, false), 1, box{1, 4, 9}, 48, 16, 16, 3, 1, 3, 1, 8, false, B, T, F)
	add("stride", newShape(9, 10, 24, 12, 3, 1, 2, false), 3, box{2, 2, 5}, 32, 16, 16, 2, 1, 3, 8, 4, false, B, T, F)
	add("stride-even", newShape(8, 8, 32, 32, 3, 1, 2, false), 2, box{2, 4, 4}, 32, 32, 32, 1, 2, 3, 8, 8, false, B)
	add("point", newShape(6, 6, 40, 72, 1, 0, 1, false), 2, box{1, 3, 6}, 32, 48, 32, 1, 2, 3, 8, 8, false, B, T, F)
	add("point-stride", newShape(7, 6, 18, 12, 1, 0, 2, false), 3, box{1, 2, 3}, 16, 16, 16, 1, 1, 2, 2, 4, false, B, T, F)
	add("dgrad", newShape(8, 8, 24, 40, 3, 1, 1, true), 2, box{1, 4, 8}, 32, 32, 32, 2, 1, 3, 8, 8, false, B, T, F)
	add("dgrad-odd", newShape(5, 7, 10, 6, 3, 1, 1, true), 3, box{2, 3, 4}, 32, 16, 16, 1, 1, 2, 2, 2, false, B, T, F)
	add("dgrad-stride", newShape(8, 8, 16, 40, 3, 1, 2, true), 3, box{2, 2, 4}, 16, 16, 32, 1, 1, 3, 8, 4, false, B, T, F)
	add("dgrad-stride-odd", newShape(9, 7, 3, 12, 3, 1, 2, true), 2, box{1, 3, 4}, 16, 8, 16, 1, 1, 3, 4, 1, false, B, T, F)
	add("dgrad-point-stride", newShape(7, 8, 12, 20, 1, 0, 2, true), 3, box{1, 2, 4}, 16, 16, 16, 1, 1, 2, 4, 4, false, B, T, F)
	add("dgrad-stem7", newShape(14, 13, 4, 16, 7, 3, 2, true), 1, box{1, 4, 4}, 16, 8, 16, 1, 1, 3, 8, 4, false, B, T, F)
	add("many-units", newShape(16, 16, 16, 36, 1, 0, 1, false), 5, box{2, 1, 8}, 16, 40, 16, 1, 1, 2, 8, 4, false, B)
	add("many-units-odd", newShape(15, 13, 16, 20, 1, 0, 1, false), 3, box{1, 2, 3}, 16, 40, 16, 1, 1, 2, 8, 4, false, B)
	add("wide", newShape(4, 4, 32, 160, 3, 1, 1, false), 2, box{2, 4, 4}, 32, 160, 32, 2, 2, 2, 8, 8, false, B, F)
	add("wide-vec1", newShape(4, 4, 16, 67, 1, 0, 1, false), 2, box{2, 4, 4}, 32, 64, 16, 2, 1, 2, 8, 1, false, B, F)
	add("plain", newShape(6, 6, 16, 16, 3, 1, 1, false), 3, box{2, 6, 6}, 80, 16, 16, 5, 1, 4, 8, 8, true, B, T, F)
	add("plain-wide", newShape(5, 4, 16, 70, 3, 1, 1, false), 2, box{2, 4, 4}, 32, 80, 16, 2, 1, 2, 8, 2, true, B, F)
	add("plain-dgrad", newShape(6, 6, 16, 16, 3, 1, 2, true), 3, box{3, 3, 3}, 32, 16, 16, 1, 1, 4, 8, 8, true, B, T, F)
	return cases
}()

func TestConv(t *testing.T) {
	for _, c := range convCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			for _, w := range ways {
				c.run(t, d, w)
			}
		})
	}
}
