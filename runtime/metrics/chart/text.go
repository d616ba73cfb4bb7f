package chart

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// TextOptions says how a figure becomes text.
type TextOptions struct {
	Width int  // columns; those below 40 are taken as 40
	ASCII bool // nothing but ASCII
	Color bool // escape sequences for colours
}

// minWidth is the least width of a figure of text.
const minWidth = 40

// terminalColours are those of SVGs, as near as the 256 of terminals come.
var terminalColours = []int{32, 166, 36, 169, 178, 117, 245, 137}

// letters tells whether curves are drawn by the letters of their subjects: where
// dots of one colour would not tell the curves apart.
func (o TextOptions) letters(subjects int) bool {
	return o.ASCII || !o.Color && subjects > 1
}

// Text draws the figure in lines of text. Curves are fine dots in the colours of
// their subjects, or else letters: * for what is solid and . for what is dashed, or
// with several subjects A and a, B and b. [Figure.Sign] says which is whose.
func (f Figure) Text(o TextOptions) string {
	o.Width = max(o.Width, minWidth)
	axes := make([]axis, len(f.Panels))
	gutter := 0
	for i, panel := range f.Panels {
		axes[i] = panel.vertical(max(2, panel.Rows/3+1), 1/float64(panel.Rows))
		for _, t := range axes[i].ticks {
			gutter = max(gutter, len(formatNumber(t)))
		}
	}
	columns := o.Width - gutter - 3
	x := horizontal(f.end(), columns/7)
	var b strings.Builder
	for i, panel := range f.Panels {
		b.WriteString(strings.Repeat(" ", gutter+2) + f.head(panel, o, columns) + "\n")
		c := newCanvas(columns, panel.Rows, o, f.subjects())
		for _, m := range f.Marks {
			c.mark(x.at(m))
		}
		for _, curve := range panel.Curves {
			c.curve(curve, x, axes[i])
		}
		numbers := make([]string, panel.Rows)
		for _, t := range axes[i].ticks {
			numbers[c.row(axes[i].at(t))] = formatNumber(t)
		}
		for row := range panel.Rows {
			edge := o.sign("│", "|")
			if numbers[row] != "" {
				edge = o.sign("┤", "+")
			}
			line := fmt.Sprintf("%*s %s%s", gutter, numbers[row], edge, c.line(row))
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		b.WriteString(strings.Repeat(" ", gutter+1) + f.floor(x, c, o) + "\n")
	}
	b.WriteString(f.foot(x, gutter+2, columns))
	return b.String()
}

// SignWidth is how many columns a sign takes.
const SignWidth = 2

// Sign is how Text draws a subject's solid curves, for a list of names.
func (f Figure) Sign(subject int, o TextOptions) string {
	n := f.subjects()
	if o.letters(n) {
		return letter(subject, Solid, n) + " "
	}
	return o.paint("━━", subject)
}

// letter is the sign of a curve where there are no fine dots.
func letter(subject int, s Style, subjects int) string {
	switch {
	case subjects <= 1 && s == Dashed:
		return "."
	case subjects <= 1 || subject == Shared:
		return "*"
	case s == Dashed:
		return string(rune('a' + subject))
	}
	return string(rune('A' + subject))
}

// sign is a character for those who have all, or one of ASCII.
func (o TextOptions) sign(any, ascii string) string {
	if o.ASCII {
		return ascii
	}
	return any
}

// paint gives text a subject's colour.
func (o TextOptions) paint(text string, subject int) string {
	if !o.Color || subject == Shared {
		return text
	}
	return fmt.Sprintf("\x1b[38;5;%dm%s\x1b[0m", terminalColours[subject%len(terminalColours)], text)
}

// head is the panel's title and its key, the latter left out where it has no room.
func (f Figure) head(p Panel, o TextOptions, columns int) string {
	n := f.subjects()
	var words []string
	for _, e := range p.key() {
		var sign string
		switch {
		case !o.letters(n) && e.style == Dashed:
			sign = "╌╌"
		case !o.letters(n):
			sign = "━━"
		case n > 1:
			sign = letter(0, e.style, n) + ".." + letter(n-1, e.style, n)
		default:
			sign = letter(0, e.style, n)
		}
		words = append(words, sign+" "+e.part)
	}
	title := Printable(p.heading())
	key := strings.Join(words, "  ")
	if room := columns - utf8.RuneCountInString(title) - utf8.RuneCountInString(key); key != "" && room > 0 {
		return title + strings.Repeat(" ", room) + key
	}
	if runes := []rune(title); len(runes) > columns {
		return string(runes[:columns])
	}
	return title
}

// floor is the line below a plot.
func (f Figure) floor(x axis, c *canvas, o TextOptions) string {
	line := make([]string, c.columns)
	for i := range line {
		line[i] = o.sign("─", "-")
	}
	for _, t := range x.ticks {
		line[c.column(x.at(t))] = o.sign("┬", "+")
	}
	return o.sign("└", "+") + strings.Join(line, "")
}

// foot has the horizontal axis' numbers, and what it counts.
func (f Figure) foot(x axis, indent, columns int) string {
	line := []rune(strings.Repeat(" ", columns))
	free := 0
	for _, t := range x.ticks {
		number := formatNumber(t)
		at := min(int(math.Round(x.at(t)*float64(columns-1)))-len(number)/2, columns-len(number))
		if at = max(at, 0); at < free {
			continue
		}
		copy(line[at:], []rune(number))
		free = at + len(number) + 1
	}
	title := fmt.Sprintf("%*s", columns/2+utf8.RuneCountInString(f.X)/2, f.X)
	pad := strings.Repeat(" ", indent)
	return pad + strings.TrimRight(string(line), " ") + "\n" + pad + title + "\n"
}

// canvas is a plot of cells: of 2 x 4 dots each, as Braille has them, or of one letter.
type canvas struct {
	columns, rows int
	letters       bool
	subjects      int
	o             TextOptions
	cells         []cell
	wide, high    int // dots of a cell
}

type cell struct {
	dots    rune // bits of a Braille character
	letter  string
	subject int // who drew last
	marked  bool
}

func newCanvas(columns, rows int, o TextOptions, subjects int) *canvas {
	c := &canvas{columns: columns, rows: rows, letters: o.letters(subjects), subjects: subjects, o: o, cells: make([]cell, columns*rows), wide: 2, high: 4}
	if c.letters {
		c.wide, c.high = 1, 1
	}
	return c
}

// dotX and dotY are the dots of a place of 0..1 on an axis.
func (c *canvas) dotX(at float64) int { return int(math.Round(at * float64(c.wide*c.columns-1))) }

func (c *canvas) dotY(at float64) int { return int(math.Round((1 - at) * float64(c.high*c.rows-1))) }

func (c *canvas) column(at float64) int { return c.dotX(at) / c.wide }

func (c *canvas) row(at float64) int { return c.dotY(at) / c.high }

// mark draws a vertical line behind all curves.
func (c *canvas) mark(at float64) {
	for row := range c.rows {
		c.cells[row*c.columns+c.column(at)].marked = true
	}
}

func (c *canvas) curve(curve Curve, x, y axis) {
	for _, stroke := range curve.strokes() {
		before := Point{x.at(stroke[0].X), y.at(stroke[0].Y)}
		phase := 0
		for _, p := range stroke {
			next := Point{x.at(p.X), y.at(p.Y)}
			phase = c.segment(before, next, curve, phase)
			before = next
		}
	}
}

// segment draws a straight piece from a to b, which are places on the axes, and what
// of it is outside not at all. Dashes go on from piece to piece by their phase.
func (c *canvas) segment(a, b Point, curve Curve, phase int) int {
	a, b, ok := clip(a, b)
	if !ok {
		return phase
	}
	fromX, fromY, toX, toY := c.dotX(a.X), c.dotY(a.Y), c.dotX(b.X), c.dotY(b.Y)
	n := max(abs(toX-fromX), abs(toY-fromY))
	for i := range n + 1 {
		t := 0.0
		if n > 0 {
			t = float64(i) / float64(n)
		}
		px := fromX + int(math.Round(t*float64(toX-fromX)))
		py := fromY + int(math.Round(t*float64(toY-fromY)))
		if c.letters || curve.Style != Dashed || (phase+i)%5 < 3 {
			c.dot(px, py, curve)
		}
	}
	return phase + n
}

// clip is the part of a segment between the vertical axis' ends.
func clip(a, b Point) (Point, Point, bool) {
	for _, end := range []struct{ sign, limit float64 }{{1, 1}, {-1, 0}} {
		over := func(p Point) float64 { return end.sign * (p.Y - end.limit) }
		switch oa, ob := over(a), over(b); {
		case oa > 0 && ob > 0:
			return a, b, false
		case oa > 0:
			a = Point{a.X + (b.X-a.X)*oa/(oa-ob), end.limit}
		case ob > 0:
			b = Point{b.X + (a.X-b.X)*ob/(ob-oa), end.limit}
		}
	}
	return a, b, true
}

// braille are the bits of a cell's dots, by row and column.
var braille = [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

func (c *canvas) dot(x, y int, curve Curve) {
	at := &c.cells[y/c.high*c.columns+x/c.wide]
	at.subject = curve.Subject
	if c.letters {
		at.letter = letter(curve.Subject, curve.Style, c.subjects)
	} else {
		at.dots |= braille[y%4][x%2]
	}
}

// line is a row of cells as text.
func (c *canvas) line(row int) string {
	var b strings.Builder
	for _, cell := range c.cells[row*c.columns : (row+1)*c.columns] {
		switch {
		case cell.letter != "":
			b.WriteString(c.o.paint(cell.letter, cell.subject))
		case cell.dots != 0:
			b.WriteString(c.o.paint(string(0x2800+cell.dots), cell.subject))
		case cell.marked:
			b.WriteString(c.o.sign("┊", ":"))
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func abs(v int) int { return max(v, -v) }
