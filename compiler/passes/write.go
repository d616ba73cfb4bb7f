package passes

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
)

// write turns the planned regions into fusions: members move into a body, what
// is copied is cloned into each body that reads it, and values that are needed
// outside are yielded. A node outside that nothing reads any more is gone, as
// copied ones are. What was decided goes to o.Decisions.
func (p *planner) write(o Options) error {
	w := &writer{planner: p, outer: map[*ir.Value]*ir.Value{}}
	bodies := make([]*ir.Body, len(p.regions))
	for i, r := range p.regions {
		bodies[i] = w.body(r)
	}
	plain := w.plain(bodies)
	yielded := w.needed(bodies, plain)
	names := newNames(p.f)
	f := p.f
	f.Nodes = plain
	rank := map[*ir.Node]int{}
	for _, n := range plain {
		rank[n] = p.index[n]
	}
	for i, r := range p.regions {
		for _, m := range r.members {
			for _, v := range m.Results {
				if yielded[v] {
					bodies[i].Yields = append(bodies[i].Yields, v)
				}
			}
		}
		if len(bodies[i].Yields) == 0 {
			return fmt.Errorf("func %s: nothing reads the region of %s (%s)", f.Name, r.anchor().Op, r.anchor().Layer)
		}
		r.name = names.unique(p.regionName(r))
		n := ir.NewFusion(r.name, r.kind, r.anchor().Pos, bodies[i])
		for k, y := range bodies[i].Yields {
			w.outer[y] = n.Results[k]
		}
		rank[n] = p.index[r.anchor()]
		f.Nodes = append(f.Nodes, n)
	}
	w.connect()
	if o.Decisions != nil {
		*o.Decisions = append(*o.Decisions, p.decisions(yielded)...)
	}
	return f.Sort(func(n *ir.Node) int { return rank[n] })
}

type writer struct {
	*planner
	outer map[*ir.Value]*ir.Value // a yielded value -> the fusion's result
}

// anchor is the node that names a region and says when it comes: the root, or
// the last op.
func (r *region) anchor() *ir.Node {
	if r.root != nil {
		return r.root
	}
	return r.members[len(r.members)-1]
}

// body collects the region's members and a copy of each copied node that they
// read, in program order.
func (w *writer) body(r *region) *ir.Body {
	nodes := map[*ir.Node]bool{}
	var collect func(n *ir.Node)
	collect = func(n *ir.Node) {
		if nodes[n] {
			return
		}
		nodes[n] = true
		for _, a := range n.Args {
			if a.Node != nil && w.copied[a.Node] {
				collect(a.Node)
			}
		}
	}
	for _, m := range r.members {
		collect(m)
	}
	order := make([]*ir.Node, 0, len(nodes))
	for n := range nodes {
		order = append(order, n)
	}
	slices.SortFunc(order, func(a, b *ir.Node) int { return w.index[a] - w.index[b] })
	local := map[*ir.Value]*ir.Value{}
	body := &ir.Body{}
	for _, n := range order {
		args := slices.Clone(n.Args)
		for i, a := range args {
			if c := local[a]; c != nil {
				args[i] = c
			}
		}
		if w.copied[n] {
			w.copiers[n] = append(w.copiers[n], r)
			c := n.Clone(args)
			for i, v := range n.Results {
				local[v] = c.Results[i]
			}
			n = c
		} else {
			n.Args = args
		}
		body.Nodes = append(body.Nodes, n)
	}
	return body
}

// plain lists the nodes in no region that are still needed, in program order.
func (w *writer) plain(bodies []*ir.Body) []*ir.Node {
	need := map[*ir.Node]bool{}
	for _, v := range w.f.Roots() {
		need[v.Node] = true
	}
	for _, b := range bodies {
		for _, c := range b.Captures() {
			need[c.Node] = true
		}
	}
	var out []*ir.Node
	for i := len(w.f.Nodes) - 1; i >= 0; i-- {
		n := w.f.Nodes[i]
		if w.region[n] != nil || !need[n] {
			continue
		}
		for _, a := range n.Args {
			need[a.Node] = true
		}
		out = append(out, n)
	}
	slices.Reverse(out)
	return out
}

// needed marks the values that some reader outside of their own region needs.
func (w *writer) needed(bodies []*ir.Body, plain []*ir.Node) map[*ir.Value]bool {
	out := map[*ir.Value]bool{}
	for _, v := range w.f.Roots() {
		out[v] = true
	}
	for _, n := range plain {
		for _, a := range n.Args {
			out[a] = true
		}
	}
	for _, b := range bodies {
		for _, c := range b.Captures() {
			out[c] = true
		}
	}
	return out
}

// connect makes every reader outside of a region read the fusion's results.
func (w *writer) connect() {
	inside := map[*ir.Value]bool{} // what the body at hand computes itself
	swap := func(vs []*ir.Value) {
		for i, v := range vs {
			if o := w.outer[v]; o != nil && !inside[v] {
				vs[i] = o
			}
		}
	}
	for _, n := range w.f.Nodes {
		if n.Op != ir.Fusion {
			swap(n.Args)
			continue
		}
		for _, m := range n.Body.Nodes {
			swap(m.Args)
			for _, v := range m.Results {
				inside[v] = true
			}
		}
		clear(inside)
		n.Args = n.Body.Captures()
	}
	swap(w.f.Returns)
	for i, a := range w.f.Assigns {
		if o := w.outer[a.Value]; o != nil {
			w.f.Assigns[i].Value = o
		}
	}
}

// allFused reports a node that no region has taken: a mask that has to exist as
// a tensor, since the function or a fusion written by hand reads it.
func allFused(f *ir.Func) error {
	for _, n := range f.Nodes {
		if n.Op != ir.Fusion {
			return fmt.Errorf("func %s: %s (%s) is in no fusion: a mask is computed where a mask_scale reads it and cannot be handed out", f.Name, n.Op, n.Layer)
		}
	}
	return nil
}
