package dsl

import (
	"fmt"

	"wrnc/dsl/diag"
)

// Step is one layer of a network whose groups and blocks are written out: what
// is done to the results of earlier steps.
//
// Names follow from places, so that the short form and the layer form give the
// same. Convolutions are counted, from conv0 outside of blocks and from conv1 in
// a block; other layers bear the number of the convolution that they follow, or 0
// before a block's first. After a group, a block's sum, a linear layer or an
// average pool there is no number to bear. Pools and linear layers are counted for
// themselves: maxpool, maxpool2. What is still double gets _2. Blocks are g1.b0
// and so on.
type Step struct {
	Layer
	Name string
	From []int  // the steps that it reads; Images is the network's input
	Unit int    // the group that it belongs to, from 1; 0 outside of groups
	In   [3]int // height, width and channels of the first operand
	Out  [3]int // of the result
}

// Images stands in Step.From for the network's input.
const Images = -1

// Unroll writes a network's groups and blocks out, operands before their readers.
// The last step yields the logits, 1x1 pictures of Classes channels. The error is
// a diag.List of one mistake, at the layer that does not fit what comes before it.
func (n *Network) Unroll() ([]Step, error) {
	u := &unroller{net: n, taken: map[string]bool{}}
	layers := n.Layers()
	last := u.sequence(layers, &scope{}, Images)
	if u.err == nil {
		u.end(layers, last)
	}
	if u.err != nil {
		return nil, diag.List{*u.err}
	}
	return u.steps, nil
}

// scope is where layers are counted: the network, a block, or a part of one.
type scope struct {
	prefix   string
	inBlock  bool
	unit     int // of Step
	width    int // of the group
	stride   int // of the block
	convs    int
	bare     bool // what follows bears no number
	maxpools int
	pools    int
	linears  int
}

type unroller struct {
	net   *Network
	steps []Step
	runs  []int // of each step: how many elementwise steps in a row end here
	convs int
	norms int
	taken map[string]bool
	units int
	err   *diag.Diagnostic // the first mistake; nothing is added after it
}

// fail notes a mistake in a layer.
func (u *unroller) fail(l *Layer, format string, args ...any) *diag.Diagnostic {
	d := diag.Diagnostic{Pos: l.Pos, Message: fmt.Sprintf(format, args...)}
	if u.net.Family == Layered {
		d = diag.New(&u.net.file.Source, diag.Error, l.Pos.Offset, len(l.Kind.String()), d.Message)
	}
	if u.err == nil {
		u.err = &d
	}
	return &d
}

func (u *unroller) shape(at int) [3]int {
	if at == Images {
		return u.net.Input
	}
	return u.steps[at].Out
}

// sequence adds layers, each reading the one before it, and returns the last.
func (u *unroller) sequence(layers []Layer, s *scope, from int) int {
	for i := range layers {
		if u.err != nil {
			return from
		}
		if layers[i].Kind == KindGroup {
			from = u.group(&layers[i], from)
			s.bare = true
			continue
		}
		from = u.layer(layers[i], s, from)
	}
	return from
}

// group adds the blocks of a group.
func (u *unroller) group(l *Layer, from int) int {
	u.units++
	g := l.Group
	for i := range g.Blocks {
		if u.err != nil {
			return from
		}
		stride := 1
		if i == 0 {
			stride = g.Stride
		}
		s := scope{prefix: fmt.Sprintf("g%d.b%d.", u.units, i), inBlock: true, unit: u.units, width: g.Width, stride: stride}
		from = u.block(l, &s, from)
	}
	return from
}

// block adds one block: what is shared, the shortcut, the branch, their sum. The
// shortcut stands before the branch, so that the reverse sweep meets the branch's
// gradient first and both sums, forward and backward, begin with the branch.
func (u *unroller) block(l *Layer, s *scope, x int) int {
	g := l.Group
	shared := u.sequence(g.Shared, s, x)
	shortcut := u.shortcut(l, s, x, shared)
	branch := u.sequence(g.Branch, s, shared)
	if u.err != nil {
		return branch
	}
	if c := u.shape(branch)[2]; c != g.Width {
		u.fail(l, "the branch ends in %d channels, and the group's width is %d", c, g.Width).Suggestion =
			"leave the channels of the branch's last convolution out"
		return branch
	}
	s.bare = true
	y := branch
	if g.Shortcut != ShortcutNone {
		if u.shape(branch) != u.shape(shortcut) {
			u.fail(l, "the branch is %s and its shortcut %s", shapeText(u.shape(branch)), shapeText(u.shape(shortcut))).Suggestion =
				"pad a KxK convolution by (K-1)/2, and let one layer of the branch stride"
			return branch
		}
		y = u.sum(l, s, shared, branch, shortcut)
	}
	return u.sequence(g.After, s, y)
}

