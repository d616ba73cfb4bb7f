package gen_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
)

const seeds = 300

func source(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 17)) }

// options cycles through kinds and precisions.
func options(seed int) gen.Options {
	return gen.Options{
		Kind:      gen.Kinds()[seed%5],
		Precision: []ir.DType{ir.InvalidDType, ir.BF16, ir.TF32}[seed/5%3],
		MaxSide:   6, MaxChannels: 17,
	}
}

func TestModulesAreLegal(t *testing.T) {
	for seed := range seeds {
		o := options(seed)
		for _, m := range []*ir.Module{gen.Region(source(seed), o), gen.Fused(source(seed), o)} {
			text := m.String()
			require.NoError(t, m.Verify(), "seed %d\n%s", seed, text)
			back, err := ir.Parse("gen.ir", text)
			require.NoError(t, err, "seed %d\n%s", seed, text)
			require.Equal(t, text, back.String())
		}
		require.Equal(t, gen.Fused(source(seed), o).String(), gen.Fused(source(seed), o).String(), "repeatable")
	}
}

func run(t *testing.T, m *ir.Module, seed, samples int, opt interp.Options) *interp.Result {
	f := m.Func("main")
	in, st := gen.Inputs(m, f, source(seed))
	res, err := interp.Run(f, gen.Cut(in, samples), st, opt)
	require.NoError(t, err, "seed %d\n%s", seed, m)
	return res
}

// Fused computes what Region computes, and everything stays finite; also for a
// short batch.
func TestFusedIsRegion(t *testing.T) {
	for seed := range seeds {
		o := options(seed)
		plain, fused := gen.Region(source(seed), o), gen.Fused(source(seed), o)
		for samples := 1; samples <= plain.Batch; samples++ {
			if samples < plain.Batch && hasRunning(plain) {
				continue // a short batch may leave a channel with one element
			}
			want, got := run(t, plain, seed, samples, interp.Options{}), run(t, fused, seed, samples, interp.Options{})
			require.Equal(t, want, got, "seed %d\n%s", seed, plain)
			for i, r := range want.Returns {
				for _, v := range r.F {
					require.False(t, math.IsNaN(v) || math.Abs(v) > 1e6, "seed %d, return %d: %v\n%s", seed, i, v, plain)
				}
			}
		}
	}
}

func hasRunning(m *ir.Module) bool {
	for _, n := range m.Func("main").Nodes {
		if n.Op == ir.BNRunning {
			return true
		}
	}
	return false
}

// The region is what a fusion may be: at most one root, at most two stored
// activations behind each of its operands, only Map, Reduce and Channel ops
// behind it, Channel ops only after Reduces, no mask leaving, nothing dead.
func TestRegionsAreWellShaped(t *testing.T) {
	ops := map[ir.Op]int{}
	deepest := map[string]int{}
	for seed := range seeds {
		m := gen.Fused(source(seed), options(seed))
		text := m.String()
		f := m.Func("main")
		require.Len(t, f.Nodes, 1)
		fusion := f.Nodes[0]
		require.Equal(t, "g.region", fusion.Layer)
		require.Equal(t, options(seed).Kind, fusion.Attrs.Kind)
		body := fusion.Body
		used := map[*ir.Value]bool{}
		roots := 0
		for _, n := range body.Nodes {
			ops[n.Op]++
			if n.Op.Class() == ir.Root {
				roots++
				for _, a := range n.Args {
					require.LessOrEqual(t, len(stored(body, a)), 2, "seed %d\n%s", seed, text)
				}
			}
			require.NotEqual(t, ir.Opaque, n.Op.Class())
			for i, a := range n.Args {
				used[a] = true
				if c := n.Op.Class(); c != ir.Channel && c != ir.Reduce && n.Op.Info().Args[i] == ir.Vec {
					require.True(t, a.IsLeaf(), "seed %d: a row needs a finished vector\n%s", seed, text)
				}
			}
		}
		want := 1
		if fusion.Attrs.Kind == "map" {
			want = 0
		}
		require.Equal(t, want, roots)
		for _, y := range body.Yields {
			require.NotEqual(t, ir.U1, y.Type.DType)
			used[y] = true
		}
		for _, n := range body.Nodes {
			live := false
			for _, r := range n.Results {
				live = live || used[r]
			}
			require.True(t, live, "seed %d: a dead %s\n%s", seed, n.Op, text)
		}
		deepest[fusion.Attrs.Kind] = max(deepest[fusion.Attrs.Kind], len(body.Nodes))
	}
	for _, op := range ir.Ops() {
		switch op {
		case ir.BatchNorm, ir.BatchNormEval, ir.BatchNormGrad, ir.MaxPool, ir.MaxPoolGrad, ir.Xent, ir.XentGrad, ir.Augment, ir.Fusion: // Opaque
			require.Zero(t, ops[op], "%s", op)
		case ir.FoldFilter: // reads weights and no activation, so that no region of one has it
			require.Zero(t, ops[op], "%s", op)
		default:
			require.NotZero(t, ops[op], "no module has a %s", op)
		}
	}
	for _, kind := range gen.Kinds() {
		require.Greater(t, deepest[kind], 6, kind)
	}
}

