package ir

import (
	"errors"
	"fmt"
	"math"
)

// Shape rules, one for each row of the op table. A rule may rely on the number
// of arguments; it must check everything else, since IR text can come from
// anywhere.

// check refuses a type that no op takes in the role. A mask stands in the role
// of an activation; the rules of its ops ask for it.
func (o Operand) check(t Type) error {
	ok, want := t.Rank() > 0 && (t.DType.IsFloat() || t.DType == U1), "a tensor of floats"
	switch o {
	case Scalar:
		ok, want = t.Equal(T(F32)), "a scalar f32[]"
	case Labels:
		ok, want = t.DType == S32 && t.Rank() == 1, "labels s32[N]"
	case Pictures:
		ok, want = t.DType == U8 && t.Rank() == 4, "pictures u8[M,H,W,C]"
	case Order:
		ok, want = t.DType == S32 && t.Rank() == 1, "numbers of pictures s32[N]"
	case Word:
		ok, want = t.Equal(T(U64)), "a scalar u64[]"
	case Table:
		ok, want = t.DType == F32 && t.Rank() == 2 && t.Dims[1] == 256, "a table f32[C,256]"
	}
	if !ok {
		return fmt.Errorf("expected %s, found %v", want, t)
	}
	return nil
}

// floats refuses masks among the activations of an op that computes.
func floats(args ...*Value) error {
	for _, a := range args {
		if a.Type.DType == U1 {
			return fmt.Errorf("expected a tensor of floats, found the mask %v", a.Type)
		}
	}
	return nil
}

func inferSame(n *Node) ([]Type, error) {
	for _, a := range n.Args {
		if a.Type.Rank() > 0 && !a.Type.SameDims(n.Args[0].Type) {
			return nil, fmt.Errorf("operands differ in shape: %v and %v", n.Args[0].Type, a.Type)
		}
	}
	return []Type{n.Args[0].Type.With(F32)}, floats(n.Args...)
}

func picture(t Type) error {
	if t.Rank() != 4 || !t.DType.IsFloat() {
		return fmt.Errorf("expected an activation [N,H,W,C], found %v", t)
	}
	return nil
}

// vector checks for a [rows,C] or, with rows = 1, a [C] operand.
func vector(t Type, rows, c int) error {
	want := T(F32, c)
	if rows > 1 {
		want = T(F32, rows, c)
	}
	if !t.Equal(want) {
		return fmt.Errorf("expected a channel vector %v, found %v", want, t)
	}
	return nil
}

// ConvOut is the number of outputs along one direction:
// (in + 2*pad - kernel)/stride + 1.
func ConvOut(in, kernel, pad, stride int) int { return (in+2*pad-kernel)/stride + 1 }

func checkConv(x, w Type, a Attrs) (p, q int, err error) {
	if err := picture(x); err != nil {
		return 0, 0, err
	}
	if w.Rank() != 4 || w.Dims[1] != w.Dims[2] {
		return 0, 0, fmt.Errorf("expected a square filter [K,R,R,C], found %v", w)
	}
	if w.Dims[3] != x.Dims[3] {
		return 0, 0, fmt.Errorf("filter %v expects %d input channels, the picture %v has %d", w, w.Dims[3], x, x.Dims[3])
	}
	if a.Stride < 1 || a.Pad < 0 || a.Pad >= w.Dims[1] {
		return 0, 0, fmt.Errorf("expected stride >= 1 and 0 <= pad < %d, found stride %d, pad %d", w.Dims[1], a.Stride, a.Pad)
	}
	p = ConvOut(x.Dims[1], w.Dims[1], a.Pad, a.Stride)
	q = ConvOut(x.Dims[2], w.Dims[1], a.Pad, a.Stride)
	if x.Dims[1]+2*a.Pad < w.Dims[1] || x.Dims[2]+2*a.Pad < w.Dims[1] {
		return 0, 0, fmt.Errorf("picture %v with pad %d is smaller than the filter %v", x, a.Pad, w)
	}
	return p, q, nil
}

