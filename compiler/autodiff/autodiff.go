// Package autodiff turns a forward function into a training step.
//
// Before, as a front end leaves it:
//
//	func train(%images, %labels, %lr, %seed, %step) {
//	  %0 = conv2d %images, @conv0.w {pad=1, stride=1}    #conv0
//	  %1 = avgpool %0                                    #pool
//	  %2 = conv2d %1, @fc.w {pad=0, stride=1}            #fc
//	  return %2
//	}
//
// After:
//
//	%3 = xent %2, %labels                              #loss
//	%4 = xent_grad %2, %labels                         #loss
//	%5 = conv2d_dgrad %4, @fc.w {height=1, width=1}    #fc
//	%6 = conv2d_wgrad %4, %1 {kernel=1}                #fc
//	%7 = avgpool_grad %5 {height=32, width=32}         #pool
//	%8 = conv2d_wgrad %7, %images {kernel=3}           #conv0
//	%9 = axpy @conv0.w, %8 {alpha=0.0005}              #conv0
//	%10 = axpy @conv0.w.v, %9 {alpha=0.9}              #conv0
//	...
//	return %3, @conv0.w <- %12, @conv0.w.v <- %10, ...
//
// Conventions:
//
//   - A VJP takes the gradient g of a node's first result and writes, with
//     ordinary ops, the gradient of each operand. It is a row of one table.
//   - The sweep goes backward through the nodes. A gradient is written only for
//     values that depend on a parameter, so there is none of the images.
//   - The gradients of a value with several readers are added as the sweep
//     meets them, the last reader's first: in a block with a projection the
//     branch's before the projection's, in another the shortcut's before the
//     branch's.
//   - A node of the backward pass has the layer and the position of the node it
//     is the gradient of, an update those of its parameter's gradient.
//   - The loss is the mean over the batch; xent reports the sum.
package autodiff

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/dsl"
)

// TrainStep appends to f the loss, its gradients and the update of every
// parameter of f's module, and makes f return the loss: [sum of the samples'
// losses, number of mistakes]. f must have the parameters %labels s32[batch]
// and %lr f32[]; logits, f32[batch,1,1,classes], is a value of f. What f assigns
// already, such as running statistics, it goes on assigning.
//
// For each parameter p with gradient g a velocity p.v that starts at 0 is added
// to the module's state, and the step is (paper, section 3; Sutskever et al.)
//
//	d = g + decay*p    v' = momentum*v + d    p' = p - lr*u
//
// with u = d + momentum*v' by Nesterov's rule, else v'. Weight decay is for all
// parameters, batch norm's and the bias too, as in the authors' code.
//
// The error says which value has no gradient, or what f lacks; f is then not to
// be used.
func TrainStep(f *ir.Func, logits *ir.Value, opt dsl.Train) error {
	labels, lr := f.Param("labels"), f.Param("lr")
	if labels == nil || lr == nil {
		return fmt.Errorf("func %s: a training step needs the parameters %%labels and %%lr", f.Name)
	}
	if logits == nil || logits.Node == nil {
		return fmt.Errorf("func %s: the logits must be the result of a node", f.Name)
	}
	if _, err := ir.NewNode(ir.Xent, ir.Attrs{}, logits, labels); err != nil {
		return fmt.Errorf("func %s: no loss of these logits and labels: %w", f.Name, err)
	}
	if !lr.Type.Equal(ir.T(ir.F32)) {
		return fmt.Errorf("func %s: parameter %%lr is %v, expected %v", f.Name, lr.Type, ir.T(ir.F32))
	}
	b := ir.NewBuilder(f).At("loss", logits.Node.Pos)
	loss := b.Op1(ir.Xent, ir.Attrs{}, logits, labels)
	g := b.Op1(ir.XentGrad, ir.Attrs{}, logits, labels)
	grads, err := gradients(f, logits, g)
	if err != nil {
		return err
	}
	for _, g := range grads {
		if err := update(f, g, lr, opt); err != nil {
			return err
		}
	}
	f.Returns = []*ir.Value{loss}
	return nil
}

// update appends one step of stochastic gradient descent with momentum.
func update(f *ir.Func, g gradient, lr *ir.Value, opt dsl.Train) error {
	name := g.param.Name + ".v"
	if f.Module.State(name) != nil {
		return fmt.Errorf("func %s: state @%s, the velocity of @%s, is declared already", f.Name, name, g.param.Name)
	}
	velocity := &ir.State{Name: name, Type: g.param.Type, Role: ir.Velocity, Init: ir.Init{Kind: ir.Constant, A: 0}, Pos: g.param.Pos}
	f.Module.States = append(f.Module.States, velocity)

	p, v := f.StateValue(g.param), f.StateValue(velocity)
	momentum := ir.Attrs{Alpha: opt.Momentum}
	b := ir.NewBuilder(f).At(g.value.Node.Layer, g.value.Node.Pos)
	d := b.Op1(ir.Axpy, ir.Attrs{Alpha: opt.WeightDecay}, p, g.value)
	v = b.Op1(ir.Axpy, momentum, v, d)
	u := v
	if opt.Nesterov {
		u = b.Op1(ir.Axpy, momentum, v, d)
	}
	p = b.Op1(ir.Descend, ir.Attrs{}, p, u, lr)
	f.Assigns = append(f.Assigns, ir.Assign{State: g.param, Value: p}, ir.Assign{State: velocity, Value: v})
	return nil
}
