// Package gen makes random legal modules, and inputs for them, for the tests of
// passes, lowering and targets. The same random source gives the same module.
//
// A module has one function, main, which holds one region:
//
//	activation - prologue -\
//	                        root - epilogue - Reduce - finish
//	activation - prologue -/
//
// Prologues and epilogue are chains of up to five steps of Map ops. Stored
// activations are parameters; weights and channel vectors are states. Sizes are
// small and odd: they miss every tile, and H is never W but for single pixels.
package gen

import (
	"fmt"
	"math/rand/v2"

	"wrnc/compiler/ir"
)

// Kinds lists the kinds of region: what stands in a fusion's attribute kind.
func Kinds() []string { return []string{"conv_fprop", "conv_dgrad", "conv_wgrad", "pool", "map"} }

// Options narrow what is made. The zero value narrows nothing.
type Options struct {
	Kind        string   // one of Kinds; any if empty
	Precision   ir.DType // BF16 or TF32: what root operands are converted to, and values on the way now and then; no conversion if zero
	MaxSide     int      // largest height and width; 9 if zero
	MaxChannels int      // largest number of channels; 33 if zero
	Winograd    bool     // convolutions have 3x3 filters, stride 1, even sides and at least 32 channels, of results a multiple of 16
}

// Region makes a module whose function main holds the region's ops unfused.
func Region(r *rand.Rand, o Options) *ir.Module {
	m, _ := region(r, o)
	return m
}

// Fused makes the module that [Region] makes from the same source, with all of
// it in one fusion named g.region.
func Fused(r *rand.Rand, o Options) *ir.Module {
	m, kind := region(r, o)
	f := m.Func("main")
	body := &ir.Body{Nodes: f.Nodes}
	index := map[*ir.Value]int{}
	for _, v := range f.Roots() {
		if _, have := index[v]; !have {
			index[v] = len(body.Yields)
			body.Yields = append(body.Yields, v)
		}
	}
	fusion := ir.NewFusion("g.region", kind, ir.Pos{Line: 1, Col: 1}, body)
	f.Nodes = []*ir.Node{fusion}
	for i, v := range f.Returns {
		f.Returns[i] = fusion.Results[index[v]]
	}
	for i, a := range f.Assigns {
		f.Assigns[i].Value = fusion.Results[index[a.Value]]
	}
	return m
}

func region(r *rand.Rand, o Options) (*ir.Module, string) {
	if o.Kind == "" {
		o.Kind = Kinds()[r.IntN(len(Kinds()))]
	}
	if o.MaxSide == 0 {
		o.MaxSide = 9
	}
	if o.MaxChannels == 0 {
		o.MaxChannels = 33
	}
	m := &ir.Module{Name: "random-" + o.Kind, Batch: 1 + r.IntN(3)}
	f := &ir.Func{Name: "main", Module: m}
	m.Funcs = []*ir.Func{f}
	g := &maker{Rand: r, o: o, m: m, f: f, b: ir.NewBuilder(f)}
	switch o.Kind {
	case "conv_fprop":
		g.fprop()
	case "conv_dgrad":
		g.dgrad()
	case "conv_wgrad":
		g.wgrad()
	case "pool":
		g.pool()
	case "map":
		g.mapping()
	default:
		panic(fmt.Sprintf("gen: unknown kind %q; there are %v", o.Kind, Kinds()))
	}
	return m, o.Kind
}

// maker builds one module.
type maker struct {
	*rand.Rand
	o    Options
	m    *ir.Module
	f    *ir.Func
	b    *ir.Builder
	line int
}

// chance is true in p of 100 cases.
func (g *maker) chance(p int) bool { return g.IntN(100) < p }

// op appends a node of one result at a position of its own.
func (g *maker) op(op ir.Op, a ir.Attrs, args ...*ir.Value) *ir.Value {
	return g.ops(op, a, args...)[0]
}

func (g *maker) ops(op ir.Op, a ir.Attrs, args ...*ir.Value) []*ir.Value {
	g.next(op.String())
	return g.b.Op(op, a, args...)
}

// next moves the builder to a position of its own.
func (g *maker) next(layer string) {
	g.line++
	g.b.At("g."+layer, ir.Pos{Line: g.line, Col: 1})
}

// activation is a new stored activation.
func (g *maker) activation(t ir.Type) *ir.Value {
	return g.b.Param(fmt.Sprintf("x%d", len(g.f.Params)), t)
}

// scalar is the parameter of that name, made at its first use.
func (g *maker) scalar(name string, d ir.DType) *ir.Value {
	if p := g.f.Param(name); p != nil {
		return p
	}
	return g.b.Param(name, ir.T(d))
}

// state is a new state.
func (g *maker) state(role ir.Role, init ir.Init, dims ...int) *ir.Value {
	s := &ir.State{
		Name: fmt.Sprintf("s%d", len(g.m.States)), Type: ir.T(ir.F32, dims...),
		Role: role, Init: init, Pos: ir.Pos{Line: 1, Col: 1},
	}
	g.m.States = append(g.m.States, s)
	return g.f.StateValue(s)
}

// vector is a new channel vector of values of order 1.
func (g *maker) vector(dims ...int) *ir.Value {
	return g.state(ir.Param, ir.Init{Kind: ir.Normal, A: 1}, dims...)
}

// channels picks a number of channels.
func (g *maker) channels() int {
	for {
		if c := []int{1, 3, 5, 8, 16, 17, 24, 33}[g.IntN(8)]; c <= g.o.MaxChannels {
			return c
		}
	}
}

// picture picks a type [N,H,W,C] with H != W where there is a choice.
func (g *maker) picture() ir.Type {
	h, w := 1+g.IntN(g.o.MaxSide), 1+g.IntN(g.o.MaxSide)
	for h == w && g.o.MaxSide > 1 {
		w = 1 + g.IntN(g.o.MaxSide)
	}
	return ir.T(ir.F32, g.m.Batch, h, w, g.channels())
}
