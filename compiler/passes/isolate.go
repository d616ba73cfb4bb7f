package passes

import "wrnc/compiler/ir"

// Isolate makes a region of every op: the same function through the same target
// with nothing fused, to find out whether fusion is at fault.
//
//	%1 = relu %0         %1 = fusion @c.map {kind=map} (%0) { %1 = relu %0; yield %1 }
//	%2 = conv2d %1, @w   %2 = fusion @c {kind=conv_fprop} (%1, @w) { ... }
//
// A dropout mask, which reads no tensor, is copied to its readers: masks are
// never stored.
//
// Needs:    deadcode. It stands in for fuse-conv and fuse-map.
// Promises: every node is a fusion of one op, and the masks that it reads.
func Isolate(f *ir.Func, o Options) error {
	p := newPlanner(f)
	for _, n := range f.Nodes {
		if n.Op == ir.Fusion {
			continue
		}
		if isDrawn(n) {
			p.copied[n] = true
			continue
		}
		kind, err := kindOf(n)
		if err != nil {
			return err
		}
		p.open(n, kind, "fusion is off")
	}
	if err := p.write(o); err != nil {
		return err
	}
	return allFused(f)
}
