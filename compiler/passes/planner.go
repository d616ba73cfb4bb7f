package passes

import (
	"fmt"
	"sort"

	"wrnc/compiler/ir"
)

// planner decides, node by node in program order, which region each node of a
// function belongs to. It knows ops by class and by the roles of their operands.
//
// A node is in one of three states:
//
//   - in a region: it is computed there once, and what others need of it is stored;
//   - copied: a Map or Broadcast that is computed again in each region that
//     reads it, and never stored;
//   - free: left to a later pass.
type planner struct {
	f       *ir.Func
	order   []*ir.Node // as the function lists them
	index   map[*ir.Node]int
	users   map[*ir.Value][]*ir.Node
	held    map[*ir.Value]bool // returned or assigned
	regions []*region
	region  map[*ir.Node]*region
	copied  map[*ir.Node]bool
	updates map[*ir.Node]string       // the parameter that a node's result is the new value of
	reads   map[*ir.Value][]*ir.Value // stored activations that a copied value reads
	copiers map[*ir.Node][]*region    // who has a copy; known when regions are written
	why     map[*ir.Node]string       // the reason for the node's state
	refused map[*ir.Node]refusal      // the last region that did not take it
}

// region is a fusion in the making.
type region struct {
	kind    string
	root    *ir.Node   // nil in a region without one
	members []*ir.Node // in program order; copies are added when the region is written
	at      int        // place among the regions, which are in the order of their first members
	last    int        // index of the last member of this region and of all that opened before
	name    string     // given when the region is written
}

// copyLimit is how many distinct stored activations a copied expression may
// read. With more, storing the value is cheaper than reading them all again.
const copyLimit = 2

func newPlanner(f *ir.Func) *planner {
	p := &planner{
		f:       f,
		order:   f.Nodes,
		index:   map[*ir.Node]int{},
		users:   f.Users(),
		held:    map[*ir.Value]bool{},
		region:  map[*ir.Node]*region{},
		copied:  map[*ir.Node]bool{},
		updates: map[*ir.Node]string{},
		reads:   map[*ir.Value][]*ir.Value{},
		copiers: map[*ir.Node][]*region{},
		why:     map[*ir.Node]string{},
		refused: map[*ir.Node]refusal{},
	}
	for i, n := range f.Nodes {
		p.index[n] = i
	}
	for _, v := range f.Roots() {
		p.held[v] = true
	}
	for _, a := range f.Assigns {
		if a.State.Role == ir.Param && a.Value.Node != nil {
			p.updates[a.Value.Node] = a.State.Name
		}
	}
	return p
}

// open starts a region with its first member.
func (p *planner) open(n *ir.Node, kind, why string) {
	r := &region{kind: kind, at: len(p.regions)}
	if n.Op.Class() == ir.Root {
		r.root = n
	}
	p.regions = append(p.regions, r)
	p.join(n, r, why)
}

// join adds a member. Nodes join in program order, so n is the last of all.
func (p *planner) join(n *ir.Node, r *region, why string) {
	for _, later := range p.regions[r.at:] {
		later.last = p.index[n]
	}
	r.members = append(r.members, n)
	p.region[n] = r
	p.why[n] = why
}

// isRow reports whether v has an element for each element of a region's domain:
// a root's result or a Map's.
func isRow(v *ir.Value) bool {
	if v.Node == nil {
		return false
	}
	c := v.Node.Op.Class()
	return c == ir.Root || c == ir.Map || c == ir.Broadcast
}

