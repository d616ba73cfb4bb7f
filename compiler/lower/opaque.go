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
		r.opaqueKernel(m, plan.Xent).Grid = r.grid(m.Args[0])
	case ir.XentGrad:
		r.opaqueKernel(m, plan.XentGrad).Grid = r.grid(m.Args[0])
	case ir.MaxPool:
		r.maxPool(m)
	case ir.MaxPoolGrad:
		r.maxPoolGrad(m)
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
