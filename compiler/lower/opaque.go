package lower

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// opaque lowers a region of one Opaque op.
func (r *region) opaque(m *ir.Node) error {
	for i, a := range m.Args[1:] {
		if a == m.Args[i] {
			return fmt.Errorf("%s: operands %d and %d are one value; this target takes two", m.Op, i, i+1)
		}
	}
	switch m.Op {
	case ir.Xent:
		r.loss(m, plan.Xent, sumThreads)
	case ir.XentGrad:
		r.loss(m, plan.XentGrad, lossThreads)
	case ir.MaxPool:
		r.maxPool(m)
	case ir.MaxPoolGrad:
		r.maxPoolGrad(m)
	case ir.Augment:
		k := r.opaqueKernel(m, plan.Augment)
		k.Augment = m.Attrs
		k.Grid = pictures(m.Result().Type, r.batched[m.Result()])
	default:
		return fmt.Errorf("no kernel for %s", m.Op)
	}
	return nil
}

// opaqueKernel starts the kernel that reads the op's operands, in order, and
// writes its result.
func (r *region) opaqueKernel(m *ir.Node, kind plan.Kind) *plan.Kernel {
	k := r.kernel("", kind)
	for _, a := range m.Args {
		arg(k, r.bufs[a], plan.Read)
	}
	arg(k, r.yield[m.Result()], plan.Write)
	return k
}

// sumThreads are the threads of the one block that sums the loss of the batch on
// a GPU: with as many as there can be, most batches are summed in a round or two.
const sumThreads = 1024

// loss lowers the loss or its gradient. On a GPU enough threads share a sample
// that each has about four classes: ten classes keep no warp waiting, and a
// thousand are read in a row.
func (r *region) loss(m *ir.Node, kind plan.Kind, threads int) {
	k := r.opaqueKernel(m, kind)
	k.Grid = r.grid(m.Args[0])
	if !r.arch.OnGPU() {
		return
	}
	lanes := 1
	for lanes < warpSize && 4*lanes < k.Grid.C {
		lanes *= 2
	}
	k.Block = plan.Block{Threads: threads, N: lanes}
	if kind == plan.Xent {
		k.Block.Shared = 2 * 4 * threads / warpSize // loss and mistakes of each warp
	}
}

// checkResident refuses a parameter that is the same for every batch where the
// target has no op that reads it.
func (l *lowering) checkResident(v *ir.Value) error {
	t := v.Type
	switch {
	case !l.arch.OnGPU():
		return fmt.Errorf("parameter %%%s : %v is resident, and the %s target has no op that takes a batch out of a data set: its batches come from a loader", v.Name, t, l.arch.Target)
	case t.DType == ir.U8 && t.Rank() == 4, t.DType == ir.F32 && t.Rank() == 2:
		return nil
	}
	return fmt.Errorf("parameter %%%s : %v is resident: the %s target keeps pictures u8[M,H,W,C] and tables f32[C,256]", v.Name, t, l.arch.Target)
}

// window is the geometry of a maxpool of x to y.
func window(x, y ir.Type, a ir.Attrs) plan.ConvShape {
	return plan.ConvShape{H: x.Dims[1], W: x.Dims[2], C: x.Dims[3], P: y.Dims[1], Q: y.Dims[2],
		R: a.Kernel, Pad: a.Pad, Stride: a.Stride}
}

func (r *region) maxPool(m *ir.Node) {
	k := r.opaqueKernel(m, plan.MaxPool)
	k.Conv = window(m.Args[0].Type, m.Result().Type, m.Attrs)
	k.Grid = pictures(m.Result().Type, r.batched[m.Result()])
}

// gradWindows is how many windows a unit of maxpool's gradient is high, at
// least: it searches every window that reaches into its rows, and those at its
// edges are searched by its neighbour too.
const gradWindows = 4

func (r *region) maxPoolGrad(m *ir.Node) {
	k := r.opaqueKernel(m, plan.MaxPoolGrad)
	k.Conv = window(m.Result().Type, m.Args[0].Type, m.Attrs)
	k.Grid = pictures(m.Result().Type, r.batched[m.Result()])
	k.Grid.RowsPerUnit = min(k.Grid.Rows, max(k.Grid.RowsPerUnit, gradWindows*m.Attrs.Stride))
}
