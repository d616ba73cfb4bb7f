package harness

import (
	"encoding/binary"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/f32"
)

// The facts that kernels rely on: what each function of device.cuh returns, and how
// the PTX manual spreads matrices over the lanes of a warp.

func words(b []byte) []uint32 {
	v := make([]uint32, len(b)/4)
	for i := range v {
		v[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return v
}

func bytesOf(v []uint32) []byte { return fields(v) }

// apply runs one block of a kernel over words: `in` words to be read and n to be
// written. The body has in, out and t.
func apply(t *testing.T, threads, shared int, body string, in []uint32, n int, more ...func(*Launch)) []uint32 {
	t.Helper()
	h, m := start(t)
	const head = `#include "device.cuh"
struct Args {
  const u32* in;
  u32* out;
};
WRNC_KERNEL(fact, `
	module := compileText(t, h, "fact", head+strconv.Itoa(threads)+`, 1)(const Args args) {
  [[maybe_unused]] const u32* const in = args.in;
  u32* const out = args.out;
  const u32 t = thread_index();
`+body+"}\n")
	out := blank(t, m, 4*n)
	l := Launch{Module: module, Entry: "fact", Blocks: 1, Threads: threads, Shared: shared, Args: fields(upload(t, m, bytesOf(in)), out)}
	for _, change := range more {
		change(&l)
	}
	report, err := m.Launch(l)
	require.NoError(t, err)
	require.NoError(t, report.Err())
	b, err := m.Read(out, 4*n)
	require.NoError(t, err)
	return words(b)
}

func TestIndices(t *testing.T) {
	got := apply(t, 96, 0, `
  u32* const o = out + 5 * (96 * block_index() + t);
  o[0] = t, o[1] = block_index(), o[2] = block_count(), o[3] = lane_index(), o[4] = warp_index();
`, nil, 3*96*5, func(l *Launch) { l.Blocks = 3 })
	for b := range uint32(3) {
		for i := range uint32(96) {
			require.Equal(t, []uint32{i, b, 3, i % 32, i / 32}, got[5*(96*b+i):][:5])
		}
	}
}

// Threads may read a barrier's result when others already wait at the next one.
func TestBarrierOr(t *testing.T) {
	got := apply(t, 128, 0, `
  out[t] = barrier_or(t == 77) + 10 * barrier_or(false) + 100 * barrier_or(t != 5) + 1000 * barrier_or(true);
`, nil, 128)
	for _, v := range got {
		require.Equal(t, uint32(1101), v)
	}
}

func TestShuffles(t *testing.T) {
	got := apply(t, 64, 0, `
  for (u32 i = 0; i < 32; i++) {
    out[64 * i + t] = shuffle_xor(100 + t, i);
    out[64 * (32 + i) + t] = u32(shuffle_xor(f32(t), i));
    out[64 * (64 + i) + t] = shuffle_down(100 + t, i);
    out[64 * (96 + i) + t] = u32(shuffle_down(f32(t), i));
  }
`, nil, 128*64)
	for i := range uint32(32) {
		for l := range uint32(64) {
			down := l
			if l%32+i < 32 {
				down += i
			}
			require.Equal(t, 100+(l^i), got[64*i+l])
			require.Equal(t, l^i, got[64*(32+i)+l])
			require.Equal(t, 100+down, got[64*(64+i)+l])
			require.Equal(t, down, got[64*(96+i)+l])
		}
	}
}

// Vectors of each size arrive where they were, and are one access for 16 bytes.
func TestVectors(t *testing.T) {
	in := make([]uint32, 256)
	for i := range in {
		in[i] = uint32(i) * 0x01010101
	}
	h, m := start(t)
	module := compileText(t, h, "vectors", `#include "device.cuh"
struct Args {
  const void* in;
  void* out;
};
template <class T, u32 N>
WRNC_DEVICE void copy(const Args& a, u32 at) {
  const u32 i = at / sizeof(T) + N * thread_index();
  store(static_cast<T*>(a.out) + i, load<T, N>(static_cast<const T*>(a.in) + i));
}
WRNC_KERNEL(vectors, 2, 1)(const Args args) {
  copy<u8, 1>(args, 0), copy<u8, 2>(args, 16), copy<u8, 4>(args, 32), copy<u8, 8>(args, 48), copy<u8, 16>(args, 64);
  copy<bf16, 1>(args, 96), copy<bf16, 2>(args, 112), copy<bf16, 4>(args, 128), copy<bf16, 8>(args, 144), copy<bf16, 16>(args, 176);
  copy<f32, 1>(args, 240), copy<f32, 2>(args, 256), copy<f32, 4>(args, 272), copy<f32, 8>(args, 304);
  copy<u64, 1>(args, 368), copy<u64, 2>(args, 384), copy<u64, 4>(args, 416);
}
`)
	out := blank(t, m, 1024)
	r, err := m.Launch(Launch{Module: module, Entry: "vectors", Blocks: 1, Threads: 2, Args: fields(upload(t, m, bytesOf(in)), out)})
	require.NoError(t, err)
	require.NoError(t, r.Err())
	got, err := m.Read(out, 1024)
	require.NoError(t, err)
	accesses := 0
	for _, v := range [][2]int{
		{0, 1}, {16, 2}, {32, 4}, {48, 8}, {64, 16}, {96, 2}, {112, 4}, {128, 8}, {144, 16}, {176, 32},
		{240, 4}, {256, 8}, {272, 16}, {304, 32}, {368, 8}, {384, 16}, {416, 32},
	} {
		require.Equal(t, bytesOf(in)[v[0]:v[0]+2*v[1]], got[v[0]:v[0]+2*v[1]], "%v", v)
		accesses += 2 * 2 * max(1, v[1]/16)
	}
	require.InDelta(t, accesses, r.Accesses, 2*2) // a thread may also copy the arguments
}

func TestArithmetic(t *testing.T) {
	bits := math.Float32bits
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	pairs := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 1.5, 3, 1e-38, 1e-45, 3e38, inf, -inf, nan, 0.1, 1 + 1.0/(1<<23), 16777217, 255.5}
	var in []uint32
	for _, a := range pairs {
		for _, b := range pairs {
			in = append(in, bits(a), bits(b))
		}
	}
	n := len(in) / 2
	const results = 12
	got := apply(t, 256, 0, `
  const f32 a = from_bits(in[2 * t]), b = from_bits(in[2 * t + 1]);
  u32* const o = out + 12 * t;
  o[0] = bits_of(fma(a, b, a)), o[1] = bits_of(a * b + a), o[2] = bits_of(sqrt_(a)), o[3] = bits_of(div_(a, b));
  o[4] = bits_of(min_(a, b)), o[5] = bits_of(max_(a, b));
  o[6] = u32(imin(i32(in[2 * t]), i32(in[2 * t + 1]))), o[7] = u32(imax(i32(in[2 * t]), i32(in[2 * t + 1])));
  o[8] = mul_hi(in[2 * t], in[2 * t + 1]), o[9] = bf16_bits(a);
  o[10] = bits_of(exp_(a)), o[11] = bits_of(log_(a));
`, in, results*n)
	same := func(want float32, got uint32, what string, i int) {
		t.Helper()
		if want != want {
			require.True(t, math.IsNaN(float64(math.Float32frombits(got))), "%s of %v", what, in[2*i:2*i+2])
			return
		}
		require.Equal(t, bits(want), got, "%s of %v", what, in[2*i:2*i+2])
	}
	pick := func(first bool, a, b float32) float32 {
		if first {
			return a
		}
		return b
	}
	for i := range n {
		o := got[results*i:]
		a, b := math.Float32frombits(in[2*i]), math.Float32frombits(in[2*i+1])
		same(f32.FMA(a, b, a), o[0], "fma", i)
		product := float32(a * b) // its own rounding
		same(product+a, o[1], "product and sum", i)
		same(float32(math.Sqrt(float64(a))), o[2], "sqrt", i)
		same(a/b, o[3], "quotient", i)
		same(pick(a < b, a, b), o[4], "min", i)
		same(pick(a > b, a, b), o[5], "max", i)
		require.Equal(t, min(int32(in[2*i]), int32(in[2*i+1])), int32(o[6]))
		require.Equal(t, max(int32(in[2*i]), int32(in[2*i+1])), int32(o[7]))
		require.Equal(t, uint32(uint64(in[2*i])*uint64(in[2*i+1])>>32), o[8])
		if a == a {
			require.Equal(t, uint32(f32.ToBF16(a)), o[9], "bf16 of %g", a)
		} else {
			require.Equal(t, uint32(0x7fff), o[9], "bf16 of NaN")
		}
		if e := math.Exp(float64(a)); e < 3e38 && e > 1e-37 {
			require.InEpsilon(t, e, math.Float32frombits(o[10]), 1e-6)
		}
		if l := math.Log(float64(a)); l == l && !math.IsInf(l, 0) && l != 0 {
			require.InEpsilon(t, l, math.Float32frombits(o[11]), 1e-6)
		}
	}
}

// Copies of each size bring their bytes, or zeros without looking at the source.
func TestAsyncCopies(t *testing.T) {
	in := make([]uint32, 32*7)
	for i := range in {
		in[i] = uint32(i + 1)
	}
	for _, async := range []Async{Late, Early} {
		got := apply(t, 32, 4*32*7, `
  Smem smem(4 * 32 * 7);
  u32* const a = smem.take<u32, 32 * 7>();
  cp_async<4>(a + t, in + t, t % 3 != 0);
  cp_async<8>(a + 32 + 2 * t, in + 32 + 2 * t, t % 3 != 0);
  cp_async_commit();
  cp_async<16>(a + 96 + 4 * t, t % 3 ? in + 96 + 4 * t : nullptr, t % 3 != 0);
  cp_async_commit();
  cp_async_wait<1>();
  for (u32 i = 0; i < 3; i++) out[i < 1 ? t : 32 + 2 * t + i - 1] = a[i < 1 ? t : 32 + 2 * t + i - 1];
  cp_async_wait<0>();
  barrier();
  for (u32 i = 96 + t; i < 224; i += 32) out[i] = a[i];
`, in, len(in), func(l *Launch) { l.Async = async })
		for i, v := range got {
			thread := i
			switch {
			case i >= 96:
				thread = (i - 96) / 4
			case i >= 32:
				thread = (i - 32) / 2
			}
			if thread%3 == 0 {
				require.Zero(t, v, "%d", i)
			} else {
				require.Equal(t, in[i], v, "%d", i)
			}
		}
	}
}

// A copy that is read too early is there already, or not yet; both are reported.
func TestAsyncModesDiffer(t *testing.T) {
	h, m := start(t)
	module := compileText(t, h, "early", `#include "device.cuh"
struct Args {
  const u32* in;
  u32* out;
};
WRNC_KERNEL(early, 32, 1)(const Args args) {
  Smem smem(128);
  u32* const a = smem.take<u32, 32>();
  const u32 t = thread_index();
  cp_async<4>(a + t, args.in + t, true);
  cp_async_commit();
  args.out[t] = a[t];
  cp_async_wait<0>();
}
`)
	for async, want := range map[Async]uint32{Late: 0xffffffff, Early: 5} {
		in, out := make([]uint32, 32), blank(t, m, 128)
		for i := range in {
			in[i] = 5
		}
		r, err := m.Launch(Launch{Module: module, Entry: "early", Blocks: 1, Threads: 32, Shared: 128, Async: async, Args: fields(upload(t, m, bytesOf(in)), out)})
		require.NoError(t, err)
		require.Len(t, r.Violations, 1)
		require.Equal(t, AsyncPending, r.Violations[0].Check)
		got, err := m.Read(out, 4)
		require.NoError(t, err)
		require.Equal(t, want, words(got)[0])
	}
}

// ldmatrix: "Each thread holds a fragment of a row: thread 0 the first fragment of
// row 0; a group of four threads holds an entire row." Threads 0-7 give the rows'
// addresses of the first matrix, 8-15 of the second, and so on.
func TestLdmatrix(t *testing.T) {
	// Element (r, c) of matrix m is 64*m + 8*r + c; rows lie 24 half-words apart, in
	// reverse, so that only their addresses tell where they are.
	in := make([]uint32, 32*12)
	for m := range 4 {
		for r := range 8 {
			for c := range 8 {
				at := (31-(8*m+r))*24 + c
				in[at/2] |= uint32(64*m+8*r+c) << (16 * (at % 2))
			}
		}
	}
	got := apply(t, 32, 4*32*12, `
  Smem smem(4 * 32 * 12);
  u32* const a = smem.take<u32, 32 * 12>();
  for (u32 i = t; i < 32 * 12; i += 32) a[i] = in[i];
  barrier();
  const u32* const row = a + 12 * (31 - t);
  u32 x2[2], x4[4], x2t[2], x4t[4];
  ldmatrix_x2(x2, t < 16 ? row : nullptr);
  ldmatrix_x4(x4, row);
  ldmatrix_x2_trans(x2t, row);
  ldmatrix_x4_trans(x4t, row);
  u32* const o = out + 12 * t;
  o[0] = x2[0], o[1] = x2[1], o[2] = x2t[0], o[3] = x2t[1];
  for (u32 i = 0; i < 4; i++) o[4 + i] = x4[i], o[8 + i] = x4t[i];
`, in, 32*12)
	for lane := range 32 {
		o := got[12*lane:]
		for m := range 4 {
			row, column := lane/4, lane%4*2
			plain := uint32(64*m+8*row+column) | uint32(64*m+8*row+column+1)<<16
			transposed := uint32(64*m+8*column+row) | uint32(64*m+8*(column+1)+row)<<16
			require.Equal(t, plain, o[4+m], "x4, lane %d, matrix %d", lane, m)
			require.Equal(t, transposed, o[8+m], "x4 transposed, lane %d, matrix %d", lane, m)
			if m < 2 {
				require.Equal(t, plain, o[m], "x2, lane %d, matrix %d", lane, m)
				require.Equal(t, transposed, o[2+m], "x2 transposed, lane %d, matrix %d", lane, m)
			}
		}
	}
}

// mmaFact is an instruction and the manual's formulas for where a thread's elements
// a_i, b_i lie.
type mmaFact struct {
	name      string
	k         int
	aElements int // of a thread
	bElements int
	perWord   int
	a, b      func(group, inGroup, i int) (row, column int)
	bits      func(x float32) uint32 // of an element
}

var mmaFacts = []mmaFact{
	{
		name: "mma_bf16", k: 16, aElements: 8, bElements: 4, perWord: 2,
		// row = groupID for ai where 0 <= i < 2 || 4 <= i < 6, groupID + 8 otherwise
		// col = (threadID_in_group * 2) + (i & 0x1) for ai where i < 4, + 8 for i >= 4
		a: func(group, inGroup, i int) (int, int) {
			row, column := group+8, inGroup*2+i&1
			if i < 2 || 4 <= i && i < 6 {
				row = group
			}
			if i >= 4 {
				column += 8
			}
			return row, column
		},
		// row = (threadID_in_group * 2) + (i & 0x1) for bi where i < 2, + 8 for i >= 2
		// col = groupID
		b: func(group, inGroup, i int) (int, int) {
			row := inGroup*2 + i&1
			if i >= 2 {
				row += 8
			}
			return row, group
		},
		bits: func(x float32) uint32 { return uint32(f32.ToBF16(x)) },
	},
	{
		name: "mma_tf32", k: 8, aElements: 4, bElements: 2, perWord: 1,
		// row = groupID for a0 and a2, groupID + 8 for a1 and a3
		// col = threadID_in_group for a0 and a1, threadID_in_group + 4 for a2 and a3
		a: func(group, inGroup, i int) (int, int) {
			row, column := group, inGroup
			if i == 1 || i == 3 {
				row += 8
			}
			if i >= 2 {
				column += 4
			}
			return row, column
		},
		// row = threadID_in_group for b0, threadID_in_group + 4 for b1
		// col = groupID
		b:    func(group, inGroup, i int) (int, int) { return inGroup + 4*i, group },
		bits: math.Float32bits,
	},
}

// cPlace is where a thread's c_i and d_i lie, for both instructions:
// row = groupID for ci where i < 2, groupID + 8 for i >= 2
// col = (threadID_in_group * 2) + (i & 0x1)
func cPlace(group, inGroup, i int) (row, column int) {
	if i >= 2 {
		group += 8
	}
	return group, inGroup*2 + i&1
}

// run multiplies matrices given by functions of row and column.
func (f mmaFact) run(t *testing.T, a, b, c func(row, column int) float32) (d [16][8]float32) {
	t.Helper()
	var in []uint32
	pack := func(n int, place func(group, inGroup, i int) (int, int), matrix func(int, int) float32, lane int) {
		for i := 0; i < n; i += f.perWord {
			word := uint32(0)
			for h := range f.perWord {
				word |= f.bits(matrix(place(lane/4, lane%4, i+h))) << (16 * h)
			}
			in = append(in, word)
		}
	}
	for lane := range 32 {
		pack(f.aElements, f.a, a, lane)
		pack(f.bElements, f.b, b, lane)
		for i := range 4 {
			in = append(in, math.Float32bits(c(cPlace(lane/4, lane%4, i))))
		}
	}
	got := apply(t, 32, 0, `
  const u32* const p = in + 10 * t;
  const u32 a[4] = {p[0], p[1], p[2], p[3]}, b[2] = {p[4], p[5]};
  f32 d[4] = {from_bits(p[6]), from_bits(p[7]), from_bits(p[8]), from_bits(p[9])};
  `+f.name+`(d, a, b);
  for (u32 i = 0; i < 4; i++) out[4 * t + i] = bits_of(d[i]);
`, in, 128)
	for lane := range 32 {
		for i := range 4 {
			row, column := cPlace(lane/4, lane%4, i)
			d[row][column] = math.Float32frombits(got[4*lane+i])
		}
	}
	return d
}

func TestMMA(t *testing.T) {
	for _, f := range mmaFacts {
		t.Run(f.name, func(t *testing.T) {
			// Small integers: every element is another, and sums are exact.
			a := func(row, k int) float32 { return float32(row*3 - k*5%17) }
			b := func(k, column int) float32 { return float32(k*7%19 - column*2) }
			c := func(row, column int) float32 { return float32(row*100 + column) }
			d := f.run(t, a, b, c)
			for row := range 16 {
				for column := range 8 {
					want := c(row, column)
					for k := range f.k {
						want += a(row, k) * b(k, column)
					}
					require.Equal(t, want, d[row][column], "%d,%d", row, column)
				}
			}
		})
		t.Run(f.name+" adds in order", func(t *testing.T) {
			// 2^24 swallows each 1 that is added alone, and a last product takes it away.
			a := func(_, k int) float32 {
				if k == f.k-1 {
					return -1 << 12
				}
				return 1
			}
			b := func(k, _ int) float32 {
				if k == f.k-1 {
					return 1 << 12
				}
				return 1
			}
			d := f.run(t, a, b, func(int, int) float32 { return 1 << 24 })
			require.Zero(t, d[3][5])
		})
	}
}

// The low 13 bits of a tf32 operand change nothing; that they are there is reported.
func TestTF32IgnoresLowBits(t *testing.T) {
	h, m := start(t)
	module := compileText(t, h, "low", `#include "device.cuh"
struct Args {
  f32* out;
  u32 low;
};
WRNC_KERNEL(low, 32, 1)(const Args args) {
  const u32 a[4] = {bits_of(1.5f) | args.low, bits_of(-2.0f), bits_of(3.0f) | args.low, bits_of(0.25f)};
  const u32 b[2] = {bits_of(1.25f), bits_of(7.0f) | args.low};
  f32 d[4] = {1, 2, 3, 4};
  mma_tf32(d, a, b);
  store(args.out + 4 * thread_index(), Vec<f32, 4>{{d[0], d[1], d[2], d[3]}});
}
`)
	var first []byte
	for _, low := range []uint32{0, 0x1fff} {
		out := blank(t, m, 32*16)
		r, err := m.Launch(Launch{Module: module, Entry: "low", Blocks: 1, Threads: 32, Args: fields(out, low, uint32(0))})
		require.NoError(t, err)
		require.Equal(t, low == 0, r.Err() == nil)
		got, err := m.Read(out, 32*16)
		require.NoError(t, err)
		if first == nil {
			first = got
		}
		require.Equal(t, first, got)
	}
}
