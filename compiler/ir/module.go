package ir

import (
	"fmt"
	"strings"
)

// Pos is a place in the text a value comes from, both counted from 1.
type Pos struct{ Line, Col int }

// Known reports whether the position was set.
func (p Pos) Known() bool { return p.Line > 0 }

func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Col) }

// Module is a compiled network: state and the functions on it.
type Module struct {
	Name   string // the network's canonical name
	Batch  int    // samples of a full batch: the leading dimension of every activation
	States []*State
	Funcs  []*Func
}

// State returns the state of that name, or nil.
func (m *Module) State(name string) *State {
	for _, s := range m.States {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Func returns the function of that name, or nil.
func (m *Module) Func(name string) *Func {
	for _, f := range m.Funcs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Params is the number of trainable parameters, as the paper counts them:
// convolution weights, batch norm's gamma and beta, the classifier's weight and
// bias; running statistics are not parameters.
func (m *Module) Params() int {
	n := 0
	for _, s := range m.States {
		if s.Role == Param {
			n += s.Type.Elems()
		}
	}
	return n
}

// Role is what a state is for.
type Role uint8

// The roles, each of which the plan keeps in a slab of its own. Running is what no
// gradient moves: running statistics, and weights that stay as they start.
const (
	Param Role = iota + 1
	Velocity
	Running
)

var roleNames = [...]string{Param: "param", Velocity: "velocity", Running: "running"}

func (r Role) String() string { return roleNames[r] }

// InitKind is a distribution of initial values.
type InitKind uint8

// The distributions: Normal with standard deviation A; Uniform in [A, B);
// Constant A; Rows with A in the first row and B in the second; Identity with A
// where a 1x1 filter [K,1,1,C] joins a channel to the one of the same number, else 0.
const (
	Normal InitKind = iota + 1
	Uniform
	Constant
	Rows
	Identity
)

var initNames = [...]string{Normal: "normal", Uniform: "uniform", Constant: "constant", Rows: "rows", Identity: "identity"}

// Init is how a state starts.
type Init struct {
	Kind InitKind
	A, B float64
}

func (i Init) String() string {
	if !i.Kind.two() {
		return fmt.Sprintf("%s(%v)", initNames[i.Kind], i.A)
	}
	return fmt.Sprintf("%s(%v,%v)", initNames[i.Kind], i.A, i.B)
}

// two tells whether a distribution has two numbers.
func (k InitKind) two() bool { return k == Uniform || k == Rows }

// State is a named tensor that outlives a call.
type State struct {
	Name string
	Type Type
	Role Role
	Init Init
	Pos  Pos
}

// Func is a pure function of its parameters and the module's state.
type Func struct {
	Name    string
	Module  *Module
	Params  []*Value
	Nodes   []*Node // in topological order
	Returns []*Value
	Assigns []Assign

	states map[*State]*Value
}

// Assign is the new value of a state at the end of a function.
type Assign struct {
	State *State
	Value *Value
}

// Value is one result of a node, a parameter of a function (Node is nil), or
// the value of a state when the function starts (State is set).
type Value struct {
	Type  Type
	Node  *Node
	Index int // which of Node's results
	Name  string
	State *State

	// Resident marks a parameter that is the same for every batch, such as a data
	// set: its leading dimension is not the batch.
	Resident bool
}

// IsLeaf reports whether the value is a parameter or a state.
func (v *Value) IsLeaf() bool { return v.Node == nil }

// Node is one operation.
type Node struct {
	Op      Op
	Args    []*Value
	Attrs   Attrs
	Results []*Value
	Layer   string // path of the layer the node belongs to, as in g1.b0.conv1; a fusion's own name
	Pos     Pos
	Body    *Body // of a fusion
}

// Result is the only result of a one-result node.
func (n *Node) Result() *Value { return n.Results[0] }

// Body is the region of a fusion: its nodes in topological order, and the
// values of them that leave it, in the order of the fusion's results.
type Body struct {
	Nodes  []*Node
	Yields []*Value
}

// StateValue is the function's value for a state.
func (f *Func) StateValue(s *State) *Value {
	if f.states == nil {
		f.states = map[*State]*Value{}
	}
	v := f.states[s]
	if v == nil {
		v = &Value{Type: s.Type, Name: s.Name, State: s}
		f.states[s] = v
	}
	return v
}

// Param returns the parameter of that name, or nil.
func (f *Func) Param(name string) *Value {
	for _, p := range f.Params {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Roots lists the values a function hands out: returns, then assigned values.
func (f *Func) Roots() []*Value {
	out := append([]*Value(nil), f.Returns...)
	for _, a := range f.Assigns {
		out = append(out, a.Value)
	}
	return out
}

// Users maps every value to the nodes that read it, in program order; a node is
// listed once however often it reads the value. Bodies of fusions are not
// entered: a fusion reads its Args.
func (f *Func) Users() map[*Value][]*Node {
	u := map[*Value][]*Node{}
	for _, n := range f.Nodes {
		for i, a := range n.Args {
			if !containsValue(n.Args[:i], a) {
				u[a] = append(u[a], n)
			}
		}
	}
	return u
}

// Replace makes every reader of a key read the mapped value instead: nodes,
// nodes in bodies, returns and assignments. Chains are followed.
func (f *Func) Replace(with map[*Value]*Value) {
	final := func(v *Value) *Value {
		for {
			w, ok := with[v]
			if !ok {
				return v
			}
			v = w
		}
	}
	swap := func(vs []*Value) {
		for i := range vs {
			vs[i] = final(vs[i])
		}
	}
	for _, n := range f.Nodes {
		swap(n.Args)
		if n.Body != nil {
			for _, m := range n.Body.Nodes {
				swap(m.Args)
			}
			swap(n.Body.Yields)
			n.Args = n.Body.Captures()
		}
	}
	swap(f.Returns)
	for i := range f.Assigns {
		f.Assigns[i].Value = final(f.Assigns[i].Value)
	}
}

// Captures lists the values a body reads from the function around it, in order
// of first use: the Args of its fusion.
func (b *Body) Captures() []*Value {
	inside := map[*Value]bool{}
	seen := map[*Value]bool{}
	var out []*Value
	for _, n := range b.Nodes {
		for _, a := range n.Args {
			if !inside[a] && !seen[a] {
				seen[a] = true
				out = append(out, a)
			}
		}
		for _, r := range n.Results {
			inside[r] = true
		}
	}
	return out
}

// Root is the region's first node of class Root, or nil.
func (b *Body) Root() *Node {
	for _, n := range b.Nodes {
		if n.Op.Class() == Root {
			return n
		}
	}
	return nil
}

func containsValue(vs []*Value, v *Value) bool {
	for _, w := range vs {
		if w == v {
			return true
		}
	}
	return false
}

// isName accepts what may stand after %, @ or # or as a name attribute:
// letters, digits, underscores, dots and hyphens.
func isName(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_.-", c) >= 0) {
			return false
		}
	}
	return true
}

// isNumber reports whether a name is one that the printer gives to values.
func isNumber(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
