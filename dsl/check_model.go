package dsl

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"wrnc/dsl/diag"
)

// model reads the `model` statement and its block.
//
//	model WRN-40-2-B(3,1,3) { count convs; stride first3x3; classes 10 }
//
// It returns the statements of the block.
func (c *checker) model(s *Statement) (block map[string]*Statement) {
	if s == nil {
		if len(c.file.Statements) == 0 {
			c.errorAt(span{}, "there is nothing in this file").Suggestion = "the shortest network file is: model WRN-16-8"
			return nil
		}
		// A misspelt `model` has its own message already.
		if !slices.ContainsFunc(c.file.Statements, func(s *Statement) bool {
			return diag.Nearest(strings.ToLower(s.Key), wordsOf(homeFile)) == "model"
		}) {
			c.errorAt(c.file.Statements[0].at(), "the file names no model").Suggestion =
				"a network file has a line such as: model WRN-16-8"
		}
		return nil
	}
	if s.Block != nil {
		block = c.section(s.Block.Statements, homeModel)
	}
	if block["layers"] != nil || block["input"] != nil {
		c.layerForm(s, block)
		return block
	}
	if g := block["gamma"]; g != nil {
		c.errorAt(g.at(), "gamma belongs to the layer form; a name's network starts as the paper's").Suggestion = "leave it out"
	}
	c.named(s, block)
	return block
}

// named reads a model that is a name of the paper.
func (c *checker) named(s *Statement, block map[string]*Statement) {
	values := c.values(s, 1, 1, true)
	var rule countRule
	var blocks int
	if c.net.Family == ImageNet {
		c.noChoice(block)
	} else {
		rule, blocks = c.depthRule(block["count"], block["blocks"])
	}
	if values == nil {
		return
	}
	v := values[0]
	if v.Literal == "" {
		d := c.errorAt(v.at(), "%s is no network's name", quote(v.text(c.src)))
		d.Suggestion = supported
		if IsName(v.unquoted()) {
			d.Suggestion = "a network's name stands without quotes"
		}
		return
	}
	l := c.literal(v)
	here := c.pos(l.all)
	c.net.Pos = here
	c.net.StridePos, c.net.DropoutPos, c.net.ClassesPos, c.net.DataPos, c.net.TrainPos = here, here, here, here, here
	c.net.DepthPos, c.net.WidthPos, c.net.KernelsPos = c.pos(l.depthAt), c.pos(l.widthAt), c.pos(l.blockAt)
	c.net.Kernels = l.kernels
	if l.ok() {
		c.net.Name, c.net.Depth, c.net.Width = l.name(), l.depth, l.width
	}
	if c.net.Family == ImageNet {
		c.imageNet(l)
	} else {
		if l.depth >= 0 && l.kernels != nil {
			c.depth(l, rule, blocks)
		}
		c.stride(block["stride"])
	}
	c.classesOf(block["classes"])
}

// classesOf reads `classes N`.
func (c *checker) classesOf(s *Statement) {
	if s == nil {
		return
	}
	c.net.ClassesPos = c.pos(s.at())
	if v := c.one(s); v != nil {
		c.net.Classes, _ = c.intIn(v, "classes", 2, 65536) // 0 where it is reported
	}
}

// depthRule reads what decides the number of blocks: `count convs`, `count
// paper` or `blocks N`, of which one at most may stand. blocks is 0 without the last.
func (c *checker) depthRule(count, blocks *Statement) (rule countRule, n int) {
	if count != nil {
		if v := c.one(count); v != nil {
			switch c.choice(v, "count", "convs", "paper") {
			case "convs":
				rule = countConvs
			case "paper":
				rule = countPaper
			}
		}
	}
	if blocks != nil {
		if v := c.one(blocks); v != nil {
			n, _ = c.intIn(v, "blocks", 1, maxDepthName/3) // 0 where it is reported
		}
	}
	if count != nil && blocks != nil {
		d := c.errorAt(blocks.at(), "blocks and count both decide the number of blocks; keep one")
		*d = d.NoteAt(c.pos(count.at()), "count is here")
	}
	return rule, n
}

