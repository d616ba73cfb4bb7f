package main

import (
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"time"

	"wrnc/bench"
	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	"wrnc/runtime"
	"wrnc/runtime/train"
)

// benchProgram is a function of a module, loaded, with the inputs of a call.
type benchProgram struct {
	m        *ir.Module
	plan     *plan.Plan
	ex       runtime.Executable
	function string
	in       runtime.Inputs
	calls    *runtime.Series
	took     []float64 // allocations of memory a step, of each turn
}

// Steps runs n steps and returns the seconds of each. In training the next batch is
// known, as it is to who trains; what is to be inferred comes when it is asked for.
func (p *benchProgram) Steps(n int) ([]float64, error) {
	seconds := make([]float64, n)
	var next *runtime.Inputs
	if p.function == "train" {
		next = &p.in
	}
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	for i := range seconds {
		begun := time.Now()
		if _, err := p.calls.Run(p.in, next); err != nil {
			return nil, err
		}
		seconds[i] = time.Since(begun).Seconds()
	}
	goruntime.ReadMemStats(&after)
	p.took = append(p.took, float64(after.Mallocs-before.Mallocs)/float64(n))
	return seconds, nil
}

// allocations is how often a step takes memory, by the turn that did so least: each
// step does the same, but Go's scheduler takes some itself, now and then.
func (p *benchProgram) allocations() float64 { return slices.Min(p.took) }

const (
	benchSeed = 1    // of weights, pictures, labels and dropout
	benchRate = 0.01 // of learning, as in peer.py
)

// program compiles and loads a network, with its initial weights and a random batch;
// for inference as `wrnc run --infer` does.
func (b *benchSession) program(net *dsl.Network, batch int, fuse bool) (*benchProgram, error) {
	o := compiler.Options{Batch: batch, Precision: b.precision, Fuse: fuse}
	if b.Infer {
		o.Fold = folds(b.on.arch())
		m, err := compileAlone(net, b.function(), o)
		if err != nil {
			return nil, err
		}
		return b.start(m, lower.PlanPrepared, b.function(), net.Classes)
	}
	result, err := compiler.Compile(net, o)
	if err != nil {
		return nil, err
	}
	return b.start(result.Module, lower.Plan, b.function(), net.Classes)
}

// start loads a function and makes its inputs: activations are normal, labels
// uniform among the classes.
func (b *benchSession) start(m *ir.Module, lay planner, function string, classes int) (*benchProgram, error) {
	ex, plans, err := start(m, b.on, lay, function)
	if err != nil {
		return nil, err
	}
	if err := train.Initialize(ex, m, benchSeed); err != nil {
		ex.Close()
		return nil, err
	}
	p := &benchProgram{m: m, plan: plans[0], ex: ex, function: function, calls: runtime.NewSeries(ex, function), in: runtime.Inputs{
		N: m.Batch, F32: map[string][]float32{}, Labels: map[string][]int32{}, U64: map[string]uint64{}}}
	r := rand.New(rand.NewPCG(benchSeed, 0))
	for _, v := range m.Func(function).Params {
		n := v.Type.Elems()
		switch {
		case v.Type.DType == ir.U64:
			p.in.U64[v.Name] = benchSeed
		case v.Type.DType == ir.S32:
			labels := make([]int32, n)
			for i := range labels {
				labels[i] = int32(r.IntN(classes))
			}
			p.in.Labels[v.Name] = labels
		case v.Type.Rank() == 0:
			p.in.F32[v.Name] = []float32{benchRate}
		default:
			values := make([]float32, n)
			for i := range values {
				values[i] = float32(r.NormFloat64())
			}
			p.in.F32[v.Name] = values
		}
	}
	return p, nil
}

// peerBuilds says why PyTorch's program cannot build a network, if it cannot.
func peerBuilds(net *dsl.Network) error {
	if net.Family != dsl.CIFAR || net.Input[0] != net.Input[1] || net.Input[2] != 3 {
		return fmt.Errorf("%s: --against torch builds networks named WRN-n-k for small pictures, such as WRN-16-4 and WRN-40-2-B(3,1,3); this one can be measured without it, and its convolutions with --convs", net.Name)
	}
	return nil
}

// peerNetwork is the network as PyTorch's program is told of it.
func (b *benchSession) peerNetwork(net *dsl.Network, batch int) bench.Network {
	return bench.Network{Widths: net.Widths(), Blocks: net.Blocks, Kernels: net.Kernels, Strides: net.StrideConv(), Dropout: net.Dropout,
		Side: net.Input[0], Classes: net.Classes, Batch: batch, Infer: b.Infer, Compile: b.Compile}
}
