package irgen

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/dsl"
)

// groupStride is the stride of the first block of group 1, 2, ... (paper, Table 1).
func groupStride(group int) int {
	if group > 1 {
		return 2
	}
	return 1
}

// network writes the whole forward pass, images to logits.
func (w *writer) network(images *ir.Value) *ir.Value {
	x := images
	if w.net.Family == dsl.ImageNet {
		x = w.imageNet(x)
	} else {
		x = w.cifar(x)
	}
	x = w.at("pool", w.net.Pos).Op1(ir.AvgPool, ir.Attrs{}, x)
	return w.linear("fc", x)
}

// cifar writes stem and blocks of a network for 32x32 pictures (paper, Table 1).
func (w *writer) cifar(images *ir.Value) *ir.Value {
	widths := w.net.Widths()
	x := w.conv("conv0", w.net.Pos, images, 3, 1, widths[0])
	for g := 1; g < len(widths); g++ {
		for i := range w.net.Blocks {
			stride := 1
			if i == 0 {
				stride = groupStride(g)
			}
			x = w.block(fmt.Sprintf("g%d.b%d", g, i), x, widths[g], stride)
		}
	}
	return w.relu("relu", w.batchNorm("bn", x))
}

// block writes a pre-activation block: before each convolution a batch norm and
// a ReLU, before each but the first dropout as well, then the sum with the
// shortcut. Where the channels change, the shortcut is a 1x1 projection of the
// first ReLU, which it shares with the branch; otherwise it is the raw input.
// A stride needs no case of its own: int(32k) > int(16k) for every width of at
// least one channel, and int(64k) > int(32k), so where a block strides its
// channels change too.
func (w *writer) block(name string, x *ir.Value, channels, stride int) *ir.Value {
	shortcut := x
	for i, kernel := range w.net.Kernels {
		x = w.batchNorm(fmt.Sprintf("%s.bn%d", name, i), x)
		x = w.relu(fmt.Sprintf("%s.relu%d", name, i), x)
		if i == 0 && shortcut.Type.Channels() != channels {
			shortcut = w.conv(name+".proj", w.net.Pos, x, 1, stride, channels)
		}
		if i > 0 {
			x = w.dropout(fmt.Sprintf("%s.drop%d", name, i), x)
		}
		step := 1
		if i == w.net.StrideConv() {
			step = stride
		}
		x = w.conv(fmt.Sprintf("%s.conv%d", name, i+1), w.net.KernelsPos, x, kernel, step, channels)
	}
	return w.at(name+".add", w.net.Pos).Op1(ir.Add, ir.Attrs{}, x, shortcut)
}
