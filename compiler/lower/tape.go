package lower

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// sink is a value that leaves a tape, and where to.
type sink struct {
	v   *ir.Value
	dst plan.Ref
}

// tape writes the region's ops that the sinks and the Reduces need as row
// functions over rows of the domain, in the order of the body. A value that
// leaves the tape is written where it goes at once and read from there; every
// other one gets a row register until its last reader.
func (r *region) tape(k *plan.Kernel, domain ir.Type, sinks []sink, reduces []*ir.Node) (plan.Tape, error) {
	t := &taping{region: r, k: k, domain: domain, at: map[*ir.Value]plan.Ref{}, reads: map[*ir.Value]int{}, dst: map[*ir.Value]plan.Ref{}}
	needed := map[*ir.Node]bool{}
	for _, s := range sinks {
		t.dst[s.v] = s.dst
		t.need(s.v, needed)
	}
	for _, m := range reduces {
		needed[m] = true
		for _, a := range m.Args {
			t.need(a, needed)
		}
	}
	for _, m := range r.n.Body.Nodes {
		if !needed[m] {
			continue
		}
		if err := t.emit(m); err != nil {
			return plan.Tape{}, fmt.Errorf("%s (%s): %w", m.Op, m.Layer, err)
		}
	}
	for _, s := range sinks {
		if s.v.IsLeaf() || !r.inside(s.v) { // a sink that no op of the region computes
			src, err := t.operand(s.v, ir.Act)
			if err != nil {
				return plan.Tape{}, err
			}
			t.ops = append(t.ops, plan.RowOp{Op: "copy", Dst: s.dst, Src: []plan.Ref{src}})
		}
	}
	if !r.arch.OnGPU() { // where a compiler joins what it can
		t.ops = joinRuns(t.ops)
	}
	return plan.Tape{Slots: t.slots, Ops: t.ops}, nil
}

type taping struct {
	*region
	k      *plan.Kernel
	domain ir.Type
	dst    map[*ir.Value]plan.Ref
	at     map[*ir.Value]plan.Ref // where a value lies
	reads  map[*ir.Value]int      // reads still to come
	free   []int
	slots  int
	ops    []plan.RowOp
}

// need marks the ops of the region that v is computed by, stopping at the root,
// and counts their reads.
func (t *taping) need(v *ir.Value, needed map[*ir.Node]bool) {
	t.reads[v]++
	if _, stored := t.stored[v]; stored || v.IsLeaf() || !t.inside(v) || needed[v.Node] {
		return
	}
	needed[v.Node] = true
	if v.Node == t.root {
		return
	}
	for _, a := range v.Node.Args {
		t.need(a, needed)
	}
}

func (t *taping) emit(m *ir.Node) error {
	v := m.Results[0]
	if m == t.root {
		t.at[v] = plan.Ref{Kind: plan.Result}
		if dst, ok := t.dst[v]; ok {
			t.ops = append(t.ops, plan.RowOp{Op: "copy", Dst: dst, Src: []plan.Ref{{Kind: plan.Result}}})
		}
		return nil
	}
	op := plan.RowOp{Op: m.Op.String(), Attrs: m.Attrs}
	class := m.Op.Class()
	if class != ir.Map && class != ir.Broadcast && class != ir.Reduce {
		return fmt.Errorf("a row cannot be computed from a %v op of the same region", class)
	}
	if class != ir.Reduce && !v.Type.SameDims(t.domain) {
		return fmt.Errorf("is %v in a region over %v", v.Type, t.domain)
	}
	for i, a := range m.Args {
		role := m.Op.Info().Args[i]
		if class == ir.Broadcast {
			role = ir.Labels // one pixel a sample
		}
		src, err := t.operand(a, role)
		if err != nil {
			return err
		}
		op.Src = append(op.Src, src)
	}
	for _, a := range m.Args {
		t.release(a)
	}
	switch dst, leaves := t.dst[v]; {
	case class == ir.Reduce:
		op.Dst = t.partial(m)
	case leaves:
		op.Dst, t.at[v] = dst, dst
	default:
		op.Dst = plan.Ref{Kind: plan.Slot, Index: t.slot()}
		t.at[v] = op.Dst
	}
	t.ops = append(t.ops, op)
	return nil
}

// operand finds a value that an op reads.
func (t *taping) operand(v *ir.Value, role ir.Operand) (plan.Ref, error) {
	if ref, ok := t.at[v]; ok && role == ir.Act {
		return ref, nil
	}
	buf, stored := t.stored[v]
	if t.inside(v) && !stored {
		return plan.Ref{}, fmt.Errorf("reads %v as a %s, which this region computes", v.Type, [...]string{ir.Act: "row", ir.Vec: "vector", ir.Scalar: "scalar", ir.Labels: "pixel"}[role])
	}
	if !stored {
		buf = t.bufs[v]
	}
	ref := plan.Ref{Index: arg(t.k, buf, plan.Read)}
	switch role {
	case ir.Act:
		ref.Kind = plan.Row
		if !v.Type.SameDims(t.domain) {
			return ref, fmt.Errorf("reads %v in a region over %v", v.Type, t.domain)
		}
	case ir.Vec:
		ref.Kind = plan.Vector
	case ir.Scalar:
		ref.Kind = plan.Scalar
	case ir.Labels:
		ref.Kind = plan.Pixel
	}
	return ref, nil
}

// partial adds a Reduce to the kernel and returns where its units write.
func (t *taping) partial(m *ir.Node) plan.Ref {
	out := m.Result().Type
	units := t.k.Grid.Units(t.p.Batch)
	buf := t.arena(fmt.Sprintf("%s.%s.partial", t.n.Layer, m.Op), ir.T(ir.F32, append([]int{units}, out.Dims...)...), false)
	t.parts[m] = plan.Reduce{Op: m.Op, Partial: buf, Grid: t.k.Grid}
	t.k.Reduces = append(t.k.Reduces, plan.Reduce{Op: m.Op, Partial: arg(t.k, buf, plan.Write), Out: -1, Grid: t.k.Grid})
	return plan.Ref{Kind: plan.Partial, Index: len(t.k.Reduces) - 1}
}

func (t *taping) slot() int {
	if n := len(t.free); n > 0 {
		s := t.free[n-1]
		t.free = t.free[:n-1]
		return s
	}
	t.slots++
	return t.slots - 1
}

// release gives a register back after its last read; a row function may write
// where it reads, so the op that reads last may reuse it.
func (t *taping) release(v *ir.Value) {
	t.reads[v]--
	if ref := t.at[v]; ref.Kind == plan.Slot && t.reads[v] == 0 {
		t.free = append(t.free, ref.Index)
	}
}
