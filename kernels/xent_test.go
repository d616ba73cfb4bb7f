package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
	"wrnc/kernels/f32"
)

// lossText is what codegen prints for a loss over classes, or for its gradient.
func lossText(kind, typ string, classes, lanes, threads int) string {
	planned := ""
	if kind == "xent" {
		planned = fmt.Sprintf("static_assert(Shape::kShared == %d, \"the plan's block\");\n", (8*threads/32+15)/16*16)
	}
	return fmt.Sprintf(`// %[1]s: [N,1,1,%[3]d] in %[2]s
#include "xent.cuh"

struct Args { const %[2]s* a0; const i32* a1; f32* a2; i32 n; };
using Shape = LossShape<%[3]d, %[4]d, %[5]d>;
%[6]s
WRNC_KERNEL(%[1]s, %[5]d, 1)(const Args args) { %[1]s<Shape>(args.a0, args.a1, args.a2, args.n); }
`, kind, typ, classes, lanes, threads, planned)
}

// lossLanes is the number of threads that share a sample, as compiler/lower plans it.
func lossLanes(classes int) int {
	lanes := 1
	for lanes < 32 && 4*lanes < classes {
		lanes *= 2
	}
	return lanes
}

// interpretedLoss evaluates both ops by the interpreter, in float64.
func interpretedLoss(t *testing.T, n, classes int, logits []float32, labels []int32) (loss, grad []float64) {
	t.Helper()
	m, err := ir.Parse("loss.ir", fmt.Sprintf(`module "loss" {batch=%[1]d}
func main(%%x : f32[%[1]d,1,1,%[2]d], %%y : s32[%[1]d]) {
  %%0 = xent %%x, %%y : f32[2]
  %%1 = xent_grad %%x, %%y : f32[%[1]d,1,1,%[2]d]
  return %%0, %%1
}
`, n, classes))
	require.NoError(t, err)
	f := m.Func("main")
	x, y := interp.New(f.Param("x").Type), interp.New(f.Param("y").Type)
	for i, v := range logits {
		x.F[i] = float64(v)
	}
	for i, l := range labels {
		y.U[i] = uint64(l)
	}
	res, err := interp.Run(f, map[string]*interp.Tensor{"x": x, "y": y}, nil, interp.Options{Float64: true})
	require.NoError(t, err)
	return res.Returns[0].F, res.Returns[1].F
}

// logits are random, with equal largest ones now and then, exact in bf16.
func logits(r *rand.Rand, n, classes int, spread float64) ([]float32, []int32) {
	x, y := make([]float32, n*classes), make([]int32, n)
	for i := range x {
		x[i] = f32.FromBF16(f32.ToBF16(float32(r.NormFloat64() * spread)))
	}
	for s := range y {
		y[s] = int32(r.IntN(classes))
		row := x[s*classes : (s+1)*classes]
		switch r.IntN(3) {
		case 0: // often right
			row[y[s]] += f32.FromBF16(f32.ToBF16(float32(4 * spread)))
			row[y[s]] = f32.FromBF16(f32.ToBF16(row[y[s]]))
		case 1: // two equal ones, of which the first counts
			largest := row[0]
			for _, v := range row {
				largest = max(largest, v)
			}
			row[y[s]], row[r.IntN(classes)] = largest, largest
		}
	}
	return x, y
}

