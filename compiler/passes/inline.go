package passes

import "wrnc/compiler/ir"

// Inline undoes fusion: the nodes of each body take the fusion's place. What was
// copied stays copied until CSE.
//
//	%2 = fusion @c.map {kind=map} (%0) { %1 = relu %0; yield %1 }   =>   %1 = relu %0
//
// Needs:    nothing.
// Promises: no fusion is left. Inline and CSE together restore what was fused,
// up to the order of the nodes.
func Inline(f *ir.Func, _ Options) error {
	with := map[*ir.Value]*ir.Value{}
	var nodes []*ir.Node
	for _, n := range f.Nodes {
		if n.Op != ir.Fusion {
			nodes = append(nodes, n)
			continue
		}
		nodes = append(nodes, n.Body.Nodes...)
		for i, y := range n.Body.Yields {
			with[n.Results[i]] = y
		}
	}
	f.Nodes = nodes
	f.Replace(with)
	return nil
}
