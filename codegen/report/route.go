package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Lines between boxes that are not neighbours run vertically in a gutter beside
// the column of their source: one track a source, from which its readers branch
// off. No line crosses a box but below one of the backward pass, in the gap.

// net is a source and those of its readers that one gutter serves.
type net struct {
	from   *node
	y      int // where it leaves its box
	ends   []end
	lo, hi int // of the vertical part
	track  int
}

// end is where a net meets a reader.
type end struct {
	edge *edge
	y    int // of the horizontal part
	up   int // x at which it turns up into the box's bottom; 0: it enters at the side
}

// route draws the lines and so finds the columns' places.
func (d *drawing) route(forward []*node, rows []*row) {
	var mains []*node // of the backward pass, the lowest first
	rowOf := map[*node]*row{}
	for i := len(rows) - 1; i >= 0; i-- {
		for _, b := range []*node{rows[i].main, rows[i].leaf} {
			if b != nil {
				rowOf[b] = rows[i]
			}
		}
		if rows[i].main != nil {
			mains = append(mains, rows[i].main)
		}
	}
	below := neighbours(forward)
	above := neighbours(mains)

	var skips, across, back []*net
	var straight []*edge
	for _, b := range d.boxes {
		skip := &net{from: b, y: b.y + b.h - 13}
		over := &net{from: b, y: b.y + b.h - 13}
		turn := &net{from: b, y: b.y + 13}
		for _, e := range b.to {
			switch f, t := b.lane, e.to.lane; {
			case f == forwardLane && t == forwardLane && below[b] == e.to, f == backwardLane && t == backwardLane && above[b] == e.to:
				straight = append(straight, e)
			case f == forwardLane && t == forwardLane:
				skip.ends = append(skip.ends, end{edge: e, y: e.to.y})
			case f == forwardLane && t == backwardLane:
				over.ends = append(over.ends, end{edge: e, y: e.to.y + e.to.h})
			case f == forwardLane && t == gradientLane:
				r := rowOf[e.to]
				over.ends = append(over.ends, end{edge: e, y: r.foot + track*slices.Index(r.tracks, b), up: 1 + slices.Index(r.tracks, b)})
			case f == backwardLane && (t == backwardLane || t == gradientLane):
				turn.ends = append(turn.ends, end{edge: e, y: e.to.y + e.to.h})
			}
		}
		skips, across, back = appendNet(skips, skip), appendNet(across, over), appendNet(back, turn)
	}
	ports(skips, func(e *edge, k int) int { return e.to.y + 12 + 7*k })
	ports(across, func(e *edge, k int) int { return e.to.y + e.to.h - 13 - 7*k })
	ports(back, func(e *edge, k int) int { return e.to.y + e.to.h - 13 - 7*k })

	d.forward = margin + gutter(skips)
	d.backward = d.forward + mainWidth + gutter(across) + 10
	d.leaf = d.backward + mainWidth + gutter(back) + 10
	d.w = d.forward + mainWidth + margin
	d.titles = []title{{d.forward, "forward ↓"}}
	if len(rows) > 0 {
		d.titles = append(d.titles, title{d.backward, "backward ↑"}, title{d.leaf, "gradients of parameters"})
		d.w = d.leaf + leafWidth + margin
	}
	for _, b := range d.boxes {
		b.x = map[lane]int{forwardLane: d.forward, backwardLane: d.backward, gradientLane: d.leaf}[b.lane]
	}
	for _, e := range straight {
		d.wires = append(d.wires, d.vertical(e))
	}
	for _, n := range skips {
		x := d.forward - 12 - track*n.track
		for _, p := range n.ends {
			d.wires = append(d.wires, wire{p.edge, path(d.forward, n.y, x, n.y, x, p.y, d.forward, p.y)})
		}
	}
	for _, n := range across {
		right := d.forward + mainWidth
		x := right + 12 + track*n.track
		for _, p := range n.ends {
			if p.up > 0 {
				at := d.leaf + 8 + 9*p.up
				d.wires = append(d.wires, wire{p.edge, path(right, n.y, x, n.y, x, p.y, at, p.y, at, p.edge.to.y+p.edge.to.h)})
				continue
			}
			d.wires = append(d.wires, wire{p.edge, path(right, n.y, x, n.y, x, p.y, d.backward, p.y)})
		}
	}
	for _, n := range back {
		right := d.backward + mainWidth
		x := right + 12 + track*n.track
		for _, p := range n.ends {
			to := d.leaf
			if p.edge.to.lane == backwardLane {
				to = right
			}
			d.wires = append(d.wires, wire{p.edge, path(right, n.y, x, n.y, x, p.y, to, p.y)})
		}
	}
}

