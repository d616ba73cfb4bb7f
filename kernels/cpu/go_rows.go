package cpu

import "wrnc/kernels/f32"

// The plain Go row functions: they define what the others compute.

var goISA = ISA{
	Name: "go", Lanes: 1,
	Wide:   Multiply{Chans: 8, Conv: goConv, Wgrad: goWgrad},
	Affine: goAffine, Affine2: goAffine2, Relu: goRelu, ReluGrad: goReluGrad, Add: goAdd, Mul: goMul, Scale: goScale,
	Sigmoid: goSigmoid, SigmoidGrad: goSigmoidGrad, AddChannel: goAddChannel,
	Axpy: goAxpy, DropoutMask: goDropoutMask, MaskScale: goMaskScale,
	BNStats: goBNStats, BNGradStats: goBNGradStats, SumRows: goSumRows,
	AffineRelu: goAffineRelu, AffineReluGrad: goAffineReluGrad,
	Winograd: goTransforms,
}

func relu(x float32) float32 {
	if x < 0 {
		return 0
	}
	return x
}

func reluGrad(g, x float32) float32 {
	if x > 0 {
		return g
	}
	return 0
}

func goAffine(dst, x, t []float32, px, c int) {
	for p := range px {
		for i := range c {
			dst[p*c+i] = f32.FMA(x[p*c+i], t[i], t[c+i])
		}
	}
}

func goAffine2(dst, g, x, t []float32, px, c int) {
	for p := range px {
		for i := range c {
			dst[p*c+i] = f32.FMA(t[i], g[p*c+i], f32.FMA(t[c+i], x[p*c+i], t[2*c+i]))
		}
	}
}

func goAffineRelu(dst, x, t []float32, px, c int) {
	for p := range px {
		for i := range c {
			dst[p*c+i] = relu(f32.FMA(x[p*c+i], t[i], t[c+i]))
		}
	}
}

func goAffineReluGrad(dst, g, x, t []float32, px, c int) {
	for p := range px {
		for i := range c {
			dst[p*c+i] = reluGrad(g[p*c+i], f32.FMA(x[p*c+i], t[i], t[c+i]))
		}
	}
}

func goRelu(dst, x []float32, n int) {
	for i, v := range x[:n] {
		dst[i] = relu(v)
	}
}

func goReluGrad(dst, g, x []float32, n int) {
	for i, v := range x[:n] {
		dst[i] = reluGrad(g[i], v)
	}
}

func goAdd(dst, a, b []float32, n int) {
	for i, v := range a[:n] {
		dst[i] = v + b[i]
	}
}

func goMul(dst, a, b []float32, n int) {
	for i, v := range a[:n] {
		dst[i] = v * b[i]
	}
}

func goScale(dst, x []float32, alpha float32, n int) {
	for i, v := range x[:n] {
		dst[i] = alpha * v
	}
}

func goSigmoid(dst, x []float32, n int) {
	for i, v := range x[:n] {
		dst[i] = f32.Sigmoid(v)
	}
}

func goSigmoidGrad(dst, g, y []float32, n int) {
	for i, v := range y[:n] {
		dst[i] = f32.SigmoidGrad(g[i], v)
	}
}

func goAddChannel(dst, x, b []float32, px, c int) {
	for p := range px {
		for i := range c {
			dst[p*c+i] = x[p*c+i] + b[i]
		}
	}
}

func goAxpy(dst []float32, alpha float32, x, y []float32, n int) {
	for i, v := range x[:n] {
		dst[i] = f32.FMA(alpha, v, y[i])
	}
}

func goMaskScale(dst, x []float32, mask []uint32, n int, scale float32) {
	for i, v := range x[:n] {
		if mask[i] != 0 {
			dst[i] = v * scale
		} else {
			dst[i] = 0
		}
	}
}

func goBNStats(acc []float32, seen int, x []float32, px, c int) { bnStatsFrom(0, acc, seen, x, px, c) }

func goBNGradStats(acc, g, x, mean []float32, px, c int) { bnGradStatsFrom(0, acc, g, x, mean, px, c) }

func goSumRows(acc, x []float32, px, c int) { sumRowsFrom(0, acc, x, px, c) }

// bnStatsFrom takes the row's mean, then its squared deviations, for the channels
// from first on.
func bnStatsFrom(first int, acc []float32, seen int, x []float32, px, c int) {
	if px == 0 {
		return
	}
	merge := newMerge(seen, px)
	for i := first; i < c; i++ {
		var sum, m2 float32
		for p := range px {
			sum += x[p*c+i]
		}
		mean := sum / float32(px)
		for p := range px {
			d := x[p*c+i] - mean
			m2 = f32.FMA(d, d, m2)
		}
		merge.channel(acc, c, i, mean, m2)
	}
}

// merge joins the mean and the squared deviations of two sets of pixels by the
// formula of Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm
// for Computing Sample Variances (1979).
type merge struct{ toMean, toM2 float32 }

// newMerge is for px pixels that join seen ones.
func newMerge(seen, px int) merge {
	total := float32(seen + px)
	return merge{float32(px) / total, float32(float32(seen)*float32(px)) / total}
}

// channel joins channel i of c with what acc holds.
func (m merge) channel(acc []float32, c, i int, mean, m2 float32) {
	d := mean - acc[i]
	acc[i] += float32(d * m.toMean)
	acc[c+i] += float32(float32(d*d)*m.toM2) + m2
}

func bnGradStatsFrom(first int, acc, g, x, mean []float32, px, c int) {
	for p := range px {
		for i := first; i < c; i++ {
			v := g[p*c+i]
			acc[i] += v
			acc[c+i] = f32.FMA(v, x[p*c+i]-mean[i], acc[c+i])
		}
	}
}

func sumRowsFrom(first int, acc, x []float32, px, c int) {
	for p := range px {
		for i := first; i < c; i++ {
			acc[i] += x[p*c+i]
		}
	}
}
