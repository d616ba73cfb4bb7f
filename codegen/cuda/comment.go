package cuda

import (
	"fmt"
	"slices"
	"strings"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// comment prints the body of the kernel's region: values renumbered, captured
// values by the kernel's arguments, the batch as N. A kernel that is tabled serves
// any shape, so only element types are said.
func (w *writer) comment() {
	if w.region == nil {
		return
	}
	w.line("//")
	c := &commenter{w: w, names: map[*ir.Value]string{}, batched: map[*ir.Value]bool{}}
	for _, v := range w.region.Args {
		c.names[v], c.batched[v] = c.captured(v)
	}
	for _, n := range w.region.Body.Nodes {
		c.node(n)
	}
	var yields []string
	for i, v := range w.region.Body.Yields {
		yields = append(yields, fmt.Sprintf("%s = %s", c.argument(w.region.Results[i], plan.Read), c.names[v]))
	}
	w.line("//   %s", strings.Join(yields, ", "))
}

type commenter struct {
	w       *writer
	names   map[*ir.Value]string
	batched map[*ir.Value]bool
	next    int
	masks   int
	counts  int
}

// captured names a value from outside the region, and tells whether its leading
// dimension is the batch.
func (c *commenter) captured(v *ir.Value) (name string, batched bool) {
	i := c.w.p.BufferOf(c.w.f, v)
	return c.argument(v, plan.Write), i >= 0 && c.w.p.Buffers[i].Batched
}

// argument is the name of the argument that holds a value; not is the mode of
// those that hold another value in the same place.
func (c *commenter) argument(v *ir.Value, not plan.Mode) string {
	buffer := c.w.p.BufferOf(c.w.f, v)
	i := slices.IndexFunc(c.w.k.Args, func(a plan.Arg) bool { return a.Buffer == buffer && a.Mode != not })
	if i < 0 {
		return "-"
	}
	return fmt.Sprintf("a%d", i)
}

func (c *commenter) node(n *ir.Node) {
	var results, operands []string
	batched := n.Op == ir.DropoutMask
	for _, a := range n.Args {
		operands = append(operands, c.names[a])
		batched = batched || c.batched[a]
	}
	switch n.Op.Class() {
	case ir.Channel, ir.Reduce:
		batched = false
	}
	batched = batched && n.Op != ir.Conv2DWgrad
	for _, v := range n.Results {
		c.names[v], c.batched[v] = fmt.Sprintf("%%%d", c.next), batched
		c.next++
		results = append(results, c.names[v])
	}
	var types []string
	for _, v := range n.Results {
		types = append(types, c.typeOf(v))
	}
	list := ""
	if len(operands) > 0 {
		list = " " + strings.Join(operands, ", ")
	}
	c.w.line("//   %s = %v%s%s : %s", strings.Join(results, ", "), n.Op, list, c.attrs(n), strings.Join(types, ", "))
}

// attrs prints the attributes, those that are arguments by their names.
func (c *commenter) attrs(n *ir.Node) string {
	a := n.Attrs
	if n.Op == ir.DropoutMask {
		a.Stream = fmt.Sprintf("stream%d", c.masks)
		c.masks++
	}
	text := a.Format(n.Op)
	if n.Op.Class() == ir.Channel {
		text = strings.Replace(text, fmt.Sprintf("count=%d", a.Count), fmt.Sprintf("count=count%d", c.counts), 1)
		c.counts++
	}
	return text
}

func (c *commenter) typeOf(v *ir.Value) string {
	t := v.Type
	if c.w.k.Tabled() {
		return t.DType.String()
	}
	return shapeText(t, c.batched[v])
}

// shapeText prints a type, its leading dimension as N where that is the batch.
func shapeText(t ir.Type, batched bool) string {
	if !batched || t.Rank() == 0 {
		return t.String()
	}
	s := t.String()
	return strings.Replace(s, fmt.Sprintf("[%d", t.Dims[0]), "[N", 1)
}
