package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/plan"
)

// region is what the kernels of one fusion compute, from inputs of our own.
type region struct {
	n       *ir.Node
	kernels []int
}

// regions lists a plan's fusions with their kernels, in order.
func regions(p *plan.Plan, f *ir.Func) []*region {
	at := map[string]*region{}
	var list []*region
	for _, n := range f.Nodes {
		r := &region{n: n}
		at[n.Layer] = r
		list = append(list, r)
	}
	for i, k := range p.Kernels {
		if k.Region != "" {
			at[k.Region].kernels = append(at[k.Region].kernels, i)
		}
	}
	return list
}

// find is the buffer of a value of the function.
func find(p *plan.Plan, f *ir.Func, v *ir.Value) int {
	return (&commenter{w: &writer{p: p, f: f}}).find(v)
}

// result writes result i of the region as a function in a module of its own. What
// the region captures, and what else it yields, are parameters and states there, by
// the names that come with it. One more parameter is there for its number of samples.
func (r *region) result(i int, p *plan.Plan, f *ir.Func) (*ir.Func, map[*ir.Value]string) {
	m := &ir.Module{Name: "region", Batch: p.Batch}
	g := &ir.Func{Name: "main", Module: m}
	m.Funcs = []*ir.Func{g}
	g.Params = []*ir.Value{{Type: ir.T(ir.F32, p.Batch, 1, 1, 1), Name: samplesName}}
	names, to := map[*ir.Value]string{}, map[*ir.Value]*ir.Value{}
	capture := func(v *ir.Value) {
		names[v] = fmt.Sprintf("x%d", len(names))
		if v.Type.Rank() == 0 || r.batched(p, f, v) {
			to[v] = &ir.Value{Type: v.Type, Name: names[v]}
			g.Params = append(g.Params, to[v])
			return
		}
		s := &ir.State{Name: names[v], Type: v.Type, Role: ir.Param}
		m.States = append(m.States, s)
		to[v] = g.StateValue(s)
	}
	body := &ir.Body{}
	for _, n := range r.leadingTo(i) {
		c := &ir.Node{Op: n.Op, Attrs: n.Attrs, Layer: n.Layer}
		for _, a := range n.Args {
			if to[a] == nil {
				capture(a)
			}
			c.Args = append(c.Args, to[a])
		}
		for k, v := range n.Results {
			to[v] = &ir.Value{Type: v.Type, Node: c, Index: k}
			c.Results = append(c.Results, to[v])
		}
		body.Nodes = append(body.Nodes, c)
	}
	body.Yields = []*ir.Value{to[r.n.Body.Yields[i]]}
	fusion := ir.NewFusion(r.n.Layer, r.n.Attrs.Kind, ir.Pos{}, body)
	g.Nodes, g.Returns = []*ir.Node{fusion}, fusion.Results
	return g, names
}

const samplesName = "samples"

// leadingTo are the nodes of the body that result i is computed by, from what the
// region captures and from what else it yields.
func (r *region) leadingTo(i int) []*ir.Node {
	given := map[*ir.Value]bool{}
	for _, v := range r.n.Body.Yields {
		given[v] = v != r.n.Body.Yields[i]
	}
	needed := map[*ir.Node]bool{}
	var visit func(v *ir.Value)
	visit = func(v *ir.Value) {
		if given[v] || needed[v.Node] {
			return
		}
		needed[v.Node] = true
		for _, m := range r.n.Body.Nodes {
			if m == v.Node {
				for _, a := range m.Args {
					visit(a)
				}
			}
		}
	}
	visit(r.n.Body.Yields[i])
	var nodes []*ir.Node
	for _, m := range r.n.Body.Nodes {
		if needed[m] {
			nodes = append(nodes, m)
		}
	}
	return nodes
}

// buffer is where a value lies that the region captures or yields.
func (r *region) buffer(p *plan.Plan, f *ir.Func, v *ir.Value) int {
	if i := slices.Index(r.n.Body.Yields, v); i >= 0 {
		v = r.n.Results[i]
	}
	return find(p, f, v)
}

func (r *region) batched(p *plan.Plan, f *ir.Func, v *ir.Value) bool {
	b := r.buffer(p, f, v)
	return b >= 0 && p.Buffers[b].Batched
}

// start is a distribution for a captured value that is no activation: statistics
// have a positive second row, weights are small enough for sums of order 1.
func (r *region) start(v *ir.Value) ir.Init {
	if v.Type.Rank() == 4 {
		d := v.Type.Dims
		return ir.Init{Kind: ir.Normal, A: 1 / math.Sqrt(float64(d[1]*d[2]*d[3]))}
	}
	for _, n := range r.n.Body.Nodes {
		for i, a := range n.Args {
			if a == v && (n.Op.Class() == ir.Channel || n.Op.Class() == ir.Reduce) && n.Op.Info().Args[i] == ir.Vec && v.Type.Rank() == 2 {
				return ir.Init{Kind: ir.Rows, A: 0, B: 1}
			}
		}
	}
	return ir.Init{Kind: ir.Normal, A: 1}
}

// inputs draws what the region captures, for n samples.
func (g *rig) inputs(r *region, n int, rnd *rand.Rand) []*interp.Tensor {
	var in []*interp.Tensor
	for _, v := range r.n.Args {
		t := v.Type
		if t.Rank() > 0 && !r.batched(g.p, g.f, v) {
			s := &ir.State{Name: "x", Type: t, Role: ir.Param, Init: r.start(v)}
			_, state := gen.Inputs(&ir.Module{States: []*ir.State{s}}, &ir.Func{}, rnd)
			in = append(in, state["x"])
			continue
		}
		if t.Rank() > 0 {
			t = ir.T(t.DType, append([]int{n}, t.Dims[1:]...)...)
		}
		x := interp.New(t)
		far := 0.0
		for _, m := range r.n.Body.Nodes {
			if m.Op == ir.Add && slices.Contains(m.Args, v) {
				far = g.far
			}
		}
		steps := math.Inf(1)
		if r.n.Body.Nodes[0].Op.Class() == ir.Opaque { // of pools and losses, where equal elements matter
			steps = 8
		}
		mean, sample := 0.0, max(1, len(x.F)/n)
		for i := range x.F {
			if i%sample == 0 { // samples differ, so that it matters how they are merged
				mean = far + rnd.NormFloat64()/2
			}
			x.F[i] = float64(float32(mean + rnd.NormFloat64()))
			if !math.IsInf(steps, 1) {
				x.F[i] = math.Round(steps*x.F[i]) / steps
			}
		}
		for i := range x.U {
			x.U[i] = rnd.Uint64()
			if t.DType == ir.S32 { // labels
				x.U[i] %= uint64(r.n.Body.Nodes[0].Args[0].Type.Channels())
			}
		}
		in = append(in, x)
	}
	return in
}
