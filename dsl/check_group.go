package dsl

import (
	"slices"
	"strings"

	"wrnc/dsl/diag"
)

// group reads `group COUNT width N [stride S] { ... }`.
func (c *checker) group(s *Statement) *Group {
	g := &Group{Stride: 1}
	v := s.Values
	if len(v) == 0 {
		c.errorAt(s.at(), "group lacks its number of blocks").Suggestion = "write " + s.exampleIn(homeLayers)
	} else {
		g.Blocks, _ = c.intIn(v[0], "the number of blocks", 1, maxDepthName)
		v = v[1:]
	}
	seen := map[string]bool{}
	for len(v) > 0 {
		word := v[0]
		if word.kind() != "name" || word.Name != "width" && word.Name != "stride" {
			d := c.errorAt(word.at(), "unexpected %s in group", quote(word.text(c.src)))
			if near := diag.Nearest(strings.ToLower(word.Name), []string{"width", "stride"}); near != "" {
				d.Suggestion = "did you mean " + near + "?"
			} else {
				d.Suggestion = "write " + s.exampleIn(homeLayers)
			}
			break
		}
		if seen[word.Name] {
			c.errorAt(word.at(), "%s is given twice", word.Name)
		}
		seen[word.Name] = true
		if len(v) == 1 {
			c.errorAt(word.at(), "%s lacks its number", word.Name).Suggestion = "write " + s.exampleIn(homeLayers)
			break
		}
		if word.Name == "width" {
			g.Width, _ = c.intIn(v[1], "width", 1, maxChannels)
		} else {
			g.Stride, _ = c.intIn(v[1], "stride", 1, maxStride)
		}
		v = v[2:]
	}
	if !seen["width"] && len(v) == 0 && len(s.Values) > 0 {
		c.errorAt(s.at(), "group lacks its width").Suggestion = "write " + s.exampleIn(homeLayers)
	}
	if s.Block == nil {
		c.errorAt(s.at(), "group lacks its block").Suggestion = "write " + s.exampleIn(homeLayers)
		return g
	}
	c.parts(s, g)
	return g
}

// parts reads the block of a group.
func (c *checker) parts(s *Statement, g *Group) {
	block := c.section(s.Block.Statements, homeGroup)
	read := func(word string) []Layer {
		if p := block[word]; p != nil {
			return c.layersIn(p, false)
		}
		return nil
	}
	g.Shared, g.Branch, g.Gate, g.After = read("shared"), read("branch"), read("gate"), read("after")
	if block["branch"] == nil {
		c.errorAt(s.at(), "group has no branch").Suggestion = "write branch { conv 3x3 } in its block"
	}
	if p := block["shortcut"]; p != nil {
		c.shortcut(p, g)
	}
	if g.Gate != nil && g.Shortcut == ShortcutNone {
		c.errorAt(block["gate"].at(), "a gate weighs the branch against the shortcut, and there is none").Suggestion = "write shortcut auto"
	}
	c.strides(block, g)
}

// shortcut reads `shortcut auto | none | pad`, and what follows a projection.
func (c *checker) shortcut(s *Statement, g *Group) {
	v := c.oneWithBlock(s)
	if v == nil {
		return
	}
	g.Shortcut = Shortcut(max(0, slices.Index(shortcutWords[:], c.choice(v, "shortcut", shortcutWords[:]...))))
	if s.Block == nil {
		return
	}
	if g.Shortcut != ShortcutAuto {
		c.errorAt(span{s.Block.Pos.Offset, 1}, "shortcut %s has no projection for layers to follow", g.Shortcut).Suggestion = "write shortcut auto { bn }"
		return
	}
	g.Projection = c.layersOf(s, s.Block, false)
	for i, l := range g.Projection {
		if l.Kind != KindBatchNorm && l.Kind != KindReLU && l.Kind != KindSigmoid && l.Kind != KindDropout {
			c.errorAt(s.Block.Statements[min(i, len(s.Block.Statements)-1)].at(), "%s cannot follow a projection", l.Kind).Suggestion = "write shortcut auto { bn }"
		}
	}
}

// strides gives the group's stride to the first convolution of the branch and of
// the gate, unless another layer of theirs asks for it.
func (c *checker) strides(block map[string]*Statement, g *Group) {
	for _, part := range []struct {
		word   string
		layers []Layer
		takes  bool
	}{{"shared", g.Shared, false}, {"branch", g.Branch, true}, {"gate", g.Gate, true}, {"after", g.After, false}} {
		asking, first := 0, -1
		for i, l := range part.layers {
			if l.GroupStride {
				asking++
			}
			if l.Kind == KindConv && first < 0 {
				first = i
			}
		}
		switch {
		case !part.takes && asking > 0:
			c.errorAt(block[part.word].at(), "stride group stands in the branch of a group, not in %s", part.word).Suggestion = "leave it out"
		case !part.takes || len(part.layers) == 0 || asking == 1:
		case asking > 1:
			c.errorAt(block[part.word].at(), "%d layers of the %s take the group's stride; one does", asking, part.word).Suggestion = "write stride group once"
		case first >= 0 && part.layers[first].Stride == 1:
			part.layers[first].GroupStride = true
		case g.Stride != 1:
			c.errorAt(block[part.word].at(), "no layer of the %s takes the group's stride %d", part.word, g.Stride).Suggestion = "write conv 3x3 stride group"
		}
	}
}
