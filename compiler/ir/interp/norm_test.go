package interp

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

// Both forms of batch norm in one function: 0..2 are the whole ops, 3..5 and on
// the ops they split into.
const bnText = `module "bn" {batch=3}
state @gamma : f32[2] role=param init=constant(1)
state @beta : f32[2] role=param init=constant(0)
state @run : f32[2,2] role=running init=rows(0,1)
func main(%x : f32[3,1,5,2], %g : f32[3,1,5,2]) {
  %y, %r = batch_norm %x, @gamma, @beta, @run {eps=0.01, momentum=0.1} : f32[3,1,5,2], f32[2,2]
  %dx, %dg, %db = batch_norm_grad %g, %x, @gamma {eps=0.01} : f32[3,1,5,2], f32[2], f32[2]
  %e = batch_norm_eval %x, @gamma, @beta, @run {eps=0.01} : f32[3,1,5,2]
  %s = bn_stats %x : f32[2,2]
  %t = bn_fold %s, @gamma, @beta {eps=0.01, count=15} : f32[2,2]
  %y2 = affine %x, %t : f32[3,1,5,2]
  %r2 = bn_running @run, %s {momentum=0.1, count=15} : f32[2,2]
  %q = bn_grad_stats %g, %x, %s : f32[2,2]
  %c, %dg2, %db2 = bn_grad_fold %q, %s, @gamma {eps=0.01, count=15} : f32[3,2], f32[2], f32[2]
  %dx2 = affine2 %g, %x, %c : f32[3,1,5,2]
  %te = bn_fold @run, @gamma, @beta {eps=0.01, count=1} : f32[2,2]
  %e2 = affine %x, %te : f32[3,1,5,2]
  return %y, %r, %dx, %dg, %db, %e, %y2, %r2, %dx2, %dg2, %db2, %e2, %s
}
`

func bnInputs(n int) (in, st map[string]*Tensor) {
	r := rand.New(rand.NewPCG(5, 6))
	in = map[string]*Tensor{"x": randomTensor(r, ir.T(ir.F32, n, 1, 5, 2)), "g": randomTensor(r, ir.T(ir.F32, n, 1, 5, 2))}
	for i := range in["x"].F {
		in["x"].F[i] = float64(float32(3*in["x"].F[i] + 2))
	}
	st = map[string]*Tensor{
		"gamma": Floats(ir.T(ir.F32, 2), 0.75, -1.5),
		"beta":  Floats(ir.T(ir.F32, 2), 0.25, 2),
		"run":   Floats(ir.T(ir.F32, 2, 2), 0.5, -1, 2, 0.25),
	}
	return in, st
}

func TestBatchNormIsItsParts(t *testing.T) {
	f := parse(t, bnText)
	for _, n := range []int{3, 2} { // a full batch and a short one
		for _, opt := range []Options{{}, exact} {
			in, st := bnInputs(n)
			out := run(t, f, in, st, opt)
			for i := range 6 {
				require.Equal(t, out[i], out[6+i], "result %d, %d samples, %+v", i, n, opt.Float64)
			}
		}
	}
}

// The result has mean beta and standard deviation |gamma| (but for eps), and the
// running statistics move by a tenth, the variance being the unbiased one.
func TestBatchNormByDefinition(t *testing.T) {
	in, st := bnInputs(2)
	out := run(t, parse(t, bnText), in, st, exact)
	for c, gamma := range []float64{0.75, -1.5} {
		var mean, variance float64
		for i := c; i < 20; i += 2 {
			mean += in["x"].F[i] / 10
		}
		for i := c; i < 20; i += 2 {
			variance += math.Pow(in["x"].F[i]-mean, 2) / 10
		}
		for i := c; i < 20; i += 2 {
			x := in["x"].F[i]
			require.InDelta(t, (x-mean)/math.Sqrt(variance+0.01)*gamma+st["beta"].F[c], out[0].F[i], 1e-12)
			run := st["run"].F
			require.InDelta(t, (x-run[c])/math.Sqrt(run[2+c]+0.01)*gamma+st["beta"].F[c], out[5].F[i], 1e-12)
		}
		require.InDelta(t, 0.9*st["run"].F[c]+0.1*mean, out[1].F[c], 1e-14)
		require.InDelta(t, 0.9*st["run"].F[2+c]+0.1*variance*10/9, out[1].F[2+c], 1e-14)
		require.InDelta(t, mean, out[12].F[c], 1e-14)
		require.InDelta(t, variance*10, out[12].F[2+c], 1e-12)
	}
}

// batch_norm_grad is the derivative of <batch_norm(x, gamma, beta), g>.
func TestBatchNormGradByDifferences(t *testing.T) {
	f := parse(t, bnText)
	for _, n := range []int{3, 2} {
		in, st := bnInputs(n)
		out := run(t, f, in, st, exact)
		for name, c := range map[string]struct {
			at   []float64
			grad []float64
		}{
			"x":     {in["x"].F, out[2].F},
			"gamma": {st["gamma"].F, out[3].F},
			"beta":  {st["beta"].F, out[4].F},
		} {
			require.Len(t, c.grad, len(c.at))
			for i, old := range c.at {
				const h = 1e-5
				c.at[i] = old + h
				up := inner(run(t, f, in, st, exact)[0].F, in["g"].F)
				c.at[i] = old - h
				down := inner(run(t, f, in, st, exact)[0].F, in["g"].F)
				c.at[i] = old
				require.InDelta(t, (up-down)/(2*h), c.grad[i], 1e-8, "by %s[%d]", name, i)
			}
		}
	}
}

