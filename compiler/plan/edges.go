package plan

import (
	"cmp"
	"slices"
)

// Hazard says why one kernel must wait for another.
type Hazard uint8

// The hazards, the strongest last: the later kernel overwrites what the earlier
// one reads; overwrites what it wrote; reads what it wrote.
const (
	WAR Hazard = iota + 1
	WAW
	RAW
)

var hazardNames = [...]string{WAR: "WAR", WAW: "WAW", RAW: "RAW"}

func (h Hazard) String() string { return hazardNames[h] }

// Edge is a dependence between two kernels, by index.
type Edge struct {
	From, To int
	Kind     Hazard
}

// Edges computes the dependences among the plan's kernels from the bytes that
// their arguments occupy, so that reuse of the arena counts like any other
// access: a kernel waits for the one that last wrote the bytes it touches, and
// before it writes them for all that have read them since. The order of any two
// kernels that share a byte which one of them writes follows from a path of
// edges. Each pair is listed once, with its strongest hazard, by To in launch order and then
// by From. All indices of the plan must be in range, as after [Parse] or
// [Plan.Verify].
func Edges(p *Plan) []Edge {
	type access struct {
		writer  int // kernel + 1; 0 where none wrote
		readers []int
	}
	memory := map[home]*spans[access]{}
	var edges []Edge
	for _, l := range p.Launches {
		for _, to := range l.Kernels {
			found := map[int]Hazard{} // by the earlier kernel
			add := func(from int, h Hazard) {
				if from != to {
					found[from] = max(found[from], h)
				}
			}
			each := func(skip Mode, visit func(*access)) {
				for _, a := range p.Kernels[to].Args {
					if a.Mode == skip {
						continue
					}
					at := p.home(a.Buffer)
					if memory[at] == nil {
						memory[at] = &spans[access]{}
					}
					bytes := memory[at].in(p.extent(a.Buffer))
					for i := range bytes {
						visit(&bytes[i].val)
					}
				}
			}
			each(Write, func(a *access) {
				if a.writer > 0 {
					add(a.writer-1, RAW)
				}
				a.readers = append(slices.Clip(a.readers), to) // spans that were one share the list
			})
			each(Read, func(a *access) {
				if a.writer > 0 {
					add(a.writer-1, WAW)
				}
				for _, r := range a.readers {
					add(r, WAR)
				}
				*a = access{writer: to + 1}
			})
			first := len(edges)
			for from, h := range found {
				edges = append(edges, Edge{from, to, h})
			}
			slices.SortFunc(edges[first:], func(a, b Edge) int { return cmp.Compare(a.From, b.From) })
		}
	}
	return edges
}
