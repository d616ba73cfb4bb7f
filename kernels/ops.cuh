// The IR's elementwise and channel ops, as functions of registers.
//
// A value of an activation is always an f32 in a register; a store narrows it,
// exactly, because a convert came before. Each function does what
// compiler/ir/interp defines, to the bit: fma where the op table says fma, one
// rounding elsewhere.
#pragma once

#include "device.cuh"

// Floats are the elements of V neighbouring channels of one pixel. V is 1, 2, 4 or
// 8, and the first channel is a multiple of V.
template <u32 V>
struct Floats {
  f32 v[V];
};

// At is a pixel: sample, row, column, and its index (n*rows + y)*cols + x. An
// element's index in memory, and in dropout, is pixel*C + c.
struct At {
  i32 n, y, x;
  i64 pixel;
};

// map_floats applies f to each element's operands.
template <u32 V, class F>
WRNC_DEVICE Floats<V> map_floats(F f) {
  Floats<V> y;
#pragma unroll
  for (u32 i = 0; i < V; i++) y.v[i] = f(i);
  return y;
}

// ---- Memory.

WRNC_DEVICE f32 widen(f32 x) { return x; }
WRNC_DEVICE f32 widen(bf16 x) { return from_bits(u32(x.bits) << 16); }
WRNC_DEVICE f32 widen(u8 x) { return f32(x); }  // a mask's bit

WRNC_DEVICE void narrow(f32& to, f32 x) { to = x; }
WRNC_DEVICE void narrow(bf16& to, f32 x) { to.bits = u16(bits_of(x) >> 16); }
WRNC_DEVICE void narrow(u8& to, f32 x) { to = x != 0; }

template <class T, u32 V>
WRNC_DEVICE Floats<V> widened(const Vec<T, V>& x) {
  return map_floats<V>([&](u32 i) { return widen(x.v[i]); });
}

template <class T, u32 V>
WRNC_DEVICE Vec<T, V> narrowed(Floats<V> x) {
  Vec<T, V> y;
#pragma unroll
  for (u32 i = 0; i < V; i++) narrow(y.v[i], x.v[i]);
  return y;
}

// load_floats and store_floats are for tensors, in global memory. A pointer to const
// says that no thread of the kernel writes there.
template <u32 V, class T>
WRNC_DEVICE Floats<V> load_floats(const T* p) {
  return widened(load_readonly<T, V>(p));
}

template <u32 V, class T>
WRNC_DEVICE Floats<V> load_floats(T* p) {
  return widened(load<T, V>(global(p)));
}

template <u32 V, class T>
WRNC_DEVICE void store_floats(T* p, Floats<V> x) {
  store<T, V>(global(p), narrowed<T>(x));
}

// The same for tiles, in shared memory.
template <u32 V, class T>
WRNC_DEVICE Floats<V> load_tile(const T* p) {
  return widened(load<T, V>(p));
}

template <u32 V, class T>
WRNC_DEVICE void store_tile(T* p, Floats<V> x) {
  store<T, V>(p, narrowed<T>(x));
}

// scalar reads a number that changes from step to step.
template <class T>
WRNC_DEVICE T scalar(const T* p) {
  return load_readonly<T, 1>(p).v[0];
}

// ---- Map ops.

template <u32 V>
WRNC_DEVICE Floats<V> broadcast(f32 x) {
  return map_floats<V>([&](u32) { return x; });
}

template <u32 V>
WRNC_DEVICE Floats<V> affine(Floats<V> x, Floats<V> scale, Floats<V> shift) {
  return map_floats<V>([&](u32 i) { return fma(x.v[i], scale.v[i], shift.v[i]); });
}

template <u32 V>
WRNC_DEVICE Floats<V> affine2(Floats<V> g, Floats<V> x, Floats<V> c0, Floats<V> c1, Floats<V> c2) {
  return map_floats<V>([&](u32 i) { return fma(c0.v[i], g.v[i], fma(c1.v[i], x.v[i], c2.v[i])); });
}

// relu keeps a NaN, relu_grad yields 0 for one.
template <u32 V>
WRNC_DEVICE Floats<V> relu(Floats<V> x) {
  return map_floats<V>([&](u32 i) { return x.v[i] < 0 ? 0.0f : x.v[i]; });
}