// Roundings of the split ops: one per result, from float64.
func TestChannelOpsRoundOnce(t *testing.T) {
	f := parse(t, bnText)
	in, st := bnInputs(3)
	rounded, full := run(t, f, in, st, Options{}), run(t, f, in, st, exact)
	for i, v := range full[12].F {
		require.Equal(t, float64(float32(v)), rounded[12].F[i])
	}
	for k, i := range []int{2, 3, 4} {
		require.InDeltaSlice(t, full[i].F, rounded[i].F, 1e-5, "result %d", k)
		require.NotEqual(t, full[i].F, rounded[i].F)
	}
}

func TestChannelSum(t *testing.T) {
	f := opFunc(t, 2, "%x : f32[2,1,2,3]", "", "%0 = channel_sum %x : f32[3]\nreturn %0")
	x := Floats(ir.T(ir.F32, 2, 1, 2, 3), 1, 2, 3, 10, 20, 30, 100, 200, 300, 1000, 2000, 3000)
	require.Equal(t, []float64{1111, 2222, 3333}, run(t, f, map[string]*Tensor{"x": x}, nil, Options{})[0].F)
}

const lossText = `module "loss" {batch=3}
func main(%x : f32[3,1,1,4], %labels : s32[3]) {
  %0 = xent %x, %labels : f32[2]
  %1 = xent_grad %x, %labels : f32[3,1,1,4]
  return %0, %1
}
`

func TestLoss(t *testing.T) {
	f := parse(t, lossText)
	x := Floats(ir.T(ir.F32, 3, 1, 1, 4), 1, 2, 0, -1, 0.5, 0.5, 0.5, 0.5, 1000, -1000, 0, 999)
	in := map[string]*Tensor{"x": x, "labels": Words(ir.T(ir.S32, 3), 1, 1, 0)}
	out := run(t, f, in, nil, exact)
	first := math.Log(math.Exp(1)+math.Exp(2)+1+math.Exp(-1)) - 2
	third := math.Log(1 + math.Exp(-1)) // large logits do not overflow
	require.InDelta(t, first+math.Log(4)+third, out[0].F[0], 1e-13)
	require.Equal(t, 1.0, out[0].F[1], "of equal logits the first is the largest")
	require.InDeltaSlice(t, []float64{0.25 / 3, -0.75 / 3, 0.25 / 3, 0.25 / 3}, out[1].F[4:8], 1e-15)

	// xent_grad is the derivative of the mean loss, also in a short batch.
	for _, n := range []int{3, 2} {
		x := Floats(ir.T(ir.F32, n, 1, 1, 4), append([]float64(nil), x.F[:4*n]...)...)
		in := map[string]*Tensor{"x": x, "labels": Words(ir.T(ir.S32, n), []uint64{1, 1, 0}[:n]...)}
		grad := run(t, f, in, nil, exact)[1].F
		for i, old := range x.F {
			const h = 1e-5
			x.F[i] = old + h
			up := run(t, f, in, nil, exact)[0].F[0]
			x.F[i] = old - h
			down := run(t, f, in, nil, exact)[0].F[0]
			x.F[i] = old
			require.InDelta(t, (up-down)/(2*h)/float64(n), grad[i], 1e-6, "element %d", i)
		}
	}
}

func TestLossOfNaN(t *testing.T) {
	f := parse(t, lossText)
	nan := math.NaN()
	x := Floats(ir.T(ir.F32, 3, 1, 1, 4), nan, 1, 2, 3, 3, 2, 1, nan, 9, 0, 0, 0)
	out := run(t, f, map[string]*Tensor{"x": x, "labels": Words(ir.T(ir.S32, 3), 0, 0, 0)}, nil, Options{})
	require.True(t, math.IsNaN(out[0].F[0]))
	require.Equal(t, 2.0, out[0].F[1], "a NaN is never right")
}

// fold_filter scales filter k by t[0,k], rounded once, and hands on t[1].
func TestFoldFilterByDefinition(t *testing.T) {
	f := parse(t, `module "fold" {batch=1}
state @w : f32[2,1,1,3] role=param init=constant(0)
state @t : f32[2,2] role=running init=rows(0,1)
func main(%x : f32[1,1,1,1]) {
  %v, %b = fold_filter @w, @t : f32[2,1,1,3], f32[2]
  return %v, %b
}
`)
	in := map[string]*Tensor{"x": New(ir.T(ir.F32, 1, 1, 1, 1))}
	third := float64(float32(1. / 3))
	st := map[string]*Tensor{
		"w": Floats(ir.T(ir.F32, 2, 1, 1, 3), 1, -2, third, 4, third, 6),
		"t": Floats(ir.T(ir.F32, 2, 2), -0.5, third, 7, 8),
	}
	want := []float64{-0.5, 1, -third / 2, 4 * third, third * third, 6 * third}
	out := run(t, f, in, st, exact)
	require.Equal(t, want, out[0].F)
	require.Equal(t, []float64{7, 8}, out[1].F)
	for i := range want {
		want[i] = float64(float32(want[i]))
	}
	require.Equal(t, want, run(t, f, in, st, Options{})[0].F)
}
