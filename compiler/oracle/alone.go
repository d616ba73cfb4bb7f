package oracle

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// Alone is a region as a module of its own, which a target plans to the same kernels
// as in the network: function main takes what the region captures and returns what it
// yields, but for what it writes in the place of a state, which main assigns.
type Alone struct {
	Func   *ir.Func
	Inputs []string // for each operand of the region's node: the parameter or state that holds it
	Yields []Yield  // for each yield: where to find it
}

// Yield says where main leaves a yield: in the state of that name, or else as its
// return of that number.
type Yield struct {
	State  string
	Return int
}

// Alone cuts the region out. Parameters and states are f32; what the region captures
// in another precision is narrowed by a fusion before it. Data sets cannot be captured.
func (r *Region) Alone() (*Alone, error) {
	return r.alone(r.Name(), func(a ir.Attrs) ir.Attrs { return a })
}

// Key is the same for regions that differ in names alone.
func (r *Region) Key() (string, error) {
	a, err := r.alone("region", func(a ir.Attrs) ir.Attrs {
		if a.Stream != "" {
			a.Stream = "stream"
		}
		return a
	})
	if err != nil {
		return "", err
	}
	return a.Func.Module.String(), nil
}

// alone does so for a fusion of the name, with the attributes that named makes of
// those of its nodes.
func (r *Region) alone(name string, named func(ir.Attrs) ir.Attrs) (*Alone, error) {
	g := newFunc(r.p.Net, r.p.Batch)
	a := &Alone{Func: g}
	to := map[*ir.Value]*ir.Value{}
	for i, v := range r.Node.Args {
		if v.Resident {
			return nil, fmt.Errorf("fusion @%s reads the data set %%%s", r.Name(), v.Name)
		}
		input := fmt.Sprintf("x%d", i)
		a.Inputs = append(a.Inputs, input)
		to[v] = r.given(g, input, v)
	}
	body := copied(r.Node.Body.Nodes, to, func(*ir.Value) {})
	for _, n := range body.Nodes {
		n.Layer, n.Attrs = name, named(n.Attrs)
	}
	for _, v := range r.Node.Body.Yields {
		body.Yields = append(body.Yields, to[v])
	}
	fusion := ir.NewFusion(name, r.Node.Attrs.Kind, r.Node.Pos, body)
	g.Nodes = append(g.Nodes, fusion)
	for i, v := range fusion.Results {
		r.leave(a, i, v)
	}
	return a, nil
}

// given makes what holds a captured value.
func (r *Region) given(g *ir.Func, name string, v *ir.Value) *ir.Value {
	switch v.Type.DType {
	case ir.F32, ir.S32, ir.U64:
		return r.leaf(g, name, v, v.Type)
	}
	wide := r.leaf(g, name, v, ir.T(ir.F32, v.Type.Dims...))
	convert := &ir.Node{Op: ir.Convert, Attrs: ir.Attrs{To: v.Type.DType}, Args: []*ir.Value{wide}, Layer: name, Pos: r.Node.Pos}
	convert.Results = []*ir.Value{{Type: v.Type, Node: convert}}
	narrow := ir.NewFusion(name+".narrow", "map", r.Node.Pos, &ir.Body{Nodes: []*ir.Node{convert}, Yields: convert.Results})
	g.Nodes = append(g.Nodes, narrow)
	return narrow.Result()
}

// leave assigns result i of the fusion to a state where the network's plan has it in
// the place of one, and returns it else.
func (r *Region) leave(a *Alone, i int, v *ir.Value) {
	g := a.Func
	b := r.Buffer(r.Node.Results[i])
	if b < 0 || r.p.Buffers[b].Space != plan.State {
		a.Yields = append(a.Yields, Yield{Return: len(g.Returns)})
		g.Returns = append(g.Returns, v)
		return
	}
	name := fmt.Sprintf("y%d", i)
	if old := slices.IndexFunc(r.Node.Args, func(c *ir.Value) bool { return c.State != nil && r.Buffer(c) == b }); old >= 0 {
		name = a.Inputs[old]
	} else { // written without being read
		g.Module.States = append(g.Module.States, &ir.State{Name: name, Type: v.Type, Role: ir.Param, Init: ir.Init{Kind: ir.Constant}, Pos: r.Node.Pos})
	}
	a.Yields = append(a.Yields, Yield{State: name})
	g.Assigns = append(g.Assigns, ir.Assign{State: g.Module.State(name), Value: v})
}
