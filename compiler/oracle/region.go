// Package oracle says what the kernels of one fusion must compute. It cuts a fusion
// out of a function as a region of its own, draws inputs on which a mistake shows,
// evaluates each result in the interpreter, and compares, with the tolerance that the
// region's ops give a target.
package oracle

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// Region is a fusion of a planned function.
type Region struct {
	Node    *ir.Node
	Kernels []int // of the plan, in order

	p *plan.Plan
	f *ir.Func
}

// Regions lists the fusions of f, of which p is the plan, in order.
func Regions(p *plan.Plan, f *ir.Func) []*Region {
	at := map[string]*Region{}
	var list []*Region
	for _, n := range f.Nodes {
		r := &Region{Node: n, p: p, f: f}
		at[n.Layer] = r
		list = append(list, r)
	}
	for i, k := range p.Kernels {
		if k.Region != "" {
			at[k.Region].Kernels = append(at[k.Region].Kernels, i)
		}
	}
	return list
}

// Name is the fusion's.
func (r *Region) Name() string { return r.Node.Layer }

// MACs is about what the interpreter has to do for a sample, in multiply-adds: those
// of the root, and one for each element of each operand of the other ops.
func (r *Region) MACs() float64 {
	sum := 0.0
	for _, n := range r.Node.Body.Nodes {
		switch n.Op {
		case ir.Conv2D:
			sum += taps(n.Result().Type, n.Args[1].Type)
		case ir.Conv2DDgrad:
			sum += taps(n.Args[0].Type, n.Args[1].Type)
		case ir.Conv2DWgrad:
			sum += taps(n.Args[0].Type, n.Result().Type)
		default:
			for _, v := range slices.Concat(n.Args, n.Results) {
				sum += float64(v.Type.Elems())
			}
		}
	}
	return sum / float64(r.p.Batch)
}

// taps are the multiply-adds between pixels and a filter, borders included.
func taps(pixels, filter ir.Type) float64 {
	return float64(pixels.Elems()/pixels.Channels()) * float64(filter.Elems())
}

// Buffer is where a value lies that the region captures or yields, or -1.
func (r *Region) Buffer(v *ir.Value) int {
	if i := slices.Index(r.Node.Body.Yields, v); i >= 0 {
		v = r.Node.Results[i]
	}
	return r.p.BufferOf(r.f, v)
}

// batched tells whether a value's leading dimension is the batch.
func (r *Region) batched(v *ir.Value) bool {
	b := r.Buffer(v)
	return b >= 0 && r.p.Buffers[b].Batched
}

// typed is the type of a value for n samples.
func (r *Region) typed(v *ir.Value, n int) ir.Type {
	if v.Type.Rank() == 0 || !r.batched(v) {
		return v.Type
	}
	return ir.T(v.Type.DType, append([]int{n}, v.Type.Dims[1:]...)...)
}

// result writes result i of the region as a function in a module of its own. What
// the region captures, and what else it yields, are parameters and states there, by
// the names that come with it. One more parameter is there for its number of samples.
func (r *Region) result(i int) (*ir.Func, map[*ir.Value]string) {
	g := newFunc(r.p.Net, r.p.Batch)
	g.Params = []*ir.Value{{Type: ir.T(ir.F32, r.p.Batch, 1, 1, 1), Name: samplesName}}
	names, to := map[*ir.Value]string{}, map[*ir.Value]*ir.Value{}
	capture := func(v *ir.Value) {
		names[v] = fmt.Sprintf("x%d", len(names))
		to[v] = r.leaf(g, names[v], v, v.Type)
	}
	body := copied(r.leadingTo(i), to, capture)
	body.Yields = []*ir.Value{to[r.Node.Body.Yields[i]]}
	fusion := ir.NewFusion(r.Node.Layer, r.Node.Attrs.Kind, r.Node.Pos, body)
	g.Nodes, g.Returns = []*ir.Node{fusion}, fusion.Results
	return g, names
}

const samplesName = "samples"

// newFunc returns an empty function in a module of its own.
func newFunc(name string, batch int) *ir.Func {
	m := &ir.Module{Name: name, Batch: batch}
	m.Funcs = []*ir.Func{{Name: "main", Module: m}}
	return m.Funcs[0]
}

// leaf makes what a function gets from outside for a value: a parameter where it
// comes with the batch or is a scalar, else a state.
func (r *Region) leaf(g *ir.Func, name string, v *ir.Value, t ir.Type) *ir.Value {
	if t.Rank() == 0 || r.batched(v) {
		p := &ir.Value{Type: t, Name: name}
		g.Params = append(g.Params, p)
		return p
	}
	s := &ir.State{Name: name, Type: t, Role: ir.Param, Init: ir.Init{Kind: ir.Constant}, Pos: r.Node.Pos}
	g.Module.States = append(g.Module.States, s)
	return g.StateValue(s)
}

// copied copies nodes, with operands and results by a map that it completes; capture
// must put there what comes from outside.
func copied(nodes []*ir.Node, to map[*ir.Value]*ir.Value, capture func(v *ir.Value)) *ir.Body {
	body := &ir.Body{}
	for _, n := range nodes {
		c := &ir.Node{Op: n.Op, Attrs: n.Attrs, Layer: n.Layer, Pos: n.Pos}
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
	return body
}

// leadingTo are the nodes of the body that result i is computed by, from what the
// region captures and from what else it yields.
func (r *Region) leadingTo(i int) []*ir.Node {
	given := map[*ir.Value]bool{}
	for _, v := range r.Node.Body.Yields {
		given[v] = v != r.Node.Body.Yields[i]
	}
	needed := map[*ir.Node]bool{}
	var visit func(v *ir.Value)
	visit = func(v *ir.Value) {
		if given[v] || needed[v.Node] {
			return
		}
		needed[v.Node] = true
		for _, m := range r.Node.Body.Nodes {
			if m == v.Node {
				for _, a := range m.Args {
					visit(a)
				}
			}
		}
	}
	visit(r.Node.Body.Yields[i])
	var nodes []*ir.Node
	for _, m := range r.Node.Body.Nodes {
		if needed[m] {
			nodes = append(nodes, m)
		}
	}
	return nodes
}