template <u32 V>
WRNC_DEVICE Floats<V> relu_grad(Floats<V> g, Floats<V> x) {
  return map_floats<V>([&](u32 i) { return x.v[i] > 0 ? g.v[i] : 0.0f; });
}

template <u32 V>
WRNC_DEVICE Floats<V> add(Floats<V> a, Floats<V> b) {
  return map_floats<V>([&](u32 i) { return a.v[i] + b.v[i]; });
}

template <u32 V>
WRNC_DEVICE Floats<V> mul(Floats<V> a, Floats<V> b) {
  return map_floats<V>([&](u32 i) { return a.v[i] * b.v[i]; });
}

template <u32 V>
WRNC_DEVICE Floats<V> scale(f32 alpha, Floats<V> x) {
  return map_floats<V>([&](u32 i) { return alpha * x.v[i]; });
}

// sigmoid_of follows kernels/f32/sigmoid.go step by step; the reasons stand there.
WRNC_DEVICE f32 sigmoid_of(f32 x) {
  const f32 whole = 12582912.0f;
  const f32 z = x > 87.0f ? -87.0f : x < -87.0f ? 87.0f : -x;
  const f32 t = fma(z, 1.44269504f, whole);
  const f32 n = t - whole;
  const f32 r = fma(n, 2.12194440e-4f, fma(n, -0.693359375f, z));
  f32 p = fma(1.9875691500e-4f, r, 1.3981999507e-3f);
  p = fma(p, r, 8.3334519073e-3f);
  p = fma(p, r, 4.1665795894e-2f);
  p = fma(p, r, 1.6666665459e-1f);
  p = fma(p, r, 5.0000001201e-1f);
  p = fma(p, r * r, r);
  const f32 e = (p + 1.0f) * from_bits((bits_of(t) << 23) + 0x3f800000);
  return div_(1.0f, 1.0f + e);
}

template <u32 V>
WRNC_DEVICE Floats<V> sigmoid(Floats<V> x) {
  return map_floats<V>([&](u32 i) { return sigmoid_of(x.v[i]); });
}

// sigmoid_grad reads the sigmoid's result.
template <u32 V>
WRNC_DEVICE Floats<V> sigmoid_grad(Floats<V> g, Floats<V> y) {
  return map_floats<V>([&](u32 i) { return g.v[i] * (y.v[i] * (1.0f - y.v[i])); });
}

template <u32 V>
WRNC_DEVICE Floats<V> add_channel(Floats<V> x, Floats<V> b) {
  return add(x, b);
}

template <u32 V>
WRNC_DEVICE Floats<V> axpy(f32 alpha, Floats<V> x, Floats<V> y) {
  return map_floats<V>([&](u32 i) { return fma(alpha, x.v[i], y.v[i]); });
}

template <u32 V>
WRNC_DEVICE Floats<V> descend(Floats<V> p, Floats<V> u, f32 lr) {
  return map_floats<V>([&](u32 i) { return fma(-lr, u.v[i], p.v[i]); });
}

// avgpool_grad spreads the gradient of a mean over the picture's pixels.
template <u32 V>
WRNC_DEVICE Floats<V> avgpool_grad(Floats<V> g, f32 pixels) {
  return map_floats<V>([&](u32 i) { return div_(g.v[i], pixels); });
}

// ---- convert. Rounds to nearest even; a NaN stays one.

struct tf32 {};  // stored as an f32 with ten mantissa bits

template <u32 V>
WRNC_DEVICE Floats<V> rounded(Floats<V> x, f32) {
  return x;
}

template <u32 V>
WRNC_DEVICE Floats<V> rounded(Floats<V> x, tf32) {
  return map_floats<V>([&](u32 i) {
    const u32 b = bits_of(x.v[i]);
    return (b & 0x7f800000) == 0x7f800000 ? x.v[i] : from_bits((b + 0xfff + (b >> 13 & 1)) & ~0x1fffu);
  });
}

template <u32 V>
WRNC_DEVICE Floats<V> rounded(Floats<V> x, bf16) {
#pragma unroll
  for (u32 i = 0; i < V; i += 2) {
    const u32 pair = bf16x2_bits(x.v[i], V > 1 ? x.v[i + 1] : 0.0f);
    x.v[i] = from_bits(pair << 16);
    if (V > 1) x.v[i + 1] = from_bits(pair & 0xffff0000);
  }
  return x;
}