// joinMap puts a Map into the region of an activation that it reads, the first
// that takes it, if that saves a store: the operand is stored for it alone, or
// it would be stored itself.
func (p *planner) joinMap(n *ir.Node) bool {
	for i, a := range n.Args {
		r := p.region[a.Node]
		if a.Node == nil || r == nil || n.Op.Info().Args[i] != ir.Act || !isRow(a) {
			continue
		}
		if r.root != nil && p.readsState(n) {
			p.refused[n] = refusal{r, "an update reads a parameter; it stays apart from the gradient"}
			continue
		}
		if why := p.blocked(n, r); why != "" {
			p.refused[n] = refusal{r, why}
			continue
		}
		switch {
		case p.onlyUser(a, n):
			p.join(n, r, "its operand has no other reader")
		case p.mustStore(n) != "":
			p.join(n, r, "it is stored in any case")
		default:
			p.refused[n] = refusal{r, "its operand is stored for other readers too"}
			continue
		}
		return true
	}
	return false
}

// joinReduce puts a Reduce into the region that computes an activation it reads.
func (p *planner) joinReduce(n *ir.Node) bool {
	for i, a := range n.Args {
		r := p.region[a.Node]
		if a.Node == nil || r == nil || n.Op.Info().Args[i] != ir.Act || !isRow(a) {
			continue
		}
		if why := p.blocked(n, r); why != "" {
			p.refused[n] = refusal{r, why}
			continue
		}
		p.join(n, r, "its operand is computed here")
		return true
	}
	return false
}

// joinFinish puts a Channel op into the region of a Reduce, or of another
// Channel op, that it reads.
func (p *planner) joinFinish(n *ir.Node) bool {
	for _, a := range n.Args {
		r := p.region[a.Node]
		if a.Node == nil || r == nil || isRow(a) {
			continue
		}
		if why := p.blocked(n, r); why != "" {
			p.refused[n] = refusal{r, why}
			continue
		}
		p.join(n, r, "it follows a reduction of this region")
		return true
	}
	return false
}

// onlyUser reports whether n alone needs v, but for Reduces, which take it as it
// is computed.
func (p *planner) onlyUser(v *ir.Value, n *ir.Node) bool {
	if p.held[v] {
		return false
	}
	for _, u := range p.users[v] {
		if u != n && u.Op.Class() != ir.Reduce {
			return false
		}
	}
	return true
}

// settle decides whether a Map or Broadcast that joined no region is copied to
// its readers. It returns why it must be stored instead, or "".
func (p *planner) settle(n *ir.Node) string {
	p.reads[n.Result()] = p.expression(n)
	stored := p.mustStore(n)
	if stored == "" {
		stored = p.narrows(n)
	}
	if stored == "" {
		p.copied[n] = true
		p.why[n] = readsText(len(p.reads[n.Result()]))
	}
	return stored
}

// mustStore says why a Map's value cannot be copied to its readers, or "".
func (p *planner) mustStore(n *ir.Node) string {
	v := n.Result()
	if isDrawn(n) {
		return "" // a mask costs no memory to compute
	}
	if p.held[v] {
		return "the function hands it out"
	}
	if k := len(p.expression(n)); k > copyLimit {
		return readsText(k)
	}
	for _, u := range p.users[v] {
		switch u.Op.Class() {
		case ir.Opaque:
			return fmt.Sprintf("%s (%s) reads it", u.Op, u.Layer)
		case ir.Broadcast:
			return fmt.Sprintf("%s spreads it over a larger picture", u.Op)
		}
		for i, a := range u.Args {
			if a == v && u.Op.Info().Args[i] != ir.Act {
				return fmt.Sprintf("%s reads it whole", u.Op)
			}
		}
	}
	return ""
}

// narrows says why a Map's value is stored in place of its operand, or "": the
// operand would be stored for it alone, and takes more bytes.
func (p *planner) narrows(n *ir.Node) string {
	for i, a := range n.Args {
		stored := a.Node != nil && p.region[a.Node] == nil && !p.copied[a.Node]
		if stored && n.Op.Info().Args[i] == ir.Act && n.Result().Type.Bytes() < a.Type.Bytes() && p.onlyUser(a, n) {
			return fmt.Sprintf("it is smaller than its operand, which %s alone reads", n.Op)
		}
	}
	return ""
}

