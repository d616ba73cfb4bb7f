package report

import (
	"slices"

	"wrnc/compiler/ir"
)

// A training step is drawn as a U: the forward pass runs down on the left, the
// backward pass up beside it, so that a gradient stands at the height of what it
// is the gradient of, and the activation that it reads comes from nearby. The
// gradients that only updates read stand at the right. What is computed from
// states alone, and updates, are lists above and below; they have no lines.
//
//	            forward          backward        gradients of states
//	launch 0   [conv0]
//	           [conv1] ────────> [conv1.dgrad]   [conv1.wgrad]   launch 5
//	           [conv2] ────────> [conv2.dgrad]   [conv2.wgrad]   launch 4
//	launch 3   [loss ]           [loss.grad  ]

// Sizes in pixels. Boxes are drawn in these sizes whatever the reader's fonts.
const (
	mainWidth  = 252
	leafWidth  = 236
	boxPad     = 9
	headHeight = 41 // two lines of text
	lineHeight = 18 // of pills
	footHeight = 12 // the bar
	pillChar   = 6.1
	pillPad    = 11
	pillGap    = 3
	boxGap     = 14
	track      = 6 // between two lines
	margin     = 14
	titleSpace = 30 // over the columns
)

// pill is an op in a box.
type pill struct{ Text, Class string }

// drawing is a graph with places.
type drawing struct {
	w, h     int
	titles   []title
	wires    []wire
	boxes    []*node // those that have a place
	forward  int     // left edges of the columns
	backward int
	leaf     int
}

// title heads a column.
type title struct {
	X    int
	Text string
}

// wire is an edge as a path of SVG.
type wire struct {
	edge *edge
	path string
}

// row is a launch of the backward pass: pairs of boxes, either of which may be
// nil, the lowest of the pass at the bottom.
type row struct {
	main, leaf *node
	tracks     []*node // sources of the lines that run below the row
	top, foot  int     // foot: where those lines begin
}

// layout places the boxes and draws the lines.
func (g *graph) layout() *drawing {
	var forward, backward []*node
	for _, b := range g.nodes {
		b.measure()
		switch b.lane {
		case forwardLane:
			forward = append(forward, b)
		case backwardLane, gradientLane:
			backward = append(backward, b)
		}
	}
	d := &drawing{boxes: append(slices.Clone(forward), backward...)}
	rows := backwardRows(backward)
	for _, r := range rows {
		r.findTracks()
	}
	d.stack(g, forward, rows)
	d.route(forward, rows)
	return d
}

// measure breaks a box's ops into lines and finds its size.
func (b *node) measure() {
	b.w = mainWidth
	if b.lane == gradientLane {
		b.w = leafWidth
	}
	room := float64(b.w - 2*boxPad)
	x := room
	for _, p := range b.pills() {
		w := pillChar*float64(len([]rune(p.Text))) + pillPad
		if x+w > room || len(b.lines) == 0 {
			b.lines, x = append(b.lines, nil), 0
		}
		b.lines[len(b.lines)-1] = append(b.lines[len(b.lines)-1], p)
		x += w + pillGap
	}
	b.h = headHeight + lineHeight*len(b.lines) + footHeight
}

// pills lists a fusion's ops: what comes before the root, the root, what follows.
func (b *node) pills() []pill {
	if b.fusion == nil {
		return []pill{{"copy", "post"}}
	}
	stages := stagesOf(b.fusion.Body)
	var out []pill
	for _, s := range []stage{prologue, root, epilogue, finish} {
		for i, n := range b.fusion.Body.Nodes {
			if stages[i] == s {
				out = append(out, pill{opLabel(n), s.class()})
			}
		}
	}
	return out
}

// stage is the part of a region that an op belongs to.
type stage uint8

const (
	prologue stage = iota
	root
	epilogue
	finish
)

func (s stage) String() string { return [...]string{"prologue", "root", "epilogue", "finish"}[s] }

func (s stage) class() string { return [...]string{"pre", "root", "post", "fin"}[s] }

