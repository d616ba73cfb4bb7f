package report

import (
	"cmp"
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// graph is a function as boxes and edges. A box is a fusion, or a kernel that
// belongs to none, as the copy of a state.
type graph struct {
	f       *ir.Func
	p       *plan.Plan
	name    func(*ir.Value) string
	nodes   []*node // in launch order
	launch  []int   // of each kernel
	writers []*node // of each buffer; nil for what the caller gives
	buffers map[*ir.Value]int
}

// node is a box.
type node struct {
	at          int // in graph.nodes
	name        string
	fusion      *ir.Node // nil: a kernel alone
	text        string   // the fusion as IR
	kernels     []int
	first, last int // launches; first is that of the kernel that begins the work, not of one that packs a weight
	lane        lane
	from, to    []*edge
	seconds     float64 // at least; 0 where the target has no model

	x, y, w, h int
	lines      [][]pill
}

// edge is what flows between two boxes.
type edge struct {
	from, to *node
	values   []*ir.Value
	batched  bool // an activation is among them
}

// lane says where a box stands. It follows from what reads and writes what, not
// from names: a function that nobody foresaw has lanes as well.
type lane uint8

// The lanes. Prepare is computed from states alone; Forward is what the results
// need; Update makes new states, or changes what is to be one; Gradient is read
// by updates alone; Backward is the rest.
const (
	prepareLane lane = iota
	forwardLane
	backwardLane
	gradientLane
	updateLane
)

func newGraph(f *ir.Func, p *plan.Plan) *graph {
	g := &graph{f: f, p: p, launch: make([]int, len(p.Kernels)), writers: make([]*node, len(p.Buffers))}
	for i, l := range p.Launches {
		for _, k := range l.Kernels {
			g.launch[k] = i
		}
	}
	g.addNodes()
	g.findBuffers()
	g.addEdges()
	g.setLanes()
	return g
}

// addNodes makes a box of each fusion and gives it its kernels.
func (g *graph) addNodes() {
	texts, name := g.f.Pieces()
	g.name = name
	byName := map[string]*node{}
	for i, n := range g.f.Nodes {
		b := &node{name: n.Layer, fusion: n, text: texts[i]}
		g.nodes = append(g.nodes, b)
		byName[n.Layer] = b
	}
	for i, k := range g.p.Kernels {
		b := byName[k.Region]
		if b == nil || k.Region == "" {
			b = &node{name: k.Name}
			g.nodes = append(g.nodes, b)
		}
		b.kernels = append(b.kernels, i)
	}
	begin := map[*node]int{} // kernel
	for _, b := range g.nodes {
		for i, k := range b.kernels {
			b.last = max(b.last, g.launch[k])
			if i == 0 || g.p.Kernels[begin[b]].Kind == plan.Pack {
				begin[b] = k
			}
			b.seconds += g.seconds(k)
		}
		b.first = b.last
		if len(b.kernels) > 0 {
			b.first = g.launch[begin[b]]
		}
	}
	slices.SortStableFunc(g.nodes, func(a, b *node) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(begin[a], begin[b]))
	})
	for i, b := range g.nodes {
		b.at = i
	}
}

// seconds is the least time of a kernel, by the model of the plan's GPU.
func (g *graph) seconds(kernel int) float64 {
	if !g.p.Arch.OnGPU() {
		return 0
	}
	k := g.p.Kernels[kernel]
	s, _ := g.p.Arch.GPU.Seconds(g.p.Cost(k), k.Block.Math)
	return s
}

// total is the least time of all kernels.
func (g *graph) total() float64 {
	t := 0.0
	for _, b := range g.nodes {
		t += b.seconds
	}
	return t
}

