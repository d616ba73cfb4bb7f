package diag

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

const indent = "    "

// String renders d: the position and the message, the source line, a caret
// under what is meant, and the remarks. It ends in a newline. Characters that
// could steer a terminal are replaced.
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.Pos.String())
	b.WriteString(": ")
	if d.Severity != Error {
		b.WriteString(d.Severity.String() + ": ")
	}
	b.WriteString(printable(d.Message))
	if d.Suggestion != "" {
		b.WriteString("; " + printable(d.Suggestion))
	}
	b.WriteByte('\n')
	d.Excerpt.write(&b)
	for _, n := range d.Notes {
		if n.Pos == (Pos{}) {
			fmt.Fprintf(&b, "%snote: %s\n", indent, printable(n.Message))
			continue
		}
		fmt.Fprintf(&b, "%s: note: %s\n", n.Pos, printable(n.Message))
	}
	return b.String()
}

// String renders every diagnostic of l in order.
func (l List) String() string {
	var b strings.Builder
	for _, d := range l {
		b.WriteString(d.String())
	}
	return b.String()
}

// Fprint writes every diagnostic of l to w.
func (l List) Fprint(w io.Writer) error {
	_, err := io.WriteString(w, l.String())
	return err
}

// write prints the excerpt and its caret line. The caret line repeats the tabs
// of the line above it, so the two align whatever a tab is worth.
func (e Excerpt) write(b *strings.Builder) {
	if e.Mark == 0 || strings.TrimSpace(e.Text) == "" {
		return
	}
	b.WriteString(indent + printable(e.Text) + "\n" + indent)
	column := 0
	for _, r := range e.Text {
		if column == e.Skip {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
		column++
	}
	b.WriteString(strings.Repeat("^", e.Mark) + "\n")
}

// printable replaces each character that does not print by U+FFFD, one for one.
// Tabs stay.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
