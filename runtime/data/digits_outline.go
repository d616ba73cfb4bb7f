package data

import (
	"math"

	"golang.org/x/image/vector"
)

// point is a place in the plane, y down.
type point struct{ x, y float64 }

// segmentKind says how an outline goes on from where it is.
type segmentKind uint8

const (
	moveTo  segmentKind = iota // to p[0], without a line
	lineTo                     // to p[0]
	quadTo                     // to p[1], by way of p[0]
	cubicTo                    // to p[2], by way of p[0] and p[1]
)

// segment is one step of an outline.
type segment struct {
	kind segmentKind
	p    [3]point
}

// points returns the number of points that a kind of segment has.
func (k segmentKind) points() int {
	switch k {
	case quadTo:
		return 2
	case cubicTo:
		return 3
	}
	return 1
}

// outline is a filled shape: closed curves under the non-zero winding rule.
type outline []segment

// polygon appends a closed polygon.
func (o outline) polygon(corners ...point) outline {
	for i, c := range corners {
		kind := lineTo
		if i == 0 {
			kind = moveTo
		}
		o = append(o, segment{kind, [3]point{c}})
	}
	return o
}

// box returns the corners of the smallest upright rectangle around o's points.
func (o outline) box() (lo, hi point) {
	lo, hi = point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, s := range o {
		for _, p := range s.p[:s.kind.points()] {
			lo = point{min(lo.x, p.x), min(lo.y, p.y)}
			hi = point{max(hi.x, p.x), max(hi.y, p.y)}
		}
	}
	return lo, hi
}

// affine is the map (x, y) -> (a*x + b*y + dx, c*x + d*y + dy).
type affine struct{ a, b, c, d, dx, dy float64 }

func (m affine) apply(p point) point {
	return point{
		float64(m.a*p.x) + float64(m.b*p.y) + m.dx,
		float64(m.c*p.x) + float64(m.d*p.y) + m.dy,
	}
}

// transform returns o mapped by m.
func (o outline) transform(m affine) outline {
	out := make(outline, len(o))
	for i, s := range o {
		for k := range s.kind.points() {
			s.p[k] = m.apply(s.p[k])
		}
		out[i] = s
	}
	return out
}

// addTo draws o mapped by m into z.
func (o outline) addTo(z *vector.Rasterizer, m affine) {
	open := false
	for _, s := range o {
		var x, y [3]float32
		for k := range s.kind.points() {
			p := m.apply(s.p[k])
			x[k], y[k] = float32(p.x), float32(p.y)
		}
		switch s.kind {
		case moveTo:
			if open {
				z.ClosePath()
			}
			z.MoveTo(x[0], y[0])
			open = true
		case lineTo:
			z.LineTo(x[0], y[0])
		case quadTo:
			z.QuadTo(x[0], y[0], x[1], y[1])
		case cubicTo:
			z.CubeTo(x[0], y[0], x[1], y[1], x[2], y[2])
		}
	}
	if open {
		z.ClosePath()
	}
}
