package irgen

import (
	"math"

	"wrnc/compiler/ir"
	"wrnc/dsl"
	"wrnc/dsl/diag"
)

// Batch norm's constants, torch's defaults, which the authors kept: eps is added
// to the variance, momentum is the weight of a batch in the running statistics.
const (
	bnEps      = 1e-5
	bnMomentum = 0.1
)

// writer writes the forward pass of one function.
type writer struct {
	net         *dsl.Network
	steps       []dsl.Step
	b           *ir.Builder
	states      map[string]*ir.State // of the module, by name
	training    bool                 // batch statistics and dropout
	seed, count *ir.Value            // what dropout is drawn from; only in training
}

func newWriter(net *dsl.Network, steps []dsl.Step, m *ir.Module, name string, states map[string]*ir.State) *writer {
	f := &ir.Func{Name: name, Module: m}
	m.Funcs = append(m.Funcs, f)
	return &writer{net: net, steps: steps, b: ir.NewBuilder(f), states: states}
}

func (w *writer) images() *ir.Value {
	in := w.net.Input
	return w.b.Param("images", ir.T(ir.F32, w.b.Func.Module.Batch, in[0], in[1], in[2]))
}

func (w *writer) labels() *ir.Value {
	return w.b.Param("labels", ir.T(ir.S32, w.b.Func.Module.Batch))
}

func (w *writer) returns(v *ir.Value) { w.b.Func.Returns = []*ir.Value{v} }

// at opens the builder for the ops of a step.
func (w *writer) at(s *dsl.Step) *ir.Builder { return w.b.At(s.Name, place(s.Pos)) }

// place is where a step was written. A network that no text names counts as the
// first word of one.
func place(pos diag.Pos) ir.Pos {
	return ir.Pos{Line: max(pos.Line, 1), Col: max(pos.Col, 1)}
}

// state returns the value of a step's state, which the first function to name it
// declares.
func (w *writer) state(s *dsl.Step, name string, role ir.Role, init ir.Init, dims ...int) *ir.Value {
	name = s.Name + "." + name
	state := w.states[name]
	if state == nil {
		state = &ir.State{Name: name, Type: ir.T(ir.F32, dims...), Role: role, Init: init, Pos: place(s.Pos)}
		w.states[name] = state
		m := w.b.Func.Module
		m.States = append(m.States, state)
	}
	return w.b.Func.StateValue(state)
}

// conv writes a convolution. Its weight starts normal with variance
// 2/(kernel^2 inputs) (He et al.; the authors' code).
func (w *writer) conv(s *dsl.Step, x *ir.Value) *ir.Value {
	in := x.Type.Channels()
	weight := w.state(s, "w", ir.Param, kaiming(s.Kernel*s.Kernel*in), s.Channels, s.Kernel, s.Kernel, in)
	y := w.at(s).Op1(ir.Conv2D, ir.Attrs{Pad: s.Pad, Stride: s.Stride}, x, weight)
	if !s.Bias {
		return y
	}
	bias := w.state(s, "b", ir.Param, ir.Init{Kind: ir.Constant, A: s.BiasStart}, s.Channels)
	return w.at(s).Op1(ir.AddChannel, ir.Attrs{}, y, bias)
}

// padding writes a picture's every stride-th pixel with channels of zeros behind
// its own, as a 1x1 convolution by a weight that is not learned.
func (w *writer) padding(s *dsl.Step, x *ir.Value) *ir.Value {
	weight := w.state(s, "w", ir.Running, ir.Init{Kind: ir.Identity, A: 1}, s.Channels, 1, 1, x.Type.Channels())
	return w.at(s).Op1(ir.Conv2D, ir.Attrs{Stride: s.Stride}, x, weight)
}

// kaiming is a normal distribution of variance 2/fan-in.
func kaiming(fanIn int) ir.Init { return ir.Init{Kind: ir.Normal, A: math.Sqrt(2 / float64(fanIn))} }

// batchNorm writes a batch norm, its gamma started as the network says.
func (w *writer) batchNorm(s *dsl.Step, x *ir.Value) *ir.Value {
	c := x.Type.Channels()
	start := ir.Init{Kind: ir.Uniform, A: 0, B: 1}
	if w.net.Gamma == dsl.GammaOne {
		start = ir.Init{Kind: ir.Constant, A: 1}
	}
	gamma := w.state(s, "gamma", ir.Param, start, c)
	beta := w.state(s, "beta", ir.Param, ir.Init{Kind: ir.Constant, A: 0}, c)
	run := w.state(s, "run", ir.Running, ir.Init{Kind: ir.Rows, A: 0, B: 1}, 2, c)
	b := w.at(s)
	if !w.training {
		return b.Op1(ir.BatchNormEval, ir.Attrs{Eps: bnEps}, x, gamma, beta, run)
	}
	out := b.Op(ir.BatchNorm, ir.Attrs{Eps: bnEps, Momentum: bnMomentum}, x, gamma, beta, run)
	b.Func.Assigns = append(b.Func.Assigns, ir.Assign{State: run.State, Value: out[1]})
	return out[0]
}

// dropout writes inverted dropout (paper, section 2.4): kept elements are scaled
// in training, so that evaluation has nothing to do. The layer's name is the
// random stream.
func (w *writer) dropout(s *dsl.Step, x *ir.Value) *ir.Value {
	if !w.training || s.Drop == 0 {
		return x
	}
	b := w.at(s)
	mask := b.DropoutMask(x.Type, s.Drop, s.Name, w.seed, w.count)
	return b.Op1(ir.MaskScale, ir.Attrs{P: s.Drop}, x, mask)
}

// linear writes a linear layer with a bias as a convolution as large as its
// picture: [N,H,H,C] -> [N,1,1,channels]. The recipe says how the weight starts:
// uniform in +-1/sqrt(in), or in the PyTorch port as a convolution does.
func (w *writer) linear(s *dsl.Step, x *ir.Value) *ir.Value {
	c := x.Type.Channels()
	in := s.Kernel * s.Kernel * c
	bound := 1 / math.Sqrt(float64(in))
	init := ir.Init{Kind: ir.Uniform, A: -bound, B: bound}
	if w.net.Train.LinearInit == "kaiming" {
		init = kaiming(in)
	}
	weight := w.state(s, "w", ir.Param, init, s.Channels, s.Kernel, s.Kernel, c)
	bias := w.state(s, "b", ir.Param, ir.Init{Kind: ir.Constant, A: 0}, s.Channels)
	b := w.at(s)
	y := b.Op1(ir.Conv2D, ir.Attrs{Stride: 1}, x, weight)
	return b.Op1(ir.AddChannel, ir.Attrs{}, y, bias)
}
