package interp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

// parse reads a module whose only function is main.
func parse(t *testing.T, text string) *ir.Func {
	t.Helper()
	m, err := ir.Parse("test.ir", text)
	require.NoError(t, err, text)
	return m.Func("main")
}

// opFunc is a function of one op: every operand is a state but the samples,
// which are parameters.
func opFunc(t *testing.T, batch int, params, states, op string) *ir.Func {
	t.Helper()
	return parse(t, fmt.Sprintf("module \"t\" {batch=%d}\n%s\nfunc main(%s) {\n%s\n}\n", batch, states, params, op))
}

func state(name, typ string) string {
	return fmt.Sprintf("state @%s : %s role=param init=constant(0)\n", name, typ)
}

func run(t *testing.T, f *ir.Func, in, st map[string]*Tensor, opt Options) []*Tensor {
	t.Helper()
	res, err := Run(f, in, st, opt)
	require.NoError(t, err)
	return res.Returns
}

var exact = Options{Float64: true}

func randomTensor(r *rand.Rand, t ir.Type) *Tensor {
	x := New(t)
	for i := range x.F {
		x.F[i] = float64(float32(r.NormFloat64()))
	}
	return x
}

func inner(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i] * b[i])
	}
	return sum
}

func TestEveryOpHasAMeaning(t *testing.T) {
	table := meanings()
	for _, op := range ir.Ops() {
		require.NotNil(t, table[op], "%s", op)
	}
	require.Len(t, table, len(ir.Ops()))
}

func TestShortBatch(t *testing.T) {
	f := parse(t, `module "t" {batch=4}
state @run : f32[2,1] role=running init=rows(0,1)
func main(%x : f32[4,1,2,1], %y : s32[4]) {
  %0 = bn_stats %x : f32[2,1]
  %1 = bn_running @run, %0 {momentum=0.5, count=8} : f32[2,1]
  return %0, @run <- %1
}
`)
	st := map[string]*Tensor{"run": Floats(ir.T(ir.F32, 2, 1), 0, 1)}
	in := map[string]*Tensor{
		"x": Floats(ir.T(ir.F32, 3, 1, 2, 1), 1, 2, 3, 4, 5, 6),
		"y": Words(ir.T(ir.S32, 3), 0, 0, 0),
	}
	res, err := Run(f, in, st, exact)
	require.NoError(t, err)
	require.Equal(t, []float64{3.5, 17.5}, res.Returns[0].F)
	require.InDeltaSlice(t, []float64{1.75, 0.5 + 0.5*17.5/5}, res.State["run"].F, 1e-15, "count follows the short batch: 6, not 8")
	require.Equal(t, []float64{0, 1}, st["run"].F, "inputs are not changed")
}

func TestRunErrors(t *testing.T) {
	f := parse(t, `module "t" {batch=2}
state @w : f32[1,1,1,1] role=param init=constant(0)
func main(%x : f32[2,1,1,1], %labels : s32[2]) {
  %0 = conv2d %x, @w {pad=0, stride=1} : f32[2,1,1,1]
  %1 = xent %0, %labels : f32[2]
  return %1
}
`)
	x, w, y := Floats(ir.T(ir.F32, 2, 1, 1, 1), 1, 2), Floats(ir.T(ir.F32, 1, 1, 1, 1), 1), Words(ir.T(ir.S32, 2), 0, 0)
	minusOne := int32(-1)
	for _, c := range []struct {
		name    string
		x, y, w *Tensor
		want    string
	}{
		{"no parameter", nil, y, w, "func main: parameter %x : f32[2,1,1,1] has no tensor"},
		{"no state", x, y, nil, "func main: conv2d (): state @w : f32[1,1,1,1] has no tensor"},
		{"large batch", New(ir.T(ir.F32, 3, 1, 1, 1)), y, w, "func main: parameter %x has 3 samples; the module is declared for 1 to 2"},
		{"two batches", New(ir.T(ir.F32, 1, 1, 1, 1)), y, w, "func main: parameter %labels has 2 samples, %x has 1"},
		{"shape", New(ir.T(ir.F32, 2, 1, 1, 3)), y, w, "func main: parameter %x: expected a tensor f32[2,1,1,1], found f32[2,1,1,3]"},
		{"rank", New(ir.T(ir.F32)), y, w, "func main: parameter %x: expected a tensor f32[2,1,1,1], found f32[]"},
		{"element type", New(ir.T(ir.BF16, 2, 1, 1, 1)), y, w, "func main: parameter %x: expected a tensor f32[2,1,1,1], found bf16[2,1,1,1]"},
		{"too few elements", Floats(x.Type, 1), y, w, "func main: parameter %x: tensor f32[2,1,1,1] holds 1 floats and 0 words, expected 2 and 0"},
		{"state shape", x, y, New(ir.T(ir.F32, 1, 3, 3, 1)), "func main: conv2d (): state @w: expected a tensor f32[1,1,1,1], found f32[1,3,3,1]"},
		{"label", x, Words(y.Type, 0, 1), w, "func main: xent (): label of sample 1 is 1; there are 1 classes, from 0"},
		{"negative label", x, Words(y.Type, uint64(int64(minusOne)), 0), w, "func main: xent (): label of sample 0 is -1; there are 1 classes, from 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, st := map[string]*Tensor{"labels": c.y}, map[string]*Tensor{}
			if c.x != nil {
				in["x"] = c.x
			}
			if c.w != nil {
				st["w"] = c.w
			}
			_, err := Run(f, in, st, Options{})
			require.EqualError(t, err, c.want)
		})
	}
}

