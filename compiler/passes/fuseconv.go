package passes

import "wrnc/compiler/ir"

// FuseConv groups each root (a convolution, one of its gradients, a pool) with
// its prologues and its epilogue.
//
//	%5 = affine %2, %4        %y, %s, %t = fusion @c {kind=conv_fprop} (%2, %4, @w, ...) {
//	%6 = relu %5                %5 = affine %2, %4
//	%7 = conv2d %6, @w          %6 = relu %5
//	%8 = bn_stats %7      =>    %7 = conv2d %6, @w
//	%9 = bn_fold %8, ...        %8 = bn_stats %7
//	%10 = affine %7, %9         %9 = bn_fold %8, ...
//	                            yield %7, %8, %9
//	                          }
//	                          %10 = affine %y, %t
//
// A prologue value is copied into each region that reads it if computing it
// again reads at most two stored activations (channel vectors, masks and scalars
// are free); otherwise it is stored by a region of its own. The operands of an
// epilogue's ops follow the same rule.
//
// An op joins the epilogue of a region that computes one of its operands
//
//   - if it is a Map and that operand is stored for it alone, or it would be
//     stored itself: then the epilogue goes on with its result;
//   - if it is a Reduce;
//   - if it is a Channel op that follows a Reduce of the region: the finish;
//   - and only if no operand depends on anything else that the region computes,
//     for the region would then wait for itself.
//
// An add of two roots joins the first one, if it can. A Map that reads a state
// as an activation is an update; it stays apart from the gradient, which may
// have to be accumulated before. Padding is zero after the prologue: a Map is
// never moved across a root.
//
// Needs:    split-bn, rounding, cse, deadcode (readers are counted).
// Promises: each root is in one fusion; nothing else of the function changed but
// the order of its nodes.
func FuseConv(f *ir.Func, o Options) error {
	p := newPlanner(f)
	for _, n := range f.Nodes {
		switch n.Op.Class() {
		case ir.Root:
			kind, err := kindOf(n)
			if err != nil {
				return err
			}
			p.open(n, kind, "a region is built around it")
		case ir.Map:
			if !p.joinMap(n) {
				p.settle(n)
			}
		case ir.Broadcast:
			p.settle(n)
		case ir.Reduce:
			p.joinReduce(n)
		case ir.Channel:
			p.joinFinish(n)
		}
	}
	return p.write(o)
}
