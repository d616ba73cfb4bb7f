package dsl

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"wrnc/dsl/diag"
)

// The bounds of a name. 16k must be a channel at least, 64k at most 65536; see
// imagenet.go for those of the other family.
const (
	minWidth  = 0.0625
	maxWidth  = 1024
	maxConvsB = 4 // convolutions a block, the paper's Table 3
)

// supported lists what a model can be; every "not built" message ends in it.
const supported = "wrnc builds WRN-depth-width, such as WRN-16-8, and WRN-depth-width-B(kernels), " +
	"such as WRN-40-2-B(3,1,3), for 32x32 pictures, and for data imagenet WRN-18-2, WRN-50-2-bottleneck and the like"

// span is a part of the text.
type span struct{ offset, length int }

// literal is a network's name taken apart. A part that is wrong, and has been
// reported, is its zero value (-1 for the depth).
type literal struct {
	depth            int
	width            float64
	kernels          []int
	bottleneck       bool // written so, not as B(M)
	all              span
	depthAt, widthAt span
	blockAt          span // all where the block is left out
}

// ok says that every part is right.
func (l literal) ok() bool { return l.depth >= 0 && l.width > 0 && l.kernels != nil }

// name returns the canonical form.
func (l literal) name() string {
	name := fmt.Sprintf("WRN-%d-%s", l.depth, formatWidth(l.width))
	if l.bottleneck {
		return name + bottleneckSuffix
	}
	if !slices.Equal(l.kernels, []int{3, 3}) {
		name += "-" + blockName(l.kernels)
	}
	return name
}

// basic says that the name states no block.
func (l literal) basic() bool { return l.blockAt == l.all }

func formatWidth(k float64) string { return strconv.FormatFloat(k, 'f', -1, 64) }

var (
	wholeNumber   = regexp.MustCompile(`^[0-9]+$`)
	decimalNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
)

// literal takes the name that v is apart and reports what is wrong with each part.
func (c *checker) literal(v *Value) literal {
	text := v.Literal
	l := literal{kernels: []int{3, 3}, all: v.at(), widthAt: v.at(), blockAt: v.at()}
	part := func(from, to int) span { return span{v.Pos.Offset + from, to - from} }

	from := len("WRN-")
	to := fieldEnd(text, from)
	l.depthAt = part(from, to)
	l.depth = c.literalDepth(text[from:to], l.depthAt)

	if to == len(text) {
		c.errorAt(l.all, "the width is missing").Suggestion = "a name has a depth and a width: WRN-16-8"
		return l
	}
	from = to + 1
	to = fieldEnd(text, from)
	l.widthAt = part(from, to)
	l.width = c.literalWidth(text[from:to], l.widthAt)

	if to < len(text) {
		l.blockAt = part(to+1, len(text))
		l.bottleneck = strings.EqualFold(text[to:], bottleneckSuffix)
		l.kernels = c.literalBlock(text[to+1:], l.blockAt)
	}
	return l
}

// fieldEnd returns where the field that begins at from ends: at the next dash,
// but for a dash in front, which is a sign.
func fieldEnd(text string, from int) int {
	skip := from
	if strings.HasPrefix(text[from:], "-") {
		skip++
	}
	if i := strings.IndexByte(text[skip:], '-'); i >= 0 {
		return skip + i
	}
	return len(text)
}

func (c *checker) literalDepth(field string, at span) int {
	if !wholeNumber.MatchString(field) {
		c.errorAt(at, "depth %s is not a whole number", quote(field)).Suggestion = "a depth is one such as 16, 28 or 40"
		return -1
	}
	depth, err := strconv.Atoi(field)
	if err != nil || depth > maxDepthName {
		c.errorAt(at, "depth %s is above %d, the deepest that is built", clip(field), maxDepthName)
		return -1
	}
	return depth
}

