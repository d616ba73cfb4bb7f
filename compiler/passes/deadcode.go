package passes

import "wrnc/compiler/ir"

// DeadCode removes nodes of which no result reaches a return or an assignment.
//
//	%1 = relu %0
//	%2 = bn_stats %0     =>   %1 = relu %0
//	return %1                 return %1
//
// Needs:    nothing. It comes before fusion, which counts a value's readers.
// Promises: every node is needed.
func DeadCode(f *ir.Func, _ Options) error {
	live := map[*ir.Node]bool{}
	for _, v := range f.Roots() {
		live[v.Node] = true
	}
	for i := len(f.Nodes) - 1; i >= 0; i-- {
		if n := f.Nodes[i]; live[n] {
			for _, a := range n.Args {
				live[a.Node] = true
			}
		}
	}
	kept := f.Nodes[:0:0]
	for _, n := range f.Nodes {
		if live[n] {
			kept = append(kept, n)
		}
	}
	f.Nodes = kept
	return nil
}