func TestShortBatchAgainstState(t *testing.T) {
	f := opFunc(t, 2, "%x : f32[2,1,1,1]", state("a", "f32[2,1,1,1]"), "%0 = add %x, @a : f32[2,1,1,1]\nreturn %0")
	st := map[string]*Tensor{"a": Floats(ir.T(ir.F32, 2, 1, 1, 1), 1, 2)}
	require.Equal(t, []float64{2, 4}, run(t, f, map[string]*Tensor{"x": Floats(ir.T(ir.F32, 2, 1, 1, 1), 1, 2)}, st, exact)[0].F)
	_, err := Run(f, map[string]*Tensor{"x": Floats(ir.T(ir.F32, 1, 1, 1, 1), 1)}, st, exact)
	require.EqualError(t, err, "func main: add (): operands differ in shape in this batch: f32[1,1,1,1] and f32[2,1,1,1]")
}

func TestShortBatchAsWeight(t *testing.T) {
	f := opFunc(t, 2, "%x : f32[2,3,3,1], %w : f32[2,3,3,1], %b : f32[2]", "",
		"%0 = conv2d %x, %w {pad=1, stride=1} : f32[2,3,3,2]\n%1 = add_channel %0, %b : f32[2,3,3,2]\nreturn %1")
	in := func(n int) map[string]*Tensor {
		return map[string]*Tensor{"x": New(ir.T(ir.F32, n, 3, 3, 1)), "w": New(ir.T(ir.F32, n, 3, 3, 1)), "b": New(ir.T(ir.F32, n))}
	}
	run(t, f, in(2), nil, exact)
	_, err := Run(f, in(1), nil, exact)
	require.EqualError(t, err, "func main: conv2d (): operand 1, f32[2,3,3,1], does not depend on the batch, but is a parameter cut to f32[1,3,3,1] with the batch")
}

func TestTooLarge(t *testing.T) {
	f := opFunc(t, 1, "%seed : u64[], %step : u64[]", "", "%0 = dropout_mask %seed, %step {p=0.5, stream=a} : u1[1,65536,65536,1]\nreturn %0")
	zero := New(ir.T(ir.U64))
	_, err := Run(f, map[string]*Tensor{"seed": zero, "step": zero}, nil, Options{})
	require.EqualError(t, err, "func main: dropout_mask (): a value u1[1,65536,65536,1] is too large to interpret; at most 134217728 elements are")
}

func TestOneElementAChannel(t *testing.T) {
	f := opFunc(t, 2, "%x : f32[2,1,1,1]", state("g", "f32[1]")+state("b", "f32[1]")+state("run", "f32[2,1]"),
		"%0, %1 = batch_norm %x, @g, @b, @run {eps=1e-05, momentum=0.1} : f32[2,1,1,1], f32[2,1]\nreturn %0")
	st := map[string]*Tensor{"g": New(ir.T(ir.F32, 1)), "b": New(ir.T(ir.F32, 1)), "run": New(ir.T(ir.F32, 2, 1))}
	_, err := Run(f, map[string]*Tensor{"x": New(ir.T(ir.F32, 1, 1, 1, 1))}, st, Options{})
	require.EqualError(t, err, "func main: batch_norm (): batch norm in training needs more than one element a channel, this batch has one")
}

// A fusion is its body, yields and finish included, and Trace sees inside.
func TestFusion(t *testing.T) {
	const head = `module "t" {batch=2}
state @w : f32[3,3,3,2] role=param init=constant(0)
state @t : f32[2,2] role=running init=rows(0,1)
func main(%x : f32[2,4,5,2]) {
`
	const body = `%a = affine %x, @t : f32[2,4,5,2]
  %b = relu %a : f32[2,4,5,2]
  %c = conv2d %b, @w {pad=1, stride=2} : f32[2,2,3,3]
  %d = bn_stats %c : f32[2,3]
`
	plain := parse(t, head+body+"return %c, %d\n}\n")
	fused := parse(t, head+"%y, %s = fusion @r {kind=conv_fprop} (%x, @t, @w) {\n"+body+"yield %c, %d\n} : f32[2,2,3,3], f32[2,3]\nreturn %y, %s\n}\n")
	r := rand.New(rand.NewPCG(1, 2))
	in := map[string]*Tensor{"x": randomTensor(r, ir.T(ir.F32, 2, 4, 5, 2))}
	st := map[string]*Tensor{"w": randomTensor(r, ir.T(ir.F32, 3, 3, 3, 2)), "t": randomTensor(r, ir.T(ir.F32, 2, 2))}
	var seen []string
	opt := Options{Trace: func(v *ir.Value, t *Tensor) { seen = append(seen, fmt.Sprintf("%v.%d %v", v.Node.Op, v.Index, t.Type)) }}
	require.Equal(t, run(t, plain, in, st, Options{}), run(t, fused, in, st, opt))
	require.Equal(t, []string{
		"affine.0 f32[2,4,5,2]", "relu.0 f32[2,4,5,2]", "conv2d.0 f32[2,2,3,3]", "bn_stats.0 f32[2,3]",
		"fusion.0 f32[2,2,3,3]", "fusion.1 f32[2,3]",
	}, seen)
}

// Inputs are seen as a target would hold them.
func TestLeavesAreRounded(t *testing.T) {
	f := parse(t, "module \"t\" {batch=1}\nfunc main(%x : bf16[1,1,1,1]) {\nreturn %x\n}\n")
	in := map[string]*Tensor{"x": Floats(ir.T(ir.BF16, 1, 1, 1, 1), 1.001)}
	require.Equal(t, []float64{1}, run(t, f, in, nil, Options{})[0].F)
	require.Equal(t, []float64{1.001}, run(t, f, in, nil, exact)[0].F)
	require.Equal(t, 1.001, in["x"].F[0])
}

func nextAfter(x float32, ulps int) float64 {
	return float64(math.Float32frombits(math.Float32bits(x) + uint32(ulps)))
}
