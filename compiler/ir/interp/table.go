package interp

import (
	"fmt"

	"wrnc/compiler/ir"
)

// meaning computes the results of a node from its operands.
type meaning func(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error)

// meanings is the table op -> meaning, of every op there is. A function, since a
// variable whose entry fusion leads back to the table would be a cycle.
func meanings() map[ir.Op]meaning {
	return map[ir.Op]meaning{
		ir.Conv2D:      conv2D,
		ir.Conv2DDgrad: conv2DDgrad,
		ir.Conv2DWgrad: conv2DWgrad,
		ir.AvgPool:     avgPool,
		ir.AvgPoolGrad: avgPoolGrad,
		ir.MaxPool:     maxPool,
		ir.MaxPoolGrad: maxPoolGrad,

		ir.ReLU:        elementwise(relu),
		ir.ReLUGrad:    elementwise(reluGrad),
		ir.Sigmoid:     elementwise(sigmoid),
		ir.SigmoidGrad: elementwise(sigmoidGrad),
		ir.Add:         elementwise(add),
		ir.Mul:         elementwise(mul),
		ir.Scale:       elementwise(scale),
		ir.AddChannel:  elementwise(addChannel),
		ir.Affine:      elementwise(affine),
		ir.Affine2:     elementwise(affine2),
		ir.DropoutMask: dropoutMask,
		ir.MaskScale:   elementwise(maskScale),
		ir.Convert:     elementwise(convert),
		ir.Axpy:        elementwise(axpy),
		ir.Descend:     elementwise(descend),

		ir.BatchNorm:     batchNorm,
		ir.BatchNormEval: batchNormEval,
		ir.BatchNormGrad: batchNormGrad,

		ir.BNStats:     bnStats,
		ir.BNGradStats: bnGradStats,
		ir.ChannelSum:  channelSum,

		ir.BNFold:     bnFold,
		ir.BNRunning:  bnRunning,
		ir.BNGradFold: bnGradFold,
		ir.FoldFilter: foldFilter,

		ir.Xent:     xent,
		ir.XentGrad: xentGrad,

		ir.Augment: augment,

		ir.Fusion: fusion,
	}
}

// sameDims refuses operands that differ in shape: the verifier knows the
// declared shapes, but a short batch meets a state of the declared one only here.
func sameDims(a, b *Tensor) error {
	if !a.Type.SameDims(b.Type) {
		return fmt.Errorf("operands differ in shape in this batch: %v and %v", a.Type, b.Type)
	}
	return nil
}
