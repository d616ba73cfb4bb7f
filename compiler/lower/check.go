package lower

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// check refuses a region that the target cannot run, and says what it is in it.
func (r *region) check() error {
	roots := 0
	for _, m := range r.n.Body.Nodes {
		if m.Op.Class() == ir.Root {
			roots++
		}
		if err := r.checkNode(m); err != nil {
			return fmt.Errorf("%s (%s): %w", m.Op, m.Layer, err)
		}
	}
	if roots > 1 {
		return fmt.Errorf("a region of %d roots; this target runs one", roots)
	}
	for _, y := range r.n.Body.Yields {
		if y.Type.DType == ir.U1 {
			return fmt.Errorf("a region yields a mask (%v); masks are computed where they are read", y.Type)
		}
	}
	return nil
}

// computes tells whether the target has the element type.
func (r *region) computes(d ir.DType) bool { return d == ir.F32 || d.IsFloat() && r.arch.OnGPU() }

func (r *region) checkNode(m *ir.Node) error {
	for _, v := range m.Results {
		if d := v.Type.DType; d != ir.U1 && !r.computes(d) {
			return fmt.Errorf("yields %v, the %s target computes in f32: use --precision f32", d, r.arch.Target)
		}
	}
	vectors, activations := false, 0
	for i, a := range m.Args {
		if d := a.Type.DType; d == ir.U8 && m.Op != ir.Augment || d.IsFloat() && !r.computes(d) {
			return fmt.Errorf("reads %v, the %s target computes in f32: use --precision f32", d, r.arch.Target)
		}
		switch m.Op.Info().Args[i] {
		case ir.Pictures, ir.Table:
			if r.batched[a] {
				return fmt.Errorf("operand %d, %v, changes with the batch; expected a resident parameter", i, a.Type)
			}
		case ir.Vec, ir.Weight:
			vectors = vectors || m.Op.Info().Args[i] == ir.Vec
			if r.batched[a] {
				return fmt.Errorf("operand %d, %v, has a row for each sample of the batch; expected a state or what is computed from states", i, a.Type)
			}
		case ir.Act:
			activations++
			if m.Op.Class() == ir.Root && !r.batched[a] {
				return fmt.Errorf("operand %d, %v, is no activation of the batch", i, a.Type)
			}
			if r.batched[a] != r.batched[m.Args[0]] {
				return fmt.Errorf("operands %v and %v: one has the batch, the other has not", m.Args[0].Type, a.Type)
			}
		}
	}
	if c := m.Op.Class(); (c == ir.Map || c == ir.Reduce) && vectors && m.Args[0].Type.Rank() != 4 {
		return fmt.Errorf("a channel vector over %v; this target needs [N,H,W,C] or [K,R,S,C]", m.Args[0].Type)
	}
	if m.Op.Class() == ir.Root && activations > 0 {
		return checkSizes(m)
	}
	return nil
}

// checkSizes holds a root to the bounds of the plan.
func checkSizes(m *ir.Node) error {
	for _, v := range append([]*ir.Value{m.Result()}, m.Args...) {
		d := v.Type.Dims
		if len(d) == 4 && (d[1] > plan.MaxPixels || d[2] > plan.MaxPixels) {
			return fmt.Errorf("%v has more than %d rows or columns", v.Type, plan.MaxPixels)
		}
	}
	a := m.Attrs
	filter := max(a.Kernel, a.Stride)
	if len(m.Args) > 1 && m.Op.Info().Args[1] == ir.Weight {
		filter = max(filter, m.Args[1].Type.Dims[1])
	}
	if filter > plan.MaxFilter {
		return fmt.Errorf("a filter or stride of %d; this target takes at most %d", filter, plan.MaxFilter)
	}
	return nil
}
