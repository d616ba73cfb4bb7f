package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The layout of an SVG, in pixels.
const (
	pictureWidth = 880
	rowHeight    = 20  // of Panel.Rows
	headHeight   = 30  // of a panel's title and key
	tickGap      = 8   // between an axis and the numbers beside it
	labelHeight  = 17  // the least distance of the lines of two labels
	labelGap     = 14  // from the end of the curves to the labels
	sampleWidth  = 22  // of the piece of line that stands for a curve
	labelWidth   = 300 // the most of a label's words
	footHeight   = 44  // numbers and title of the horizontal axis
	margin       = 14
)

// colours are told apart by readers who do not see some of them, on light and on dark
// ground: after those of Okabe and Ito, moved until TestColours was content. A marker
// goes with each.
var colours = []struct{ light, dark string }{
	{"#0056bb", "#4292f7"}, // blue
	{"#b64c0a", "#ea7f2a"}, // vermilion
	{"#008d5c", "#2fdd8e"}, // bluish green
	{"#b34c9e", "#df80cf"}, // reddish purple
	{"#d69810", "#fdd442"}, // orange
	{"#57adf5", "#b1f5ff"}, // sky blue
	{"#453957", "#afb4b1"}, // grey
	{"#642d26", "#a4854c"}, // brown
}

// The grounds of pictures.
const (
	lightGround = "#ffffff"
	darkGround  = "#1c2025"
)

// markers are paths around the point 0,0; as their number has no divisor in common
// with that of the colours, pairs repeat late.
var markers = []string{
	"M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z", // disc
	"M-3.2-3.2h6.4v6.4h-6.4z",                      // square
	"M0-4.4 4.2 3h-8.4z",                           // triangle
	"M0-4.7 4.7 0 0 4.7-4.7 0z",                    // diamond
	"M0 4.4 4.2-3h-8.4z",                           // triangle on its tip
}

// picture is an SVG that is being written.
type picture struct {
	strings.Builder
	figure      Figure
	left, right float64 // of all panels' plots
	x           axis
	many        bool  // curves, whose lines are thinner
	texts       []box // what has been written, for the test of overlaps
}

// box is about the room that a text takes.
type box struct {
	left, top, right, bottom float64
	text                     string
}

// SVG draws the figure. It needs no script, and its colours follow the reader's
// preference for light or dark where that is known, and are else for a light ground.
// It may stand in a file or in a page of HTML.
func (f Figure) SVG() string {
	p := newPicture(f)
	return p.String()
}

// newPicture lays the figure out and draws it: panels as high as they ask for, or as
// their labels need, and beside them the room of the widest number and label.
func newPicture(f Figure) *picture {
	p := &picture{figure: f, many: f.subjects() > 4}
	axes := make([]axis, len(f.Panels))
	heights := make([]float64, len(f.Panels))
	height := float64(margin + footHeight)
	numbers, labels := 0.0, 0.0
	for i, panel := range f.Panels {
		heights[i] = max(float64(rowHeight*panel.Rows), float64(labelHeight*len(panel.labelled())))
		axes[i] = panel.vertical(int(heights[i]/30), 14/heights[i])
		height += headHeight + heights[i]
		for _, t := range axes[i].ticks {
			numbers = max(numbers, textWidth(formatNumber(t)))
		}
		for _, c := range panel.labelled() {
			labels = max(labels, labelGap+sampleWidth+6+textWidth(fit(c.Label)))
		}
	}
	p.left = math.Ceil(margin + numbers + tickGap)
	p.right = math.Floor(pictureWidth - margin - max(labels, 12))
	p.x = horizontal(f.end(), int((p.right-p.left)/60))
	p.open(height)
	top := float64(margin)
	for i, panel := range f.Panels {
		p.panel(panel, axes[i], top+headHeight, top+headHeight+heights[i])
		top += headHeight + heights[i]
	}
	p.foot(top)
	p.WriteString("</svg>\n")
	return p
}

// labelled are the curves that have a label and an end for it to stand at.
func (p Panel) labelled() []Curve {
	var curves []Curve
	for _, c := range p.Curves {
		if _, ok := c.last(); ok && c.Label != "" {
			curves = append(curves, c)
		}
	}
	return curves
}

// f writes a piece of markup; numbers are printed with one digit at most.
func (p *picture) f(format string, args ...any) {
	for i, a := range args {
		if v, is := a.(float64); is {
			args[i] = coordinate(v)
		}
	}
	fmt.Fprintf(p, format, args...)
}

// coordinate prints a tenth of a pixel.
func coordinate(v float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}

func (p *picture) open(height float64) {
	p.f(`<svg xmlns="http://www.w3.org/2000/svg" class="curves" viewBox="0 0 %d %v" width="%d" height="%v" role="img" fill="none" `+
		`font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif" font-size="12">`+"\n",
		pictureWidth, height, pictureWidth, height)
	p.f("<title>%s</title>\n", escape(p.figure.Title))
	p.f("<style>\n.curves .head{font-weight:600}\n%s</style>\n", styles())
	p.f(`<rect class="ground" width="%d" height="%v"/>`+"\n", pictureWidth, height)
}

