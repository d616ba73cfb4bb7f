package dsl

import (
	"fmt"

	"wrnc/dsl/diag"
)

// Network is what a file or a name means once every default is filled in.
//
// Layers says what a network is made of, whichever way it was written. What a
// name fixes stands in fields of its own: group g = 1, 2, ... has Groups()[g-1]
// blocks of len(Kernels) convolutions and Widths()[g] channels. In the layer form
// Depth, Width, Kernels, Blocks, Stride and Dropout are zero.
type Network struct {
	Family  Family
	Name    string       // canonical literal: "WRN-16-8", "WRN-40-2-B(3,1,3)", "WRN-50-2-bottleneck"; in the layer form any name
	File    string       // name of the text, or "<name>" for a literal from the command line
	Pos     diag.Pos     // of the literal
	Depth   int          // n of WRN-n-k, as the name states it; see Convs
	Width   float64      // k of WRN-n-k, the widening factor
	Kernels []int        // B(M): the kernel sizes of a block, each 1 or 3; by default {3, 3}, of a bottleneck {1, 3, 1}
	Blocks  int          // N, blocks a group; 0 where groups differ, see Groups
	Convs   int          // true number of convolutions: stem, blocks and projections, without the classifier
	Stride  StrideChoice // which convolution of a group's first block strides
	Dropout float64      // probability of dropping, 0 <= p < 1
	Input   [3]int       // height, width, channels
	Classes int          // of the data set, or as `classes N` says
	Gamma   GammaStart   // where batch norm's scales start

	// Where the parts were written. A part that the text leaves to its default
	// has the literal's place.
	DepthPos, WidthPos, KernelsPos, StridePos, DropoutPos, ClassesPos, DataPos, TrainPos diag.Pos

	Data  Data
	Train Train
	Notes []diag.Diagnostic // notes and warnings, in the order of the text

	file   *File   // what the network was checked from
	layers []Layer // in the layer form
}

// GammaStart says where batch norm's scale of each channel starts.
type GammaStart int

// The starts: uniform in [0,1), the default of the torch that the authors trained
// CIFAR and SVHN with, or 1 as in fb.resnet.torch, which they trained ImageNet with.
const (
	GammaUniform GammaStart = iota
	GammaOne
)

// String returns the word of the language.
func (g GammaStart) String() string {
	if g == GammaOne {
		return "one"
	}
	return "uniform"
}

// StrideChoice says which convolution of a group's first block has the stride.
type StrideChoice int

// The choices. The reference strides the first convolution (paper, Table 1);
// StrideFirst3x3 leaves out 1x1 convolutions, which would throw away three
// quarters of the positions.
const (
	StrideFirst StrideChoice = iota
	StrideFirst3x3
)

// String returns the word of the language.
func (s StrideChoice) String() string {
	if s == StrideFirst3x3 {
		return "first3x3"
	}
	return "first"
}

// Normalize says how bytes become numbers.
type Normalize int

// The normalizations. The paper's Table 5 has MeanStd for CIFAR; its section 3
// divides SVHN by 255.
const (
	NormalizeScale   Normalize = iota // x/255
	NormalizeMeanStd                  // (x-mean)/std of each channel
)

// String returns the word of the language.
func (n Normalize) String() string {
	if n == NormalizeMeanStd {
		return "meanstd"
	}
	return "scale"
}

// Data is the data set and what is done to its pictures.
type Data struct {
	Name      string // one of DataSets; "" where the text names none
	Path      string // folder; "" where the text names none
	Normalize Normalize
	Flip      bool   // mirror each training picture with probability 1/2
	CropPad   int    // pixels of border before a random crop to the input size; 0: no crop
	CropMode  string // what the border holds, "reflect" or "zero"; "" without a crop
}

// Widths returns the channels of the stem and of each group: 16, int(16k),
// int(32k), int(64k); of the ImageNet family 64, then int(64k) to int(512k), or
// 256 to 2048 whatever k with bottlenecks. A fractional k truncates as in the
// authors' PyTorch port.
func (n *Network) Widths() []int {
	if n.Family == ImageNet {
		return imageNetWidths(n.Width, n.Bottleneck())
	}
	return widths(n.Width)
}

func widths(k float64) []int {
	return []int{16, int(16 * k), int(32 * k), int(64 * k)}
}

// Groups returns the number of blocks of each group.
func (n *Network) Groups() []int {
	switch n.Family {
	case Layered:
		var blocks []int
		for _, l := range n.layers {
			if l.Kind == KindGroup {
				blocks = append(blocks, l.Group.Blocks)
			}
		}
		return blocks
	case ImageNet:
		return imageNetBlocks(n.Depth, n.Bottleneck())
	}
	return []int{n.Blocks, n.Blocks, n.Blocks}
}

// StrideConv returns the index in Kernels of the convolution that strides in the
// first block of every group but the first.
func (n *Network) StrideConv() int {
	if n.Stride == StrideFirst3x3 {
		for i, k := range n.Kernels {
			if k == 3 {
				return i
			}
		}
	}
	return 0
}

// WithData returns the network as it is for another data set, whose defaults
// for classes, normalization, augmentation and the paper's recipe then hold;
// what the text says of training still overrides them. What it says of its own
// data set is left out, with a note. Asking for the data set that the text names
// changes nothing.
func (n *Network) WithData(name string) (*Network, error) {
	set, ok := findDataSet(name)
	if !ok {
		return nil, fmt.Errorf("data set %s is not known; %s", clip(name), unknownDataSet(name))
	}
	return n.with(set)
}

// WithFolder returns the network as it is for a folder of pictures that no data set
// is known for: with as many classes, with what the paper does to CIFAR's pictures
// and its recipe for them. It is WithData otherwise; name must not be one of
// DataSets.
func (n *Network) WithFolder(name, path string, classes int) (*Network, error) {
	if _, known := findDataSet(name); known {
		return nil, fmt.Errorf("%s is the name of a data set, and cannot be a folder's", name)
	}
	set := cifar(name, classes)
	set.data.Path = path
	return n.with(set)
}

// with checks the network's text again, with another data set.
func (n *Network) with(set dataSet) (*Network, error) {
	if n.file == nil {
		return nil, fmt.Errorf("%s was not made by Check, so its data set cannot change", n.Name)
	}
	c := &checker{src: &n.file.Source, file: n.file, given: &set}
	out, errs := c.check()
	if err := errs.Err(); err != nil {
		return nil, err
	}
	return out, nil
}
