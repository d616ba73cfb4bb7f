package data

import "math"

// colour is red, green and blue, 0 to 255.
type colour [3]int

// luma returns the brightness of c, 0 to 255 (ITU-R BT.601 weights).
func (c colour) luma() int { return (299*c[0] + 587*c[1] + 114*c[2]) / 1000 }

const (
	// minContrast is the least difference in brightness between a digit and
	// everything that lies behind it, before blur and noise.
	minContrast = 50
	// maxSlope is how far a slope moves a channel from the middle to the border.
	maxSlope = 14
	// lineTint is how far the brightness of a line may lie from the background's.
	lineTint = 18
	// pickContrast is the difference between the two colours that are picked, so
	// that minContrast is left when slopes on both sides and a line eat into it.
	pickContrast = minContrast + 2*maxSlope + lineTint
	// maxTurn is the greatest rotation, in degrees: 6 and 9 stay what they are.
	maxTurn = 12
)

// glyphAt is a digit and where it stands.
type glyphAt struct {
	shape outline
	at    affine
}

// slope changes a colour linearly over the picture.
type slope struct{ x, y colour } // change from the middle to the right and to the lower border

// line is a straight stroke behind the digit.
type line struct {
	shape outline
	ink   colour
}

// scene is everything that makes one picture.
type scene struct {
	label                 int
	digit                 glyphAt
	neighbours            []glyphAt
	front, back           colour
	frontSlope, backSlope slope
	lines                 []line
	blur                  bool
	noise                 int // greatest change of a channel by noise
	noiseSeed             [2]uint64
}

// newScene draws a scene around a digit.
func newScene(r *chance, label int, fonts []digitFont) *scene {
	s := &scene{label: label}
	font := &fonts[r.IntN(len(fonts))]
	m := r.pose(font[label])
	s.digit = glyphAt{font[label], m}
	for _, side := range []float64{-1, 1} {
		if r.of(0.5) {
			s.neighbours = append(s.neighbours, r.neighbour(s.digit, side, font[r.IntN(10)]))
		}
	}
	s.front, s.back = r.colours()
	s.frontSlope, s.backSlope = r.slope(), r.slope()
	for range r.IntN(4) {
		s.lines = append(s.lines, r.line(s.back))
	}
	s.blur = r.of(0.35)
	s.noise = r.IntN(22)
	s.noiseSeed = [2]uint64{r.Uint64(), r.Uint64()}
	return s
}

// pose returns a random size, width, slant, turn and place for a digit, such
// that all of it lies inside the picture.
func (r *chance) pose(shape outline) affine {
	const (
		margin = 1.0
		room   = digitsSide - 2*margin
	)
	height := r.between(16, 25)
	width := height * r.between(0.75, 1.2)
	slant := r.between(-0.15, 0.15)
	sin, cos := math.Sincos(r.between(-maxTurn, maxTurn) * math.Pi / 180)
	// Turn after slant after scale.
	m := affine{a: cos * width, b: float64(cos*-slant*height) - float64(sin*height), c: sin * width, d: float64(sin*-slant*height) + float64(cos*height)}
	lo, hi := shape.transform(m).box()
	if shrink := room / max(hi.x-lo.x, hi.y-lo.y); shrink < 1 {
		m.a, m.b, m.c, m.d = m.a*shrink, m.b*shrink, m.c*shrink, m.d*shrink
		lo, hi = shape.transform(m).box()
	}
	place := func(lo, hi float64) float64 {
		at := digitsSide/2 + r.between(-3, 3)
		return max(margin-lo, min(digitsSide-margin-hi, at))
	}
	m.dx = place(lo.x, hi.x)
	m.dy = place(lo.y, hi.y)
	return m
}

// neighbour returns another digit of the same font and pose to the left (side
// -1) or to the right (+1) of the one in the middle, so far out that the
// border cuts it about in half or more: only one digit is whole.
func (r *chance) neighbour(middle glyphAt, side float64, shape outline) glyphAt {
	lo, hi := middle.shape.box()
	nlo, nhi := shape.box()
	step := (hi.x-lo.x)/2 + (nhi.x-nlo.x)/2 + r.between(0.06, 0.2)
	at := middle.at
	// Along the line of writing, which the turn tilts.
	out := digitsSide/2 + r.between(-1, 3)
	dx, dy := float64(at.a*step*side), float64(at.c*step*side)
	if far := (out + float64(side*(digitsSide/2-at.dx))) / (at.a * step); far > 1 {
		dx, dy = float64(dx*far), float64(dy*far)
	}
	at.dx += dx
	at.dy += dy
	return glyphAt{shape, at}
}

// colours returns two colours whose brightness differs by pickContrast or
// more; either may be the brighter one. They keep clear of black and white by
// a slope's change, so that no slope is cut off.
func (r *chance) colours() (front, back colour) {
	for {
		front, back = r.colour(), r.colour()
		if d := front.luma() - back.luma(); max(d, -d) >= pickContrast {
			return front, back
		}
	}
}

func (r *chance) colour() colour {
	var c colour
	for i := range c {
		c[i] = maxSlope + r.IntN(256-2*maxSlope)
	}
	return c
}

// slope returns a slope of which both directions together stay within maxSlope.
func (r *chance) slope() slope {
	var s slope
	for i := range 3 {
		s.x[i] = r.IntN(maxSlope+1) - maxSlope/2
		s.y[i] = r.IntN(maxSlope+1) - maxSlope/2
	}
	return s
}

// line returns a straight line across the picture in a colour near the
// background's brightness.
func (r *chance) line(back colour) line {
	ink := back
	for i := range ink {
		ink[i] = min(255, max(0, ink[i]+r.IntN(2*lineTint+1)-lineTint))
	}
	const far = 2 * digitsSide
	x, y := r.between(0, digitsSide), r.between(0, digitsSide)
	sin, cos := math.Sincos(r.between(0, math.Pi))
	half := r.between(0.4, 1.8)
	m := affine{a: cos, b: -sin, c: sin, d: cos, dx: x, dy: y}
	bar := outline{}.polygon(point{-far, -half}, point{far, -half}, point{far, half}, point{-far, half})
	return line{bar.transform(m), ink}
}