// neighbours maps each box to the next of its column.
func neighbours(column []*node) map[*node]*node {
	next := map[*node]*node{}
	for i := 1; i < len(column); i++ {
		next[column[i-1]] = column[i]
	}
	return next
}

func appendNet(nets []*net, n *net) []*net {
	if len(n.ends) == 0 {
		return nets
	}
	return append(nets, n)
}

// ports spreads the lines that enter a box at one side, so that each has an
// arrow of its own, those from far away first.
func ports(nets []*net, at func(e *edge, k int) int) {
	taken := map[*node]int{}
	for _, n := range nets {
		for i := range n.ends {
			p := &n.ends[i]
			if p.up == 0 {
				k := taken[p.edge.to]
				taken[p.edge.to]++
				most := max(1, (p.edge.to.h-30)/7)
				p.y = at(p.edge, k%most)
			}
		}
		n.lo, n.hi = n.y, n.y
		for _, p := range n.ends {
			n.lo, n.hi = min(n.lo, p.y), max(n.hi, p.y)
		}
	}
}

// gutter gives the nets tracks, short ones next to the column, such that no two
// lie on each other, and returns the width that they take.
func gutter(nets []*net) int {
	order := slices.Clone(nets)
	slices.SortStableFunc(order, func(a, b *net) int { return cmp.Compare(a.hi-a.lo, b.hi-b.lo) })
	tracks := 0
	for i, n := range order {
		for slices.ContainsFunc(order[:i], func(m *net) bool { return m.track == n.track && m.lo <= n.hi+track && n.lo <= m.hi+track }) {
			n.track++
		}
		tracks = max(tracks, n.track+1)
	}
	if tracks == 0 {
		return 8
	}
	return 18 + track*tracks
}

// vertical is a line to the next box of the column.
func (d *drawing) vertical(e *edge) wire {
	x := e.from.x + e.from.w/2
	if e.from.y < e.to.y {
		return wire{e, path(x, e.from.y+e.from.h, x, e.to.y)}
	}
	return wire{e, path(x, e.from.y, x, e.to.y+e.to.h)}
}

// path is a line through points, x and y in turn, with round corners.
func path(points ...int) string {
	const radius = 4
	var b strings.Builder
	fmt.Fprintf(&b, "M%d %d", points[0], points[1])
	for i := 2; i < len(points); i += 2 {
		x, y := points[i], points[i+1]
		if i+2 == len(points) {
			fmt.Fprintf(&b, "L%d %d", x, y)
			break
		}
		// To a corner's start, then around it.
		fromX, fromY := toward(x, y, points[i-2], points[i-1], radius)
		toX, toY := toward(x, y, points[i+2], points[i+3], radius)
		fmt.Fprintf(&b, "L%d %dQ%d %d %d %d", fromX, fromY, x, y, toX, toY)
	}
	return b.String()
}

// toward is the point at most r from (x, y) on the way to (tx, ty), half the way
// where that is nearer; one of the coordinates is the same.
func toward(x, y, tx, ty, r int) (int, int) {
	step := func(from, to int) int {
		d := (to - from) / 2
		return from + max(-r, min(r, d))
	}
	return step(x, tx), step(y, ty)
}
