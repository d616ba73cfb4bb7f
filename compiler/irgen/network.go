package irgen

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/dsl"
)

// network writes the whole forward pass, images to logits: the ops of each step.
func (w *writer) network(images *ir.Value) *ir.Value {
	results := make([]*ir.Value, len(w.steps))
	operand := func(at int) *ir.Value {
		if at == dsl.Images {
			return images
		}
		return results[at]
	}
	for i := range w.steps {
		s := &w.steps[i]
		var args []*ir.Value
		for _, from := range s.From {
			args = append(args, operand(from))
		}
		results[i] = w.step(s, args)
	}
	return results[len(results)-1]
}

// step writes the ops of one step.
func (w *writer) step(s *dsl.Step, args []*ir.Value) *ir.Value {
	x := args[0]
	switch s.Kind {
	case dsl.KindConv:
		return w.conv(s, x)
	case dsl.KindBatchNorm:
		return w.batchNorm(s, x)
	case dsl.KindReLU:
		return w.at(s).Op1(ir.ReLU, ir.Attrs{}, x)
	case dsl.KindDropout:
		return w.dropout(s, x)
	case dsl.KindMaxPool:
		return w.at(s).Op1(ir.MaxPool, ir.Attrs{Kernel: s.Kernel, Pad: s.Pad, Stride: s.Stride}, x)
	case dsl.KindAvgPool:
		return w.at(s).Op1(ir.AvgPool, ir.Attrs{}, x)
	case dsl.KindLinear:
		return w.linear(s, x)
	case dsl.KindSigmoid:
		return w.at(s).Op1(ir.Sigmoid, ir.Attrs{}, x)
	case dsl.KindNegate:
		return w.at(s).Op1(ir.Scale, ir.Attrs{Alpha: -1}, x)
	case dsl.KindMul:
		return w.at(s).Op1(ir.Mul, ir.Attrs{}, x, args[1])
	case dsl.KindPadding:
		return w.padding(s, x)
	case dsl.KindAdd:
		return w.at(s).Op1(ir.Add, ir.Attrs{}, x, args[1])
	}
	panic(fmt.Sprintf("%s: no ops for %v", s.Name, s.Kind))
}
