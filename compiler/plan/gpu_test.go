package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
)

// trained is a training step of a small network, on a GPU.
func trained(t *testing.T) *plan.Plan {
	t.Helper()
	net, err := dsl.Load("a.wrn", []byte("model WRN-10-1\ndata cifar10\n"))
	require.NoError(t, err)
	c, err := compiler.Compile(net, compiler.Options{Batch: 8, Precision: ir.F32, Fuse: true})
	require.NoError(t, err)
	f := c.Module.Func("train")
	p, err := lower.Plan(f, gpu)
	require.NoError(t, err)
	require.NoError(t, p.VerifyAgainst(f))
	return p
}

// Each mutation breaks what one kind of kernel says of its blocks.
func TestBlockMutations(t *testing.T) {
	counters := func(p *plan.Plan, k *plan.Kernel) *plan.Buffer {
		for _, a := range k.Args {
			if b := &p.Buffers[a.Buffer]; b.Space == plan.Counter {
				return b
			}
		}
		return nil
	}
	counted := func(p *plan.Plan, k *plan.Kernel) bool { return counters(p, k) != nil }
	tiled := func(kind plan.Kind) func(p *plan.Plan, k *plan.Kernel) bool {
		return func(_ *plan.Plan, k *plan.Kernel) bool { return k.Kind == kind && !k.Flat() }
	}
	narrow := func(_ *plan.Plan, k *plan.Kernel) { k.Block.N = 0 }
	for _, c := range []struct {
		name   string
		of     func(p *plan.Plan, k *plan.Kernel) bool
		mutate func(p *plan.Plan, k *plan.Kernel)
		want   string
	}{
		{"no columns in a convolution", tiled(plan.Conv), narrow, "a tile of 0"},
		{"no columns in a weight gradient", tiled(plan.WgradSum), narrow, "a tile of 0"},
		{"no rows in a weight gradient", tiled(plan.WgradSum), func(_ *plan.Plan, k *plan.Kernel) { k.Block.M = -1 }, "a tile of -1"},
		{"no columns in a pool", tiled(plan.Pool), narrow, "a tile of 0"},
		{"no columns in a map", tiled(plan.Map), narrow, "a tile of 0"},
		{"a counter too few", counted, func(p *plan.Plan, k *plan.Kernel) { counters(p, k).Type = ir.T(ir.S32, k.Counters(p)-1) }, "elements, expected"},
		{"counters of two kernels", counted, func(p *plan.Plan, k *plan.Kernel) {
			b := *counters(p, k)
			b.Offset, p.Counters = p.Counters, p.Counters+b.Bytes
			p.Buffers = append(p.Buffers, b)
			k.Args = append(k.Args, plan.Arg{Buffer: len(p.Buffers) - 1, Mode: plan.Update})
		}, "has 2 buffers of counters, expected 1"},
	} {
		p := trained(t)
		found := false
		for _, k := range p.Kernels {
			if found = c.of(p, k); found {
				c.mutate(p, k)
				break
			}
		}
		require.True(t, found, c.name)
		require.ErrorContains(t, p.Verify(), c.want, c.name)
	}
}
