package passes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"wrnc/compiler/ir"
)

// Canonical prints what an unfused function computes, whatever the numbering
// and the order of its nodes: one line a node, each value named by a hash of
// what it is computed from, the lines sorted. Layers and positions are left out.
// Two functions of one module are the same computation where the texts agree:
//
//	cse(inline(fused)) = cse(unfused)
//
// A fusion has no canonical form; [Inline] it first.
func Canonical(f *ir.Func) (string, error) {
	names := map[*ir.Value]string{}
	name := func(v *ir.Value) string {
		switch {
		case v.State != nil:
			return "@" + v.State.Name
		case v.Node == nil:
			return "%" + v.Name
		}
		return names[v]
	}
	lines := make([]string, 0, len(f.Nodes))
	for _, n := range f.Nodes {
		if n.Op == ir.Fusion {
			return "", fmt.Errorf("func %s: fusion @%s has no canonical form", f.Name, n.Layer)
		}
		words := []string{n.Op.String()}
		for _, a := range n.Args {
			words = append(words, name(a))
		}
		words = append(words, fmt.Sprintf("%+v", n.Attrs))
		for _, r := range n.Results {
			words = append(words, r.Type.String())
		}
		text := strings.Join(words, " ")
		sum := sha256.Sum256([]byte(text))
		id := "%" + hex.EncodeToString(sum[:8])
		for i, r := range n.Results {
			names[r] = fmt.Sprintf("%s.%d", id, i)
		}
		lines = append(lines, id+" = "+text)
	}
	slices.Sort(lines)
	for _, v := range f.Returns {
		lines = append(lines, "return "+name(v))
	}
	for _, a := range f.Assigns {
		lines = append(lines, "@"+a.State.Name+" <- "+name(a.Value))
	}
	return strings.Join(lines, "\n") + "\n", nil
}
