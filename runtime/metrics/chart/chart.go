// Package chart draws curves over a common horizontal axis: as SVG for a page or
// a file ([Figure.SVG]) and as text for a terminal ([Figure.Text]). [Training]
// makes the figure of one or several training runs.
//
//	figure := chart.Training("WRN-16-4 on cifar10", []chart.Run{{Epochs: log.Epochs}})
//	page := figure.SVG()
//	fmt.Print(figure.Text(chart.TextOptions{Width: 80, ASCII: true}))
//
// Names and titles may hold anything: what is not printable is replaced, and
// markup is escaped.
package chart

import (
	"math"
	"strings"
	"unicode"
)

// MaxSubjects is how many runs one figure tells apart, by a letter each.
const MaxSubjects = 26

// Figure is panels one below the other that share their horizontal axis, which
// starts at 0.
type Figure struct {
	Title  string    // for those who do not see the picture
	X      string    // what the horizontal axis counts, in whole numbers
	Marks  []float64 // where thin vertical lines cross all panels
	Panels []Panel
}

// Panel is one vertical axis with its curves. A linear axis starts at 0; one that
// is Log becomes linear where a value is not above 0.
type Panel struct {
	Title  string    // the quantity and its unit
	Rows   int       // height: lines of text, or as many times 20 pixels
	Log    bool      // a logarithmic axis
	Top    float64   // what is above is cut off, and the title says so; 0 for nothing
	Ticks  []float64 // where the ticks are; nil for round numbers
	Curves []Curve   // later ones are drawn over earlier ones
}

// Style is how a curve's line looks.
type Style int

const (
	Solid  Style = iota
	Dashed       // for what matters less
	Steps        // each value holds from the X of the point before to its own, the first for 1
)

// Shared is the Subject of a curve that belongs to all subjects.
const Shared = -1

// Curve is one line of a panel.
type Curve struct {
	Subject int    // whose curve it is, counted from 0: its colour, marker and letter
	Part    string // what of the subject it shows; the panel's key explains the styles by it
	Style   Style
	Label   string  // stands at the curve's end in the SVG; "" for none
	Points  []Point // by ascending X
}

// Point is a point of a curve. Where Y is not finite the curve has a gap.
type Point struct{ X, Y float64 }

// Values beyond huge are not drawn, as those that are not finite; below tiny, and
// down to -tiny, they are 0.
const (
	huge = 1e12
	tiny = 1e-12
)

// finite tells whether the point can be drawn.
func (p Point) finite() bool { return math.Abs(p.Y) <= huge } // not for NaN

// last is the curve's last point that can be drawn.
func (c Curve) last() (p Point, ok bool) {
	for i := len(c.Points) - 1; i >= 0; i-- {
		if c.Points[i].finite() {
			return c.Points[i], true
		}
	}
	return Point{}, false
}

// strokes are the curve's pieces between gaps, steps written out as corners.
func (c Curve) strokes() [][]Point {
	var all [][]Point
	var stroke []Point
	before := 0.0
	for i, p := range c.Points {
		if i == 0 {
			before = p.X - 1
		}
		if !p.finite() {
			if len(stroke) > 0 {
				all = append(all, stroke)
			}
			stroke = nil
		} else {
			if c.Style == Steps {
				stroke = append(stroke, Point{before, p.Y})
			}
			stroke = append(stroke, p)
		}
		before = p.X
	}
	if len(stroke) > 0 {
		all = append(all, stroke)
	}
	return all
}

// end is the greatest X of all points, at least 1.
func (f Figure) end() float64 {
	end := 1.0
	for _, panel := range f.Panels {
		for _, c := range panel.Curves {
			if n := len(c.Points); n > 0 {
				end = max(end, c.Points[n-1].X)
			}
		}
	}
	return end
}

// subjects is how many subjects the figure has.
func (f Figure) subjects() int {
	n := 0
	for _, panel := range f.Panels {
		for _, c := range panel.Curves {
			n = max(n, c.Subject+1)
		}
	}
	return n
}

// keyEntry explains a style.
type keyEntry struct {
	part  string
	style Style
}

// key lists the parts that a panel shows, the last drawn first, as that is the one
// that matters most. A panel of one style needs no key.
func (p Panel) key() []keyEntry {
	var entries []keyEntry
	seen := map[keyEntry]bool{}
	for i := len(p.Curves) - 1; i >= 0; i-- {
		e := keyEntry{p.Curves[i].Part, p.Curves[i].Style}
		if !seen[e] {
			seen[e] = true
			entries = append(entries, e)
		}
	}
	if len(entries) < 2 {
		return nil
	}
	return entries
}

// heading is the panel's title, with where it is cut off.
func (p Panel) heading() string {
	if p.Top > 0 {
		return p.Title + " (cut off above " + formatNumber(p.Top) + ")"
	}
	return p.Title
}

// Printable replaces what moves a terminal's cursor, or is no character of XML.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