// stagesOf tells of each op of a region which part it belongs to. A region
// without a root is an epilogue.
func stagesOf(body *ir.Body) []stage {
	made := map[*ir.Value]*ir.Node{}
	for _, n := range body.Nodes {
		for _, v := range n.Results {
			made[v] = n
		}
	}
	before := map[*ir.Node]bool{}
	var mark func(n *ir.Node)
	mark = func(n *ir.Node) {
		for _, a := range n.Args {
			if m := made[a]; m != nil && !before[m] {
				before[m] = true
				mark(m)
			}
		}
	}
	center := body.Root()
	if center != nil {
		mark(center)
	}
	stages := make([]stage, len(body.Nodes))
	for i, n := range body.Nodes {
		switch {
		case n == center:
			stages[i] = root
		case before[n]:
			stages[i] = prologue
		case n.Op.Class() == ir.Channel:
			stages[i] = finish
		default:
			stages[i] = epilogue
		}
		if center == nil && n.Op.Class() == ir.Opaque {
			stages[i] = root
		}
	}
	return stages
}

// backwardRows arranges the backward pass, the last launch first: it stands at
// the top.
func backwardRows(nodes []*node) []*row {
	var rows []*row
	for end := len(nodes); end > 0; {
		start := end - 1
		for start > 0 && nodes[start-1].first == nodes[end-1].first {
			start--
		}
		var mains, leaves []*node
		for _, b := range nodes[start:end] {
			if b.lane == gradientLane {
				leaves = append(leaves, b)
			} else {
				mains = append(mains, b)
			}
		}
		for i := range max(len(mains), len(leaves)) {
			r := &row{}
			if i < len(mains) {
				r.main = mains[i]
			}
			if i < len(leaves) {
				r.leaf = leaves[i]
			}
			rows = append(rows, r)
		}
		end = start
	}
	return rows
}

// findTracks lists the forward boxes from which the row's gradient reads: their
// lines pass below the box of the backward pass.
func (r *row) findTracks() {
	if r.leaf == nil {
		return
	}
	for _, e := range r.leaf.from {
		if e.from.lane == forwardLane {
			r.tracks = append(r.tracks, e.from)
		}
	}
}

func (r *row) height() int {
	h := 0
	for _, b := range []*node{r.main, r.leaf} {
		if b != nil {
			h = max(h, b.h)
		}
	}
	return h
}

// stack gives every box its height on the page. The forward boxes of a launch
// are a block; beside it stand the rows that belong to it.
func (d *drawing) stack(g *graph, forward []*node, rows []*row) {
	belongs := partners(g, rows)
	y, next := titleSpace, 0
	place := func(until int) int { // rows of blocks up to the box with this index
		at := y
		for ; next < len(rows) && belongs[next] < until; next++ {
			r := rows[next]
			r.top = at
			for _, b := range []*node{r.main, r.leaf} {
				if b != nil {
					b.y = at
				}
			}
			at += r.height()
			r.foot = at + track
			at += boxGap + track*len(r.tracks)
		}
		return at
	}
	for start := 0; start < len(forward); {
		end, at := start, y
		for end < len(forward) && forward[end].first == forward[start].first {
			forward[end].y = at
			at += forward[end].h + boxGap
			end++
		}
		until := len(g.nodes)
		if end < len(forward) {
			until = forward[end].at
		}
		y = max(at, place(until))
		start = end
	}
	d.h = max(y, place(len(g.nodes))) - boxGap + margin
}

// partners finds for each row the forward box that it belongs to: the one with
// the layer of the row's ops. Rows stay in order, so a row's partner is not
// before that of the row above.
func partners(g *graph, rows []*row) []int {
	byLayer := map[string]*node{}
	for _, root := range []bool{false, true} { // the region around a layer's root is its own
		for _, b := range g.nodes {
			if b.lane != forwardLane {
				continue
			}
			for _, n := range b.fusion.Body.Nodes {
				if !root || n == b.fusion.Body.Root() {
					byLayer[n.Layer] = b
				}
			}
		}
	}
	partner := func(b *node) int {
		if b == nil {
			return 0
		}
		n := b.fusion.Body.Root()
		if n == nil {
			n = b.fusion.Body.Nodes[len(b.fusion.Body.Nodes)-1]
		}
		if p := byLayer[n.Layer]; p != nil {
			return p.at
		}
		return 0
	}
	at, last := make([]int, len(rows)), 0
	for i, r := range rows {
		last = max(last, partner(r.main))
		if r.main == nil {
			last = max(last, partner(r.leaf))
		}
		at[i] = last
	}
	return at
}