// checkWindow returns the type of maxpool's result. With pad below kernel every
// window has a pixel of the picture in it.
func checkWindow(x Type, a Attrs) (Type, error) {
	if err := picture(x); err != nil {
		return Type{}, err
	}
	if a.Stride < 1 || a.Pad < 0 || a.Pad >= a.Kernel {
		return Type{}, fmt.Errorf("expected stride >= 1 and 0 <= pad < kernel, found stride %d, pad %d, kernel %d", a.Stride, a.Pad, a.Kernel)
	}
	if min(x.Dims[1], x.Dims[2])+2*a.Pad < a.Kernel {
		return Type{}, fmt.Errorf("picture %v with pad %d is smaller than the window of %d", x, a.Pad, a.Kernel)
	}
	p, q := ConvOut(x.Dims[1], a.Kernel, a.Pad, a.Stride), ConvOut(x.Dims[2], a.Kernel, a.Pad, a.Stride)
	return T(F32, x.Dims[0], p, q, x.Dims[3]), nil
}

func inferMaxPool(n *Node) ([]Type, error) {
	y, err := checkWindow(n.Args[0].Type, n.Attrs)
	return []Type{y}, err
}

func inferMaxPoolGrad(n *Node) ([]Type, error) {
	g, x := n.Args[0].Type, n.Args[1].Type
	y, err := checkWindow(x, n.Attrs)
	if err != nil {
		return nil, err
	}
	if !g.DType.IsFloat() || !g.SameDims(y) {
		return nil, fmt.Errorf("expected a gradient %v, found %v", y, g)
	}
	return []Type{x.With(F32)}, nil
}

func inferConv2D(n *Node) ([]Type, error) {
	x, w := n.Args[0].Type, n.Args[1].Type
	p, q, err := checkConv(x, w, n.Attrs)
	if err != nil {
		return nil, err
	}
	if x.DType != w.DType {
		return nil, fmt.Errorf("picture and filter differ in element type: %v and %v", x.DType, w.DType)
	}
	return []Type{T(F32, x.Dims[0], p, q, w.Dims[0])}, nil
}

func inferDgrad(n *Node) ([]Type, error) {
	g, w := n.Args[0].Type, n.Args[1].Type
	if err := picture(g); err != nil {
		return nil, err
	}
	if w.Rank() != 4 || n.Attrs.Height < 1 || n.Attrs.Width < 1 {
		return nil, fmt.Errorf("expected a filter [K,R,R,C] and the picture's height and width, found %v, %d, %d", w, n.Attrs.Height, n.Attrs.Width)
	}
	x := T(F32, g.Dims[0], n.Attrs.Height, n.Attrs.Width, w.Dims[3])
	p, q, err := checkConv(x, w, n.Attrs)
	if err != nil {
		return nil, err
	}
	if want := T(g.DType, g.Dims[0], p, q, w.Dims[0]); !g.Equal(want) {
		return nil, fmt.Errorf("expected a gradient %v, found %v", want, g)
	}
	return []Type{x}, nil
}

func inferWgrad(n *Node) ([]Type, error) {
	g, x := n.Args[0].Type, n.Args[1].Type
	if err := picture(g); err != nil {
		return nil, err
	}
	if err := picture(x); err != nil {
		return nil, err
	}
	if n.Attrs.Kernel < 1 {
		return nil, fmt.Errorf("expected kernel >= 1, found %d", n.Attrs.Kernel)
	}
	w := T(F32, g.Dims[3], n.Attrs.Kernel, n.Attrs.Kernel, x.Dims[3])
	p, q, err := checkConv(x, w, n.Attrs)
	if err != nil {
		return nil, err
	}
	if want := T(g.DType, x.Dims[0], p, q, g.Dims[3]); !g.Equal(want) {
		return nil, fmt.Errorf("expected a gradient %v, found %v", want, g)
	}
	return []Type{w}, nil
}

func inferAvgPool(n *Node) ([]Type, error) {
	x := n.Args[0].Type
	if err := picture(x); err != nil {
		return nil, err
	}
	return []Type{T(F32, x.Dims[0], 1, 1, x.Dims[3])}, nil
}

