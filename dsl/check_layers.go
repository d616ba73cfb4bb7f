package dsl

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"wrnc/dsl/diag"
)

// The bounds of layers: past what networks have, and far below what overflows.
const (
	maxKernel   = 31
	maxSide     = 4096 // of the pictures
	maxChannels = 65536
	maxStride   = 16
	maxBias     = 1000
	maxNameText = 64 // bytes of a network's name in the layer form
)

// layerForm reads a model that is written in layers:
//
//	model my-net {
//	  input 32x32x3; classes 10; gamma uniform
//	  layers { conv 3x3 16; bn; relu; avgpool global; linear classes }
//	}
//
// The layers themselves come last, when the classes are known.
func (c *checker) layerForm(s *Statement, block map[string]*Statement) {
	c.net.Family = Layered
	for _, word := range []string{"count", "blocks", "stride"} {
		if b := block[word]; b != nil {
			c.errorAt(b.at(), "%s belongs to a name, and here the layers say it", word).Suggestion = "leave it out"
		}
	}
	if v := c.oneWithBlock(s); v != nil {
		c.net.Name = c.layeredName(v)
		here := c.pos(v.at())
		c.net.Pos = here
		c.net.DepthPos, c.net.WidthPos, c.net.KernelsPos, c.net.StridePos = here, here, here, here
		c.net.DropoutPos, c.net.ClassesPos, c.net.DataPos, c.net.TrainPos = here, here, here, here
	}
	if block["layers"] == nil {
		c.errorAt(s.at(), "the model has an input and no layers").Suggestion = "write layers { ... } in its block, or a name such as WRN-16-8 without input"
	}
	switch in := block["input"]; {
	case in == nil:
		c.errorAt(block["layers"].at(), "layers need the size of their input").Suggestion = "write input 32x32x3 before them"
	default:
		c.input(in)
	}
	if g := block["gamma"]; g != nil {
		if v := c.one(g); v != nil && c.choice(v, "gamma", "uniform", "one") == "one" {
			c.net.Gamma = GammaOne
		}
	} else {
		c.net.Gamma = GammaUniform
	}
	c.classesOf(block["classes"])
}

// oneWithBlock is one for a statement that may have a block.
func (c *checker) oneWithBlock(s *Statement) *Value {
	if v := c.values(s, 1, 1, true); v != nil {
		return v[0]
	}
	return nil
}

// layeredNames is what a network in layers may be called: what is fit for a file
// and for the IR, a paper's name included.
var layeredNames = regexp.MustCompile(`^[A-Za-z][0-9A-Za-z_.+\-]*(\([0-9,]*\))?$`)

func (c *checker) layeredName(v *Value) string {
	name := strings.NewReplacer(" ", "", "\t", "", "\r", "").Replace(v.Name + v.Literal)
	switch {
	case v.Args != nil || name == "":
		c.errorAt(v.at(), "model wants a name, not the %s %s", v.kind(), clip(v.text(c.src))).Suggestion = "write model my-net { ... }"
	case len(name) > maxNameText:
		c.errorAt(v.at(), "the name has %d bytes; a network's name has at most %d", len(name), maxNameText)
	case !layeredNames.MatchString(name):
		c.errorAt(v.at(), "%s is no name", quote(name)).Suggestion = "a name is letters, digits and _ . + - after a letter"
	}
	return name
}

// input reads `input HxWxC`.
func (c *checker) input(s *Statement) {
	v := c.one(s)
	if v == nil {
		return
	}
	sizes, ok := shapeOf(v, 3)
	if !ok {
		c.errorAt(v.at(), "input wants height x width x channels, not the %s %s", v.kind(), clip(v.text(c.src))).Suggestion = "write " + s.example()
		return
	}
	for i, most := range []int{maxSide, maxSide, maxChannels} {
		if sizes[i] < 1 || sizes[i] > most {
			c.errorAt(v.at(), "input %s is out of range: height and width are 1 to %d, channels 1 to %d", clip(v.Shape), maxSide, maxChannels)
			return
		}
	}
	c.net.Input = [3]int(sizes)
	c.inputAt = v.at()
}

// inputOfData checks that a data set's pictures are as large as the input. Those of
// a folder are brought to its size.
func (c *checker) inputOfData(set dataSet) {
	if _, named := findDataSet(set.name); !named || c.net.Family != Layered || c.inputAt == (span{}) {
		return
	}
	if want := set.input(); c.net.Input != want {
		c.errorAt(c.inputAt, "the pictures of %s are %s, not %s", set.name, shapeText(want), shapeText(c.net.Input)).Suggestion =
			"write input " + shapeText(want)
	}
}