// styles are the colours, each a class: those of light ground first. A viewer
// without media queries keeps to them.
func styles() string {
	var b strings.Builder
	theme := func(ground, ink, soft, grid string, colour func(i int) string) {
		fmt.Fprintf(&b, ".curves .ground{fill:%s}.curves text{fill:%s}.curves .soft{fill:%s}.curves .grid{stroke:%s}.curves .mark,.curves .axis{stroke:%s}\n",
			ground, ink, soft, grid, soft)
		fmt.Fprintf(&b, ".curves .line-all{stroke:%s}", soft)
		for i := range colours {
			fmt.Fprintf(&b, ".curves .line-%d{stroke:%s}.curves .sign-%d{fill:%s}", i, colour(i), i, colour(i))
		}
		b.WriteByte('\n')
	}
	theme(lightGround, "#1c2128", "#5c6670", "#e4e8ec", func(i int) string { return colours[i].light })
	b.WriteString("@media (prefers-color-scheme:dark){\n")
	theme(darkGround, "#e3e7eb", "#97a2ad", "#323941", func(i int) string { return colours[i].dark })
	b.WriteString("}\n")
	return b.String()
}

// text writes words at a place and keeps the room that they take.
func (p *picture) text(x, y float64, anchor, class, words string) {
	w := textWidth(words)
	if class == "head" {
		w *= 1.1 // it is bold
	}
	left := x
	switch anchor {
	case "end":
		left = x - w
	case "middle":
		left = x - w/2
	}
	p.texts = append(p.texts, box{left, y - 10, left + w, y + 3, words})
	p.f(`<text x="%v" y="%v"`, x, y)
	if anchor != "start" {
		p.f(` text-anchor="%s"`, anchor)
	}
	if class != "" {
		p.f(` class="%s"`, class)
	}
	p.f(">%s</text>\n", escape(words))
}

// px is where an X lies.
func (p *picture) px(x float64) float64 { return p.left + p.x.at(x)*(p.right-p.left) }

// panel draws one panel, whose plot is between top and bottom.
func (p *picture) panel(panel Panel, y axis, top, bottom float64) {
	p.text(p.left, top-9, "start", "head", panel.heading())
	p.key(panel, top-13)
	py := func(v float64) float64 { return bottom - y.at(v)*(bottom-top) }
	for _, t := range y.ticks {
		p.f(`<path class="grid" d="M%v %vH%v"/>`+"\n", p.left, py(t), p.right)
		p.text(p.left-tickGap, py(t)+4, "end", "soft", formatNumber(t))
	}
	for _, m := range p.figure.Marks {
		p.f(`<path class="mark" stroke-dasharray="1 3" d="M%v %vV%v"/>`+"\n", p.px(m), top, bottom)
	}
	// A piece of the plane of its own, so that nothing is drawn outside.
	p.f(`<svg x="%v" y="%v" width="%v" height="%v" viewBox="%[1]v %[2]v %[3]v %[4]v">`+"\n", p.left-2, top, p.right-p.left+4, bottom-top+2)
	for _, c := range panel.Curves {
		p.curve(c, py)
	}
	p.f("</svg>\n")
	for _, c := range panel.Curves {
		p.markers(c, py, top)
	}
	p.f(`<path class="axis" d="M%v %vH%v"/>`+"\n", p.left, bottom, p.right)
	for _, t := range p.x.ticks {
		p.f(`<path class="axis" d="M%v %vv4"/>`+"\n", p.px(t), bottom)
	}
	p.labels(panel, py, top, bottom)
}

// key explains the styles of the panel's curves at the right of its title.
func (p *picture) key(panel Panel, y float64) {
	right := p.right
	entries := panel.key()
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		p.text(right, y+4, "end", "soft", e.part)
		right -= textWidth(e.part) + 6 + sampleWidth
		p.f(`<path class="line-all" %s d="M%v %vh%d"/>`+"\n", p.lineStyle(e.style), right, y, sampleWidth)
		right -= 14
	}
}

// lineStyle are the attributes of a line; its colour is that of its class.
func (p *picture) lineStyle(s Style) string {
	const line = `stroke-linejoin="round" stroke-linecap="round" stroke-width=`
	switch {
	case s == Dashed:
		return line + `"1.3" stroke-dasharray="3 4"`
	case p.many:
		return line + `"1.5"`
	}
	return line + `"2"`
}

// class is the colour of a subject, the end of the names of its classes.
func class(subject int) string {
	if subject == Shared {
		return "all"
	}
	return fmt.Sprint(subject % len(colours))
}

