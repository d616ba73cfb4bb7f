package dsl

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"wrnc/dsl/diag"
)

// floatNumber is what a number may look like; strconv takes more (0x1p-2, inf).
var floatNumber = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

// example returns a statement that shows how the key of s is used.
func (s *Statement) example() string { return s.exampleIn(homeFile) }

// exampleIn is example for a key that more than one block has.
func (s *Statement) exampleIn(h home) string {
	k, _ := findKey(s.Key, h) // a statement gets here by being in the table
	return k.example
}

// values returns the values of s if there are at least least and at most most,
// else nil, reported. A block is reported unless it may stand there.
func (c *checker) values(s *Statement, least, most int, block bool) []*Value {
	if s.Block != nil && !block {
		c.errorAt(span{s.Block.Pos.Offset, 1}, "%s has no block", s.Key).Suggestion = "write " + s.example()
	}
	if len(s.Values) < least {
		c.errorAt(s.at(), "%s lacks its value", s.Key).Suggestion = "write " + s.example()
		return nil
	}
	if len(s.Values) > most {
		v := s.Values[most]
		c.errorAt(v.at(), "unexpected %s", quote(v.text(c.src))).Suggestion = "write " + s.example()
		return nil
	}
	return s.Values
}

// one returns the only value of s, or nil, reported.
func (c *checker) one(s *Statement) *Value {
	if v := c.values(s, 1, 1, false); v != nil {
		return v[0]
	}
	return nil
}

// float returns a number, or false, reported. what names it in the message.
func (c *checker) float(v *Value, what string) (float64, bool) {
	if v.Number == "" {
		c.errorAt(v.at(), "%s wants a number, not the %s %s", what, v.kind(), clip(v.text(c.src)))
		return 0, false
	}
	x, err := strconv.ParseFloat(v.Number, 64)
	switch {
	case !floatNumber.MatchString(v.Number):
		c.errorAt(v.at(), "%s is not a number", quote(v.Number))
		return 0, false
	case err != nil || math.IsInf(x, 0):
		c.errorAt(v.at(), "%s is too large a number", clip(v.Number))
		return 0, false
	}
	return x, true
}

// floatIn returns a number that lies where within says; limits says where that
// is in words. It returns 0 where it does not, reported.
func (c *checker) floatIn(v *Value, what, limits string, within func(float64) bool) (float64, bool) {
	x, ok := c.float(v, what)
	if !ok {
		return 0, false
	}
	if !within(x) {
		c.errorAt(v.at(), "%s %s is out of range: it is %s", what, clip(v.Number), limits)
		return 0, false
	}
	return x, true
}

// intIn returns a whole number from lo to hi, or false, reported.
func (c *checker) intIn(v *Value, what string, lo, hi int) (int, bool) {
	x, ok := c.float(v, what)
	if !ok {
		return 0, false
	}
	if !wholeNumber.MatchString(strings.TrimLeft(v.Number, "+-")) {
		c.errorAt(v.at(), "%s %s is not a whole number", what, clip(v.Number))
		return 0, false
	}
	if x < float64(lo) || x > float64(hi) {
		nearest := lo
		if x > float64(hi) {
			nearest = hi
		}
		c.errorAt(v.at(), "%s %s is out of range: it is a whole number from %d to %d", what, clip(v.Number), lo, hi).Suggestion =
			fmt.Sprintf("nearest: %d", nearest)
		return 0, false
	}
	return int(x), true
}

// word returns a name, or "", reported.
func (c *checker) word(v *Value, what string) string {
	if v.kind() != "name" {
		c.errorAt(v.at(), "%s wants a name, not the %s %s", what, v.kind(), clip(v.text(c.src)))
		return ""
	}
	return v.Name
}

// choice returns a name that is one of options, or "", reported.
func (c *checker) choice(v *Value, what string, options ...string) string {
	w := c.word(v, what)
	if w == "" || slices.Contains(options, w) {
		return w
	}
	d := c.errorAt(v.at(), "%s %s is not known", what, clip(w))
	d.Suggestion = what + " is " + strings.Join(options, " or ")
	if near := diag.Nearest(strings.ToLower(w), options); near != "" {
		d.Suggestion = "did you mean " + near + "? " + d.Suggestion
	}
	return ""
}
