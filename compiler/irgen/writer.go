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
	net        *dsl.Network
	b          *ir.Builder
	states     map[string]*ir.State // of the module, by name
	training   bool                 // batch statistics and dropout
	seed, step *ir.Value            // what dropout is drawn from; only in training
}

func newWriter(net *dsl.Network, m *ir.Module, name string, states map[string]*ir.State) *writer {
	f := &ir.Func{Name: name, Module: m}
	m.Funcs = append(m.Funcs, f)
	return &writer{net: net, b: ir.NewBuilder(f), states: states}
}

func (w *writer) images() *ir.Value {
	in := w.net.Input
	return w.b.Param("images", ir.T(ir.F32, w.b.Func.Module.Batch, in[0], in[1], in[2]))
}

func (w *writer) labels() *ir.Value {
	return w.b.Param("labels", ir.T(ir.S32, w.b.Func.Module.Batch))
}

func (w *writer) returns(v *ir.Value) { w.b.Func.Returns = []*ir.Value{v} }

// at opens the builder for a layer that was written at pos. A network that no
// text names counts as the first word of one.
func (w *writer) at(layer string, pos diag.Pos) *ir.Builder {
	return w.b.At(layer, place(pos))
}

func place(pos diag.Pos) ir.Pos {
	return ir.Pos{Line: max(pos.Line, 1), Col: max(pos.Col, 1)}
}

// state returns the value of a state, which the first function to name it declares.
func (w *writer) state(name string, pos diag.Pos, role ir.Role, init ir.Init, dims ...int) *ir.Value {
	s := w.states[name]
	if s == nil {
		s = &ir.State{Name: name, Type: ir.T(ir.F32, dims...), Role: role, Init: init, Pos: place(pos)}
		w.states[name] = s
		m := w.b.Func.Module
		m.States = append(m.States, s)
	}
	return w.b.Func.StateValue(s)
}

// conv writes a convolution without bias whose output is the picture divided by
// the stride. Its weight starts normal with variance 2/(kernel^2 inputs) (He et
// al.; the authors' code).
func (w *writer) conv(layer string, pos diag.Pos, x *ir.Value, kernel, stride, channels int) *ir.Value {
	in := x.Type.Channels()
	weight := w.state(layer+".w", pos, ir.Param, kaiming(kernel*kernel*in), channels, kernel, kernel, in)
	return w.at(layer, pos).Op1(ir.Conv2D, ir.Attrs{Pad: kernel / 2, Stride: stride}, x, weight)
}

// kaiming is a normal distribution of variance 2/fan-in.
func kaiming(fanIn int) ir.Init { return ir.Init{Kind: ir.Normal, A: math.Sqrt(2 / float64(fanIn))} }

// batchNorm writes a batch norm. Gamma starts uniform in [0,1), torch's default
// of the time, not 1; but at 1 for ImageNet, as in fb.resnet.torch.
func (w *writer) batchNorm(layer string, x *ir.Value) *ir.Value {
	c, pos := x.Type.Channels(), w.net.Pos
	start := ir.Init{Kind: ir.Uniform, A: 0, B: 1}
	if w.net.Family == dsl.ImageNet {
		start = ir.Init{Kind: ir.Constant, A: 1}
	}
	gamma := w.state(layer+".gamma", pos, ir.Param, start, c)
	beta := w.state(layer+".beta", pos, ir.Param, ir.Init{Kind: ir.Constant, A: 0}, c)
	run := w.state(layer+".run", pos, ir.Running, ir.Init{Kind: ir.Rows, A: 0, B: 1}, 2, c)
	b := w.at(layer, pos)
	if !w.training {
		return b.Op1(ir.BatchNormEval, ir.Attrs{Eps: bnEps}, x, gamma, beta, run)
	}
	out := b.Op(ir.BatchNorm, ir.Attrs{Eps: bnEps, Momentum: bnMomentum}, x, gamma, beta, run)
	b.Func.Assigns = append(b.Func.Assigns, ir.Assign{State: run.State, Value: out[1]})
	return out[0]
}

func (w *writer) relu(layer string, x *ir.Value) *ir.Value {
	return w.at(layer, w.net.Pos).Op1(ir.ReLU, ir.Attrs{}, x)
}

// dropout writes inverted dropout (paper, section 2.4): kept elements are scaled
// in training, so that evaluation has nothing to do. The layer's name is the
// random stream.
func (w *writer) dropout(layer string, x *ir.Value) *ir.Value {
	p := w.net.Dropout
	if !w.training || p == 0 {
		return x
	}
	b := w.at(layer, w.net.DropoutPos)
	mask := b.DropoutMask(x.Type, p, layer, w.seed, w.step)
	return b.Op1(ir.MaskScale, ir.Attrs{P: p}, x, mask)
}

// linear writes the classifier as a 1x1 convolution with a bias, [N,1,1,C] ->
// [N,1,1,classes]. The recipe says how the weight starts: uniform in
// +-1/sqrt(in), or in the PyTorch port as a convolution does.
func (w *writer) linear(layer string, x *ir.Value) *ir.Value {
	in, classes, pos := x.Type.Channels(), w.net.Classes, w.net.ClassesPos
	bound := 1 / math.Sqrt(float64(in))
	init := ir.Init{Kind: ir.Uniform, A: -bound, B: bound}
	if w.net.Train.LinearInit == "kaiming" {
		init = kaiming(in)
	}
	weight := w.state(layer+".w", pos, ir.Param, init, classes, 1, 1, in)
	bias := w.state(layer+".b", pos, ir.Param, ir.Init{Kind: ir.Constant, A: 0}, classes)
	b := w.at(layer, pos)
	y := b.Op1(ir.Conv2D, ir.Attrs{Stride: 1}, x, weight)
	return b.Op1(ir.AddChannel, ir.Attrs{}, y, bias)
}