func (p *picture) curve(c Curve, py func(float64) float64) {
	strokes := c.strokes()
	if len(strokes) == 0 {
		return
	}
	p.f(`<path class="line-%s" %s d="`, class(c.Subject), p.lineStyle(c.Style))
	for _, stroke := range strokes {
		var drawn []Point
		for _, point := range stroke {
			drawn = append(drawn, Point{p.px(point.X), py(point.Y)})
		}
		for i, point := range thin(drawn) {
			if i == 0 {
				p.f("M%v %v", point.X, point.Y)
			} else {
				p.f("L%v %v", point.X, point.Y)
			}
		}
		if len(stroke) == 1 {
			p.f("h0") // a dot
		}
	}
	p.f(`"/>` + "\n")
}

// thin keeps the first, least, greatest and last of the points in a column of half a
// pixel, so that a path has a bounded length and looks the same.
func thin(points []Point) []Point {
	const column = 0.5
	var kept []Point
	for i := 0; i < len(points); {
		end, lo, hi := i, i, i
		for end+1 < len(points) && math.Floor(points[end+1].X/column) == math.Floor(points[i].X/column) {
			end++
			if points[end].Y < points[lo].Y {
				lo = end
			}
			if points[end].Y > points[hi].Y {
				hi = end
			}
		}
		last := -1
		for _, k := range []int{i, min(lo, hi), max(lo, hi), end} {
			if k != last {
				kept, last = append(kept, points[k]), k
			}
		}
		i = end + 1
	}
	return kept
}

// markers puts the subject's sign on a solid curve: at its end, and about eight times
// on the way, at other places than its neighbours' signs.
func (p *picture) markers(c Curve, py func(float64) float64, top float64) {
	const signs = 8
	if c.Style != Solid {
		return
	}
	every := max(1, len(c.Points)/signs)
	last, _ := c.last()
	for i, point := range c.Points {
		here := (i+1+c.Subject*every/3)%every == 0 || point == last
		if here && point.finite() && py(point.Y) >= top {
			p.marker(c.Subject, p.px(point.X), py(point.Y))
		}
	}
}

func (p *picture) marker(subject int, x, y float64) {
	p.f(`<path class="sign-%s" transform="translate(%v %v)" d="%s"/>`+"\n", class(subject), x, y, markers[max(0, subject)%len(markers)])
}

// Swatch is a subject's line with its marker, as an SVG for a table on the page that
// has the figure: the colours are the figure's.
func Swatch(subject int) string {
	const width, height = sampleWidth + 4, 12
	p := &picture{}
	p.f(`<svg class="curves" viewBox="0 0 %d %d" width="%d" height="%d" fill="none" aria-hidden="true">`, width, height, width, height)
	p.f(`<path class="line-%s" %s d="M2 6h%d"/>`, class(subject), p.lineStyle(Solid), sampleWidth)
	p.marker(subject, width/2, height/2)
	p.WriteString("</svg>")
	return p.String()
}

// labels writes names at the ends of curves: as near as they can be without
// touching, each with a piece of its line.
func (p *picture) labels(panel Panel, py func(float64) float64, top, bottom float64) {
	curves := panel.labelled()
	ends := make([]float64, len(curves))
	for i, c := range curves {
		last, _ := c.last()
		ends[i] = min(max(py(last.Y), top), bottom)
	}
	places := spread(ends, top+4, bottom-4, labelHeight)
	for i, c := range curves {
		x, y := p.right+labelGap, places[i]
		if last, _ := c.last(); last.X == p.x.hi {
			p.f(`<path class="line-%s" opacity=".5" d="M%v %vL%v %v"/>`+"\n", class(c.Subject), p.right+3, ends[i], x-2, y)
		}
		p.f(`<path class="line-%s" %s d="M%v %vh%d"/>`+"\n", class(c.Subject), p.lineStyle(c.Style), x, y, sampleWidth)
		if c.Style == Solid {
			p.marker(c.Subject, x+sampleWidth/2, y)
		}
		p.text(x+sampleWidth+6, y+4, "start", "", fit(c.Label))
	}
}

// foot writes the horizontal axis' numbers and title.
func (p *picture) foot(y float64) {
	for _, t := range p.x.ticks {
		p.text(p.px(t), y+17, "middle", "soft", formatNumber(t))
	}
	p.text((p.left+p.right)/2, y+34, "middle", "", p.figure.X)
}

// escape makes words markup.
func escape(words string) string { return html.EscapeString(Printable(words)) }

// fit cuts a label that is too long.
func fit(label string) string {
	runes := []rune(Printable(label))
	if textWidth(string(runes)) <= labelWidth {
		return string(runes)
	}
	for len(runes) > 0 && textWidth(string(runes)+"…") > labelWidth {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

// textWidth is about the width of words, rather too wide than too narrow: fonts differ.
func textWidth(words string) float64 {
	const size = 12
	w := 0.0
	for _, r := range words {
		switch {
		case r >= 0x1100: // ideographs and other wide ones
			w += 1.05
		case strings.ContainsRune("ijl.,:;'|!()[] tfI-", r):
			w += 0.38
		case strings.ContainsRune("mwMW%@", r):
			w += 0.95
		case r >= 'A' && r <= 'Z':
			w += 0.7
		default:
			w += 0.6
		}
	}
	return size * w
}