// shapeOf returns the n numbers of a shape, or false. A number of many digits is
// the largest int.
func shapeOf(v *Value, n int) ([]int, bool) {
	parts := strings.Split(v.Shape, "x")
	if v.Shape == "" || len(parts) != n {
		return nil, false
	}
	var sizes []int
	for _, p := range parts {
		size, _ := strconv.Atoi(p) // digits; at the bound of int where there are too many
		sizes = append(sizes, size)
	}
	return sizes, true
}

// layerList reads the layers of the network, once everything else is known.
func (c *checker) layerList(block map[string]*Statement) {
	s := block["layers"]
	if c.net.Family != Layered || s == nil {
		return
	}
	before := len(c.list)
	c.net.layers = c.layersIn(s, true)
	if len(c.list) > before || c.extra > 0 || len(c.net.layers) == 0 {
		return
	}
	if c.inputAt == (span{}) || c.net.Classes < 1 {
		return // reported; shapes follow from them
	}
	steps, err := c.net.Unroll()
	if err != nil {
		c.list = append(c.list, err.(diag.List)...) // as Unroll promises
		return
	}
	for _, step := range steps {
		if step.Kind == KindConv {
			c.net.Convs++
		}
	}
}

// layersIn reads the block of s as layers, one after the other. A group may stand
// among those of the network alone.
func (c *checker) layersIn(s *Statement, groups bool) []Layer {
	if len(s.Values) > 0 {
		c.errorAt(s.Values[0].at(), "%s has a block and no values", s.Key).Suggestion = "write " + s.example()
	}
	return c.layersOf(s, s.Block, groups)
}

func (c *checker) layersOf(s *Statement, b *Block, groups bool) []Layer {
	if b == nil || len(b.Statements) == 0 {
		example := s.Key + " { conv 3x3 16; bn; relu }"
		if s.Key == "shortcut" {
			example = "shortcut auto { bn }"
		}
		c.errorAt(s.at(), "%s lacks its layers", s.Key).Suggestion = "write " + example
		return nil
	}
	var layers []Layer
	for _, l := range b.Statements {
		k, known := findKey(l.Key, homeLayers)
		switch {
		case !known:
			c.unknownKey(l, homeLayers)
		case k.home != homeLayers:
			c.misplacedKey(l, k)
		case l.Key == "group" && !groups:
			c.errorAt(l.at(), "a group stands in no block of another").Suggestion = "write it among the layers of the network"
		default:
			layers = append(layers, c.layer(l, groups))
		}
	}
	return layers
}

// layer reads one layer. inNetwork says that it is outside of groups.
func (c *checker) layer(s *Statement, inNetwork bool) Layer {
	kind := LayerKind(slices.Index(layerWords[:], s.Key))
	// The lexer's position is counted already; a text may hold thousands of layers.
	l := Layer{Kind: kind, Pos: diag.Pos{File: c.src.Name, Line: s.Pos.Line, Col: s.Pos.Column, Offset: s.Pos.Offset}}
	if s.Block != nil && kind != KindGroup {
		c.errorAt(span{s.Block.Pos.Offset, 1}, "%s has no block", s.Key).Suggestion = "write " + s.exampleIn(homeLayers)
	}
	switch kind {
	case KindConv, KindMaxPool:
		c.window(s, &l, inNetwork)
	case KindDropout:
		if v := c.values(s, 1, 1, true); v != nil {
			l.Drop = c.probability(v[0])
		}
	case KindAvgPool:
		c.avgPool(s)
	case KindLinear:
		if v := c.valuesIn(s, 1, 1, homeLayers); v != nil {
			c.outputs(v[0], &l)
		}
	case KindGroup:
		l.Group = c.group(s)
	default:
		c.valuesIn(s, 0, 0, homeLayers)
	}
	return l
}

// valuesIn is values for a word that more than one block has.
func (c *checker) valuesIn(s *Statement, least, most int, h home) []*Value {
	switch {
	case len(s.Values) < least:
		c.errorAt(s.at(), "%s lacks its value", s.Key).Suggestion = "write " + s.exampleIn(h)
	case len(s.Values) > most:
		v := s.Values[most]
		c.errorAt(v.at(), "unexpected %s", quote(v.text(c.src))).Suggestion = "write " + s.exampleIn(h)
	default:
		return s.Values
	}
	return nil
}

// outputs reads the channels of a result: a number, or `classes`.
func (c *checker) outputs(v *Value, l *Layer) {
	if v.kind() == "name" && v.Name == "classes" {
		l.ToClasses = true
		return
	}
	l.Channels, _ = c.intIn(v, "the number of channels", 1, maxChannels) // 0 where it is reported
}

