package oracle

import (
	"math"
	"math/rand/v2"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
)

// start is a distribution for a captured value that is no activation: statistics
// have a positive second row, weights are small enough for sums of order 1.
func (r *Region) start(v *ir.Value) ir.Init {
	if v.Type.Rank() == 4 {
		d := v.Type.Dims
		return ir.Init{Kind: ir.Normal, A: 1 / math.Sqrt(float64(d[1]*d[2]*d[3]))}
	}
	for _, n := range r.Node.Body.Nodes {
		for i, a := range n.Args {
			if a == v && (n.Op.Class() == ir.Channel || n.Op.Class() == ir.Reduce) && n.Op.Info().Args[i] == ir.Vec && v.Type.Rank() == 2 {
				return ir.Init{Kind: ir.Rows, A: 0, B: 1}
			}
		}
	}
	return ir.Init{Kind: ir.Normal, A: 1}
}

// Inputs draws what the region captures, in the order of its node's operands, for n
// samples. far is added to what an add reads, so that the mean of the sum is that far
// from zero.
func (r *Region) Inputs(n int, far float64, rnd *rand.Rand) []*interp.Tensor {
	var in []*interp.Tensor
	for _, v := range r.Node.Args {
		if v.Type.Rank() > 0 && !r.batched(v) {
			s := &ir.State{Name: "x", Type: v.Type, Role: ir.Param, Init: r.start(v)}
			_, state := gen.Inputs(&ir.Module{States: []*ir.State{s}}, &ir.Func{}, rnd)
			in = append(in, state["x"])
			continue
		}
		in = append(in, r.activation(v, n, far, rnd))
	}
	return in
}

// activation draws what comes with the batch, and scalars.
func (r *Region) activation(v *ir.Value, n int, far float64, rnd *rand.Rand) *interp.Tensor {
	x := interp.New(r.typed(v, n))
	added := func(m *ir.Node) bool { return m.Op == ir.Add && slices.Contains(m.Args, v) }
	if !slices.ContainsFunc(r.Node.Body.Nodes, added) {
		far = 0
	}
	steps := math.Inf(1)
	if r.Node.Body.Nodes[0].Op.Class() == ir.Opaque { // of pools and losses, where equal elements matter
		steps = 8
	}
	mean, sample := 0.0, max(1, len(x.F)/n)
	for i := range x.F {
		if i%sample == 0 { // samples differ, so that it matters how they are merged
			mean = far + rnd.NormFloat64()/2
		}
		x.F[i] = float64(float32(mean + rnd.NormFloat64()))
		if !math.IsInf(steps, 1) {
			x.F[i] = math.Round(steps*x.F[i]) / steps
		}
	}
	for i := range x.U {
		x.U[i] = rnd.Uint64()
		if v.Type.DType == ir.S32 { // labels
			x.U[i] %= uint64(r.Node.Body.Nodes[0].Args[0].Type.Channels())
		}
	}
	return x
}