func (c *checker) literalWidth(field string, at span) float64 {
	number := strings.TrimPrefix(field, "-")
	if !decimalNumber.MatchString(number) {
		c.errorAt(at, "width %s is not a number", quote(field)).Suggestion = "a width is one such as 1, 1.5 or 10"
		return 0
	}
	// A decimal number of many digits may still be out of float64's range; it is
	// then infinite, and too wide.
	width, _ := strconv.ParseFloat(number, 64)
	least, most := minWidth, float64(maxWidth)
	if c.net.Family == ImageNet {
		least, most = minImageNetWidth, maxImageNetWidth
	}
	switch {
	case number != field || width == 0:
		c.errorAt(at, "width %s is not above 0", clip(field))
	case width < least:
		c.errorAt(at, "width %s leaves the first group without a channel; the least is %v", clip(field), least)
	case width > most:
		c.errorAt(at, "width %s is above %v, the widest that is built", clip(field), most)
	default:
		return width
	}
	return 0
}

// literalBlock reads what follows the width: B(M).
func (c *checker) literalBlock(field string, at span) []int {
	lower := strings.ToLower(field)
	switch {
	case "-"+lower == bottleneckSuffix:
		if c.net.Family != ImageNet {
			c.errorAt(at, "bottleneck networks are for data imagenet").Suggestion = supported
			return nil
		}
		return []int{1, 3, 1}
	case field == "":
		c.errorAt(at, "the name ends in a dash").Suggestion = "a block may follow it: WRN-40-2-B(3,1,3)"
		return nil
	case !strings.HasPrefix(lower, "b("):
		c.errorAt(at, "%s is no block", quote(field)).Suggestion = supported
		return nil
	case !strings.HasSuffix(field, ")"):
		c.errorAt(at, "the block's ) is missing").Suggestion = "a block is written B(3,1,3)"
		return nil
	}
	inner := field[len("b(") : len(field)-1]
	if strings.TrimSpace(inner) == "" {
		c.errorAt(at, "the block has no convolution").Suggestion = "a block is written B(3,1,3)"
		return nil
	}
	if l := strings.Count(inner, ",") + 1; l > maxConvsB {
		c.errorAt(at, "the block has %d convolutions; a block has 1 to %d", l, maxConvsB)
		return nil
	}
	var kernels []int
	ok := true
	offset := at.offset + len("b(")
	for _, item := range strings.Split(inner, ",") {
		k := strings.TrimSpace(item)
		if k == "1" || k == "3" {
			kernels = append(kernels, int(k[0]-'0'))
		} else {
			ok = false
			lead := len(item) - len(strings.TrimLeft(item, " \t\r"))
			c.errorAt(span{offset + lead, len(k)}, "kernel %s is not built; a block's kernels are 1 or 3", quote(k))
		}
		offset += len(item) + 1
	}
	if !ok {
		return nil
	}
	return kernels
}

// IsName tells a network's name from a file's: it begins with WRN- in any case,
// has no folder in it and does not end in .wrn.
func IsName(arg string) bool {
	lower := strings.ToLower(arg)
	return strings.HasPrefix(lower, "wrn-") && !strings.ContainsAny(arg, `/\`) && !strings.HasSuffix(lower, ".wrn")
}

// NameFile stands for the name of a file where there is none.
const NameFile = "<name>"

// maxName is the longest name FromName takes, in bytes.
const maxName = 256

// FromName returns the network of a bare name, such as WRN-40-2-B(3,1,3), with
// every default. Positions in it and in its errors, a diag.List, are those in
// the name; its File is "<name>".
func FromName(name string) (*Network, error) {
	if len(name) > maxName {
		return nil, diag.List{{
			Pos:     diag.Pos{File: NameFile},
			Message: fmt.Sprintf("the name has %d bytes; a network's name has at most %d", len(name), maxName),
		}}
	}
	v := &Value{Name: name}
	if strings.HasPrefix(strings.ToLower(name), "wrn-") {
		v = &Value{Literal: name}
	}
	v.EndPos.Offset = len(name)
	f := &File{
		Source:     diag.Source{Name: NameFile, Text: name},
		Statements: []*Statement{{Key: "model", Values: []*Value{v}}},
	}
	n, errs := Check(f)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	return n, nil
}
