package data

import "math"

// segmentFont returns digits as a seven-segment display shows them, in a cell
// of 0.6 x 1 with bars of the given thickness.
//
//	 _0_
//	5   1
//	 _6_
//	4   2
//	 _3_
func segmentFont(thick float64) digitFont {
	// Bit s of a digit's entry says that segment s is lit.
	lit := [10]uint8{0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f}
	const w = 0.6
	half, gap := thick/2, 0.01
	bars := [7][2]point{
		{{half, half}, {w - half, half}},
		{{w - half, half}, {w - half, 0.5}},
		{{w - half, 0.5}, {w - half, 1 - half}},
		{{half, 1 - half}, {w - half, 1 - half}},
		{{half, 0.5}, {half, 1 - half}},
		{{half, half}, {half, 0.5}},
		{{half, 0.5}, {w - half, 0.5}},
	}
	var digits [10]outline
	for d := range digits {
		for s, bar := range bars {
			if lit[d]>>s&1 == 1 {
				digits[d] = digits[d].bar(bar[0], bar[1], half, gap)
			}
		}
	}
	return newDigitFont(digits)
}

// bar appends a bar from p to q, which lie on one row or one column, with
// pointed ends that stop short of p and q by gap.
func (o outline) bar(p, q point, half, gap float64) outline {
	if p.y == q.y {
		l, r := p.x+gap, q.x-gap
		return o.polygon(point{l, p.y}, point{l + half, p.y - half}, point{r - half, p.y - half},
			point{r, p.y}, point{r - half, p.y + half}, point{l + half, p.y + half})
	}
	t, b := p.y+gap, q.y-gap
	return o.polygon(point{p.x, t}, point{p.x + half, t + half}, point{p.x + half, b - half},
		point{p.x, b}, point{p.x - half, b - half}, point{p.x - half, t + half})
}

// penFont returns digits drawn with a round pen of the given width, in cells
// about 0.6 wide and 1 high between the middles of the outer strokes.
func penFont(width float64) digitFont {
	var digits [10]outline
	for d, strokes := range penStrokes() {
		for _, path := range strokes {
			digits[d] = digits[d].pen(path, width/2)
		}
	}
	return newDigitFont(digits)
}

// penStrokes returns the paths of the pen for each digit.
func penStrokes() [10][][]point {
	j := func(paths ...[]point) []point {
		var all []point
		for _, p := range paths {
			all = append(all, p...)
		}
		return all
	}
	// Angles in degrees, clockwise from the right, because y points down.
	return [10][][]point{
		{arc(0.3, 0.5, 0.3, 0.5, 0, 360)},
		{{{0.05, 0.2}, {0.3, 0}, {0.3, 1}}},
		{j(arc(0.3, 0.28, 0.28, 0.28, 180, 390), []point{{0, 1}, {0.62, 1}})},
		{j(arc(0.28, 0.25, 0.26, 0.25, 190, 450), arc(0.28, 0.75, 0.3, 0.25, 270, 530))},
		{{{0.62, 0.68}, {0, 0.68}, {0.44, 0}, {0.44, 1}}},
		{j([]point{{0.55, 0}, {0.08, 0}, {0.04, 0.45}}, arc(0.28, 0.68, 0.31, 0.32, 225, 500))},
		{j([]point{{0.5, 0}, {0.18, 0.3}}, arc(0.3, 0.69, 0.3, 0.31, 200, -160))},
		{{{0, 0}, {0.58, 0}, {0.2, 1}}},
		{arc(0.3, 0.24, 0.25, 0.24, 0, 360), arc(0.3, 0.74, 0.3, 0.26, 0, 360)},
		{j(arc(0.3, 0.31, 0.3, 0.31, 20, 380), []point{{0.42, 0.7}, {0.12, 1}})},
	}
}

// arc returns points on the ellipse around (cx, cy) with radii rx and ry, from
// one angle in degrees to another.
func arc(cx, cy, rx, ry, from, to float64) []point {
	const steps = 24
	path := make([]point, steps+1)
	for i := range path {
		angle := (from + float64((to-from)*float64(i)/steps)) * math.Pi / 180
		sin, cos := math.Sincos(angle)
		path[i] = point{cx + float64(rx*cos), cy + float64(ry*sin)}
	}
	return path
}

// pen appends what a round pen of the given radius leaves along a path: a
// rectangle for each step and an octagon at each point, all turning the same
// way, so that overlaps stay filled.
func (o outline) pen(path []point, radius float64) outline {
	for i, p := range path {
		var disc [8]point
		for k := range disc {
			sin, cos := math.Sincos(float64(k) * math.Pi / 4)
			disc[k] = point{p.x + float64(radius*cos), p.y + float64(radius*sin)}
		}
		o = o.polygon(disc[:]...)
		if i == 0 {
			continue
		}
		from := path[i-1]
		dx, dy := p.x-from.x, p.y-from.y
		s := radius / math.Hypot(dx, dy)
		nx, ny := float64(-dy*s), float64(dx*s)
		o = o.polygon(point{from.x - nx, from.y - ny}, point{p.x - nx, p.y - ny}, point{p.x + nx, p.y + ny}, point{from.x + nx, from.y + ny})
	}
	return o
}
