package plan_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goCPU is a target without vector instructions: its plans do not depend on the
// machine that runs the tests.
var goCPU = plan.Arch{Target: "cpu", ISA: "go", Chans: 8, L1: 32 << 10, L2: 512 << 10}

const folder = "../../testdata/plans"

// small is a training step with what a plan can hold: a strided convolution, a
// projection, dropout, batch norm, pooling and sizes that fit no tile.
func small(t testing.TB) (*ir.Func, *plan.Plan) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "small.ir"))
	require.NoError(t, err)
	m, err := ir.Parse("small.ir", string(text))
	require.NoError(t, err)
	f := m.Func("train")
	p, err := lower.Plan(f, goCPU)
	require.NoError(t, err)
	return f, p
}

func TestGolden(t *testing.T) {
	_, p := small(t)
	path := filepath.Join(folder, "small.plan")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(p.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), p.String(), "if the change is meant: go test ./compiler/plan -run TestGolden -update")
}

// TestNetworks holds the plans of whole networks to the verifier and to their
// functions, fused and not, with and without dropout.
func TestNetworks(t *testing.T) {
	for _, name := range []string{"wrn-10-1", "wrn-10-1-b13", "wrn-16-1.5", "wrn-40-2-b3", "wrn-18-2-imagenet", "wrn-50-2-bottleneck"} {
		text, err := os.ReadFile(filepath.Join("../../testdata/nets", name+".wrn"))
		require.NoError(t, err)
		net, err := dsl.Load(name, text)
		require.NoError(t, err)
		for _, dropout := range []float64{0, 0.3} {
			if net.Family == dsl.ImageNet && dropout > 0 {
				continue // it has none
			}
			net.Dropout = dropout
			for _, fuse := range []bool{true, false} {
				r, err := compiler.Compile(net, compiler.Options{Batch: 5, Fuse: fuse})
				require.NoError(t, err)
				for _, f := range r.Module.Funcs {
					p, err := lower.Plan(f, goCPU)
					require.NoError(t, err)
					require.NoError(t, p.VerifyAgainst(f), "%s fuse=%v dropout=%v %s", name, fuse, dropout, f.Name)
					again, err := plan.Parse("plan", p.String())
					require.NoError(t, err)
					require.Equal(t, withoutLives(p), again)
					require.Equal(t, p.String(), again.String())
				}
			}
		}
	}
}

// withoutLives clears the lives of buffers outside the arena, which mean nothing
// and are not printed.
func withoutLives(p *plan.Plan) *plan.Plan {
	q := *p
	q.Buffers = slices.Clone(p.Buffers)
	for i := range q.Buffers {
		if q.Buffers[i].Space != plan.Arena {
			q.Buffers[i].First, q.Buffers[i].Last = 0, 0
		}
	}
	return &q
}

// kernel, bufferIndex and arg find parts of a plan by name.
func kernel(t testing.TB, p *plan.Plan, name string) *plan.Kernel {
	t.Helper()
	i := kernelIndex(t, p, name)
	return p.Kernels[i]
}

func kernelIndex(t testing.TB, p *plan.Plan, name string) int {
	t.Helper()
	i := slices.IndexFunc(p.Kernels, func(k *plan.Kernel) bool { return k.Name == name })
	require.GreaterOrEqual(t, i, 0, "no kernel %s", name)
	return i
}

func bufferIndex(t testing.TB, p *plan.Plan, name string) int {
	t.Helper()
	i := slices.IndexFunc(p.Buffers, func(b plan.Buffer) bool { return b.Name == name })
	require.GreaterOrEqual(t, i, 0, "no buffer %s", name)
	return i
}

func arg(t testing.TB, p *plan.Plan, kernelName, bufferName string) *plan.Arg {
	t.Helper()
	k, b := kernel(t, p, kernelName), bufferIndex(t, p, bufferName)
	i := slices.IndexFunc(k.Args, func(a plan.Arg) bool { return a.Buffer == b })
	require.GreaterOrEqual(t, i, 0, "%s is no argument of %s", bufferName, kernelName)
	return &k.Args[i]
}
