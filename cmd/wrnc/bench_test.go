package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/bench"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
)

// benching is a session of a small network.
func benching(t *testing.T, c benchCommand) (*benchSession, *dsl.Network) {
	net, err := dsl.FromName("WRN-10-1")
	require.NoError(t, err)
	c.Rounds = 2
	on := &cpuMachine{isa: kernels.Detect(), threads: 2}
	return &benchSession{benchCommand: &c, target: "cpu", on: on, threads: on.threads, precision: ir.F32, nets: []*dsl.Network{net}, meter: bench.NewMeter(on.isa, on.threads)}, net
}

// TestKernelsAddUp: kernels, waiting and what is outside of launches are the whole
// step, and the kernels' work is that of the plan.
func TestKernelsAddUp(t *testing.T) {
	b, net := benching(t, benchCommand{})
	p, err := b.program(net, 2, true)
	require.NoError(t, err)
	defer p.ex.Close()
	r, err := b.profile(p)
	require.NoError(t, err)
	require.Positive(t, r.Whole)
	require.GreaterOrEqual(t, r.Waiting, 0.0)
	require.GreaterOrEqual(t, r.Outside, 0.0)

	sum, named := kernelTotal{}, 0
	for _, kind := range r.Kinds {
		of := kernelTotal{}
		for _, one := range kind.Kernels {
			require.Positive(t, one.MS, one.Name)
			of.add(one)
		}
		require.InDelta(t, kind.MS, of.MS, 1e-9)
		require.True(t, slices.IsSortedFunc(kind.Kernels, longest))
		sum.add(kind)
		named += len(kind.Kernels)
	}
	require.True(t, slices.IsSortedFunc(r.Kinds, longest))
	require.Len(t, p.plan.Kernels, named)
	require.InDelta(t, r.Whole, sum.MS+r.Waiting+r.Outside, 1e-9)
	require.InDelta(t, sum.MS/r.Whole, sum.Share, 1e-9)
	var flops, bytes float64
	for _, k := range p.plan.Kernels {
		cost := p.plan.Cost(k)
		flops += cost.FLOPs
		bytes += cost.Bytes
	}
	require.InEpsilon(t, flops/1e9, sum.GFLOP, 1e-9)
	require.InEpsilon(t, bytes/1e6, sum.MB, 1e-9)
}

// TestDistinct: every convolution of a step is counted once, and each alone costs what
// it costs in the network.
func TestDistinct(t *testing.T) {
	b, net := benching(t, benchCommand{})
	all, err := b.distinct(2)
	require.NoError(t, err)
	counts := map[string]int{}
	flops := 0.0
	for _, c := range all {
		counts[c.shape.Kind] += c.count
		m, err := oneOp(c.node, 2)
		require.NoError(t, err)
		p, err := b.start(m, lower.Plan, "main", 1)
		require.NoError(t, err)
		p.ex.Close()
		for _, k := range p.plan.Kernels {
			flops += float64(c.count) * p.plan.Cost(k).FLOPs
		}
	}
	require.Equal(t, map[string]int{"fprop": net.Convs, "dgrad": net.Convs - 1, "wgrad": net.Convs}, counts, "the pictures have no gradient")

	whole, err := b.program(net, 2, false)
	require.NoError(t, err)
	defer whole.ex.Close()
	want := 0.0
	for _, k := range whole.plan.Kernels {
		if c := k.Conv; c.H*c.W > 1 && c.R > 0 { // neither the classifier nor elementwise
			want += whole.plan.Cost(k).FLOPs
		}
	}
	require.InEpsilon(t, want, flops, 1e-9)
}

// TestSteadyStepsTakeNoMemory measures what is printed: of turns of a step each the
// best one is free of allocations.
func TestSteadyStepsTakeNoMemory(t *testing.T) {
	for _, infer := range []bool{false, true} {
		b, net := benching(t, benchCommand{Infer: infer})
		p, err := b.program(net, 2, true)
		require.NoError(t, err)
		for range 30 {
			_, err := p.Steps(1)
			require.NoError(t, err)
		}
		p.ex.Close()
		require.Zero(t, p.allocations(), "infer: %v", infer)
	}
}

func TestProcessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpuinfo")
	require.NoError(t, os.WriteFile(path, []byte("processor\t: 0\nmodel name\t: Some CPU: fast\n"), 0o666))
	require.Equal(t, "Some CPU: fast", processor(path))
	require.NotEmpty(t, processor(path+".none"))
}

func TestPeerBuilds(t *testing.T) {
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{"model WRN-16-1", true},
		{"model WRN-40-2-B(3,1,3) { stride first3x3 }; dropout 0.3", true},
		{"model WRN-18-2; data imagenet", false},
		{"model tiny { input 8x8x3; classes 5; layers { conv 3x3 8; relu; avgpool global; linear classes } }", false},
	} {
		net, err := dsl.Load("test.wrn", []byte(c.text))
		require.NoError(t, err)
		require.Equal(t, c.ok, peerBuilds(net) == nil, c.text)
	}
	net, err := dsl.Load("test.wrn", []byte("model WRN-40-2-B(3,1,3) { stride first3x3 }; dropout 0.3; data cifar100"))
	require.NoError(t, err)
	b, _ := benching(t, benchCommand{Infer: true, Compile: true})
	require.Equal(t, bench.Network{Widths: []int{16, 32, 64, 128}, Blocks: 6, Kernels: []int{3, 1, 3}, Strides: 0, Dropout: 0.3,
		Side: 32, Classes: 100, Batch: 7, Infer: true, Compile: true}, b.peerNetwork(net, 7))
}
