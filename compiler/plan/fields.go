package plan

import (
	"fmt"
	"strings"
)

// fields reads the words of one line in their fixed order. After the first
// mistake every call returns a zero value, and end reports that mistake.
type fields struct {
	words []string
	err   error
}

func newFields(s string) *fields { return &fields{words: strings.Fields(s)} }

// check keeps the first mistake.
func (f *fields) check(err error) {
	if f.err == nil {
		f.err = err
	}
}

// next takes a word; want says what it should have been.
func (f *fields) next(want string) string {
	if f.err != nil {
		return ""
	}
	if len(f.words) == 0 {
		f.check(fmt.Errorf("expected %s at the end of the line", want))
		return ""
	}
	w := f.words[0]
	f.words = f.words[1:]
	return w
}

// literal takes a word that is always the same.
func (f *fields) literal(s string) {
	if w := f.next(s); f.err == nil && w != s {
		f.check(fmt.Errorf("expected %q, found %q", s, clip(w)))
	}
}

// flag takes the word if it is there.
func (f *fields) flag(s string) bool {
	if f.err == nil && len(f.words) > 0 && f.words[0] == s {
		f.words = f.words[1:]
		return true
	}
	return false
}

// more tells whether there are words left.
func (f *fields) more() bool { return f.err == nil && len(f.words) > 0 }

// has tells whether the next word is key=...
func (f *fields) has(key string) bool { return f.more() && strings.HasPrefix(f.words[0], key+"=") }

func (f *fields) name() string {
	w := f.next("a name")
	if f.err == nil {
		f.check(checkName(w))
	}
	return w
}

// value takes KEY=VALUE.
func (f *fields) value(key string) string {
	w := f.next(key + "=")
	v, ok := strings.CutPrefix(w, key+"=")
	if f.err == nil && !ok {
		f.check(fmt.Errorf("expected %s=, found %q", key, clip(w)))
	}
	return v
}

func (f *fields) nameValue(key string) string {
	v := f.value(key)
	if f.err == nil {
		f.check(checkName(v))
	}
	return v
}

// int takes KEY=N with lo <= N <= hi.
func (f *fields) int(key string, lo, hi int) int {
	v := f.value(key)
	if f.err != nil {
		return 0
	}
	n, err := parseInt(v, lo, hi)
	if err != nil {
		f.check(fmt.Errorf("%s: %w", key, err))
	}
	return n
}

// size takes KEY=N for a number of bytes, elements, rows or the like.
func (f *fields) size(key string) int { return f.int(key, 0, maxSize) }

// index takes a letter with an index below n, as in b12.
func (f *fields) index(letter string, n int) int {
	w := f.next(letter + "N")
	if f.err != nil {
		return 0
	}
	i, err := parseIndex(w, letter, n)
	f.check(err)
	return i
}

// indexes takes all words that are left as indices.
func (f *fields) indexes(letter string, n int) []int {
	var out []int
	for f.err == nil && len(f.words) > 0 {
		out = append(out, f.index(letter, n))
	}
	return out
}

func (f *fields) end() error {
	if f.err == nil && len(f.words) > 0 {
		f.err = fmt.Errorf("expected the end of the line, found %q", clip(f.words[0]))
	}
	return f.err
}

// parseIndex reads a letter and an index below n.
func parseIndex(w, letter string, n int) (int, error) {
	s, ok := strings.CutPrefix(w, letter)
	if !ok || n == 0 {
		return 0, fmt.Errorf("expected one of %d indices %s0, %s1, ..., found %q", n, letter, letter, clip(w))
	}
	i, err := parseInt(s, 0, n-1)
	if err != nil {
		return 0, fmt.Errorf("expected one of %d indices %s0, %s1, ..., found %q", n, letter, letter, clip(w))
	}
	return i, nil
}

// find returns the index of a word in an enumeration's table of names.
func find(names []string, w string) (int, bool) {
	for i, n := range names {
		if n != "" && n == w {
			return i, true
		}
	}
	return 0, false
}

// enum takes a word of an enumeration.
func (f *fields) enum(what string, names []string) int {
	w := f.next(what)
	if f.err != nil {
		return 0
	}
	i, ok := find(names, w)
	if !ok {
		f.check(fmt.Errorf("expected %s (%s), found %q", what, strings.Join(names[1:], ", "), clip(w)))
	}
	return i
}
