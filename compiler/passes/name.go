package passes

import (
	"fmt"

	"wrnc/compiler/ir"
)

// The kinds of a fusion.
const (
	kindMap     = "map"     // no root: Maps and Broadcasts over one shape, Reduces and a finish
	kindChannel = "channel" // Channel ops alone
	kindOpaque  = "opaque"  // one Opaque op
)

// rootKinds holds the kind of a region around each root, and what its name adds
// to the layer's so that forward and backward differ.
var rootKinds = map[ir.Op]struct{ kind, suffix string }{
	ir.Conv2D:      {"conv_fprop", ""},
	ir.Conv2DDgrad: {"conv_dgrad", ".dgrad"},
	ir.Conv2DWgrad: {"conv_wgrad", ".wgrad"},
	ir.AvgPool:     {"pool", ".pool"},
}

// kindOf is the kind of a region that n starts.
func kindOf(n *ir.Node) (string, error) {
	switch n.Op.Class() {
	case ir.Root:
		k, ok := rootKinds[n.Op]
		if !ok {
			return "", fmt.Errorf("no kind of region has the root %s", n.Op)
		}
		return k.kind, nil
	case ir.Channel:
		return kindChannel, nil
	case ir.Opaque:
		return kindOpaque, nil
	}
	return kindMap, nil
}

// regionName names a region after what it computes: the root's layer, the
// parameter that it updates, or the layer of its last op. So a name stays when
// layers are added elsewhere.
func (p *planner) regionName(r *region) string {
	layer := r.anchor().Layer
	if layer == "" {
		layer = r.anchor().Op.String()
	}
	if r.root != nil {
		return layer + rootKinds[r.root.Op].suffix
	}
	for _, m := range r.members {
		if param := p.updates[m]; param != "" {
			return param + ".update"
		}
	}
	switch r.kind {
	case kindMap:
		return layer + ".map"
	case kindChannel:
		return layer + ".channel"
	}
	return layer
}

// names keeps the names of a function's fusions apart.
type names map[string]bool

func newNames(f *ir.Func) names {
	taken := names{}
	for _, n := range f.Nodes {
		if n.Op == ir.Fusion {
			taken[n.Layer] = true
		}
	}
	return taken
}

// unique returns the name, with a number from 2 if it is taken.
func (t names) unique(name string) string {
	out := name
	for i := 2; t[out]; i++ {
		out = fmt.Sprintf("%s.%d", name, i)
	}
	t[out] = true
	return out
}
