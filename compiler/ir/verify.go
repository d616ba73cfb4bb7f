package ir

import "fmt"

// Verify checks everything that every pass relies on: each value is defined
// before it is read and has the type its op gives it, each state is assigned at
// most once and with its own type, each node has a position, and each fusion
// is a legal region. The first fault is returned.
func (m *Module) Verify() error {
	states := map[*State]bool{}
	names := map[string]bool{}
	for _, s := range m.States {
		if names[s.Name] {
			return fmt.Errorf("state @%s is declared twice", s.Name)
		}
		names[s.Name], states[s] = true, true
		if s.Init.Kind == Rows && (s.Type.Rank() < 2 || s.Type.Dims[0] != 2) {
			return fmt.Errorf("state @%s: init=%v needs a type of two rows, found %v", s.Name, s.Init, s.Type)
		}
	}
	for _, s := range m.States {
		if d := s.Type.Dims; s.Init.Kind == Identity && (len(d) != 4 || d[1] != 1 || d[2] != 1) {
			return fmt.Errorf("state @%s: init=%v needs a 1x1 filter, found %v", s.Name, s.Init, s.Type)
		}
	}
	for _, f := range m.Funcs {
		if f.Module != m {
			return fmt.Errorf("func %s belongs to another module", f.Name)
		}
		if err := f.verify(states); err != nil {
			return fmt.Errorf("func %s: %w", f.Name, err)
		}
	}
	return nil
}

func (f *Func) verify(states map[*State]bool) error {
	defined := map[*Value]bool{}
	for _, p := range f.Params {
		if !isName(p.Name) || isNumber(p.Name) {
			return fmt.Errorf("parameter %%%s needs a name that is not a number, as those of values are", p.Name)
		}
		switch r := p.Type.Rank(); {
		case p.Resident && r == 0:
			return fmt.Errorf("parameter %%%s is a scalar; only what could have the batch's dimension is resident", p.Name)
		case !p.Resident && r > 0 && p.Type.Dims[0] != f.Module.Batch:
			return fmt.Errorf("parameter %%%s is %v; its leading dimension must be the batch, %d", p.Name, p.Type, f.Module.Batch)
		}
		if f.Param(p.Name) != p {
			return fmt.Errorf("two parameters are called %%%s", p.Name)
		}
		defined[p] = true
	}
	known := func(v *Value) bool {
		if v.State != nil {
			return states[v.State] && f.states[v.State] == v
		}
		return defined[v]
	}
	fusions := map[string]bool{}
	for _, n := range f.Nodes {
		if err := verifyNode(n, known); err != nil {
			return fmt.Errorf("%s (%s): %w", n.Op, n.Layer, err)
		}
		if n.Op == Fusion {
			if fusions[n.Layer] {
				return fmt.Errorf("two fusions are called @%s", n.Layer)
			}
			fusions[n.Layer] = true
			if err := verifyBody(n, known); err != nil {
				return fmt.Errorf("fusion @%s: %w", n.Layer, err)
			}
		}
		for i, r := range n.Results {
			if r.Node != n || r.Index != i || defined[r] {
				return fmt.Errorf("%s (%s): result %d is not its own", n.Op, n.Layer, i)
			}
			defined[r] = true
		}
	}
	for _, v := range f.Returns {
		if !known(v) {
			return fmt.Errorf("a returned value is not defined")
		}
	}
	assigned := map[*State]bool{}
	for _, a := range f.Assigns {
		switch {
		case !states[a.State]:
			return fmt.Errorf("@%s is not a state of the module", a.State.Name)
		case assigned[a.State]:
			return fmt.Errorf("@%s is assigned twice", a.State.Name)
		case !known(a.Value):
			return fmt.Errorf("the value assigned to @%s is not defined", a.State.Name)
		case !a.Value.Type.Equal(a.State.Type):
			return fmt.Errorf("@%s is %v, the value assigned to it %v", a.State.Name, a.State.Type, a.Value.Type)
		}
		assigned[a.State] = true
	}
	return nil
}

