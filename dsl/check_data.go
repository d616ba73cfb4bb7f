package dsl

import "wrnc/dsl/diag"

// data reads the `data` statement and returns the row of its set, the zero row
// where there is none.
//
//	data cifar10 "/data/cifar" { normalize meanstd; augment flip crop(4, reflect) }
func (c *checker) data(s *Statement) dataSet {
	var set dataSet
	if s != nil {
		set = c.dataStatement(s)
	} else if c.given == nil && c.net.Family == ImageNet { // a bottleneck's name says so
		set, _ = findDataSet(imageNet)
		c.net.Data = set.data
	}
	if c.given == nil || c.given.name == set.name {
		return set
	}
	// The command line's data set: the file's part has been checked, and goes.
	if s != nil {
		c.remark(diag.Note, s.at(), "data %s replaces what this file says of its data", c.given.name)
	}
	c.net.Data = c.given.data
	return *c.given
}

func (c *checker) dataStatement(s *Statement) dataSet {
	c.net.DataPos = c.pos(s.at())
	var block map[string]*Statement
	if s.Block != nil {
		block = c.section(s.Block.Statements, homeData)
	}
	var set dataSet
	if values := c.values(s, 1, 2, true); values != nil {
		set = c.namedSet(values[0])
		c.net.Data = set.data
		if len(values) == 2 {
			c.net.Data.Path = c.dataPath(values[1])
		}
	}
	if c.noLoader(set, s) {
		return set
	}
	c.normalize(block["normalize"])
	c.augment(block["augment"])
	return set
}

// namedSet returns the row of the data set that v names.
func (c *checker) namedSet(v *Value) dataSet {
	name := c.word(v, "data")
	if name == "" {
		return dataSet{}
	}
	set, ok := findDataSet(name)
	if !ok {
		c.errorAt(v.at(), "data set %s is not known", clip(name)).Suggestion = unknownDataSet(name)
	}
	return set
}

func (c *checker) dataPath(v *Value) string {
	if v.String == "" {
		c.errorAt(v.at(), "data wants its folder as a string, not the %s %s", v.kind(), clip(v.text(c.src))).Suggestion =
			`write data cifar10 "/data/cifar"`
		return ""
	}
	if v.unquoted() == "" {
		c.errorAt(v.at(), "the data's folder is empty").Suggestion = `write "." for the folder you are in`
	}
	return v.unquoted()
}

// normalize reads `normalize meanstd | scale`.
func (c *checker) normalize(s *Statement) {
	if s == nil {
		return
	}
	v := c.one(s)
	if v == nil {
		return
	}
	switch c.choice(v, "normalize", "meanstd", "scale") {
	case "meanstd":
		c.net.Data.Normalize = NormalizeMeanStd
	case "scale":
		c.net.Data.Normalize = NormalizeScale
	}
}

// augment reads `augment none`, or flip and crop(pad, mode) in any order, each
// at most once. What is not named is off.
func (c *checker) augment(s *Statement) {
	if s == nil {
		return
	}
	d := &c.net.Data
	d.Flip, d.CropPad, d.CropMode = false, 0, ""
	seen := make(map[string]bool)
	for _, v := range c.values(s, 1, len(s.Values), false) {
		if v.Name != "" && seen[v.Name] {
			c.errorAt(v.at(), "%s is given twice", clip(v.Name))
			continue
		}
		seen[v.Name] = true
		switch {
		case v.kind() == "name" && v.Name == "none":
			if len(s.Values) > 1 {
				c.errorAt(v.at(), "augment none stands alone")
			}
		case v.kind() == "name" && v.Name == "flip":
			d.Flip = true
		case v.Name == "crop":
			d.CropPad, d.CropMode = c.crop(v)
		default:
			c.errorAt(v.at(), "augment %s is not built", clip(v.text(c.src))).Suggestion =
				"augment is none, or flip, crop(4, reflect), crop(4, zero)"
		}
	}
}

// crop reads crop(pad, reflect | zero). A reflected border has to be narrower
// than the picture, which is 32 wide; so is every other, for one rule.
func (c *checker) crop(v *Value) (pad int, mode string) {
	if v.Args == nil || len(v.Args.Values) != 2 {
		c.errorAt(v.at(), "crop wants a border and what it holds").Suggestion = "write crop(4, reflect) or crop(4, zero)"
		return 0, ""
	}
	pad, _ = c.intIn(v.Args.Values[0], "the border", 1, 31) // 0 where it is reported
	return pad, c.choice(v.Args.Values[1], "the border's content", "reflect", "zero")
}
