package passes

import "wrnc/compiler/ir"

// FoldBN folds batch norm by running statistics into the convolution before it.
//
//	%t = bn_fold @run, @gamma, @beta {eps, count=1}
//	%y = conv2d %x, @w
//	%z = affine %y, %t
//
// becomes
//
//	%t = bn_fold @run, @gamma, @beta {eps, count=1}
//	%v, %b = fold_filter @w, %t
//	%y = conv2d %x, %v
//	%z = add_channel %y, %b
//
// because t[0]*(x*w) + t[1] = x*(t[0]*w) + t[1]; the two agree within rounding. It is
// done where %t and the weight follow from states alone, so that in training, where
// %t is that of a batch, nothing is, and where nothing else reads %y. A norm behind
// a sum or a pool stays an affine map.
//
// Needs:    split-bn.
// Promises: what is added depends on states alone: it is the same in every call
// until a state changes.
func FoldBN(f *ir.Func, _ Options) error {
	if hasFusion(f) {
		return nil
	}
	folds := foldable(f)
	if len(folds) == 0 {
		return nil
	}
	b := ir.NewBuilder(f)
	shifts := map[*ir.Value]*ir.Value{} // a convolution's result -> what is added to it
	with := map[*ir.Value]*ir.Value{}
	nodes := f.Nodes
	f.Nodes = nil // the builder appends to it
	for _, n := range nodes {
		switch affine := folds[n]; {
		case affine != nil:
			folded := b.At(affine.Layer, affine.Pos).Op(ir.FoldFilter, ir.Attrs{}, n.Args[1], affine.Args[1])
			n.Args[1], shifts[n.Result()] = folded[0], folded[1]
		case n.Op == ir.Affine && shifts[n.Args[0]] != nil:
			with[n.Result()] = b.At(n.Layer, n.Pos).Op1(ir.AddChannel, ir.Attrs{}, n.Args[0], shifts[n.Args[0]])
			continue
		}
		f.Nodes = append(f.Nodes, n)
	}
	f.Replace(with)
	// The vectors are computed behind the convolutions, whose weights now need them.
	return f.Sort(func(*ir.Node) int { return 0 })
}

// foldable returns, of each convolution that can take the affine map behind it, that
// map.
func foldable(f *ir.Func) map[*ir.Node]*ir.Node {
	constant := map[*ir.Value]bool{} // follows from states alone
	fixed := func(v *ir.Value) bool { return v.State != nil || constant[v] }
	u := uses{users: f.Users(), held: map[*ir.Value]bool{}}
	for _, v := range f.Roots() {
		u.held[v] = true
	}
	folds := map[*ir.Node]*ir.Node{}
	for _, n := range f.Nodes {
		all := len(n.Args) > 0
		for _, a := range n.Args {
			all = all && fixed(a)
		}
		for _, r := range n.Results {
			constant[r] = all
		}
		if n.Op != ir.Affine {
			continue
		}
		y := n.Args[0]
		if y.Node != nil && y.Node.Op == ir.Conv2D && len(u.users[y]) == 1 && !u.held[y] && fixed(n.Args[1]) && fixed(y.Node.Args[1]) {
			folds[y.Node] = n
		}
	}
	return folds
}
