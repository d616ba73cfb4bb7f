package passes

import "wrnc/compiler/ir"

// Rounding fixes where values are narrowed. It does so before fusion, so that
// what is fused never changes a result.
//
//	%1 = conv2d %0, @w             %1 = convert %0 {to=bf16}
//	%2 = relu %1                   %2 = convert @w {to=bf16}
//	                        =>     %3 = conv2d %1, %2
//	                               %4 = convert %3 {to=bf16}
//	                               %5 = relu %4
//
// The points, where bf16 is asked for:
//
//   - each operand of a root;
//   - each root's result, but not where its only use is an add: then the sum is
//     rounded instead. In an add of two such roots that is the first one; the
//     second is stored, and rounded;
//   - each sum of activations or of their gradients;
//   - each gradient that enters batch norm's backward pass.
//
// The gradient of a weight is none of them: it goes to f32 master weights. What
// a function returns or assigns keeps its type; it is rounded, then widened. For
// tf32, which is stored as f32, there is only the first point, and for f32 none.
//
// Needs:    split-bn, since points lie between batch norm's parts.
// Promises: roots multiply operands of the precision. Nothing later adds or
// removes a convert.
func Rounding(f *ir.Func, o Options) error {
	if o.Precision == ir.F32 || hasFusion(f) {
		return nil
	}
	r := &rounder{b: ir.NewBuilder(f), to: o.Precision, narrow: map[*ir.Value]*ir.Value{}}
	nodes := f.Nodes
	points := map[*ir.Value]bool{}
	if o.Precision == ir.BF16 {
		points = storagePoints(f)
	}
	f.Nodes = nil
	for _, n := range nodes {
		r.b.At(n.Layer, n.Pos)
		for i, a := range n.Args {
			switch {
			case points[a]:
				n.Args[i] = r.narrow[a]
			case n.Op.Class() == ir.Root, o.Precision == ir.BF16 && takesGradient(n, i):
				n.Args[i] = r.convert(a)
			}
		}
		f.Nodes = append(f.Nodes, n)
		if points[n.Results[0]] {
			r.convert(n.Results[0])
		}
	}
	for i, v := range f.Returns {
		f.Returns[i] = r.widen(v, points)
	}
	for i, a := range f.Assigns {
		f.Assigns[i].Value = r.widen(a.Value, points)
	}
	return nil
}

type rounder struct {
	b      *ir.Builder
	to     ir.DType
	narrow map[*ir.Value]*ir.Value // v -> its convert
}

func (r *rounder) convert(v *ir.Value) *ir.Value {
	if v.Type.DType == r.to {
		return v
	}
	if r.narrow[v] == nil {
		r.narrow[v] = r.b.Op1(ir.Convert, ir.Attrs{To: r.to}, v)
	}
	return r.narrow[v]
}

// widen returns v as it leaves the function: rounded if it is to be, of the
// type it had.
func (r *rounder) widen(v *ir.Value, points map[*ir.Value]bool) *ir.Value {
	if !points[v] {
		return v
	}
	r.b.At(v.Node.Layer, v.Node.Pos)
	return r.b.Op1(ir.Convert, ir.Attrs{To: v.Type.DType}, r.convert(v))
}

// takesGradient reports whether operand i is the gradient that enters batch
// norm's backward pass.
func takesGradient(n *ir.Node, i int) bool {
	return i == 0 && (n.Op == ir.BNGradStats || n.Op == ir.Affine2)
}

// storagePoints are the results that are rounded: of roots and of sums.
func storagePoints(f *ir.Func) map[*ir.Value]bool {
	u := uses{users: f.Users(), held: map[*ir.Value]bool{}}
	for _, v := range f.Roots() {
		u.held[v] = true
	}
	points, weights := map[*ir.Value]bool{}, map[*ir.Value]bool{}
	for _, n := range f.Nodes {
		v := n.Results[0]
		switch {
		case n.Op.Class() == ir.Root:
			weights[v] = sumsOverBatch(n.Op)
			points[v] = !weights[v] && !u.onlyAdded(v)
		case n.Op == ir.Add:
			weights[v] = weights[n.Args[0]] && weights[n.Args[1]]
			points[v] = !weights[v]
		case n.Op == ir.AddChannel:
			points[v] = u.onlyAdded(n.Args[0])
		}
		if u.narrowed(v) {
			points[v] = false
		}
	}
	return points
}

// uses are the readers of a function's values.
type uses struct {
	users map[*ir.Value][]*ir.Node
	held  map[*ir.Value]bool // returned or assigned
}

// narrowed reports whether text that was written by hand rounds v already.
func (u uses) narrowed(v *ir.Value) bool {
	return len(u.users[v]) == 1 && u.users[v][0].Op == ir.Convert
}

// onlyAdded reports whether v is a root's result whose only use is an add that
// is rounded in its place.
func (u uses) onlyAdded(v *ir.Value) bool {
	if v.Node == nil || v.Node.Op.Class() != ir.Root || u.held[v] || len(u.users[v]) != 1 {
		return false
	}
	add := u.users[v][0]
	if add.Op == ir.AddChannel {
		return true
	}
	return add.Op == ir.Add && (v == add.Args[0] || !u.onlyAdded(add.Args[0]))
}

// sumsOverBatch reports whether a root multiplies two activations: its result
// has no batch left, it is the gradient of a weight.
func sumsOverBatch(op ir.Op) bool {
	acts := 0
	for _, role := range op.Info().Args {
		if role == ir.Act {
			acts++
		}
	}
	return op.Class() == ir.Root && acts > 1
}
