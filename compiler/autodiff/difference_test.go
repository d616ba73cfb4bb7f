package autodiff

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
)

// tolerance is the relative error that is allowed of a central difference. In
// float64 one of step h is off by about h^2 and by 1e-16/h.
const tolerance = 1e-6

// tensors are named values, of inputs or of states.
type tensors map[string]*interp.Tensor

// randomTensor has normal numbers.
func randomTensor(r *rand.Rand, t ir.Type) *interp.Tensor {
	x := &interp.Tensor{Type: t, F: make([]float64, t.Elems())}
	for i := range x.F {
		x.F[i] = r.NormFloat64()
	}
	return x
}

// randomStates fills the states of m; the variances of running statistics are positive.
func randomStates(r *rand.Rand, m *ir.Module) tensors {
	states := tensors{}
	for _, s := range m.States {
		x := randomTensor(r, s.Type)
		if s.Role == ir.Running {
			for i := range x.F {
				x.F[i] = math.Abs(x.F[i]) + 0.5
			}
		}
		states[s.Name] = x
	}
	return states
}

// run evaluates f without rounding.
func run(t *testing.T, f *ir.Func, in, states tensors) *interp.Result {
	t.Helper()
	out, err := interp.Run(f, in, states, interp.Options{Float64: true})
	require.NoError(t, err)
	return out
}

// lossOf is a loss to differentiate: f, from whose first return a number is made.
type lossOf struct {
	f          *ir.Func
	in, states tensors
	number     func([]float64) float64
}

// at evaluates the loss and says on which side of zero every relu's operand was,
// and which elements of each window a maxpool found the largest.
func (l lossOf) at(t *testing.T) (loss float64, sides []bool) {
	t.Helper()
	values := map[*ir.Value]*interp.Tensor{}
	trace := func(v *ir.Value, x *interp.Tensor) {
		values[v] = x
		switch v.Node.Op {
		case ir.ReLU:
			for _, y := range x.F {
				sides = append(sides, y > 0)
			}
		case ir.MaxPool:
			picture := values[v.Node.Args[0]]
			if s := v.Node.Args[0].State; s != nil {
				picture = l.states[s.Name]
			}
			sides = append(sides, largest(&v.Node.Attrs, picture, x)...)
		}
	}
	out, err := interp.Run(l.f, l.in, l.states, interp.Options{Float64: true, Trace: trace})
	require.NoError(t, err)
	return l.number(out.Returns[0].F), sides
}

// largest tells of each element of each window of a maxpool of x to y whether it
// is the largest.
func largest(a *ir.Attrs, x, y *interp.Tensor) []bool {
	var sides []bool
	d, e := x.Type.Dims, y.Type.Dims
	for i, v := range y.F {
		c, q, p, n := i%e[3], i/e[3]%e[2], i/e[3]/e[2]%e[1], i/e[3]/e[2]/e[1]
		for j := range a.Kernel * a.Kernel {
			h, w := p*a.Stride+j/a.Kernel-a.Pad, q*a.Stride+j%a.Kernel-a.Pad
			if h >= 0 && h < d[1] && w >= 0 && w < d[2] {
				sides = append(sides, x.F[((n*d[1]+h)*d[2]+w)*d[3]+c] == v)
			}
		}
	}
	return sides
}

// slope is the central difference of the loss when the states named move along
// the given directions. Where a step takes a relu over its edge, or a maxpool to
// another element, the function has no derivative there to compare with, so a
// smaller one is tried.
func (l lossOf) slope(t *testing.T, directions map[string][]float64) float64 {
	t.Helper()
	at := func(by float64) (float64, []bool) {
		moved := maps.Clone(l.states)
		for name, d := range directions {
			p := l.states[name]
			x := &interp.Tensor{Type: p.Type, F: slices.Clone(p.F)}
			for i := range x.F {
				x.F[i] += float64(by * d[i])
			}
			moved[name] = x
		}
		return lossOf{l.f, l.in, moved, l.number}.at(t)
	}
	for h := 1e-5; h > 1e-9; h /= 10 {
		up, sides := at(h)
		down, sides2 := at(-h)
		if slices.Equal(sides, sides2) {
			return (up - down) / (2 * h)
		}
	}
	require.Fail(t, "every step crosses the edge of a relu or of a window")
	return 0
}

