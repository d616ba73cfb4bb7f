package dsl

import (
	"fmt"
	"strings"

	"wrnc/dsl/diag"
)

// maxMistakes is how many mistakes Check lists before it stops listing.
const maxMistakes = 100

// checker carries one check: the text, what it found, and the network so far.
type checker struct {
	src   *diag.Source
	file  *File
	given *dataSet // replaces the data set that the file names; nil does not

	inputAt span // of the layer form's input, where it is right
	net     Network
	list    diag.List // mistakes
	extra   int       // mistakes past maxMistakes
}

// Check returns the network that f means, or every mistake in it, in the order
// of the text. The list is empty exactly when the network is not nil.
func Check(f *File) (*Network, diag.List) {
	c := &checker{src: &f.Source, file: f}
	return c.check()
}

// check reads the statements in an order of its own, because what one may say
// depends on others: the recipe on the data, the depth on the block of `model`.
func (c *checker) check() (*Network, diag.List) {
	c.net = Network{File: c.src.Name, Input: [3]int{32, 32, 3}, file: c.file}
	top := c.section(c.file.Statements, homeFile)
	c.family(top["model"], top["data"])
	block := c.model(top["model"])
	set := c.data(top["data"])
	c.inputOfData(set)
	c.classes(set)
	c.train(top["train"])
	c.dropout(top["dropout"])
	c.layerList(block)

	c.list.Sort()
	if c.extra > 0 {
		c.list = append(c.list, diag.Diagnostic{
			Pos:     diag.Pos{File: c.src.Name},
			Message: fmt.Sprintf("and %d more mistakes", c.extra),
		})
	}
	if len(c.list) > 0 {
		return nil, c.list
	}
	diag.List(c.net.Notes).Sort()
	return &c.net, nil
}

// errorAt adds a mistake and returns it, for a suggestion or a remark to be
// added at once.
func (c *checker) errorAt(at span, format string, args ...any) *diag.Diagnostic {
	if len(c.list) >= maxMistakes {
		c.extra++
		return &diag.Diagnostic{}
	}
	c.list = append(c.list, diag.New(c.src, diag.Error, at.offset, at.length, fmt.Sprintf(format, args...)))
	return &c.list[len(c.list)-1]
}

// remark adds a note or a warning to the network.
func (c *checker) remark(severity diag.Severity, at span, format string, args ...any) *diag.Diagnostic {
	c.net.Notes = append(c.net.Notes, diag.New(c.src, severity, at.offset, at.length, fmt.Sprintf(format, args...)))
	return &c.net.Notes[len(c.net.Notes)-1]
}

func (c *checker) pos(at span) diag.Pos { return c.src.Pos(at.offset) }

// at returns the part of the text that v is.
func (v *Value) at() span { return span{v.Pos.Offset, v.EndPos.Offset - v.Pos.Offset} }

// at returns the part of the text that s's key is.
func (s *Statement) at() span { return span{s.Pos.Offset, len(s.Key)} }

// maxShown is how much of the user's text a message repeats, in characters.
const maxShown = 40

// clip shortens text for a message.
func clip(text string) string {
	shown := 0
	for i := range text {
		if shown == maxShown {
			return text[:i] + "..."
		}
		shown++
	}
	return text
}

// quote shortens text for a message and puts it in quotes, unless it is a string
// and has its own.
func quote(text string) string {
	if strings.HasPrefix(text, `"`) {
		return clip(text)
	}
	return fmt.Sprintf("%q", clip(text))
}