// depth turns the depth into blocks a group, by the rule or by hand, and states
// the outcome wherever the name alone leaves it open.
func (c *checker) depth(l literal, rule countRule, byHand int) {
	period := rule.period(l.kernels)
	named := blocksOf(l.depth, period)
	c.net.Blocks = byHand
	if byHand == 0 {
		c.net.Blocks = named
		if named == 0 {
			c.wrongDepth(l, period)
			return
		}
	}
	c.net.Convs = convolutions(c.net.Blocks, l.kernels, l.width)
	if c.net.Convs > maxConvs {
		c.errorAt(l.blockAt, "%s with N=%d blocks a group has %d convolutions; at most %d are built", blockName(l.kernels), c.net.Blocks, c.net.Convs, maxConvs).Suggestion =
			fmt.Sprintf("nearest: blocks %d", (maxConvs-4)/(3*len(l.kernels)))
		return
	}
	if len(l.kernels) == 2 && c.net.Blocks == named {
		return // the paper's own case: there is one reading only
	}
	how := fmt.Sprintf("by (depth-4)/%d", period)
	if byHand != 0 {
		how = "as blocks says"
	}
	d := c.remark(diag.Note, l.blockAt, "%s at depth %d has N=%d blocks a group %s, and %d convolutions",
		blockName(l.kernels), l.depth, c.net.Blocks, how, c.net.Convs)
	if rule == countDefault && byHand == 0 {
		d.Suggestion = otherReadings(l, period) + "blocks N sets N by hand"
	}
}

// otherReadings names the count that gives another number of blocks, if one does.
func otherReadings(l literal, period int) string {
	for _, other := range []struct {
		word string
		rule countRule
	}{{"count convs", countConvs}, {"count paper", countPaper}} {
		p := other.rule.period(l.kernels)
		if n := blocksOf(l.depth, p); n != 0 && p != period {
			return fmt.Sprintf("%s would give N=%d, ", other.word, n)
		}
	}
	return ""
}

func (c *checker) wrongDepth(l literal, period int) {
	d := c.errorAt(l.depthAt, "depth %d is not %dN+4", l.depth, period)
	if l.depth == 4 {
		d.Message = "depth 4 has no block (N=0)"
	}
	d.Suggestion = nearestDepths(l.depth, period)
	if slices.Contains(imageNetDepths(false), l.depth) && l.basic() && l.ok() {
		*d = d.Note(fmt.Sprintf("with data imagenet, WRN-%d-%s is the ImageNet network of that depth", l.depth, formatWidth(l.width)))
	}
	if len(l.kernels) != 2 {
		*d = d.Note(fmt.Sprintf("%dN+4 is the rule for %s here; count convs takes %dN+4, count paper 6N+4, and blocks N any depth",
			period, blockName(l.kernels), countConvs.period(l.kernels)))
	}
}

// stride reads `stride first | first3x3`.
func (c *checker) stride(s *Statement) {
	if s == nil {
		return
	}
	c.net.StridePos = c.pos(s.at())
	v := c.one(s)
	if v == nil {
		return
	}
	if c.choice(v, "stride", "first", "first3x3") != "first3x3" {
		return
	}
	c.net.Stride = StrideFirst3x3
	if k := c.net.Kernels; len(k) > 0 && !slices.Contains(k, 3) {
		c.errorAt(v.at(), "%s has no 3x3 convolution to stride", blockName(k)).Suggestion = "write stride first"
	}
}

// classes settles the number of classes: that of the data set, or as written.
func (c *checker) classes(set dataSet) {
	switch {
	case c.net.Classes == 0:
		c.net.Classes = 10
		if set.classes != 0 {
			c.net.Classes = set.classes
		}
	case c.net.Classes < set.classes:
		c.errorAt(span{c.net.ClassesPos.Offset, len("classes")},
			"classes %d is too few: %s has %d", c.net.Classes, set.name, set.classes)
	}
}

// dropout reads `dropout p`.
func (c *checker) dropout(s *Statement) {
	if s == nil {
		return
	}
	c.net.DropoutPos = c.pos(s.at())
	v := c.one(s)
	if v == nil {
		return
	}
	p := c.probability(v)
	switch {
	case c.net.Family == Layered:
		c.errorAt(s.at(), "dropout is a layer here").Suggestion = "write it among the layers of a branch"
	case p == 0:
	case c.net.Family == ImageNet:
		c.errorAt(s.at(), "ImageNet networks have no dropout in the paper").Suggestion = "leave it out"
	case c.net.Train.Recipe == "torch":
		c.remark(diag.Note, s.at(), "train torch leaves the dropout out: the authors' PyTorch port has none")
	case len(c.net.Kernels) == 1:
		c.remark(diag.Warning, s.at(),
			"dropout has no effect: it comes before every convolution of a block but the first, and %s has one", blockName(c.net.Kernels))
	default:
		c.net.Dropout = p
	}
}

// probability returns a probability of dropping, 0 where it is none, reported. A
// mask keeps an element where 16 random bits reach round(65536 p), so a p that
// rounds to 65536 would keep none.
func (c *checker) probability(v *Value) float64 {
	p, _ := c.floatIn(v, "dropout", "a probability from 0 up to, but not including, 1", func(p float64) bool {
		return p >= 0 && math.Round(65536*p) < 65536
	})
	return p
}