// opCase is a function of states to check. Its last return is differentiated
// with a random gradient %g. Every state whose role is param must get one.
type opCase struct {
	name   string
	states string // one line each: NAME TYPE [running]
	body   string
	out    string // the result's type
}

var opCases = []opCase{
	{"conv2d 3x3", "x f32[3,5,4,2]\nw f32[3,3,3,2]", "%0 = conv2d @x, @w {pad=1, stride=1} : f32[3,5,4,3]", "f32[3,5,4,3]"},
	{"conv2d 3x3, stride 2", "x f32[3,5,8,2]\nw f32[3,3,3,2]", "%0 = conv2d @x, @w {pad=1, stride=2} : f32[3,3,4,3]", "f32[3,3,4,3]"},
	{"conv2d 1x1, stride 2", "x f32[2,5,4,3]\nw f32[5,1,1,3]", "%0 = conv2d @x, @w {pad=0, stride=2} : f32[2,3,2,5]", "f32[2,3,2,5]"},
	{"conv2d 3x3, no pad, stride 3", "x f32[2,7,5,1]\nw f32[2,3,3,1]", "%0 = conv2d @x, @w {pad=0, stride=3} : f32[2,2,1,2]", "f32[2,2,1,2]"},
	{"avgpool", "x f32[2,3,5,4]", "%0 = avgpool @x : f32[2,1,1,4]", "f32[2,1,1,4]"},
	{"maxpool", "x f32[2,7,6,3]", "%0 = maxpool @x {pad=1, stride=2, kernel=3} : f32[2,4,3,3]", "f32[2,4,3,3]"},
	{"maxpool, no overlap", "x f32[2,5,4,2]", "%0 = maxpool @x {pad=0, stride=2, kernel=2} : f32[2,2,2,2]", "f32[2,2,2,2]"},
	{"relu", "x f32[2,3,5,4]", "%0 = relu @x : f32[2,3,5,4]", "f32[2,3,5,4]"},
	{"sigmoid", "x f32[2,3,5,4]", "%0 = sigmoid @x : f32[2,3,5,4]", "f32[2,3,5,4]"},
	{"mul", "x f32[2,3,1,4]\ny f32[2,3,1,4]", "%0 = mul @x, @y : f32[2,3,1,4]", "f32[2,3,1,4]"},
	{"mul of a value with itself", "x f32[2,3,1,4]", "%0 = mul @x, @x : f32[2,3,1,4]", "f32[2,3,1,4]"},
	{"scale", "x f32[2,3,1,4]", "%0 = scale @x {alpha=-1.5} : f32[2,3,1,4]", "f32[2,3,1,4]"},
	{"a gate", "x f32[2,3,1,4]\ny f32[2,3,1,4]\nz f32[2,3,1,4]",
		`%0 = sigmoid @z : f32[2,3,1,4]
%1 = scale @y {alpha=-1} : f32[2,3,1,4]
%2 = add @x, %1 : f32[2,3,1,4]
%3 = mul %0, %2 : f32[2,3,1,4]
%4 = add %3, @y : f32[2,3,1,4]`, "f32[2,3,1,4]"},
	{"add", "x f32[2,3,1,4]\ny f32[2,3,1,4]", "%0 = add @x, @y : f32[2,3,1,4]", "f32[2,3,1,4]"},
	{"add of a value to itself", "x f32[2,3,1,4]", "%0 = add @x, @x : f32[2,3,1,4]", "f32[2,3,1,4]"},
	{"add_channel", "x f32[2,3,2,5]\nb f32[5]", "%0 = add_channel @x, @b : f32[2,3,2,5]", "f32[2,3,2,5]"},
	{"mask_scale", "x f32[2,3,5,4]", "%0 = dropout_mask %seed, %step {p=0.4, stream=drop} : u1[2,3,5,4]\n%1 = mask_scale @x, %0 {p=0.4} : f32[2,3,5,4]", "f32[2,3,5,4]"},
	{"batch_norm", "x f32[3,2,5,4]\ngamma f32[4]\nbeta f32[4]\nrun f32[2,4] running",
		"%0, %1 = batch_norm @x, @gamma, @beta, @run {eps=0.01, momentum=0.1} : f32[3,2,5,4], f32[2,4]", "f32[3,2,5,4]"},
	{"three readers", "x f32[2,3,4,2]\nw f32[2,3,3,2]",
		`%0 = relu @x : f32[2,3,4,2]
%1 = conv2d %0, @w {pad=1, stride=1} : f32[2,3,4,2]
%2 = conv2d %1, @w {pad=1, stride=1} : f32[2,3,4,2]
%3 = add %2, %0 : f32[2,3,4,2]
%4 = add %3, @x : f32[2,3,4,2]
%5 = add %4, %1 : f32[2,3,4,2]
%6 = conv2d %5, @w {pad=1, stride=1} : f32[2,3,4,2]`, "f32[2,3,4,2]"},
}

