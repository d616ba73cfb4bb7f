package irgen

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/dsl"
	"wrnc/dsl/diag"
)

// The stem of the ImageNet networks: a convolution, batch norm and ReLU, and a
// max pool, each of which halves the picture (He et al., Table 1).
const (
	stemKernel = 7
	stemStride = 2
	poolKernel = 3
	poolStride = 2
)

// stemSide is the height of the stem's picture for images of height n, and the
// same for the width; poolSide follows it through the max pool.
func stemSide(n int) int { return ir.ConvOut(n, stemKernel, stemKernel/2, stemStride) }

func poolSide(n int) int { return ir.ConvOut(n, poolKernel, poolKernel/2, poolStride) }

// imageNet writes stem and blocks of an ImageNet network (paper, Tables 7 and 8).
func (w *writer) imageNet(images *ir.Value) *ir.Value {
	widths := w.net.Widths()
	x := w.conv("conv0", w.net.Pos, images, stemKernel, stemStride, widths[0])
	x = w.relu("relu0", w.batchNorm("bn0", x))
	x = w.at("maxpool", w.net.Pos).Op1(ir.MaxPool, ir.Attrs{Kernel: poolKernel, Pad: poolKernel / 2, Stride: poolStride}, x)
	for g, blocks := range w.net.Groups() {
		for i := range blocks {
			stride := 1
			if i == 0 {
				stride = groupStride(g + 1)
			}
			x = w.resBlock(fmt.Sprintf("g%d.b%d", g+1, i), x, g+1, stride)
		}
	}
	return x
}

// resBlock writes a block in the original order: each convolution is followed by
// a batch norm, each but the last by a ReLU as well, which for the last comes
// after the sum with the shortcut. Where channels or stride change, the shortcut
// is a 1x1 projection with a batch norm of its own.
func (w *writer) resBlock(name string, x *ir.Value, group, stride int) *ir.Value {
	width := w.net.Widths()[group]
	shortcut := x
	if stride != 1 || x.Type.Channels() != width {
		shortcut = w.conv(name+".proj", w.net.Pos, x, 1, stride, width)
		shortcut = w.batchNorm(name+".projbn", shortcut)
	}
	last := len(w.net.Kernels) - 1
	for i, kernel := range w.net.Kernels {
		channels, step := w.net.Inner(group), 1
		if i == last {
			channels = width
		}
		if i == w.net.StrideConv() {
			step = stride
		}
		x = w.conv(fmt.Sprintf("%s.conv%d", name, i+1), w.net.KernelsPos, x, kernel, step, channels)
		x = w.batchNorm(fmt.Sprintf("%s.bn%d", name, i+1), x)
		if i < last {
			x = w.relu(fmt.Sprintf("%s.relu%d", name, i+1), x)
		}
	}
	sum := w.at(name+".add", w.net.Pos).Op1(ir.Add, ir.Attrs{}, x, shortcut)
	return w.relu(name+".relu", sum)
}

// checkImageNet reports what a network that no text names can be and the
// language would not let pass.
func checkImageNet(net *dsl.Network, fault func(diag.Pos, string, ...any)) {
	basic := slices.Equal(net.Kernels, []int{3, 3})
	switch {
	case !basic && !slices.Equal(net.Kernels, []int{1, 3, 1}):
		fault(net.KernelsPos, "a block for ImageNet has the kernels 3, 3 or 1, 3, 1; found %v", net.Kernels)
	case net.Groups() == nil:
		fault(net.DepthPos, "there is no ImageNet network of depth %d with these blocks", net.Depth)
	case net.Bottleneck() && net.Inner(1) < 1:
		fault(net.WidthPos, "width %v leaves a block without a channel", net.Width)
	case net.Dropout != 0:
		fault(net.DropoutPos, "ImageNet networks have no dropout, found %v", net.Dropout)
	}
}

// largestOfImageNet bounds the activations for images of h x w: the images, the
// stem, the blocks, whose first convolution may stand before their stride, and
// the logits.
func largestOfImageNet(net *dsl.Network, h, w int) [][3]int {
	widths := net.Widths()
	sh, sw := stemSide(h), stemSide(w)
	groups := len(widths) - 1
	return [][3]int{
		{h, w, net.Input[2]},
		{sh, sw, widths[0]},
		{poolSide(sh), poolSide(sw), max(slices.Max(widths), net.Inner(groups))},
		{1, 1, net.Classes},
	}
}
