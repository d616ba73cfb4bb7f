// Package diag holds source positions and diagnostics: what was wrong in a
// text, where, and what to write instead.
//
//	wrn-17-8.wrn:1:11: depth 17 is not 6N+4; nearest: 16 (N=2), 22 (N=3)
//	    model WRN-17-8
//	              ^^
//
// It imports nothing of wrnc, so that every stage can report in the same form.
package diag

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Pos is a place in a source text.
type Pos struct {
	File   string // name of the text as the user gave it
	Line   int    // 1-based; 0 where the text has no lines to point at
	Col    int    // 1-based, counted in characters, not bytes
	Offset int    // 0-based, in bytes
}

// String returns file:line:col, or the file alone where there is no line.
func (p Pos) String() string {
	if p.Line == 0 {
		return printable(p.File)
	}
	return fmt.Sprintf("%s:%d:%d", printable(p.File), p.Line, p.Col)
}

// Source is a text that positions point into.
type Source struct {
	Name string // shown in front of each position
	Text string
}

// Pos resolves a byte offset, clamped to the text, into a line and a column.
// It reads the text up to the offset, so it is meant for what gets printed or
// kept, not for every token.
func (s *Source) Pos(offset int) Pos {
	offset = min(max(offset, 0), len(s.Text))
	before := s.Text[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return Pos{
		File:   s.Name,
		Line:   strings.Count(before, "\n") + 1,
		Col:    utf8.RuneCountInString(before[start:]) + 1,
		Offset: offset,
	}
}

// excerptReach is how many bytes of a line an excerpt shows on each side of its
// mark: enough for any sane line, and a bound for a megabyte without a newline.
const excerptReach = 100

// Excerpt is the part of a source line that a diagnostic shows.
type Excerpt struct {
	Text string // the line, or a window of it with "..." where it is cut
	Skip int    // characters of Text before the marked ones
	Mark int    // characters marked, at least 1
}

// Excerpt returns the line around offset with length bytes of it marked. A mark
// ends at the line's end.
func (s *Source) Excerpt(offset, length int) Excerpt {
	offset = min(max(offset, 0), len(s.Text))
	lineStart := strings.LastIndexByte(s.Text[:offset], '\n') + 1
	lineEnd := len(s.Text)
	if i := strings.IndexByte(s.Text[offset:], '\n'); i >= 0 {
		lineEnd = offset + i
	}
	markEnd := min(offset+max(length, 0), lineEnd)

	from, to := lineStart, lineEnd
	var head, tail string
	if offset-from > excerptReach {
		from, head = runeStart(s.Text, offset-excerptReach), "..."
	}
	if to-offset > excerptReach {
		to, tail = runeStart(s.Text, offset+excerptReach), "..."
	}
	markEnd = min(markEnd, to)
	return Excerpt{
		Text: head + strings.TrimRight(s.Text[from:to], "\r") + tail,
		Skip: len(head) + utf8.RuneCountInString(s.Text[from:offset]),
		Mark: max(utf8.RuneCountInString(s.Text[offset:markEnd]), 1),
	}
}

// runeStart moves i back to the first byte of the character it lies in.
func runeStart(text string, i int) int {
	for n := 0; n < utf8.UTFMax && i > 0 && !utf8.RuneStart(text[i]); n++ {
		i--
	}
	return i
}
