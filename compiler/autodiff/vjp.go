package autodiff

import "wrnc/compiler/ir"

// A vjp writes the gradients of n's operands, given the gradient g of its first
// result. The slice has one value for each operand; nil where there is none, or
// where none is wanted and it would cost an op.
type vjp func(b *ir.Builder, n *ir.Node, g *ir.Value, wanted func(operand int) bool) []*ir.Value

// vjps is the gradient of each op that may stand in a forward function.
var vjps = map[ir.Op]vjp{
	ir.Conv2D:     conv2D,
	ir.AvgPool:    avgPool,
	ir.MaxPool:    maxPool,
	ir.ReLU:       relu,
	ir.Sigmoid:    sigmoid,
	ir.Add:        add,
	ir.Mul:        mul,
	ir.Scale:      scale,
	ir.AddChannel: addChannel,
	ir.MaskScale:  maskScale,
	ir.BatchNorm:  batchNorm,
}

// noGradient says of every other op why it has no row in vjps.
var noGradient = map[ir.Op]string{
	ir.DropoutMask:   "a mask is drawn, not computed from a value",
	ir.BatchNormEval: "it belongs to evaluation, which does not train",
	ir.Augment:       "its operands are data, which nothing trains",
	ir.Xent:          "the sweep begins at the logits, with xent_grad",

	ir.Conv2DDgrad:   secondOrder,
	ir.Conv2DWgrad:   secondOrder,
	ir.AvgPoolGrad:   secondOrder,
	ir.MaxPoolGrad:   secondOrder,
	ir.ReLUGrad:      secondOrder,
	ir.SigmoidGrad:   secondOrder,
	ir.BatchNormGrad: secondOrder,
	ir.ChannelSum:    secondOrder,
	ir.XentGrad:      secondOrder,

	ir.Axpy:    "it belongs to the update of the parameters",
	ir.Descend: "it belongs to the update of the parameters",

	ir.Affine:      afterwards,
	ir.Affine2:     afterwards,
	ir.BNStats:     afterwards,
	ir.BNFold:      afterwards,
	ir.BNRunning:   afterwards,
	ir.BNGradStats: afterwards,
	ir.BNGradFold:  afterwards,
	ir.FoldFilter:  afterwards,
	ir.Convert:     afterwards,
	ir.Fusion:      afterwards,
}

const (
	secondOrder = "it is a gradient itself, and second derivatives are not taken"
	afterwards  = "passes make it, and they run after autodiff"
)

// y = conv(x, w) is linear in both.
func conv2D(b *ir.Builder, n *ir.Node, g *ir.Value, wanted func(int) bool) []*ir.Value {
	x, w := n.Args[0], n.Args[1]
	a := ir.Attrs{Pad: n.Attrs.Pad, Stride: n.Attrs.Stride}
	grads := make([]*ir.Value, 2)
	if wanted(0) {
		a := a
		a.Height, a.Width = x.Type.Dims[1], x.Type.Dims[2]
		grads[0] = b.Op1(ir.Conv2DDgrad, a, g, w)
	}
	if wanted(1) {
		a := a
		a.Kernel = w.Type.Dims[1]
		grads[1] = b.Op1(ir.Conv2DWgrad, a, g, x)
	}
	return grads
}

// Each position has an equal part in the mean.
func avgPool(b *ir.Builder, n *ir.Node, g *ir.Value, _ func(int) bool) []*ir.Value {
	x := n.Args[0].Type
	return []*ir.Value{b.Op1(ir.AvgPoolGrad, ir.Attrs{Height: x.Dims[1], Width: x.Dims[2]}, g)}
}

// A window's largest element alone moves its maximum.
func maxPool(b *ir.Builder, n *ir.Node, g *ir.Value, _ func(int) bool) []*ir.Value {
	return []*ir.Value{b.Op1(ir.MaxPoolGrad, n.Attrs, g, n.Args[0])}
}

// relu_grad reads relu's operand. The result would do as well, but fusion can
// compute the operand again from what the forward pass stored for the operand's
// other readers, so that nothing is stored for the backward pass alone.
func relu(b *ir.Builder, n *ir.Node, g *ir.Value, _ func(int) bool) []*ir.Value {
	return []*ir.Value{b.Op1(ir.ReLUGrad, ir.Attrs{}, g, n.Args[0])}
}

// sigmoid_grad reads sigmoid's result, which saves the exponential.
func sigmoid(b *ir.Builder, n *ir.Node, g *ir.Value, _ func(int) bool) []*ir.Value {
	return []*ir.Value{b.Op1(ir.SigmoidGrad, ir.Attrs{}, g, n.Result())}
}

func mul(b *ir.Builder, n *ir.Node, g *ir.Value, wanted func(int) bool) []*ir.Value {
	grads := make([]*ir.Value, 2)
	for i := range grads {
		if wanted(i) {
			grads[i] = b.Op1(ir.Mul, ir.Attrs{}, g, n.Args[1-i])
		}
	}
	return grads
}

func scale(b *ir.Builder, n *ir.Node, g *ir.Value, _ func(int) bool) []*ir.Value {
	return []*ir.Value{b.Op1(ir.Scale, n.Attrs, g)}
}

func add(_ *ir.Builder, _ *ir.Node, g *ir.Value, _ func(int) bool) []*ir.Value {
	return []*ir.Value{g, g}
}

func addChannel(b *ir.Builder, _ *ir.Node, g *ir.Value, wanted func(int) bool) []*ir.Value {
	grads := []*ir.Value{g, nil}
	if wanted(1) {
		grads[1] = b.Op1(ir.ChannelSum, ir.Attrs{}, g)
	}
	return grads
}

// The same elements are dropped and scaled on the way back. A mask has no gradient.
func maskScale(b *ir.Builder, n *ir.Node, g *ir.Value, _ func(int) bool) []*ir.Value {
	return []*ir.Value{b.Op1(ir.MaskScale, ir.Attrs{P: n.Attrs.P}, g, n.Args[1]), nil}
}

// Batch norm's gradient goes through the batch's statistics too (Ioffe and
// Szegedy, section 3); the running statistics have none.
func batchNorm(b *ir.Builder, n *ir.Node, g *ir.Value, _ func(int) bool) []*ir.Value {
	x, gamma := n.Args[0], n.Args[1]
	grads := b.Op(ir.BatchNormGrad, ir.Attrs{Eps: n.Attrs.Eps}, g, x, gamma)
	return append(grads[:3:3], nil)
}
