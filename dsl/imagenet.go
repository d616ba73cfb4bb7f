package dsl

import (
	"fmt"
	"slices"
	"strings"
)

// Family is an architecture of the paper, or none. The data chooses it: what a
// name of the form WRN-n-k stands for differs between 32x32 pictures and ImageNet's.
type Family int

// The families. CIFAR's networks have three groups of pre-activation blocks
// (paper, Table 1); ImageNet's have four, with the activation after the sum, as
// in the ResNets that they widen (paper, Tables 7 and 8). A network written in
// layers is of neither.
const (
	CIFAR Family = iota
	ImageNet
	Layered
)

const (
	imageNet         = "imagenet" // the data set
	bottleneckSuffix = "-bottleneck"
	minImageNetWidth = 0.015625 // 64k is a channel at least
	maxImageNetWidth = 128      // 512k is at most 65536
)

// imageNetRows are the depths there are, with the blocks of each group (He et
// al., "Deep Residual Learning", Table 1).
var imageNetRows = []struct {
	depth      int
	bottleneck bool
	blocks     [4]int
}{
	{18, false, [4]int{2, 2, 2, 2}},
	{34, false, [4]int{3, 4, 6, 3}},
	{50, true, [4]int{3, 4, 6, 3}},
	{101, true, [4]int{3, 4, 23, 3}},
	{152, true, [4]int{3, 8, 36, 3}},
}

// imageNetBlocks returns the blocks of each group, nil for a depth there is not.
func imageNetBlocks(depth int, bottleneck bool) []int {
	for _, r := range imageNetRows {
		if r.depth == depth && r.bottleneck == bottleneck {
			return slices.Clone(r.blocks[:])
		}
	}
	return nil
}

// imageNetDepths lists the depths of basic or of bottleneck networks.
func imageNetDepths(bottleneck bool) []int {
	var depths []int
	for _, r := range imageNetRows {
		if r.bottleneck == bottleneck {
			depths = append(depths, r.depth)
		}
	}
	return depths
}

// imageNetWidths returns the channels of the stem, which k does not widen, and
// of each group; those of bottlenecks are wider inside instead.
func imageNetWidths(k float64, bottleneck bool) []int {
	if bottleneck {
		return []int{64, 256, 512, 1024, 2048}
	}
	return []int{64, int(64 * k), int(128 * k), int(256 * k), int(512 * k)}
}

// Bottleneck reports whether a block narrows to its inner convolution: an
// ImageNet network of 1x1, 3x3 and 1x1 convolutions.
func (n *Network) Bottleneck() bool { return n.Family == ImageNet && len(n.Kernels) == 3 }

// Inner returns the channels of every convolution but the last of a block of
// group g = 1, 2, ...: those of the group, or of a bottleneck a quarter of them,
// widened.
func (n *Network) Inner(g int) int {
	if n.Bottleneck() {
		return int(float64(n.Widths()[g]/4) * n.Width)
	}
	return n.Widths()[g]
}

// family settles what the name stands for, before it is read: by the data, or
// without any by the name of a bottleneck, which ImageNet alone has.
func (c *checker) family(model, data *Statement) {
	name := ""
	switch {
	case c.given != nil:
		name = c.given.name
	case data != nil:
		if len(data.Values) > 0 {
			name = data.Values[0].Name
		}
	case model != nil && len(model.Values) > 0 && strings.HasSuffix(strings.ToLower(model.Values[0].Literal), bottleneckSuffix):
		name = imageNet
	}
	if name == imageNet {
		c.net.Family, c.net.Stride, c.net.Gamma = ImageNet, StrideFirst3x3, GammaOne
		c.net.Input = [3]int{224, 224, 3}
	}
}

// imageNet reads the depth and the block of an ImageNet network's name.
func (c *checker) imageNet(l literal) {
	if l.kernels != nil && !l.bottleneck && !l.basic() {
		c.errorAt(l.blockAt, "%s is a block for 32x32 pictures", blockName(l.kernels)).Suggestion =
			"with data imagenet write WRN-18-2, or WRN-50-2-bottleneck"
		return
	}
	if l.depth < 0 || l.kernels == nil {
		return
	}
	blocks := imageNetBlocks(l.depth, l.bottleneck)
	if blocks == nil {
		c.wrongImageNetDepth(l)
		return
	}
	c.net.Convs = imageNetConvolutions(blocks, imageNetWidths(l.width, l.bottleneck), len(l.kernels))
}

func (c *checker) wrongImageNetDepth(l literal) {
	kind := map[bool]string{false: "basic", true: "bottleneck"}
	depths := imageNetDepths(l.bottleneck)
	words := strings.Trim(strings.ReplaceAll(fmt.Sprint(depths), " ", ", "), "[]")
	d := c.errorAt(l.depthAt, "depth %d is not that of a %s network for ImageNet (%s)", l.depth, kind[l.bottleneck], words)
	if l.ok() && imageNetBlocks(l.depth, !l.bottleneck) != nil {
		suffix := bottleneckSuffix
		if l.bottleneck {
			suffix = ""
		}
		d.Suggestion = fmt.Sprintf("write WRN-%d-%s%s", l.depth, formatWidth(l.width), suffix)
		return
	}
	nearest := depths[0]
	for _, n := range depths[1:] {
		if max(n-l.depth, l.depth-n) < max(nearest-l.depth, l.depth-nearest) {
			nearest = n
		}
	}
	d.Suggestion = fmt.Sprintf("nearest: %d", nearest)
}

// imageNetConvolutions counts the stem, l convolutions a block, and the
// projections: in the first block of a group whose channels or stride change.
func imageNetConvolutions(blocks, widths []int, l int) int {
	count := 1
	for g, n := range blocks {
		count += n * l
		if g > 0 || widths[1] != widths[0] {
			count++
		}
	}
	return count
}

// noChoice reports the keys of the model's block that choose among networks for
// 32x32 pictures.
func (c *checker) noChoice(block map[string]*Statement) {
	for _, word := range []string{"count", "blocks", "stride"} {
		if s := block[word]; s != nil {
			c.errorAt(s.at(), "%s is for networks on 32x32 pictures; ImageNet's have one form for a depth", word).Suggestion = "leave it out"
		}
	}
}

// noLoader reports what a text says of the pictures of a set that wrnc does not
// read, and says whether set is one.
func (c *checker) noLoader(set dataSet, s *Statement) bool {
	if set.name != imageNet {
		return false
	}
	var at span
	switch {
	case len(s.Values) > 1:
		at = s.Values[1].at()
	case s.Block != nil:
		at = span{s.Block.Pos.Offset, 1}
	default:
		return true
	}
	c.errorAt(at, "wrnc builds networks for imagenet and reads none of its pictures").Suggestion = "write data imagenet alone"
	return true
}
