package passes

import "wrnc/compiler/ir"

// FuseMap groups what is left once every root has its region: Maps whose values
// are stored, statistics of values that no root computes, updates.
//
//	%3 = affine2 %1, %0, %2              %4 = fusion @g1.b0.bn0.map {kind=map} (%1, %0, %2, %g) {
//	%4 = add %g, %3               =>       %2 = affine2 %1, %0, %2
//	                                       %3 = add %g, %2
//	                                       yield %3
//	                                     }
//
// The rules are those of FuseConv, with a stored Map in the place of the root:
// what reads at most two stored activations is copied to its readers, a Map that
// is stored itself joins the region of a Map that it reads, Reduces and their
// finish join the region that computes their operand. So the update of a
// parameter, which yields the velocity and the parameter, is one region.
//
// Needs:    fuse-conv.
// Promises: every node is a fusion. A region of kind map has no root and one
// shape; one of kind channel has Channel ops alone; one of kind opaque, one op.
func FuseMap(f *ir.Func, o Options) error {
	p := newPlanner(f)
	for _, n := range f.Nodes {
		joined, why := n.Op == ir.Fusion, ""
		switch n.Op.Class() {
		case ir.Map:
			if joined = p.joinMap(n); !joined {
				why = p.settle(n)
				joined = why == ""
			}
		case ir.Broadcast:
			why = p.settle(n)
			joined = why == ""
		case ir.Reduce:
			joined, why = p.joinReduce(n), "no region computes its operand"
		case ir.Channel:
			joined, why = p.joinFinish(n), "no region computes its operands"
		case ir.Opaque:
			why = "it is opaque"
		}
		if joined {
			continue
		}
		kind, err := kindOf(n)
		if err != nil {
			return err
		}
		p.open(n, kind, why)
	}
	if err := p.write(o); err != nil {
		return err
	}
	return allFused(f)
}
