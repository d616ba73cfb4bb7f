package dsl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// Expand returns the network's file with its model in the layer form, and all
// else as it is: the text that Format writes. A name's dropout has become layers. In
// the name's block, comments that stand above or behind a setting stay with it, or go
// where it has become layers; the others stand at the block's beginning.
// What it loads to yields the same IR as the network itself.
//
//	model WRN-16-8        model WRN-16-8 {
//	dropout 0.4       =>    input 32x32x3
//	data svhn               classes 10
//	                        layers { conv 3x3 16; ... }
//	                      }
//	                      data svhn
func (n *Network) Expand() (string, error) {
	if n.file == nil {
		return "", fmt.Errorf("%s was not made by Check, so there is no text to expand", n.Name)
	}
	all, errs := lexAll(&n.file.Source)
	if len(errs) > 0 {
		return "", errs
	}
	text := n.file.Source.Text
	if n.File == NameFile { // the text of a bare name is no file's
		f, err := Parse(NameFile, []byte(n.layerText(blockComments{})))
		if err != nil {
			return "", err
		}
		return Format(f), nil
	}
	// Later statements first, so that the places of earlier ones stay.
	for i := len(n.file.Statements) - 1; i >= 0; i-- {
		s := n.file.Statements[i]
		if s.Key != "model" && s.Key != "dropout" || n.Family == Layered {
			continue
		}
		at := indexAt(all, s.Pos.Offset)
		_, to := statementAround(all, at)
		from, end := all[at].Pos.Offset, all[to].Pos.Offset
		body := strings.TrimRight(text[from:end], " \t\r")
		if s.Block == nil { // a comment behind the statement is no part of it
			body = text[from:s.end()]
		}
		replacement := ""
		if s.Key == "model" {
			replacement = n.layerText(commentsIn(all[at:]))
		}
		rest := text[from+len(body):]
		if replacement == "" && (from == 0 || text[from-1] == '\n') { // no empty line in its place
			rest = strings.TrimPrefix(strings.TrimLeft(rest, " \t\r"), "\n")
		}
		text = text[:from] + replacement + rest
	}
	f, err := Parse(n.File, []byte(text))
	if err != nil {
		return "", err
	}
	return Format(f), nil
}

// end is where a statement without a block ends.
func (s *Statement) end() int {
	if len(s.Values) > 0 {
		return s.Values[len(s.Values)-1].EndPos.Offset
	}
	return s.Pos.Offset + len(s.Key)
}

// blockComments are the comments in a name's block.
type blockComments struct {
	alone  []string            // those that stand with no setting
	above  map[string][]string // by the key of the setting below
	behind map[string]string
}

// commentsIn reads the comments in the block of the statement that tokens begin with.
func commentsIn(tokens []lexer.Token) blockComments {
	c := blockComments{above: map[string][]string{}, behind: map[string]string{}}
	statement := (&layout{tokens: tokens}).statement()
	if statement.opened != "" {
		c.alone = append(c.alone, statement.opened)
	}
	var waiting []string // for the setting that follows
	for _, it := range statement.block {
		if it.blank {
			c.alone, waiting = append(c.alone, waiting...), nil
		}
		if it.words == "" {
			waiting = append(waiting, it.comment)
			continue
		}
		key := it.words[:it.key]
		c.above[key], waiting = waiting, nil
		c.behind[key] = it.comment
	}
	c.alone = append(c.alone, waiting...)
	return c
}

// layerText writes the model statement in the layer form.
func (n *Network) layerText(comments blockComments) string {
	var b strings.Builder
	line := func(text string) { b.WriteString(text + "\n") }
	setting := func(key, value string) {
		for _, c := range comments.above[key] {
			line(c)
		}
		line(key + " " + value + " " + comments.behind[key])
	}
	line("model " + n.Name + " {")
	for _, c := range comments.alone {
		line(c)
	}
	setting("input", shapeText(n.Input))
	setting("classes", strconv.Itoa(n.Classes))
	if n.Gamma != GammaUniform {
		setting("gamma", n.Gamma.String())
	}
	fmt.Fprintf(&b, "layers {\n%s\n}\n}", n.sequenceOf(false))
	return b.String()
}