func inferAvgPoolGrad(n *Node) ([]Type, error) {
	g := n.Args[0].Type
	if err := picture(g); err != nil {
		return nil, err
	}
	if g.Dims[1] != 1 || g.Dims[2] != 1 || n.Attrs.Height < 1 || n.Attrs.Width < 1 {
		return nil, fmt.Errorf("expected a gradient [N,1,1,C] and a height and width, found %v, %d, %d", g, n.Attrs.Height, n.Attrs.Width)
	}
	return []Type{T(F32, g.Dims[0], n.Attrs.Height, n.Attrs.Width, g.Dims[3])}, nil
}

func inferAddChannel(n *Node) ([]Type, error) {
	x := n.Args[0].Type
	if err := floats(n.Args[0]); err != nil {
		return nil, err
	}
	return []Type{x.With(F32)}, vector(n.Args[1].Type, 1, x.Channels())
}

func inferAffine(n *Node) ([]Type, error) {
	x := n.Args[0].Type
	if err := floats(n.Args[0]); err != nil {
		return nil, err
	}
	return []Type{x.With(F32)}, vector(n.Args[1].Type, 2, x.Channels())
}

func inferAffine2(n *Node) ([]Type, error) {
	g, x := n.Args[0].Type, n.Args[1].Type
	if !g.SameDims(x) {
		return nil, fmt.Errorf("operands differ in shape: %v and %v", g, x)
	}
	if err := floats(n.Args[:2]...); err != nil {
		return nil, err
	}
	return []Type{g.With(F32)}, vector(n.Args[2].Type, 3, g.Channels())
}

func inferMaskScale(n *Node) ([]Type, error) {
	x, m := n.Args[0].Type, n.Args[1].Type
	if m.DType != U1 || !m.SameDims(x) {
		return nil, fmt.Errorf("expected a mask %v, found %v", x.With(U1), m)
	}
	if err := floats(n.Args[0]); err != nil {
		return nil, err
	}
	return []Type{x.With(F32)}, checkP(n.Attrs)
}

func checkP(a Attrs) error {
	if !(a.P >= 0 && a.P < 1) || a.KeepThreshold() >= 65536 {
		return fmt.Errorf("dropout probability %v is outside [0, 1)", a.P)
	}
	return nil
}

func inferConvert(n *Node) ([]Type, error) {
	if !n.Attrs.To.IsFloat() || !n.Args[0].Type.DType.IsFloat() {
		return nil, fmt.Errorf("convert is between float types, found %v to %v", n.Args[0].Type.DType, n.Attrs.To)
	}
	return []Type{n.Args[0].Type.With(n.Attrs.To)}, nil
}

// inferBatchNorm serves batch_norm (with the new running statistics) and
// batch_norm_eval.
func inferBatchNorm(n *Node) ([]Type, error) {
	x := n.Args[0].Type
	c := x.Channels()
	if err := picture(x); err != nil {
		return nil, err
	}
	for i, rows := range []int{1, 1, 2} {
		if err := vector(n.Args[i+1].Type, rows, c); err != nil {
			return nil, err
		}
	}
	if n.Op == BatchNormEval {
		return []Type{x.With(F32)}, nil
	}
	if err := manyElements(x); err != nil {
		return nil, err
	}
	return []Type{x.With(F32), T(F32, 2, c)}, nil
}

// manyElements refuses a batch norm in training on one element a channel, whose
// variance is no estimate.
func manyElements(x Type) error {
	if x.Elems()/x.Channels() < 2 {
		return fmt.Errorf("batch norm in training needs more than one element a channel, %v has one", x)
	}
	return nil
}

func inferBatchNormGrad(n *Node) ([]Type, error) {
	g, x := n.Args[0].Type, n.Args[1].Type
	if err := errors.Join(picture(g), picture(x)); err != nil {
		return nil, err
	}
	if !g.SameDims(x) {
		return nil, fmt.Errorf("operands differ in shape: %v and %v", g, x)
	}
	c := x.Channels()
	if err := manyElements(x); err != nil {
		return nil, err
	}
	return []Type{x.With(F32), T(F32, c), T(F32, c)}, vector(n.Args[2].Type, 1, c)
}

func inferBNStats(n *Node) ([]Type, error) {
	return []Type{T(F32, 2, n.Args[0].Type.Channels())}, picture(n.Args[0].Type)
}

