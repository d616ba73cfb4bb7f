package ir

import (
	"fmt"
	"strings"
)

// PrintOptions choose what [Module.Format] shows.
type PrintOptions struct {
	Positions bool // append each value's position, as in @6:3
}

// String prints the module without positions.
func (m *Module) String() string { return m.Format(PrintOptions{}) }

// Format prints the module; [Parse] reads the text back.
func (m *Module) Format(o PrintOptions) string {
	p := &printer{opts: o}
	fmt.Fprintf(&p.b, "module %q {batch=%d}\n", m.Name, m.Batch)
	if len(m.States) > 0 {
		p.b.WriteByte('\n')
	}
	for _, s := range m.States {
		fmt.Fprintf(&p.b, "state @%s : %v role=%v init=%v%s\n", s.Name, s.Type, s.Role, s.Init, p.pos(s.Pos))
	}
	for _, f := range m.Funcs {
		p.b.WriteByte('\n')
		p.function(f)
	}
	return p.b.String()
}

// String prints the function alone.
func (f *Func) String() string {
	p := &printer{}
	p.function(f)
	return p.b.String()
}

// Pieces prints the function's nodes one by one, each as [Func.String] prints it.
// name gives a value as these texts have it.
func (f *Func) Pieces() (nodes []string, name func(*Value) string) {
	p := &printer{names: map[*Value]string{}}
	for _, n := range f.Nodes {
		p.node(n, "")
		nodes = append(nodes, p.b.String())
		p.b.Reset()
	}
	return nodes, p.ref
}

// String prints a body's nodes and its yield, numbered from 0 with captured
// values by their names or as %in0, %in1, ...: the same text for any two regions
// that compute the same.
func (b *Body) String() string {
	p := &printer{names: map[*Value]string{}}
	for i, c := range b.Captures() {
		p.names[c] = fmt.Sprintf("%%in%d", i)
	}
	p.body(b, "")
	return p.b.String()
}

type printer struct {
	b     strings.Builder
	opts  PrintOptions
	names map[*Value]string
	next  int
}

func (p *printer) pos(at Pos) string {
	if !p.opts.Positions || !at.Known() {
		return ""
	}
	return " @" + at.String()
}

func (p *printer) ref(v *Value) string {
	if s, ok := p.names[v]; ok {
		return s
	}
	switch {
	case v.State != nil:
		return "@" + v.State.Name
	case v.Node == nil:
		return "%" + v.Name
	}
	return "%?" // defined nowhere: the verifier says so
}

func (p *printer) refs(vs []*Value) string {
	words := make([]string, len(vs))
	for i, v := range vs {
		words[i] = p.ref(v)
	}
	return strings.Join(words, ", ")
}

// define numbers the values and returns their names.
func (p *printer) define(vs []*Value) string {
	for _, v := range vs {
		p.names[v] = fmt.Sprintf("%%%d", p.next)
		p.next++
	}
	return p.refs(vs)
}

func types(vs []*Value) string {
	words := make([]string, len(vs))
	for i, v := range vs {
		words[i] = v.Type.String()
	}
	return strings.Join(words, ", ")
}

func (p *printer) function(f *Func) {
	p.names, p.next = map[*Value]string{}, 0
	fmt.Fprintf(&p.b, "func %s(", f.Name)
	for i, v := range f.Params {
		if i > 0 {
			p.b.WriteString(", ")
		}
		fmt.Fprintf(&p.b, "%%%s : %v", v.Name, v.Type)
		if v.Resident {
			p.b.WriteString(" resident")
		}
	}
	p.b.WriteString(") {\n")
	for _, n := range f.Nodes {
		p.node(n, "  ")
	}
	words := make([]string, 0, len(f.Returns)+len(f.Assigns))
	for _, v := range f.Returns {
		words = append(words, p.ref(v))
	}
	for _, a := range f.Assigns {
		words = append(words, "@"+a.State.Name+" <- "+p.ref(a.Value))
	}
	fmt.Fprintf(&p.b, "  return %s\n}\n", strings.Join(words, ", "))
}

func (p *printer) node(n *Node, indent string) {
	if n.Op == Fusion {
		p.fusion(n, indent)
		return
	}
	fmt.Fprintf(&p.b, "%s%s = %s", indent, p.define(n.Results), n.Op)
	if len(n.Args) > 0 {
		p.b.WriteString(" " + p.refs(n.Args))
	}
	p.b.WriteString(n.Attrs.Format(n.Op))
	fmt.Fprintf(&p.b, " : %s", types(n.Results))
	if n.Layer != "" {
		p.b.WriteString(" #" + n.Layer)
	}
	p.b.WriteString(p.pos(n.Pos) + "\n")
}

// fusion prints the body first, so that values are numbered in the order in
// which they are computed, then the head and the body after it.
func (p *printer) fusion(n *Node, indent string) {
	args := p.refs(n.Args)
	inner := &printer{opts: p.opts, names: p.names, next: p.next}
	inner.body(n.Body, indent)
	p.next = inner.next
	fmt.Fprintf(&p.b, "%s%s = fusion @%s%s (%s) {\n%s%s} : %s%s\n", indent, p.define(n.Results),
		n.Layer, n.Attrs.Format(Fusion), args, inner.b.String(), indent, types(n.Results), p.pos(n.Pos))
}

func (p *printer) body(b *Body, indent string) {
	for _, n := range b.Nodes {
		p.node(n, indent+"  ")
	}
	fmt.Fprintf(&p.b, "%s  yield %s\n", indent, p.refs(b.Yields))
}