// stored lists the activations outside the body that v is computed from.
func stored(body *ir.Body, v *ir.Value) map[*ir.Value]bool {
	inside := map[*ir.Node]bool{}
	for _, n := range body.Nodes {
		inside[n] = true
	}
	out := map[*ir.Value]bool{}
	var walk func(v *ir.Value)
	walk = func(v *ir.Value) {
		if inside[v.Node] {
			for _, a := range v.Node.Args {
				walk(a)
			}
		} else if v.State == nil && v.Type.Rank() > 0 {
			out[v] = true
		}
	}
	walk(v)
	return out
}

func TestOptions(t *testing.T) {
	sizes := map[string]bool{}
	for seed := range seeds {
		m := gen.Region(source(seed), gen.Options{MaxSide: 2, MaxChannels: 5})
		for _, p := range m.Func("main").Params {
			if d := p.Type.Dims; len(d) == 4 {
				require.LessOrEqual(t, max(d[1], d[2]), 2)
				require.LessOrEqual(t, d[3], 5)
				sizes[fmt.Sprint(d[0])] = true
			}
		}
	}
	require.Len(t, sizes, 3, "batches of 1, 2 and 3")
	require.Panics(t, func() { gen.Region(source(1), gen.Options{Kind: "conv"}) })
}

func TestInputs(t *testing.T) {
	m, err := ir.Parse("m.ir", `module "m" {batch=40}
state @run : f32[2,30] role=running init=rows(0,1)
state @w : f32[50] role=param init=uniform(-0.5,0.25)
state @v : f32[50] role=velocity init=constant(3)
func main(%x : f32[40,1,1,7], %labels : s32[40], %lr : f32[], %seed : u64[]) {
  %0, %1 = fusion @l {kind=opaque} (%x, %labels) {
    %2 = xent %x, %labels : f32[2]
    yield %2, %2
  } : f32[2], f32[2]
  return %0
}
`)
	require.NoError(t, err)
	in, st := gen.Inputs(m, m.Func("main"), source(1))
	seen := map[uint64]bool{}
	for _, l := range in["labels"].U {
		require.Less(t, l, uint64(7))
		seen[l] = true
	}
	require.Len(t, seen, 7)
	for i := range 30 {
		require.Greater(t, st["run"].F[30+i], 0.4)
	}
	for i := range 50 {
		require.InDelta(t, -0.125, st["w"].F[i], 0.375)
		require.InDelta(t, 3, st["v"].F[i], 0.6)
	}
	require.NotZero(t, in["seed"].U[0])
	short := gen.Cut(in, 3)
	require.Equal(t, []int{3, 1, 1, 7}, short["x"].Type.Dims)
	require.Len(t, short["labels"].U, 3)
	_, err = interp.Run(m.Func("main"), short, st, interp.Options{})
	require.NoError(t, err)
}