func inferBNGradStats(n *Node) ([]Type, error) {
	g, x := n.Args[0].Type, n.Args[1].Type
	if err := errors.Join(picture(g), picture(x)); err != nil {
		return nil, err
	}
	if !g.SameDims(x) {
		return nil, fmt.Errorf("operands differ in shape: %v and %v", g, x)
	}
	return []Type{T(F32, 2, g.Channels())}, vector(n.Args[2].Type, 2, g.Channels())
}

func inferChannelSum(n *Node) ([]Type, error) {
	return []Type{T(F32, n.Args[0].Type.Channels())}, picture(n.Args[0].Type)
}

func inferBNFold(n *Node) ([]Type, error) {
	s := n.Args[0].Type
	if n.Attrs.Count < 1 {
		return nil, fmt.Errorf("expected count >= 1, found %d", n.Attrs.Count)
	}
	c := s.Channels()
	for i, rows := range []int{2, 1, 1} {
		if err := vector(n.Args[i].Type, rows, c); err != nil {
			return nil, err
		}
	}
	return []Type{T(F32, 2, c)}, nil
}

func inferFoldFilter(n *Node) ([]Type, error) {
	w, t := n.Args[0].Type, n.Args[1].Type
	if w.Rank() != 4 || w.DType != F32 {
		return nil, fmt.Errorf("expected a filter f32[K,R,S,C], found %v", w)
	}
	return []Type{w, T(F32, w.Dims[0])}, vector(t, 2, w.Dims[0])
}

func inferBNRunning(n *Node) ([]Type, error) {
	if n.Attrs.Count < 2 {
		return nil, fmt.Errorf("expected count >= 2 (an unbiased variance needs two elements), found %d", n.Attrs.Count)
	}
	c := n.Args[0].Type.Channels()
	for _, a := range n.Args {
		if err := vector(a.Type, 2, c); err != nil {
			return nil, err
		}
	}
	return []Type{T(F32, 2, c)}, nil
}

func inferBNGradFold(n *Node) ([]Type, error) {
	if n.Attrs.Count < 1 {
		return nil, fmt.Errorf("expected count >= 1, found %d", n.Attrs.Count)
	}
	c := n.Args[0].Type.Channels()
	for i, rows := range []int{2, 2, 1} {
		if err := vector(n.Args[i].Type, rows, c); err != nil {
			return nil, err
		}
	}
	return []Type{T(F32, 3, c), T(F32, c), T(F32, c)}, nil
}

func checkXent(n *Node) error {
	x, l := n.Args[0].Type, n.Args[1].Type
	if err := picture(x); err != nil {
		return err
	}
	if x.Dims[1] != 1 || x.Dims[2] != 1 || !l.Equal(T(S32, x.Dims[0])) {
		return fmt.Errorf("expected logits [N,1,1,K] and labels s32[N], found %v and %v", x, l)
	}
	return nil
}

func inferXent(n *Node) ([]Type, error) { return []Type{T(F32, 2)}, checkXent(n) }

func inferXentGrad(n *Node) ([]Type, error) {
	return []Type{n.Args[0].Type.With(F32)}, checkXent(n)
}

// inferAugment holds the shift to the picture: a mirror has only size-1 pixels
// beyond the border one, and with zeros more could crop nothing but zeros.
func inferAugment(n *Node) ([]Type, error) {
	x, order, values, a := n.Args[0].Type, n.Args[1].Type, n.Args[4].Type, n.Attrs
	h, w, c := x.Dims[1], x.Dims[2], x.Dims[3]
	switch limit := min(h, w) - 1; {
	case values.Dims[0] != c:
		return nil, fmt.Errorf("expected a table %v, found %v", T(F32, c, 256), values)
	case a.Fill != FillZero && a.Fill != FillReflect:
		return nil, fmt.Errorf("expected fill=%s or fill=%s, found %q", FillZero, FillReflect, a.Fill)
	case a.Pad < 0 || a.Pad > limit:
		return nil, fmt.Errorf("expected a pad from 0 to %d for pictures of %dx%d, found %d", limit, h, w, a.Pad)
	case x.Dims[0] > math.MaxInt32:
		return nil, fmt.Errorf("%v has more pictures than an s32 can number", x)
	}
	return []Type{T(F32, order.Dims[0], h, w, c)}, nil
}
