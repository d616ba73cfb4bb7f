package dsl

import "wrnc/dsl/diag"

// LayerKind says what a layer does.
type LayerKind int

// The kinds. The first ten are words of the language; a block's shortcut and
// gate add the others where [Network.Unroll] writes it out.
const (
	KindConv LayerKind = iota + 1
	KindBatchNorm
	KindReLU
	KindSigmoid
	KindDropout
	KindMaxPool
	KindAvgPool // over the whole picture
	KindLinear
	KindGroup

	KindAdd     // the sum of two steps
	KindMul     // their product, element by element
	KindNegate  // minus a step
	KindPadding // a step, every Stride-th pixel of it, with channels of zeros behind its own
)

// layerWords are the words of the language, and for the rest what messages say.
var layerWords = [...]string{
	KindConv: "conv", KindBatchNorm: "bn", KindReLU: "relu", KindSigmoid: "sigmoid", KindDropout: "dropout",
	KindMaxPool: "maxpool", KindAvgPool: "avgpool", KindLinear: "linear", KindGroup: "group",
	KindAdd: "the sum", KindMul: "the product", KindNegate: "the negation", KindPadding: "the shortcut",
}

// String returns the kind's word.
func (k LayerKind) String() string { return layerWords[k] }

// Layer is a layer of a network, or a group of blocks of layers. Fields that its
// kind does not have are zero.
type Layer struct {
	Kind LayerKind
	Pos  diag.Pos

	Kernel      int     // conv, maxpool: rows and columns of the filter or window
	Stride      int     // conv, maxpool, padding: step between outputs
	Pad         int     // conv: rows and columns of zeros around the picture; maxpool: of nothing
	Channels    int     // conv, linear: of the result; 0 in a block stands for the group's width
	ToClasses   bool    // conv, linear: the channels are the classes
	GroupStride bool    // conv, maxpool: strides as the group says, in its first block
	Bias        bool    // conv: adds a bias to each channel
	BiasStart   float64 // conv: where the bias starts
	Drop        float64 // dropout: the probability
	Group       *Group
}

// Group is a run of blocks that differ in nothing but the first one's stride and
// shortcut. A block is
//
//	s = Shared(x);  y = Branch(s) + shortcut;  After(y)
//
// The shortcut of ShortcutAuto is x, or where the block strides or changes the
// channels a 1x1 convolution of s, with Projection behind it. A gate makes the
// sum g*Branch(s) + (1-g)*shortcut with g = Gate(s), as in a Highway network.
type Group struct {
	Blocks, Width, Stride       int
	Shared, Branch, Gate, After []Layer
	Shortcut                    Shortcut
	Projection                  []Layer
}

// Shortcut says what a block adds to its branch.
type Shortcut int

// The shortcuts. ShortcutPad is option A of the first ResNets: the block's input,
// every stride-th pixel of it, with channels of zeros behind its own.
const (
	ShortcutAuto Shortcut = iota
	ShortcutNone          // nothing: the block is its branch
	ShortcutPad
)

var shortcutWords = [...]string{"auto", "none", "pad"}

// String returns the word of the language.
func (s Shortcut) String() string { return shortcutWords[s] }

// Layers returns the network as layers: what the text says in the layer form,
// and for a name what it stands for. The two are one language to package irgen.
func (n *Network) Layers() []Layer {
	switch n.Family {
	case Layered:
		return n.layers
	case ImageNet:
		return n.imageNetLayers()
	}
	return n.cifarLayers()
}

// groupStride is the stride of the first block of group 1, 2, ... (paper, Table 1).
func groupStride(group int) int {
	if group > 1 {
		return 2
	}
	return 1
}

func (n *Network) simple(kind LayerKind) Layer { return Layer{Kind: kind, Pos: n.Pos} }

// cifarLayers is a network for 32x32 pictures (paper, Table 1): a stem of 16
// channels, three groups of pre-activation blocks, and a final batch norm, ReLU,
// average pool and classifier. Before each convolution of a block stand a batch
// norm and a ReLU, of which the first are shared with the projection, and before
// each but the first dropout as well.
func (n *Network) cifarLayers() []Layer {
	widths := n.Widths()
	layers := []Layer{{Kind: KindConv, Pos: n.Pos, Kernel: 3, Stride: 1, Pad: 1, Channels: widths[0]}}
	for g := 1; g < len(widths); g++ {
		group := &Group{Blocks: n.Blocks, Width: widths[g], Stride: groupStride(g),
			Shared: []Layer{n.simple(KindBatchNorm), n.simple(KindReLU)}}
		for i := range n.Kernels {
			if i > 0 {
				group.Branch = append(group.Branch, n.simple(KindBatchNorm), n.simple(KindReLU))
				if n.Dropout != 0 {
					group.Branch = append(group.Branch, Layer{Kind: KindDropout, Pos: n.DropoutPos, Drop: n.Dropout})
				}
			}
			group.Branch = append(group.Branch, n.blockConv(i, 0))
		}
		layers = append(layers, Layer{Kind: KindGroup, Pos: n.Pos, Group: group})
	}
	return append(layers, n.simple(KindBatchNorm), n.simple(KindReLU), n.simple(KindAvgPool), n.classifier())
}

// imageNetLayers is a network for ImageNet (paper, Tables 7 and 8; He et al.,
// Table 1): a 7x7 stem and a max pool, four groups of blocks in the original
// order, and average pool and classifier. Each convolution of a block is followed
// by a batch norm, each but the last by a ReLU as well, which for the last comes
// after the sum. A projection has a batch norm of its own.
func (n *Network) imageNetLayers() []Layer {
	widths := n.Widths()
	layers := []Layer{
		{Kind: KindConv, Pos: n.Pos, Kernel: 7, Stride: 2, Pad: 3, Channels: widths[0]},
		n.simple(KindBatchNorm), n.simple(KindReLU),
		{Kind: KindMaxPool, Pos: n.Pos, Kernel: 3, Stride: 2, Pad: 1},
	}
	for g, blocks := range n.Groups() {
		group := &Group{Blocks: blocks, Width: widths[g+1], Stride: groupStride(g + 1),
			Projection: []Layer{n.simple(KindBatchNorm)}, After: []Layer{n.simple(KindReLU)}}
		for i := range n.Kernels {
			last := i == len(n.Kernels)-1
			channels := 0
			if inner := n.Inner(g + 1); !last && inner != group.Width {
				channels = inner
			}
			group.Branch = append(group.Branch, n.blockConv(i, channels), n.simple(KindBatchNorm))
			if !last {
				group.Branch = append(group.Branch, n.simple(KindReLU))
			}
		}
		layers = append(layers, Layer{Kind: KindGroup, Pos: n.Pos, Group: group})
	}
	return append(layers, n.simple(KindAvgPool), n.classifier())
}

// blockConv is convolution i of a block; channels is 0 for the group's width.
func (n *Network) blockConv(i, channels int) Layer {
	k := n.Kernels[i]
	return Layer{Kind: KindConv, Pos: n.KernelsPos, Kernel: k, Stride: 1, Pad: k / 2, Channels: channels, GroupStride: i == n.StrideConv()}
}

func (n *Network) classifier() Layer {
	return Layer{Kind: KindLinear, Pos: n.ClassesPos, ToClasses: true}
}
