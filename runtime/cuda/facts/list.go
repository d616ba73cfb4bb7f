package facts

import (
	"math"

	"wrnc/kernels/f32"
)

// all lists the facts.
func all() []fact {
	list := []fact{barriers(), copies(), lastBlock(), arithmetic(), conversions()}
	list = append(list, shuffles()...)
	list = append(list, matrices()...)
	return append(list, product("mma_bf16", 16, 2), product("mma_tf32", 8, 1))
}

func barriers() fact {
	f := fact{name: "barrier_or", threads: 128, body: `
  out[t] = barrier_or(t == 77) + 10 * barrier_or(false) + 100 * barrier_or(t != 5) + 1000 * barrier_or(true);
`}
	for range f.threads {
		f.want = append(f.want, 1101)
	}
	return f
}

// shuffles are of every distance.
func shuffles() []fact {
	down := fact{name: "shuffle_down", threads: 64, body: "  for (u32 i = 0; i < 32; i++) out[64 * i + t] = shuffle_down(100 + t, i);\n"}
	xor := fact{name: "shuffle_xor", threads: 64, body: "  for (u32 i = 0; i < 32; i++) out[64 * i + t] = shuffle_xor(100 + t, i);\n"}
	for i := range uint32(32) {
		for t := range uint32(64) {
			from := t
			if t%32+i < 32 {
				from += i
			}
			down.want = append(down.want, 100+from)
			xor.want = append(xor.want, 100+(t^i))
		}
	}
	return []fact{down, xor}
}

// copies are asynchronous, of each size; each third thread's is of zeros.
func copies() fact {
	const words = 32 * (1 + 2 + 4)
	f := fact{name: "cp_async", threads: 32, shared: 4 * words, body: `
  Smem smem(4 * 32 * 7);
  u32* const a = smem.take<u32, 32 * 7>();
  const bool valid = t % 3 != 0;
  cp_async<4>(a + t, in + t, valid);
  cp_async_commit();
  cp_async<8>(a + 32 + 2 * t, in + 32 + 2 * t, valid);
  cp_async<16>(a + 96 + 4 * t, in + 96 + 4 * t, valid);
  cp_async_commit();
  cp_async_wait<1>();
  const u32 early = a[t];
  cp_async_wait<0>();
  barrier();
  for (u32 i = t; i < 32 * 7; i += 32) out[i] = a[i];
  out[32 * 7 + t] = early;
`}
	for i := range uint32(words) {
		f.in = append(f.in, 0x01010101*(i+1))
		thread := i
		switch {
		case i >= 96:
			thread = (i - 96) / 4
		case i >= 32:
			thread = (i - 32) / 2
		}
		if thread%3 == 0 {
			f.want = append(f.want, 0)
		} else {
			f.want = append(f.want, f.in[i])
		}
	}
	f.want = append(f.want, f.want[:32]...)
	return f
}

// lastBlock adds up in the last of many blocks what all of them have written; its
// counter is the first word.
func lastBlock() fact {
	const blocks, threads = 64, 64
	f := fact{name: "last_block", blocks: blocks, threads: threads, cleared: true, body: `
  const u32 n = block_count();
  out[1 + 64 * block_index() + t] = 1000 * block_index() + t;
  if (last_block(out, n)) {
    u32 sum = 0;
    for (u32 b = 0; b < n; b++) sum += out[1 + 64 * b + (63 - t)];
    out[1 + 64 * n + t] = sum;
  }
`, want: []uint32{0}}
	for b := range uint32(blocks) {
		for t := range uint32(threads) {
			f.want = append(f.want, 1000*b+t)
		}
	}
	for t := range uint32(threads) {
		f.want = append(f.want, 1000*blocks*(blocks-1)/2+blocks*(threads-1-t))
	}
	return f
}

// numbers are those at which rounding and comparisons differ.
func numbers() []float32 {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	return []float32{0, float32(math.Copysign(0, -1)), 1, -1, 1.5, 3, 1e-38, 1e-45, 3e38, inf, -inf, nan, 0.1, 1 + 1.0/(1<<23), 16777216, 255.5}
}

// oneNaN is the word of a number, the same for every NaN.
func oneNaN(x float32) uint32 {
	if x != x {
		return 0x7fc00000
	}
	return math.Float32bits(x)
}

// arithmetic of all pairs of numbers is that of IEEE 754, denormal numbers included.
func arithmetic() fact {
	f := fact{name: "arithmetic", threads: 256, body: `
  const f32 a = from_bits(in[2 * t]), b = from_bits(in[2 * t + 1]);
  const f32 results[] = {fma(a, b, a), a * b + a, sqrt_(a), div_(a, b), min_(a, b), max_(a, b)};
  for (u32 i = 0; i < 6; i++) out[8 * t + i] = results[i] != results[i] ? 0x7fc00000 : bits_of(results[i]);
  out[8 * t + 6] = mul_hi(in[2 * t], in[2 * t + 1]);
  out[8 * t + 7] = pinned(in[2 * t]);
`}
	for _, a := range numbers() {
		for _, b := range numbers() {
			x, y := math.Float32bits(a), math.Float32bits(b)
			f.in = append(f.in, x, y)
			least, most := b, b // also where one is no number
			if a < b {
				least = a
			}
			if a > b {
				most = a
			}
			for _, r := range []float32{f32.FMA(a, b, a), float32(a*b) + a, float32(math.Sqrt(float64(a))), a / b, least, most} {
				f.want = append(f.want, oneNaN(r))
			}
			f.want = append(f.want, uint32(uint64(x)*uint64(y)>>32), x)
		}
	}
	return f
}

