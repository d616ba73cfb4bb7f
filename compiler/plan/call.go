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
// the buffer, and a number that is no picture of the data set.
func (p *Plan) CheckLabels(buffer int, labels []int32) error {
	for _, k := range p.Kernels {
		what, count := "label", 0
		switch {
		case len(k.Args) < 2 || k.Args[1].Buffer != buffer:
			continue
		case k.Kind == Xent || k.Kind == XentGrad:
			count = k.Grid.C
		case k.Kind == Augment:
			what, count = "picture", p.Buffers[k.Args[0].Buffer].Type.Dims[0]
		default:
			continue
		}
		for n, l := range labels {
			if l < 0 || int(l) >= count {
				return fmt.Errorf("%s %d of sample %d: expected 0 to %d", what, l, n, count-1)
			}
		}
	}
	return nil
}

// Resident tells whether a buffer is an input that is the same for every batch.
func (b *Buffer) Resident() bool { return b.Space == Input && !b.Batched && b.Type.Rank() > 0 }

// Elems is the number of elements that a buffer holds in a call of n samples.
func (p *Plan) Elems(buffer, n int) int {
	b := &p.Buffers[buffer]
	if b.Batched {
		return b.Type.Elems() / p.Batch * n
	}
	return b.Type.Elems()
}
