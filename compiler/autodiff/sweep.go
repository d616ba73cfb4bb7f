package autodiff

import (
	"fmt"

	"wrnc/compiler/ir"
)

// gradient is the derivative of the loss by a parameter, of the parameter's type.
type gradient struct {
	param *ir.State
	value *ir.Value
}

// gradients appends to f the reverse sweep from out, whose gradient is seed, and
// returns the gradient of every parameter of the module, in declaration order.
// Only nodes above out's own take part.
func gradients(f *ir.Func, out, seed *ir.Value) ([]gradient, error) {
	if f.Module == nil {
		return nil, fmt.Errorf("func %s belongs to no module", f.Name)
	}
	if !out.Type.SameDims(seed.Type) {
		return nil, fmt.Errorf("func %s: the gradient of a %v cannot be a %v", f.Name, out.Type, seed.Type)
	}
	s := &sweep{
		b:       ir.NewBuilder(f),
		depends: dependents(f),
		grads:   map[*ir.Value]*ir.Value{out: seed},
	}
	forward := f.Nodes // the builder appends; the sweep reads what was there
	for i := len(forward) - 1; i >= 0; i-- {
		if err := s.node(forward[i]); err != nil {
			return nil, fmt.Errorf("func %s: %w", f.Name, err)
		}
	}
	var grads []gradient
	for _, p := range f.Module.States {
		if p.Role != ir.Param {
			continue
		}
		g := s.grads[f.StateValue(p)]
		if g == nil {
			return nil, fmt.Errorf("func %s: the loss does not depend on the parameter @%s", f.Name, p.Name)
		}
		grads = append(grads, gradient{p, g})
	}
	return grads, nil
}

// dependents marks the values of f that depend on a parameter of the module.
func dependents(f *ir.Func) map[*ir.Value]bool {
	marked := map[*ir.Value]bool{}
	for _, s := range f.Module.States {
		if s.Role == ir.Param {
			marked[f.StateValue(s)] = true
		}
	}
	for _, n := range f.Nodes {
		for _, a := range n.Args {
			if !marked[a] {
				continue
			}
			for _, r := range n.Results {
				marked[r] = true
			}
		}
	}
	return marked
}

// sweep is the state of one reverse sweep.
type sweep struct {
	b       *ir.Builder
	depends map[*ir.Value]bool
	grads   map[*ir.Value]*ir.Value // what has been added up so far
}

// node writes the gradients of those of n's operands that depend on a parameter,
// if n has a gradient itself: if the loss reads it.
func (s *sweep) node(n *ir.Node) error {
	for _, r := range n.Results[1:] {
		if s.grads[r] != nil {
			return fmt.Errorf("%s (%s): only the first result of a node has a gradient", n.Op, n.Layer)
		}
	}
	g := s.grads[n.Results[0]]
	if g == nil {
		return nil
	}
	rule := vjps[n.Op]
	if rule == nil {
		return fmt.Errorf("%s (%s) has no gradient: %s", n.Op, n.Layer, noGradient[n.Op])
	}
	s.b.At(n.Layer, n.Pos)
	wanted := func(operand int) bool { return s.depends[n.Args[operand]] }
	for i, operand := range rule(s.b, n, g, wanted) {
		if operand != nil && wanted(i) {
			s.give(n.Args[i], operand)
		}
	}
	return nil
}

// give adds g to the gradient of v, behind what is there.
func (s *sweep) give(v, g *ir.Value) {
	if sum := s.grads[v]; sum != nil {
		g = s.b.Op1(ir.Add, ir.Attrs{}, sum, g)
	}
	s.grads[v] = g
}
