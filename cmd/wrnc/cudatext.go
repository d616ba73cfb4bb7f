package main

import (
	"fmt"
	"strings"

	"wrnc/compiler/plan"
)

// text is a kernel's text and the kernels that have it.
type text struct {
	plan.Source
	uses []string // "train g1.b0.conv1"
	cost string   // of the first use, for a full batch
	why  string   // the tile's reason
}

// distinct lists the texts of plans' kernels, each once, in the order of their
// first use. sources is parallel to plans' kernels; without plans only texts are
// listed.
func distinct(sources [][]plan.Source, plans ...*plan.Plan) []*text {
	var texts []*text
	at := map[string]*text{}
	for i, list := range sources {
		for j, s := range list {
			t := at[s.Entry]
			if t == nil {
				t = &text{Source: s}
				at[s.Entry] = t
				texts = append(texts, t)
			}
			if i >= len(plans) {
				continue
			}
			p, k := plans[i], plans[i].Kernels[j]
			if len(t.uses) == 0 {
				t.cost, t.why = p.Model(k), k.Block.Why
			}
			t.uses = append(t.uses, p.Func+" "+k.Name)
		}
	}
	return texts
}

// cuda is what --emit cuda prints: each text once, with who uses it, what it costs
// at least, and why its tile was chosen.
func (b *built) cuda() string {
	var w strings.Builder
	for _, t := range distinct(b.sources, b.plans...) {
		fmt.Fprintf(&w, "// ======== %s.cu\n// used by %s\n// %s\n", t.Entry, strings.Join(t.uses, ", "), t.cost)
		if t.why != "" {
			fmt.Fprintf(&w, "// tile: %s\n", t.why)
		}
		fmt.Fprintf(&w, "\n%s\n", t.Text)
	}
	return w.String()
}
