package passes

import "wrnc/compiler/ir"

// Canonicalize removes ops that change nothing, not even a rounding.
//
//	%1 = mask_scale %0, %m {p=0}   =>   %0
//	%2 = convert %1 {to=f32}       =>   %1, where %1 is f32
//
// Needs:    nothing.
// Promises: no convert to the type its operand has, no dropout that drops nothing.
func Canonicalize(f *ir.Func, _ Options) error {
	same := map[*ir.Value]*ir.Value{}
	kept := f.Nodes[:0:0]
	for _, n := range f.Nodes {
		if isIdentity(n) {
			same[n.Result()] = n.Args[0]
			continue
		}
		kept = append(kept, n)
	}
	f.Nodes = kept
	f.Replace(same)
	return nil
}

func isIdentity(n *ir.Node) bool {
	switch n.Op {
	case ir.Convert:
		return n.Args[0].Type.DType == n.Attrs.To
	case ir.MaskScale:
		// The scale is exactly 1. A narrow operand would change type.
		return n.Attrs.KeepThreshold() == 0 && n.Args[0].Type.Equal(n.Result().Type) && keepsAll(n.Args[1])
	}
	return false
}

// keepsAll reports whether a mask is all ones: drawn with the threshold 0.
func keepsAll(mask *ir.Value) bool {
	return mask.Node != nil && mask.Node.Op == ir.DropoutMask && mask.Node.Attrs.KeepThreshold() == 0
}
