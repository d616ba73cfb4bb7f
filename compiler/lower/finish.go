package lower

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// finishKernel lowers the region's Reduces, whose partials the drain wrote, and
// the Channel ops that follow them, or Channel ops alone.
func (r *region) finishKernel() error {
	if len(r.reduce)+len(r.finish) == 0 {
		return nil
	}
	suffix := ".finish"
	if len(r.reduce)+len(r.finish) == len(r.n.Body.Nodes) && len(r.reduce) == 0 {
		suffix = ""
	}
	k := r.kernel(suffix, plan.Finish)
	at := map[*ir.Value]int{} // argument that holds a value of this kernel
	out := func(v *ir.Value) int {
		buf, ok := r.yield[v]
		if !ok {
			buf = r.arena(fmt.Sprintf("%s.%s", r.n.Layer, v.Node.Op), v.Type, false)
		}
		at[v] = arg(k, buf, plan.Write)
		return at[v]
	}
	for _, m := range r.reduce {
		p := r.parts[m]
		k.Reduces = append(k.Reduces, plan.Reduce{Op: m.Op, Grid: p.Grid, Partial: arg(k, p.Partial, plan.Read), Out: out(m.Result())})
	}
	for _, m := range r.finish {
		op := plan.ChannelOp{Op: m.Op, Attrs: m.Attrs}
		for _, a := range m.Args {
			i, ok := at[a]
			if !ok {
				if r.inside(a) {
					return fmt.Errorf("%s (%s): reads a %v op's result of the same region", m.Op, m.Layer, a.Node.Op.Class())
				}
				i = arg(k, r.bufs[a], plan.Read)
			}
			op.Src = append(op.Src, i)
		}
		for _, v := range m.Results {
			op.Dst = append(op.Dst, out(v))
		}
		k.Channel = append(k.Channel, op)
	}
	return nil
}