// verifyNode checks one node against the op table.
func verifyNode(n *Node, known func(*Value) bool) error {
	for i, a := range n.Args {
		if !known(a) {
			return fmt.Errorf("operand %d is not defined before it is read", i)
		}
	}
	if !n.Pos.Known() {
		return fmt.Errorf("no position")
	}
	if err := verifyNames(n); err != nil {
		return err
	}
	if n.Op == Fusion {
		return nil
	}
	if n.Body != nil {
		return fmt.Errorf("only a fusion has a body")
	}
	if n.Op == DropoutMask {
		return verifyMask(n)
	}
	types, err := n.infer()
	if err != nil {
		return err
	}
	if len(types) != len(n.Results) {
		return fmt.Errorf("has %d results, expected %d", len(n.Results), len(types))
	}
	for i, t := range types {
		if !t.Equal(n.Results[i].Type) {
			return fmt.Errorf("result %d is %v, expected %v", i, n.Results[i].Type, t)
		}
	}
	return nil
}

// verifyNames checks the words that print as they are.
func verifyNames(n *Node) error {
	if n.Layer != "" && !isName(n.Layer) || n.Layer == "" && n.Op == Fusion {
		return fmt.Errorf("bad layer name %q", n.Layer)
	}
	info := n.Op.Info()
	if info.hasAttr("stream") && !isName(n.Attrs.Stream) {
		return fmt.Errorf("bad stream name %q", n.Attrs.Stream)
	}
	if info.hasAttr("kind") && !isName(n.Attrs.Kind) {
		return fmt.Errorf("bad kind %q", n.Attrs.Kind)
	}
	return nil
}

func verifyMask(n *Node) error {
	if len(n.Args) != 2 || !n.Args[0].Type.Equal(T(U64)) || !n.Args[1].Type.Equal(T(U64)) || len(n.Results) != 1 {
		return fmt.Errorf("expected seed u64[], step u64[] -> one mask")
	}
	if t := n.Result().Type; t.DType != U1 || t.Rank() != 4 {
		return fmt.Errorf("expected a mask u1[N,H,W,C], found %v", t)
	}
	return checkP(n.Attrs)
}

// verifyBody checks that a fusion's body is a legal region: its operands are
// what it captures, its yields are its own, its roots have one type, and an
// opaque op stands alone.
func verifyBody(f *Node, known func(*Value) bool) error {
	b := f.Body
	if b == nil || len(b.Nodes) == 0 || len(b.Yields) == 0 {
		return fmt.Errorf("empty body")
	}
	caps := b.Captures()
	if len(caps) != len(f.Args) {
		return fmt.Errorf("captures %d values, lists %d", len(caps), len(f.Args))
	}
	for i, c := range caps {
		if f.Args[i] != c {
			return fmt.Errorf("operand %d is not the value captured there", i)
		}
	}
	inside := map[*Value]bool{}
	roots := 0
	var root Type
	for _, n := range b.Nodes {
		if err := verifyNode(n, func(v *Value) bool { return inside[v] || known(v) }); err != nil {
			return fmt.Errorf("%s (%s): %w", n.Op, n.Layer, err)
		}
		switch n.Op.Class() {
		case Opaque:
			if len(b.Nodes) > 1 {
				return fmt.Errorf("%s is opaque and must be a region of its own", n.Op)
			}
		case Root:
			if roots++; roots > 1 && !n.Result().Type.Equal(root) {
				return fmt.Errorf("two roots of different types, %v and %v", root, n.Result().Type)
			}
			root = n.Result().Type
		}
		for i, r := range n.Results {
			if r.Node != n || r.Index != i || inside[r] {
				return fmt.Errorf("%s (%s): result %d is not its own", n.Op, n.Layer, i)
			}
			inside[r] = true
		}
	}
	if len(b.Yields) != len(f.Results) {
		return fmt.Errorf("yields %d values, has %d results", len(b.Yields), len(f.Results))
	}
	for i, y := range b.Yields {
		if !inside[y] || !y.Type.Equal(f.Results[i].Type) {
			return fmt.Errorf("yield %d is not a value of the body of type %v", i, f.Results[i].Type)
		}
	}
	return nil
}