// conversions round to bf16, ties to even.
func conversions() fact {
	f := fact{name: "bf16_bits", threads: 256, body: `
  const f32 a = from_bits(in[t]), b = from_bits(in[(t + 1) % 256]);
  out[2 * t] = bf16_bits(a);
  out[2 * t + 1] = bf16x2_bits(a, b);
`}
	for i := range uint32(240) { // around ties, of all signs
		f.in = append(f.in, (0x3f80+i*0x0123)<<16|[]uint32{0x7fff, 0x8000, 0x8001, 0}[i%4])
	}
	for _, x := range numbers() {
		f.in = append(f.in, math.Float32bits(x))
	}
	narrow := func(word uint32) uint32 {
		x := math.Float32frombits(word)
		if x != x {
			return 0x7fff
		}
		return uint32(f32.ToBF16(x))
	}
	for t := range f.in {
		low, high := narrow(f.in[t]), narrow(f.in[(t+1)%len(f.in)])
		f.want = append(f.want, low, high<<16|low)
	}
	return f
}

// matrices are read from shared memory. Element (r, c) of matrix m is 64*m + 8*r + c;
// rows lie 24 elements apart, in reverse, so that only their addresses say where.
func matrices() []fact {
	in := make([]uint32, 32*12)
	for row := range 32 {
		for c := range 8 {
			at := (31-row)*24 + c
			in[at/2] |= uint32(8*row+c) << (16 * (at % 2))
		}
	}
	var list []fact
	for _, k := range []struct {
		name       string
		count      string
		n          int
		transposed bool
	}{{"ldmatrix_x2", "2", 2, false}, {"ldmatrix_x4", "4", 4, false}, {"ldmatrix_x2_trans", "2", 2, true}, {"ldmatrix_x4_trans", "4", 4, true}} {
		f := fact{name: k.name, threads: 32, shared: 4 * len(in), in: in, body: `
  Smem smem(4 * 32 * 12);
  u32* const a = smem.take<u32, 32 * 12>();
  for (u32 i = t; i < 32 * 12; i += 32) a[i] = in[i];
  barrier();
  u32 r[` + k.count + `];
  ` + k.name + `(r, a + 12 * (31 - t));
  for (u32 i = 0; i < ` + k.count + `; i++) out[` + k.count + ` * t + i] = r[i];
`}
		for lane := range 32 {
			for m := range k.n {
				row, column := lane/4, lane%4*2
				low, high := 8*row+column, 8*row+column+1
				if k.transposed {
					low, high = 8*column+row, 8*(column+1)+row
				}
				f.want = append(f.want, uint32(64*m+low)|uint32(64*m+high)<<16)
			}
		}
		list = append(list, f)
	}
	return list
}

// product is d += a*b of a warp, a of 16 x k and b of k x 8, with so many elements in a
// register. Where they lie is said in ptx.cuh.
func product(name string, k, elements int) fact {
	f := fact{name: name, threads: 32, body: `
  const u32* const p = in + 10 * t;
  const u32 a[4] = {p[0], p[1], p[2], p[3]}, b[2] = {p[4], p[5]};
  f32 d[4] = {from_bits(p[6]), from_bits(p[7]), from_bits(p[8]), from_bits(p[9])};
  ` + name + `(d, a, b);
  for (u32 i = 0; i < 4; i++) out[4 * t + i] = bits_of(d[i]);
`}
	a := func(row, k int) float32 { return float32(row*3 - k*5%17) }
	b := func(k, column int) float32 { return float32(k*7%19 - column*2) }
	c := func(row, column int) float32 { return float32(row*100 + column) }
	word := func(element func(i int) float32) uint32 {
		if elements == 1 {
			return math.Float32bits(element(0))
		}
		return uint32(f32.ToBF16(element(0))) | uint32(f32.ToBF16(element(1)))<<16
	}
	for lane := range 32 {
		group, in := lane/4, lane%4
		for i := range 4 {
			f.in = append(f.in, word(func(e int) float32 { return a(group+8*(i&1), elements*in+k/2*(i>>1)+e) }))
		}
		for i := range 2 {
			f.in = append(f.in, word(func(e int) float32 { return b(elements*in+k/2*i+e, group) }))
		}
		for i := range 4 {
			row, column := group+8*(i>>1), 2*in+i&1
			sum := c(row, column)
			f.in = append(f.in, math.Float32bits(sum))
			for j := range k {
				sum += float32(a(row, j) * b(j, column))
			}
			f.want = append(f.want, math.Float32bits(sum))
		}
	}
	return f
}
