package glue

import (
	"go/token"
	"go/types"
	"strconv"
	"strings"

	"wrnc/compiler/ir"
)

// Name is the name of the package of a network: WRN-16-8 is wrn16x8,
// WRN-40-2-B(3,1,3) wrn40x2b313, WRN-16-1.5 wrn16x1p5.
func Name(network string) string {
	s := strings.ToLower(network)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		between := i > 0 && i+1 < len(s) && isDigit(s[i-1]) && isDigit(s[i+1])
		switch c := s[i]; {
		case isDigit(c) || c >= 'a' && c <= 'z':
			b.WriteByte(c)
		case c == '-' && between:
			b.WriteByte('x')
		case c == '.' && between:
			b.WriteByte('p')
		}
	}
	name := b.String()
	if name == "" || isDigit(name[0]) || token.IsKeyword(name) || types.Universe.Lookup(name) != nil || name == "main" {
		return "net" + name
	}
	return name
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// title is the network's name as it may stand in a comment.
func title(network string) string {
	for _, r := range network {
		if !strconv.IsPrint(r) {
			return strconv.Quote(network)
		}
	}
	return network
}

// formatCount prints a number with a comma between thousands.
func formatCount(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// precision is the type that the network's roots multiply in.
func precision(m *ir.Module) ir.DType {
	found := ir.F32
	var visit func(nodes []*ir.Node)
	visit = func(nodes []*ir.Node) {
		for _, n := range nodes {
			if n.Body != nil {
				visit(n.Body.Nodes)
			}
			if n.Op == ir.Convert && n.Attrs.To != ir.F32 {
				found = n.Attrs.To
			}
		}
	}
	for _, f := range m.Funcs {
		visit(f.Nodes)
	}
	return found
}