template <class T, u32 V>
WRNC_DEVICE Floats<V> round_to(Floats<V> x) {
  return rounded(x, T{});
}

// ---- Dropout.

struct Words {
  u32 x, y, z, w;
};

// philox is ten rounds of Philox4x32 (Salmon, Moraes, Dror and Shaw, 2011).
WRNC_DEVICE Words philox(u64 seed, Words counter) {
  u32 k0 = u32(seed), k1 = u32(seed >> 32);
#pragma unroll
  for (u32 round = 0; round < 10; round++) {
    const u32 h0 = mul_hi(0xD2511F53u, counter.x), l0 = 0xD2511F53u * counter.x;
    const u32 h1 = mul_hi(0xCD9E8D57u, counter.z), l1 = 0xCD9E8D57u * counter.z;
    counter = Words{h1 ^ counter.y ^ k0, l1, h0 ^ counter.w ^ k1, l0};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

// dropout_mask is 1 where the 16 bits of an element are at least the threshold.
// Eight elements share a counter, two a word, the first in the low half. e is the
// index of the first element, a multiple of V: so a vector needs one counter.
template <u32 V>
WRNC_DEVICE Floats<V> dropout_mask(u32 threshold, u32 stream, u64 seed, u64 step, i64 e) {
  const u64 group = u64(e) / 8;
  const Words w = philox(seed, Words{u32(group), u32(group >> 32), u32(step), stream});
  const u32 first = u32(e) % 8;
  return map_floats<V>([&](u32 i) {
    const u32 half = V == 8 ? i : first + i;
    const u32 pair = half / 2, word = pair < 2 ? (pair == 0 ? w.x : w.y) : (pair == 2 ? w.z : w.w);
    return (word >> half % 2 * 16 & 0xffff) >= threshold ? 1.0f : 0.0f;
  });
}

// mask_scale keeps the expectation: what stays is divided by its probability.
template <u32 V>
WRNC_DEVICE Floats<V> mask_scale(Floats<V> x, Floats<V> mask, u32 threshold) {
  const f32 scale = 65536.0f / f32(65536 - threshold);
  return map_floats<V>([&](u32 i) { return mask.v[i] == 0 ? 0.0f : x.v[i] * scale; });
}

// ---- What Reduces yield for a channel, and the Channel ops on it.

struct Stats {
  f32 mean, m2;  // m2: sum of squared deviations from the mean
};

struct GradStats {
  f32 sum, dot;  // of g, and of g*(x - mean)
};

struct ChannelSum {
  f32 sum;
};

struct Fold {
  f32 scale, shift;
};

WRNC_DEVICE f32 inverse_deviation(Stats s, f32 eps, f32 count) { return div_(1.0f, sqrt_(div_(s.m2, count) + eps)); }

WRNC_DEVICE Fold bn_fold(Stats s, f32 gamma, f32 beta, f32 eps, f32 count) {
  const f32 scale = gamma * inverse_deviation(s, eps, count);
  return Fold{scale, fma(-s.mean, scale, beta)};
}

struct Running {
  f32 mean, var;
};

// bn_running moves the running mean and the unbiased variance towards the batch's.
WRNC_DEVICE Running bn_running(f32 run_mean, f32 run_var, Stats s, f32 momentum, f32 count) {
  const f32 keep = 1.0f - momentum, var = div_(s.m2, count - 1.0f);
  return Running{fma(keep, run_mean, momentum * s.mean), fma(keep, run_var, momentum * var)};
}

// GradFold: the gradient by x is c0*g + c1*x + c2.
struct GradFold {
  f32 c0, c1, c2, dgamma, dbeta;
};

WRNC_DEVICE GradFold bn_grad_fold(GradStats q, Stats s, f32 gamma, f32 eps, f32 count) {
  const f32 r = inverse_deviation(s, eps, count), c0 = gamma * r;
  const f32 c1 = -div_(c0 * (r * r) * q.dot, count);
  return GradFold{c0, c1, fma(-c1, s.mean, -div_(c0 * q.sum, count)), r * q.dot, q.sum};
}
