package lower

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// region is one fusion on its way to kernels.
type region struct {
	*lowering
	n      *ir.Node
	root   *ir.Node
	after  map[*ir.Value]bool // values that depend on the root
	reduce []*ir.Node
	finish []*ir.Node
	first  int                      // kernels of the plan before this region's
	yield  map[*ir.Value]int        // yielded value -> buffer
	stored map[*ir.Value]int        // value that a kernel of the region has stored for another -> buffer
	parts  map[*ir.Node]plan.Reduce // Reduce -> its partials, Partial being a buffer
}

// fusion lowers one region.
func (l *lowering) fusion(n *ir.Node) error {
	r := &region{lowering: l, n: n, root: n.Body.Root(), first: len(l.p.Kernels), after: map[*ir.Value]bool{}, yield: map[*ir.Value]int{}, stored: map[*ir.Value]int{}, parts: map[*ir.Node]plan.Reduce{}}
	if err := r.check(); err != nil {
		return err
	}
	for i, y := range n.Body.Yields {
		if have, twice := r.yield[y]; twice {
			return fmt.Errorf("yields one value twice (buffer %d)", have)
		}
		r.yield[y] = l.buffer(n.Results[i])
	}
	if c := n.Body.Nodes[0].Op.Class(); c == ir.Opaque {
		return r.opaque(n.Body.Nodes[0])
	}
	for _, m := range n.Body.Nodes {
		switch m.Op.Class() {
		case ir.Reduce:
			r.reduce = append(r.reduce, m)
		case ir.Channel:
			r.finish = append(r.finish, m)
		}
		dep := m == r.root
		for _, a := range m.Args {
			dep = dep || r.after[a]
		}
		for _, v := range m.Results {
			r.after[v] = dep
		}
	}
	if r.root != nil {
		if err := r.rooted(); err != nil {
			return err
		}
	}
	if err := r.drainOnly(); err != nil {
		return err
	}
	if r.arch.OnGPU() {
		return r.gpuFinish()
	}
	return r.finishKernel()
}

// kernel starts a kernel of the region.
func (r *region) kernel(suffix string, kind plan.Kind) *plan.Kernel {
	k := &plan.Kernel{Name: r.n.Layer + suffix, Kind: kind, Region: r.n.Layer}
	r.p.Kernels = append(r.p.Kernels, k)
	return k
}

// arg returns the index of a buffer among the kernel's arguments, widening its
// mode to an update where it is both read and written.
func arg(k *plan.Kernel, buffer int, mode plan.Mode) int {
	for i := range k.Args {
		if k.Args[i].Buffer == buffer {
			if k.Args[i].Mode != mode {
				k.Args[i].Mode = plan.Update
			}
			return i
		}
	}
	k.Args = append(k.Args, plan.Arg{Buffer: buffer, Mode: mode})
	return len(k.Args) - 1
}

// rooted lowers the root with its prologues and its epilogue.
func (r *region) rooted() error {
	switch r.root.Op {
	case ir.Conv2D, ir.Conv2DDgrad:
		if r.arch.OnGPU() {
			return r.gpuConv()
		}
		return r.conv()
	case ir.Conv2DWgrad:
		if r.arch.OnGPU() {
			return r.gpuWgrad()
		}
		return r.wgrad()
	case ir.AvgPool:
		return r.pool()
	}
	return fmt.Errorf("no kernel for the root %s", r.root.Op)
}

func (r *region) conv() error {
	x, w := r.root.Args[0], r.root.Args[1]
	if r.inside(w) {
		return fmt.Errorf("%s: the weight is computed in the region", r.root.Op)
	}
	shape := r.convShape(x.Type, w.Type, r.root.Result().Type)
	packed := r.arena(r.n.Layer+".packed", ir.T(ir.F32, shape.PackedElems()), false)
	pack := r.kernel(".pack", plan.Pack)
	pack.Conv = shape
	arg(pack, r.bufs[w], plan.Read)
	arg(pack, packed, plan.Write)

	k := r.kernel("", plan.Conv)
	k.Conv = shape
	k.Grid = r.grid(r.root.Result())
	k.Grid.RowsPerUnit = shareBand(shape, x.Type.Dims[0], r.arch)
	arg(k, packed, plan.Read)
	if err := r.prologue(k, x); err != nil {
		return err
	}
	return r.epilogue(k)
}