// sequenceOf writes the network's layers, each group a line of its own; full says
// to write what the defaults say, too.
func (n *Network) sequenceOf(full bool) string {
	var b strings.Builder
	line := true // whether the next layer begins one
	for _, l := range n.Layers() {
		if !line && l.Kind != KindGroup {
			b.WriteString("; ")
		} else if b.Len() > 0 {
			b.WriteByte('\n')
		}
		if line = l.Kind == KindGroup; line {
			b.WriteString(l.Group.text(full))
		} else {
			b.WriteString(l.text(0, full))
		}
		if n.Family == Layered { // where the author's own lines are not known
			line = true
		}
	}
	return b.String()
}

func (g *Group) text(full bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "group %d width %d stride %d {", g.Blocks, g.Width, g.Stride)
	part := func(word string, layers []Layer) {
		if len(layers) > 0 {
			fmt.Fprintf(&b, " %s { %s }", word, sequenceText(layers, full))
		}
	}
	part("shared", g.Shared)
	part("branch", g.Branch)
	part("gate", g.Gate)
	fmt.Fprintf(&b, " shortcut %s", g.Shortcut)
	if len(g.Projection) > 0 {
		fmt.Fprintf(&b, " { %s }", sequenceText(g.Projection, full))
	} else if len(g.After) > 0 {
		b.WriteByte(';')
	}
	part("after", g.After)
	b.WriteString(" }")
	return b.String()
}

// sequenceText writes the layers of a part of a block, a convolution and what
// goes with it a line where one line is too short.
func sequenceText(layers []Layer, full bool) string {
	first := slices.IndexFunc(layers, func(l Layer) bool { return l.Kind == KindConv })
	var words []string
	for i, l := range layers {
		words = append(words, l.text(first-i, full))
	}
	if text := strings.Join(words, "; "); len(text) <= maxSequence {
		return text
	}
	after := layers[len(layers)-1].Kind == KindConv // what goes with one stands before it
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			if after && layers[i-1].Kind == KindConv || !after && layers[i].Kind == KindConv {
				b.WriteByte('\n')
			} else {
				b.WriteString("; ")
			}
		}
		b.WriteString(w)
	}
	return b.String()
}

// maxSequence is what fits a line that Format does not break, behind its
// indentation and `branch { `.
const maxSequence = 80

// text writes a layer; first is 0 for a block's first convolution, which takes the
// group's stride unasked, and full writes what the defaults say, too.
func (l *Layer) text(first int, full bool) string {
	words := []string{l.Kind.String()}
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	switch l.Kind {
	case KindConv, KindMaxPool:
		add("%dx%d", l.Kernel, l.Kernel)
	case KindDropout:
		add("%s", strconv.FormatFloat(l.Drop, 'g', -1, 64))
	case KindAvgPool:
		add("global")
	}
	switch {
	case l.ToClasses:
		add("classes")
	case l.Channels != 0:
		add("%d", l.Channels)
	}
	if l.Kind == KindConv || l.Kind == KindMaxPool {
		words = append(words, l.windowWords(first == 0, full)...)
	}
	return strings.Join(words, " ")
}

// windowWords are the words behind the size and channels of a convolution or a max
// pool: what differs from its defaults.
func (l *Layer) windowWords(first, full bool) []string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	conv := l.Kind == KindConv
	switch {
	case l.GroupStride && (full || !(first && conv)):
		add("stride group")
	case !l.GroupStride && (full || !(l.Stride == 1 && conv)):
		add("stride %d", l.Stride)
	}
	if full || l.Pad != (l.Kernel-1)/2 && conv || l.Pad != 0 && !conv {
		add("pad %d", l.Pad)
	}
	if l.Bias {
		add("bias")
		if l.BiasStart != 0 {
			add("%s", strconv.FormatFloat(l.BiasStart, 'g', -1, 64))
		}
	}
	return words
}
