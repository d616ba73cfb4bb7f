package ir

import "fmt"

// Builder appends nodes to a function, each at the builder's current layer and
// position. A shape that does not fit is a fault of the caller's code, not of
// its input, and panics; compiler.Compile catches it once.
type Builder struct {
	Func  *Func
	layer string
	pos   Pos
}

// NewBuilder builds at the end of f.
func NewBuilder(f *Func) *Builder { return &Builder{Func: f} }

// At sets layer and position of the nodes to come.
func (b *Builder) At(layer string, pos Pos) *Builder {
	b.layer, b.pos = layer, pos
	return b
}

// Param appends a parameter to the function.
func (b *Builder) Param(name string, t Type) *Value {
	v := &Value{Type: t, Name: name}
	b.Func.Params = append(b.Func.Params, v)
	return v
}

// Resident appends a parameter that is the same for every batch.
func (b *Builder) Resident(name string, t Type) *Value {
	v := b.Param(name, t)
	v.Resident = true
	return v
}

// Op appends a node and returns its results.
func (b *Builder) Op(op Op, attrs Attrs, args ...*Value) []*Value {
	n, err := NewNode(op, attrs, args...)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", b.layer, err))
	}
	n.Layer, n.Pos = b.layer, b.pos
	b.Func.Nodes = append(b.Func.Nodes, n)
	return n.Results
}

// Op1 is Op for an op of one result.
func (b *Builder) Op1(op Op, attrs Attrs, args ...*Value) *Value { return b.Op(op, attrs, args...)[0] }

// DropoutMask appends a mask of the given shape. It is the one op whose shape
// does not follow from its operands.
func (b *Builder) DropoutMask(t Type, p float64, stream string, seed, step *Value) *Value {
	n := NewMask(t, p, stream, seed, step)
	n.Layer, n.Pos = b.layer, b.pos
	b.Func.Nodes = append(b.Func.Nodes, n)
	return n.Result()
}

// NewMask makes a dropout_mask node of the shape of t.
func NewMask(t Type, p float64, stream string, seed, step *Value) *Node {
	n := &Node{Op: DropoutMask, Attrs: Attrs{P: p, Stream: stream}, Args: []*Value{seed, step}}
	n.Results = []*Value{{Type: t.With(U1), Node: n}}
	return n
}

// NewNode makes a node with inferred results that belongs to no function yet.
func NewNode(op Op, attrs Attrs, args ...*Value) (*Node, error) {
	n := &Node{Op: op, Args: args, Attrs: attrs}
	types, err := n.infer()
	if err != nil {
		return nil, err
	}
	for i, t := range types {
		n.Results = append(n.Results, &Value{Type: t, Node: n, Index: i})
	}
	return n, nil
}

// infer computes the result types of any op but fusion and dropout_mask, after
// checking the number and the broad kind of its arguments.
func (n *Node) infer() ([]Type, error) {
	info := n.Op.Info()
	if len(n.Args) != len(info.Args) {
		return nil, fmt.Errorf("%s takes %d operands, found %d", n.Op, len(info.Args), len(n.Args))
	}
	for i, role := range info.Args {
		t := n.Args[i].Type
		if err := role.check(t); err != nil {
			return nil, fmt.Errorf("%s: operand %d: %w", n.Op, i, err)
		}
	}
	if info.Infer == nil {
		return nil, fmt.Errorf("%s: no shape rule", n.Op)
	}
	types, err := info.Infer(n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Op, err)
	}
	for _, t := range types {
		if err := t.bounded(); err != nil {
			return nil, fmt.Errorf("%s: %w", n.Op, err)
		}
	}
	return types, nil
}

// NewFusion makes a fusion of body. name is unique in the function; kind says
// what the region is built around.
func NewFusion(name, kind string, pos Pos, body *Body) *Node {
	n := &Node{Op: Fusion, Attrs: Attrs{Kind: kind}, Layer: name, Pos: pos, Body: body, Args: body.Captures()}
	for i, y := range body.Yields {
		n.Results = append(n.Results, &Value{Type: y.Type, Node: n, Index: i})
	}
	return n
}
