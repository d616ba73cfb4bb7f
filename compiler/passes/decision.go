package passes

import (
	"fmt"
	"strings"

	"wrnc/compiler/ir"
)

// Decision is what fusion made of one value, and why.
type Decision struct {
	Func      string   // the function
	Value     string   // op and layer
	Fate      Fate     // what became of it
	Regions   []string // the fusions that compute it
	Reason    string   // which rule decided
	RefusedBy string   // a fusion that did not take it; "" where none could
	Refused   string   // why not
	Saves     int      // bytes of memory traffic that the fate saves: stored size x (1 write + reads)
}

// Fate is what became of a value.
type Fate uint8

// The fates: copied into each region that reads it; computed in the epilogue of
// the region that computes an operand; computed after the reductions of a
// region; stored by a region that begins with it.
const (
	Copied Fate = iota + 1
	Epilogue
	Finish
	Stored
)

var fateWords = [...]string{Copied: "copied into", Epilogue: "in the epilogue of", Finish: "finishes", Stored: "stored by"}

func (f Fate) String() string { return fateWords[f] }

// String is one line for people.
func (d Decision) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %v %s: %s", d.Func, d.Value, d.Fate, strings.Join(d.Regions, ", "), d.Reason)
	if d.Saves > 0 {
		fmt.Fprintf(&b, "; saves %.1f KiB", float64(d.Saves)/1024)
	}
	if d.RefusedBy != "" {
		fmt.Fprintf(&b, "; not in %s: %s", d.RefusedBy, d.Refused)
	}
	return b.String()
}

// refusal is why a region did not take a node.
type refusal struct {
	r   *region
	why string
}

// decisions says of each node that the plan settles what became of it. Regions
// have their names; yielded are the values that they store.
func (p *planner) decisions(yielded map[*ir.Value]bool) []Decision {
	var out []Decision
	for _, n := range p.order {
		r, copies := p.region[n], p.copiers[n]
		d := Decision{Func: p.f.Name, Value: n.Op.String(), Reason: p.why[n]}
		if n.Layer != "" {
			d.Value += " (" + n.Layer + ")"
		}
		if no, ok := p.refused[n]; ok {
			d.RefusedBy, d.Refused = no.r.name, no.why
		}
		switch {
		case len(copies) > 0:
			d.Fate = Copied
			for _, c := range copies {
				d.Regions = append(d.Regions, c.name)
			}
			d.Saves = n.Result().Type.Bytes() * (1 + len(copies))
		case r == nil || n == r.root || n.Op.Class() == ir.Opaque:
			continue
		case n == r.members[0]:
			d.Fate, d.Regions = Stored, []string{r.name}
		case n.Op.Class() == ir.Channel:
			d.Fate, d.Regions = Finish, []string{r.name}
		default:
			d.Fate, d.Regions = Epilogue, []string{r.name}
			d.Saves = p.epilogueSaves(n, r, yielded)
		}
		out = append(out, d)
	}
	return out
}

// epilogueSaves counts the rows of the region that n takes as they are computed:
// a read for each, and a write where nothing else has the row stored.
func (p *planner) epilogueSaves(n *ir.Node, r *region, yielded map[*ir.Value]bool) int {
	saves := 0
	for _, a := range n.Args {
		if a.Node == nil || p.region[a.Node] != r || !isRow(a) {
			continue
		}
		saves += a.Type.Bytes()
		if !yielded[a] {
			saves += a.Type.Bytes()
		}
	}
	return saves
}
