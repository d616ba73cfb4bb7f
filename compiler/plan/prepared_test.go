package plan_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
)

// prepared is a plan of inference with folded weights.
func prepared(t testing.TB) (*ir.Func, *plan.Plan) {
	t.Helper()
	net, err := dsl.FromName("WRN-10-1")
	require.NoError(t, err)
	r, err := compiler.Compile(net, compiler.Options{Batch: 3, Fuse: true, Fold: true})
	require.NoError(t, err)
	f := r.Module.Func("infer")
	p, err := lower.PlanPrepared(f, goCPU)
	require.NoError(t, err)
	return f, p
}

// TestPrepared: what folds and packs weights comes first and reads states alone, and
// the calls that follow read no state but the bias of the last layer.
func TestPrepared(t *testing.T) {
	f, p := prepared(t)
	require.NoError(t, p.VerifyAgainst(f))
	again, err := plan.Parse("plan", p.String())
	require.NoError(t, err)
	require.Equal(t, p.String(), again.String())
	require.Positive(t, p.Prepared)
	require.Equal(t, p.Prepared, again.Prepared)
	for launch, l := range p.Launches {
		for _, i := range l.Kernels {
			k := p.Kernels[i]
			require.Equal(t, launch < p.Prepared, k.Kind == plan.Pack || k.Kind == plan.Finish, k.Name)
			for _, a := range k.Args {
				if b := p.Buffers[a.Buffer]; launch >= p.Prepared && b.Space == plan.State {
					require.Equal(t, "fc.b", b.Name)
				}
			}
		}
	}
	plain, err := lower.Plan(f, goCPU)
	require.NoError(t, err)
	require.Zero(t, plain.Prepared)
	require.NotContains(t, plain.String(), "prepared")
}

// TestNothingIsPrepared where a state is assigned.
func TestNothingIsPrepared(t *testing.T) {
	f, _ := small(t)
	p, err := lower.PlanPrepared(f, goCPU)
	require.NoError(t, err)
	require.Zero(t, p.Prepared)
}

func TestVerifyPreparedMutations(t *testing.T) {
	for _, m := range []struct {
		name   string
		mutate func(t *testing.T, p *plan.Plan)
		want   []string
	}{
		{"a launch of the call is prepared", func(_ *testing.T, p *plan.Plan) { p.Prepared++ }, []string{"kernel conv0 ", "prepared", "buffer images", "one call"}},
		{"more launches than there are", func(_ *testing.T, p *plan.Plan) { p.Prepared = len(p.Launches) + 1 }, []string{"launches are prepared"}},
		{"fewer than none", func(_ *testing.T, p *plan.Plan) { p.Prepared = -1 }, []string{"launches are prepared"}},
		{"a call overwrites what was prepared", func(t *testing.T, p *plan.Plan) {
			kept, late := &p.Buffers[bufferIndex(t, p, "conv0.packed")], &p.Buffers[bufferIndex(t, p, "g3.b0.conv2.0")]
			kept.Last = p.Prepared // as if the first call were the only one
			kept.Offset, late.Offset = p.Arena, p.Arena
			p.Arena += max(kept.Bytes, late.Bytes)
		}, []string{"in a second call", "kernel conv0 ", "buffer conv0.packed", "kernel g3.b0.conv2 ", "buffer g3.b0.conv2.0"}},
		{"a call prepares other weights in the same place", func(t *testing.T, p *plan.Plan) {
			again := *kernel(t, p, "g1.b0.conv1.pack")
			again.Name = "again"
			again.Args = slices.Clone(again.Args)
			again.Args[0].Buffer = bufferIndex(t, p, "g1.b0.conv2.w")
			p.Buffers[again.Args[0].Buffer].Last = len(p.Launches)
			p.Kernels = append(p.Kernels, &again)
			p.Launches = append(p.Launches, plan.Launch{Kernels: []int{len(p.Kernels) - 1}})
			for i := range p.Buffers {
				if b := &p.Buffers[i]; b.Last == len(p.Launches)-1 {
					b.Last++
				}
			}
		}, []string{"kernel again ", "buffer g1.b0.conv1.packed", "prepared"}},
		{"a state changes", func(t *testing.T, p *plan.Plan) {
			a := arg(t, p, "g3.b0.conv2", "g3.b0.conv2.0")
			typ := p.Buffers[a.Buffer].Type
			a.Buffer = addState(p, "changed", typ)
			p.Buffers[a.Buffer].Bytes = (typ.Bytes() + plan.Align - 1) / plan.Align * plan.Align
			p.Buffers[a.Buffer].Batched = true
			p.State += p.Buffers[a.Buffer].Bytes
		}, []string{"kernel g3.b0.conv2 ", "writes state changed", "prepared"}},
	} {
		t.Run(m.name, func(t *testing.T) {
			_, p := prepared(t)
			m.mutate(t, p)
			err := p.Verify()
			require.Error(t, err)
			for _, w := range m.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
}
