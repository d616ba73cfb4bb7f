package plan

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
)

// BufferOf is the buffer of a value of f, of which p is the plan, or -1 for a value
// that is not stored: states and parameters are found by name, result i of fusion @F
// in the buffer F.i, or in that of the state it is assigned to.
func (p *Plan) BufferOf(f *ir.Func, v *ir.Value) int {
	space, name := Arena, ""
	switch {
	case v.State != nil:
		space, name = State, v.State.Name
	case v.Node == nil:
		space, name = Input, v.Name
	default:
		name = fmt.Sprintf("%s.%d", v.Node.Layer, v.Index)
	}
	at := func(space Space, name string) int {
		return slices.IndexFunc(p.Buffers, func(b Buffer) bool { return b.Space == space && b.Name == name })
	}
	if i := at(space, name); i >= 0 {
		return i
	}
	for _, a := range f.Assigns { // written in place
		if a.Value == v {
			return at(State, a.State.Name)
		}
	}
	return -1
}