func readsText(k int) string {
	switch k {
	case 0:
		return "it reads no stored activation"
	case 1:
		return "it reads 1 stored activation"
	}
	return fmt.Sprintf("it reads %d stored activations", k)
}

// isDrawn reports whether a Map reads no tensor at all: a dropout mask.
func isDrawn(n *ir.Node) bool {
	if n.Op.Class() != ir.Map {
		return false
	}
	for _, role := range n.Op.Info().Args {
		if role != ir.Scalar {
			return false
		}
	}
	return true
}

// expression lists the distinct stored activations that computing n again would
// read. Channel vectors, scalars and masks are free.
func (p *planner) expression(n *ir.Node) []*ir.Value {
	var out []*ir.Value
	add := func(v *ir.Value) {
		for _, w := range out {
			if w == v {
				return
			}
		}
		out = append(out, v)
	}
	for i, a := range n.Args {
		switch {
		case n.Op.Info().Args[i] != ir.Act || a.Type.DType == ir.U1:
		case a.Node != nil && p.copied[a.Node]:
			for _, v := range p.reads[a] {
				add(v)
			}
		default:
			add(a)
		}
	}
	return out
}

// readsState reports whether n reads a state as an activation, as updates do.
func (p *planner) readsState(n *ir.Node) bool {
	for _, v := range p.expression(n) {
		if v.State != nil {
			return true
		}
	}
	return false
}

// blocked says why n cannot be computed in r, or "". An operand may be a row of
// r, for a Channel op a vector of r, or anything that does not depend on r.
func (p *planner) blocked(n *ir.Node, r *region) string {
	return p.blockedAfter(n, r, map[*ir.Node]bool{})
}

// blockedAfter is blocked but for the copied nodes that were seen already.
func (p *planner) blockedAfter(n *ir.Node, r *region, seen map[*ir.Node]bool) string {
	for i, a := range n.Args {
		switch {
		case a.Node == nil || seen[a.Node]:
		case p.region[a.Node] == r:
			row := n.Op.Info().Args[i] == ir.Act && n.Op.Class() != ir.Broadcast
			if isRow(a) == row && (row || n.Op.Class() == ir.Channel) {
				continue
			}
			return fmt.Sprintf("%s needs the whole of %s first, which the region itself computes", n.Op, a.Node.Op)
		case p.copied[a.Node]:
			seen[a.Node] = true
			if why := p.blockedAfter(a.Node, r, seen); why != "" {
				return why
			}
		case p.dependsOn(a.Node, r):
			return fmt.Sprintf("its operand %s (%s) depends on the region", a.Node.Op, a.Node.Layer)
		}
	}
	return ""
}

// dependsOn reports whether n needs anything that r computes, regions being
// computed as a whole. What joins a region makes it depend on more, so the walk
// is over the regions as they are now.
func (p *planner) dependsOn(n *ir.Node, r *region) bool {
	first := p.index[r.members[0]]
	seen := map[*ir.Node]bool{}
	var visit func(n *ir.Node) bool
	visit = func(n *ir.Node) bool {
		if n == nil || seen[n] {
			return false
		}
		own := p.region[n]
		if own == r {
			return true
		}
		if p.reach(p.index[n]) < first {
			return false
		}
		members := []*ir.Node{n}
		if own != nil {
			members = own.members
		}
		for _, m := range members {
			seen[m] = true
		}
		for _, m := range members {
			for _, a := range m.Args {
				if visit(a.Node) {
					return true
				}
			}
		}
		return false
	}
	return visit(n)
}

// reach bounds the index of every node that the node at index i may depend on.
// Operands come earlier; only a region leads further, to its last member. It
// keeps the walk of dependsOn near to where it starts.
func (p *planner) reach(i int) int {
	for {
		before := sort.Search(len(p.regions), func(k int) bool { return p.index[p.regions[k].members[0]] > i })
		if before == 0 || p.regions[before-1].last <= i {
			return i
		}
		i = p.regions[before-1].last
	}
}