// The loss and its gradient agree with the interpreter for any number of classes
// and samples, and have the same bits in every order of threads.
func TestLoss(t *testing.T) {
	r := newRig(t)
	source := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		typ                string
		n, classes         int
		threads, gradients int // of a block
		spread             float64
	}{
		{"f32", 1, 2, 64, 32, 1},
		{"f32", 7, 3, 64, 64, 2},
		{"bf16", 70, 10, 1024, 256, 3},
		{"f32", 600, 10, 1024, 256, 3},
		{"f32", 33, 5, 64, 32, 30},
		{"bf16", 5, 17, 96, 96, 1},
		{"f32", 40, 100, 256, 256, 3},
		{"bf16", 9, 129, 128, 64, 2},
		{"f32", 4, 1000, 256, 256, 5},
		{"f32", 3, 999, 64, 128, 200},
	} {
		t.Run(fmt.Sprintf("%s %dx%d", c.typ, c.n, c.classes), func(t *testing.T) {
			r.t = t
			lanes := lossLanes(c.classes)
			x, y := logits(source, c.n, c.classes, c.spread)
			want, wantGrad := interpretedLoss(t, c.n, c.classes, x, y)
			a0, a1 := r.floats(c.typ, x), r.in(y)
			var first, firstGrad []uint32
			for _, order := range orders {
				a2, a3 := r.out(2), r.out(len(x))
				r.run(lossText("xent", c.typ, c.classes, lanes, c.threads), "xent", 1, c.threads, (8*c.threads/32+15)/16*16, order, a0, a1, a2, int32(c.n), int32(0))
				got := r.read(a2, 2)
				require.InEpsilon(t, want[0], got[0], 1e-5)
				require.Equal(t, want[1], float64(got[1]), "mistakes")

				r.run(lossText("xent_grad", c.typ, c.classes, lanes, c.gradients), "xent_grad", ceilDiv(c.n*lanes, c.gradients), c.gradients, 0, order, a0, a1, a3, int32(c.n), int32(0))
				grad := r.read(a3, len(x))
				for i, g := range grad {
					require.InDelta(t, wantGrad[i]*float64(c.n), float64(g)*float64(c.n), 1e-6, "element %d", i)
				}
				if first == nil {
					first, firstGrad = bits(got), bits(grad)
				}
				require.Equal(t, first, bits(got))
				require.Equal(t, firstGrad, bits(grad))
			}
		})
	}
}

// A label that is no class reads nothing: it makes the loss and the sample's
// gradient NaN and counts as a mistake. A NaN among the logits does so too. The
// other samples keep their gradients.
func TestLossOfWhatHasNone(t *testing.T) {
	r := newRig(t)
	const n, classes, lanes = 6, 10, 4
	nan := float32(math.NaN())
	for _, c := range []struct {
		name   string
		spoil  func(x []float32, y []int32)
		sample int
	}{
		{"label too large", func(_ []float32, y []int32) { y[2] = classes }, 2},
		{"negative label", func(_ []float32, y []int32) { y[5] = -1 }, 5},
		{"a label far away", func(_ []float32, y []int32) { y[0] = math.MaxInt32 }, 0},
		{"a NaN at the label", func(x []float32, y []int32) { x[3*classes+int(y[3])] = nan }, 3},
		{"a NaN beside the label", func(x []float32, y []int32) { x[4*classes+(int(y[4])+1)%classes] = nan }, 4},
		{"an infinity", func(x []float32, y []int32) { x[1*classes+(int(y[1])+3)%classes] = float32(math.Inf(1)) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			x, y := logits(rand.New(rand.NewPCG(3, 4)), n, classes, 1)
			wantLoss, wantGrad := interpretedLoss(t, n, classes, x, y)
			// The mistakes beside the spoilt sample, which is one in any case.
			others := wantLoss[1]
			alone, _ := interpretedLoss(t, 1, classes, x[c.sample*classes:(c.sample+1)*classes], y[c.sample:c.sample+1])
			others -= alone[1]
			c.spoil(x, y)
			a0, a1, a2, a3 := r.in(x), r.in(y), r.out(2), r.out(len(x))
			r.run(lossText("xent", "f32", classes, lanes, 64), "xent", 1, 64, 16, orders[0], a0, a1, a2, int32(n), int32(0))
			r.run(lossText("xent_grad", "f32", classes, lanes, 64), "xent_grad", 1, 64, 0, orders[0], a0, a1, a3, int32(n), int32(0))
			got, grad := r.read(a2, 2), r.read(a3, len(x))
			require.True(t, got[0] != got[0], "the loss is %v", got[0])
			require.Equal(t, others+1, float64(got[1]))
			for i, g := range grad {
				if i/classes != c.sample {
					require.InDelta(t, wantGrad[i], g, 1e-6)
				} else if c.name != "an infinity" {
					require.True(t, g != g, "element %d is %v", i, g)
				}
			}
		})
	}
}
