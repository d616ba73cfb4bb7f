package plan

import (
	"fmt"

	"wrnc/compiler/ir"
)

// What a call of a function must keep to, whatever the target.

// CheckBatch says why the function cannot be called with n samples: the plan is
// for fewer, or running statistics would take the variance of one number.
func (p *Plan) CheckBatch(n int) error {
	if n < 1 || n > p.Batch {
		return fmt.Errorf("a batch of %d samples; the plan is for 1 to %d", n, p.Batch)
	}
	for _, k := range p.Kernels {
		for _, op := range k.Channel {
			if op.Op == ir.BNRunning && op.Attrs.Count*n < 2*p.Batch {
				return fmt.Errorf("kernel %s: batch norm cannot train on one number a channel, as a batch of %d leaves it; take a larger batch", k.Name, n)
			}
		}
	}
	return nil
}

// CheckLabels refuses a label that is no class of the loss that reads them from
// the buffer.
func (p *Plan) CheckLabels(buffer int, labels []int32) error {
	for _, k := range p.Kernels {
		if (k.Kind != Xent && k.Kind != XentGrad) || k.Args[1].Buffer != buffer {
			continue
		}
		for n, l := range labels {
			if l < 0 || int(l) >= k.Grid.C {
				return fmt.Errorf("label %d of sample %d: expected 0 to %d", l, n, k.Grid.C-1)
			}
		}
	}
	return nil
}

// Elems is the number of elements that a buffer holds in a call of n samples.
func (p *Plan) Elems(buffer, n int) int {
	b := &p.Buffers[buffer]
	if b.Batched {
		return b.Type.Elems() / p.Batch * n
	}
	return b.Type.Elems()
}