// avgPool reads `avgpool global`, the only one there is.
func (c *checker) avgPool(s *Statement) {
	v := c.valuesIn(s, 1, max(1, len(s.Values)), homeLayers)
	if v == nil {
		return
	}
	if v[0].Name != "global" || v[0].Args != nil || len(v) > 1 {
		at := v[0].at()
		if v[0].Name == "global" && len(v) > 1 {
			at = v[1].at()
		}
		c.errorAt(at, "an average pool over windows is not built").Suggestion = "write avgpool global for the whole picture, or maxpool 3x3 stride 2"
	}
}

// window reads a convolution or a max pool:
//
//	conv RxR [channels | classes] [stride S | stride group] [pad P] [bias [start]]
//	maxpool RxR [stride S | stride group] [pad P]
func (c *checker) window(s *Statement, l *Layer, inNetwork bool) {
	v := s.Values
	if len(v) == 0 {
		c.valuesIn(s, 1, 1, homeLayers)
		return
	}
	l.Kernel = c.square(s, v[0])
	v = v[1:]
	conv := l.Kind == KindConv
	l.Stride, l.Pad = 1, (l.Kernel-1)/2
	if !conv {
		l.Stride, l.Pad = max(1, l.Kernel), 0
	}
	if conv && len(v) > 0 && (v[0].Number != "" || v[0].Name == "classes") {
		c.outputs(v[0], l)
		v = v[1:]
	} else if conv && inNetwork {
		c.errorAt(s.at(), "conv lacks its channels").Suggestion = "write conv 3x3 16; only in a group's block they may be left out"
	}
	seen := map[string]bool{}
	for len(v) > 0 {
		word := v[0]
		options := []string{"stride", "pad"}
		if conv {
			options = append(options, "bias")
		}
		if word.kind() != "name" || !slices.Contains(options, word.Name) {
			d := c.errorAt(word.at(), "unexpected %s in %s", quote(word.text(c.src)), s.Key)
			if near := diag.Nearest(strings.ToLower(word.Name), options); near != "" {
				d.Suggestion = "did you mean " + near + "?"
			} else {
				d.Suggestion = "write " + s.exampleIn(homeLayers)
			}
			return
		}
		if seen[word.Name] {
			c.errorAt(word.at(), "%s is given twice", word.Name)
		}
		seen[word.Name] = true
		v = c.option(word, v[1:], l, inNetwork)
	}
	if l.Kernel > 0 && l.Pad >= l.Kernel {
		c.errorAt(s.at(), "pad %d is as large as the window: it is below %d", l.Pad, l.Kernel)
	}
}

// option reads what follows a word of window and returns the rest.
func (c *checker) option(word *Value, rest []*Value, l *Layer, inNetwork bool) []*Value {
	if word.Name == "bias" {
		l.Bias = true
		if len(rest) > 0 && rest[0].Number != "" {
			l.BiasStart, _ = c.floatIn(rest[0], "the bias's start", fmt.Sprintf("from -%d to %d", maxBias, maxBias), func(x float64) bool { return x >= -maxBias && x <= maxBias })
			rest = rest[1:]
		}
		return rest
	}
	if len(rest) == 0 {
		c.errorAt(word.at(), "%s lacks its number", word.Name).Suggestion = "write " + word.Name + " 1"
		return nil
	}
	switch v := rest[0]; {
	case word.Name == "stride" && v.kind() == "name" && v.Name == "group":
		if inNetwork {
			c.errorAt(v.at(), "stride group stands in the branch of a group")
		}
		l.GroupStride = true
	case word.Name == "stride":
		if n, ok := c.intIn(v, "stride", 1, maxStride); ok {
			l.Stride = n
		}
	default:
		if n, ok := c.intIn(v, "pad", 0, maxKernel-1); ok {
			l.Pad = n
		}
	}
	return rest[1:]
}

// square reads the size of a filter or window, of equal sides.
func (c *checker) square(s *Statement, v *Value) int {
	sizes, ok := shapeOf(v, 2)
	switch {
	case !ok:
		c.errorAt(v.at(), "%s wants its size first, not the %s %s", s.Key, v.kind(), clip(v.text(c.src))).Suggestion = "write " + s.exampleIn(homeLayers)
	case sizes[0] != sizes[1]:
		c.errorAt(v.at(), "%s %s is not square", s.Key, clip(v.Shape)).Suggestion = fmt.Sprintf("write %s 3x3", s.Key)
	case sizes[0] < 1 || sizes[0] > maxKernel:
		c.errorAt(v.at(), "%s %s is out of range: it is 1x1 to %dx%d", s.Key, clip(v.Shape), maxKernel, maxKernel)
	default:
		return sizes[0]
	}
	return 0
}