// shortcut adds what the sum reads beside the branch.
func (u *unroller) shortcut(l *Layer, s *scope, x, shared int) int {
	if u.err != nil {
		return x
	}
	g := l.Group
	changes := s.stride != 1 || u.shape(x)[2] != g.Width
	switch {
	case g.Shortcut == ShortcutNone || !changes:
		return x
	case g.Shortcut == ShortcutPad:
		if c := u.shape(x)[2]; c > g.Width {
			u.fail(l, "shortcut pad cannot take %d channels to %d", c, g.Width).Suggestion = "write shortcut auto"
			return x
		}
		pad := Layer{Kind: KindPadding, Pos: l.Pos, Stride: s.stride, Channels: g.Width}
		return u.add(pad, s, s.prefix+"pad", x)
	}
	proj := Layer{Kind: KindConv, Pos: l.Pos, Kernel: 1, Stride: s.stride, Channels: g.Width}
	y := u.add(proj, s, s.prefix+"proj", shared)
	for _, p := range g.Projection {
		if u.err != nil {
			return y
		}
		y = u.add(p, s, s.prefix+"proj"+layerNames[p.Kind], y)
	}
	return y
}

// sum adds branch + shortcut, or with a gate g of the branch's shape
// g*branch + (1-g)*shortcut, written shortcut + g*(branch - shortcut).
func (u *unroller) sum(l *Layer, s *scope, shared, branch, shortcut int) int {
	step := func(kind LayerKind, name string, from ...int) int {
		return u.add(Layer{Kind: kind, Pos: l.Pos}, s, s.prefix+name, from...)
	}
	if len(l.Group.Gate) == 0 {
		return step(KindAdd, "add", branch, shortcut)
	}
	inside := *s
	inside.prefix, inside.convs, inside.bare = s.prefix+"gate.", 0, false
	gate := u.sequence(l.Group.Gate, &inside, shared)
	if u.err != nil {
		return branch
	}
	if u.shape(gate) != u.shape(branch) {
		u.fail(l, "the gate is %s and the branch %s", shapeText(u.shape(gate)), shapeText(u.shape(branch))).Suggestion =
			"a gate is as large as the branch: gate { conv 3x3 bias; sigmoid }"
		return branch
	}
	minus := step(KindNegate, "negate", shortcut)
	difference := step(KindAdd, "difference", branch, minus)
	return step(KindAdd, "add", step(KindMul, "mul", gate, difference), shortcut)
}

// layerNames are the first parts of names.
var layerNames = [...]string{
	KindConv: "conv", KindBatchNorm: "bn", KindReLU: "relu", KindSigmoid: "sigmoid", KindDropout: "drop",
	KindMaxPool: "maxpool", KindAvgPool: "pool", KindLinear: "fc",
}

// layer adds one layer of the language, under the name that its place gives it.
func (u *unroller) layer(l Layer, s *scope, from int) int {
	base := layerNames[l.Kind]
	counted := func(n *int) string {
		if *n++; *n > 1 {
			return fmt.Sprintf("%s%d", base, *n)
		}
		return base
	}
	name := base
	switch l.Kind {
	case KindConv:
		s.convs++
		s.bare = false
		name += s.number()
	case KindMaxPool:
		name = counted(&s.maxpools)
	case KindAvgPool:
		name = counted(&s.pools)
		s.bare = true
	case KindLinear:
		name = counted(&s.linears)
		s.bare = true
	default:
		name += s.number()
	}
	if l.GroupStride {
		l.Stride = s.stride
	}
	switch {
	case l.ToClasses:
		l.Channels = u.net.Classes
	case l.Channels == 0 && l.Kind == KindConv:
		l.Channels = s.width
	}
	return u.add(l, s, s.prefix+name, from)
}

// number is what a layer's name ends in here.
func (s *scope) number() string {
	switch {
	case s.bare || !s.inBlock && s.convs == 0:
		return ""
	case s.inBlock:
		return fmt.Sprint(s.convs)
	}
	return fmt.Sprint(s.convs - 1)
}