// findBuffers finds the buffer of every value and the first writer of every
// buffer. Values lie where [plan.Plan.VerifyAgainst] says: result i of fusion @F
// in the buffer F.i or, written in place, in that of a state.
func (g *graph) findBuffers() {
	type key struct {
		space plan.Space
		name  string
	}
	named := map[key]int{}
	for i, b := range g.p.Buffers {
		named[key{b.Space, b.Name}] = i
	}
	g.buffers = map[*ir.Value]int{}
	put := func(v *ir.Value, space plan.Space, name string) {
		if i, ok := named[key{space, name}]; ok {
			g.buffers[v] = i
		}
	}
	for _, a := range g.f.Assigns {
		put(a.Value, plan.State, a.State.Name)
	}
	for _, n := range g.f.Nodes {
		for _, v := range n.Args {
			switch {
			case v.State != nil:
				put(v, plan.State, v.State.Name)
			case v.Node == nil:
				put(v, plan.Input, v.Name)
			}
		}
		for _, v := range n.Results {
			put(v, plan.Arena, fmt.Sprintf("%s.%d", n.Layer, v.Index))
		}
	}
	for _, b := range g.nodes {
		for _, k := range b.kernels {
			for _, a := range g.p.Kernels[k].Args {
				if a.Mode != plan.Read && g.writers[a.Buffer] == nil {
					g.writers[a.Buffer] = b
				}
			}
		}
	}
}

// batched tells whether a value has a sample for each image.
func (g *graph) batched(v *ir.Value) bool {
	i, ok := g.buffers[v]
	return ok && g.p.Buffers[i].Batched
}

func (g *graph) addEdges() {
	owner := map[*ir.Node]*node{}
	for _, b := range g.nodes {
		if b.fusion != nil {
			owner[b.fusion] = b
		}
	}
	link := func(from, to *node) *edge {
		for _, e := range to.from {
			if e.from == from {
				return e
			}
		}
		e := &edge{from: from, to: to}
		from.to, to.from = append(from.to, e), append(to.from, e)
		return e
	}
	for _, b := range g.nodes {
		if b.fusion == nil { // reads what others left in its buffers
			for _, k := range b.kernels {
				for _, a := range g.p.Kernels[k].Args {
					if w := g.writers[a.Buffer]; w != nil && w != b && a.Mode != plan.Write {
						link(w, b)
					}
				}
			}
			continue
		}
		for _, v := range b.fusion.Args {
			if from := owner[v.Node]; from != nil {
				e := link(from, b)
				e.values = append(e.values, v)
				e.batched = e.batched || g.batched(v)
			}
		}
	}
	for _, b := range g.nodes {
		for _, edges := range [][]*edge{b.from, b.to} {
			slices.SortStableFunc(edges, func(x, y *edge) int {
				return cmp.Or(cmp.Compare(x.from.at, y.from.at), cmp.Compare(x.to.at, y.to.at))
			})
		}
	}
}

// setLanes finds out what each box is for.
func (g *graph) setLanes() {
	needed := map[*node]bool{} // by the results
	var need func(b *node)
	need = func(b *node) {
		if needed[b] {
			return
		}
		needed[b] = true
		for _, e := range b.from {
			need(e.from)
		}
	}
	for _, b := range g.nodes {
		if b.fusion != nil && slices.ContainsFunc(b.fusion.Results, func(v *ir.Value) bool { return slices.Contains(g.f.Returns, v) }) {
			need(b)
		}
	}
	for _, b := range g.nodes { // producers come before their readers
		switch {
		case g.fromStates(b):
			b.lane = prepareLane
		case needed[b]:
			b.lane = forwardLane
		case len(b.to) == 0 || b.changesState() || slices.ContainsFunc(b.from, func(e *edge) bool { return e.from.lane == updateLane }):
			b.lane = updateLane
		default:
			b.lane = backwardLane
		}
	}
	for _, b := range g.nodes {
		if b.lane == backwardLane && !slices.ContainsFunc(b.to, func(e *edge) bool { return e.to.lane != updateLane }) {
			b.lane = gradientLane
		}
	}
}

// changesState tells whether a fusion reads a state element by element, as the
// steps of an update do.
func (b *node) changesState() bool {
	if b.fusion == nil {
		return true
	}
	for _, n := range b.fusion.Body.Nodes {
		for i, a := range n.Args {
			if a.State != nil && n.Op.Info().Args[i] == ir.Act {
				return true
			}
		}
	}
	return false
}

// fromStates tells whether a fusion that others read needs nothing but states.
func (g *graph) fromStates(b *node) bool {
	if b.fusion == nil || len(b.to) == 0 {
		return false
	}
	for _, v := range b.fusion.Args {
		if v.IsLeaf() && v.State == nil {
			return false
		}
	}
	return !slices.ContainsFunc(b.from, func(e *edge) bool { return e.from.lane != prepareLane || e.from.fusion == nil })
}