// module writes the case as IR text, so that each is read and verified.
func (c opCase) module(t *testing.T) *ir.Module {
	batch := c.out[len("f32["):strings.IndexByte(c.out, ',')]
	text := "module \"case\" {batch=" + batch + "}\n\n"
	for _, line := range strings.Split(c.states, "\n") {
		words := append(strings.Fields(line), "param")
		text += "state @" + words[0] + " : " + words[1] + " role=" + words[2] + " init=constant(0)\n"
	}
	text += "\nfunc train(%g : " + c.out + ", %seed : u64[], %step : u64[]) {\n"
	last := ""
	for _, line := range strings.Split(c.body, "\n") {
		text += "  " + line + " #layer\n"
		last, _, _ = strings.Cut(line, " ")
	}
	return parse(t, text+"  return "+strings.TrimSuffix(last, ",")+"\n}\n")
}

// Each VJP against central differences in float64: every coordinate of every
// operand, and one direction through all of them.
func TestVJPs(t *testing.T) {
	for _, c := range opCases {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			m := c.module(t)
			forward, f := m.Func("train"), c.module(t).Func("train")
			grads, err := gradients(f, f.Returns[0], f.Param("g"))
			require.NoError(t, err)
			f.Returns = nil
			for _, g := range grads {
				f.Returns = append(f.Returns, g.value)
			}
			require.NoError(t, f.Module.Verify())

			states := randomStates(r, m)
			in := tensors{
				"g":    randomTensor(r, f.Param("g").Type),
				"seed": {Type: ir.T(ir.U64), U: []uint64{7}},
				"step": {Type: ir.T(ir.U64), U: []uint64{3}},
			}
			loss := lossOf{forward, in, states, func(y []float64) float64 { return dot(y, in["g"].F) }}
			checkGradients(t, r, loss, grads, run(t, f, in, states).Returns, math.MaxInt)
		})
	}
}

func dot(a, b []float64) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i] * b[i])
	}
	return sum
}

// checkGradients compares values, the gradients of the loss by its states, with
// its differences: up to coords random coordinates of each, and two random
// directions through all of them at once.
func checkGradients(t *testing.T, r *rand.Rand, loss lossOf, grads []gradient, values []*interp.Tensor, coords int) {
	t.Helper()
	for i, g := range grads {
		name := g.param.Name
		require.Equal(t, g.param.Type.Dims, values[i].Type.Dims, name)
		size := len(values[i].F)
		for _, at := range r.Perm(size)[:min(coords, size)] {
			d := make([]float64, size)
			d[at] = 1
			want := loss.slope(t, map[string][]float64{name: d})
			require.InDelta(t, want, values[i].F[at], tolerance*(1+math.Abs(want)), "@%s at %d", name, at)
		}
	}
	for range 2 {
		directions := map[string][]float64{}
		var got float64
		for i, g := range grads {
			d := randomTensor(r, g.param.Type).F
			directions[g.param.Name] = d
			got += dot(d, values[i].F)
		}
		want := loss.slope(t, directions)
		require.InDelta(t, want, got, tolerance*(1+math.Abs(want)), "a direction through all")
	}
}
