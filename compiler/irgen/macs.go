package irgen

import "wrnc/compiler/ir"

// MACs counts the multiply-adds of a function's convolutions for one sample,
// taps outside the picture included: forward P*Q*K*R*S*C, and the same for each
// of the two gradients. Linear layers are convolutions; nothing else is counted.
// Fusions count what their bodies hold.
func MACs(f *ir.Func) int64 {
	return macs(f.Nodes)
}

func macs(nodes []*ir.Node) int64 {
	var sum int64
	for _, n := range nodes {
		var g, w ir.Type // the output or its gradient, and the filter or its gradient
		switch n.Op {
		case ir.Conv2D:
			g, w = n.Result().Type, n.Args[1].Type
		case ir.Conv2DDgrad:
			g, w = n.Args[0].Type, n.Args[1].Type
		case ir.Conv2DWgrad:
			g, w = n.Args[0].Type, n.Result().Type
		case ir.Fusion:
			sum += macs(n.Body.Nodes)
			continue
		default:
			continue
		}
		positions := g.Elems() / g.Dims[0] / g.Channels()
		sum += int64(positions) * int64(w.Elems())
	}
	return sum
}
