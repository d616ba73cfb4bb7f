package passes

import (
	"fmt"
	"strings"

	"wrnc/compiler/ir"
)

// CSE keeps one of several nodes that compute the same: same op, attributes,
// operands and types, whatever their layers.
//
//	%1 = convert @w {to=bf16}
//	%2 = convert @w {to=bf16}     =>   %1 = convert @w {to=bf16}
//	%3 = add %1, %2                    %3 = add %1, %1
//
// Needs:    nothing.
// Promises: no two nodes outside of fusions compute the same.
func CSE(f *ir.Func, _ Options) error {
	same := map[*ir.Value]*ir.Value{}
	seen := map[nodeKey]*ir.Node{}
	ids := valueIDs{}
	kept := f.Nodes[:0:0]
	for _, n := range f.Nodes {
		for i, a := range n.Args {
			if w := same[a]; w != nil {
				n.Args[i] = w
			}
		}
		if n.Op != ir.Fusion {
			k := ids.key(n)
			if first := seen[k]; first != nil {
				for i, r := range n.Results {
					same[r] = first.Results[i]
				}
				continue
			}
			seen[k] = n
		}
		kept = append(kept, n)
	}
	f.Nodes = kept
	f.Replace(same)
	return nil
}

// nodeKey is equal for nodes that compute the same.
type nodeKey struct {
	op    ir.Op
	attrs ir.Attrs
	rest  string // operands and result types
}

// valueIDs numbers values as they are met.
type valueIDs map[*ir.Value]int

func (ids valueIDs) key(n *ir.Node) nodeKey {
	var b strings.Builder
	for _, a := range n.Args {
		id, ok := ids[a]
		if !ok {
			id = len(ids)
			ids[a] = id
		}
		fmt.Fprintf(&b, "%d ", id)
	}
	for _, r := range n.Results {
		fmt.Fprintf(&b, ": %v", r.Type)
	}
	return nodeKey{n.Op, n.Attrs, b.String()}
}