func (r *region) wgrad() error {
	g, x := r.root.Args[0], r.root.Args[1]
	shape := r.convShape(x.Type, r.root.Result().Type, g.Type)
	shape.Splits = wgradSplits(shape, x.Type.Dims[0])
	shape.Step = max(1, min(shape.P, 96/shape.Q))
	partial := r.arena(r.n.Layer+".partial", ir.T(ir.F32, shape.Splits, shape.PartialElems()), false)
	k := r.kernel("", plan.Wgrad)
	k.Conv = shape
	k.Grid = plan.Grid{Samples: x.Type.Dims[0], Batched: r.batched[x], Rows: shape.P, Px: shape.Q, C: shape.K}
	k.Grid.RowsPerUnit = convBand(shape, r.arch)
	arg(k, partial, plan.Write)
	for _, v := range []*ir.Value{g, x} {
		if err := r.prologue(k, v); err != nil {
			return err
		}
	}
	s := r.kernel(".sum", plan.Sum)
	s.Conv = shape
	s.Grid = r.grid(r.root.Result())
	s.Grid.RowsPerUnit = shape.Chans
	arg(s, partial, plan.Read)
	return r.epilogue(s)
}

func (r *region) pool() error {
	x := r.root.Args[0]
	k := r.kernel("", plan.Pool)
	d := x.Type.Dims
	k.Conv = plan.ConvShape{H: d[1], W: d[2], C: d[3]}
	k.Grid = r.grid(r.root.Result())
	if err := r.prologue(k, x); err != nil {
		return err
	}
	return r.epilogue(k)
}

// prologue appends the tape that fills the kernel's tile with rows of v.
func (r *region) prologue(k *plan.Kernel, v *ir.Value) error {
	t, err := r.tape(k, v.Type, []sink{{v, plan.Ref{Kind: plan.Tile}}}, nil)
	k.Prologues = append(k.Prologues, t)
	return err
}

// epilogue appends the tape that takes the root's rows to the yielded values
// that depend on the root, and to the partials of Reduces.
func (r *region) epilogue(k *plan.Kernel) error {
	return r.drain(k, r.root.Result().Type, func(v *ir.Value) bool { return r.after[v] })
}

// drainOnly lowers everything that does not depend on the root to one Map kernel.
func (r *region) drainOnly() error {
	var domain *ir.Value
	before := func(v *ir.Value) bool { return !r.after[v] }
	for _, m := range r.n.Body.Nodes {
		c := m.Op.Class()
		if c == ir.Reduce && before(m.Result()) {
			domain = m.Args[0]
		}
		if _, yielded := r.yield[m.Results[0]]; yielded && (c == ir.Map || c == ir.Broadcast) && before(m.Result()) {
			domain = m.Result()
		}
	}
	if domain == nil {
		return nil
	}
	suffix := ""
	if r.root != nil {
		suffix = ".map"
	}
	k := r.kernel(suffix, plan.Map)
	k.Grid = r.grid(domain)
	switch columns := r.hasVectors(before); {
	case r.arch.OnGPU() && (columns || r.broadcasts(before)):
		r.gpuGrid(k)
	case !columns && !r.batched[domain]:
		k.Grid = flat(domain.Type.Elems())
	}
	return r.drain(k, domain.Type, before)
}

// hasVectors reports whether any selected op reads a channel vector, which ties
// the rows of the kernel to whole pixels.
func (r *region) hasVectors(selected func(*ir.Value) bool) bool {
	for _, m := range r.n.Body.Nodes {
		if c := m.Op.Class(); selected(m.Results[0]) && (c == ir.Map || c == ir.Reduce) {
			for _, role := range m.Op.Info().Args {
				if role == ir.Vec || c == ir.Reduce {
					return true
				}
			}
		}
	}
	return false
}

// broadcasts reports whether any selected op reads one pixel a sample.
func (r *region) broadcasts(selected func(*ir.Value) bool) bool {
	return slices.ContainsFunc(r.n.Body.Nodes, func(m *ir.Node) bool {
		return m.Op.Class() == ir.Broadcast && selected(m.Results[0])
	})
}

// drain builds the epilogue tape of k: every selected yield and Reduce.
func (r *region) drain(k *plan.Kernel, domain ir.Type, selected func(*ir.Value) bool) error {
	var sinks []sink
	var reduces []*ir.Node
	for _, m := range r.n.Body.Nodes {
		v := m.Results[0]
		if !selected(v) {
			continue
		}
		switch m.Op.Class() {
		case ir.Map, ir.Broadcast, ir.Root:
			if buf, ok := r.yield[v]; ok {
				sinks = append(sinks, sink{v, plan.Ref{Kind: plan.Row, Index: arg(k, buf, plan.Write)}})
			}
		case ir.Reduce:
			reduces = append(reduces, m)
		}
	}
	if len(reduces) > 0 && (k.Kind == plan.Pool || k.Kind == plan.WgradSum) && r.arch.OnGPU() {
		return r.reduceApart(k, domain, sinks, reduces)
	}
	var err error
	k.Epilogue, err = r.tape(k, domain, sinks, reduces)
	return err
}

func (r *region) inside(v *ir.Value) bool {
	_, ok := r.after[v]
	return ok
}
