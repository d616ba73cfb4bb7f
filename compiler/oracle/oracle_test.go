package oracle_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/codegen/cuda"
	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/oracle"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime/cpu"
)

// TestAloneIsTheSame requires that a region alone is planned to the kernels that it
// has in its network: else what is verified is not what runs. For GPUs the texts are
// compared, for the CPU the kernels, but for where their arguments lie.
func TestAloneIsTheSame(t *testing.T) {
	files, err := filepath.Glob("../../testdata/nets/*.wrn")
	require.NoError(t, err)
	gpu, err := cuda.Arch(cuda.DefaultArch)
	require.NoError(t, err)
	processor := cpu.Arch(kernels.All()[0])
	regions := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		net, err := dsl.Load(filepath.Base(file), text)
		require.NoError(t, err)
		for _, o := range []compiler.Options{{Precision: ir.F32}, {Precision: ir.BF16}, {Precision: ir.F32, Fold: true}} {
			o.Batch, o.Fuse = 5, true
			c, err := compiler.Compile(net, o)
			require.NoError(t, err)
			lay, archs := lower.Plan, []plan.Arch{gpu}
			if o.Precision == ir.F32 {
				archs = append(archs, processor)
			}
			if o.Fold { // as inference runs
				lay, archs = lower.PlanPrepared, []plan.Arch{processor}
			}
			seen := map[string]bool{}
			for _, arch := range archs {
				for _, f := range c.Module.Funcs {
					p, err := lay(f, arch)
					require.NoError(t, err)
					whole := printed(t, p, f)
					for _, r := range oracle.Regions(p, f) {
						key, err := r.Key()
						require.NoError(t, err)
						if seen[arch.ISA+key] {
							continue
						}
						seen[arch.ISA+key] = true
						regions++
						same(t, file+" "+f.Name, lay, p, whole, r)
					}
				}
			}
		}
	}
	t.Logf("%d regions", regions)
}

// same holds a region alone to its kernels in plan p, of which whole are the texts.
func same(t *testing.T, where string, lay func(*ir.Func, plan.Arch) (*plan.Plan, error), p *plan.Plan, whole []plan.Source, r *oracle.Region) {
	t.Helper()
	a, err := r.Alone()
	require.NoError(t, err)
	require.NoError(t, a.Func.Module.Verify(), "%s @%s", where, r.Name())
	q, err := lay(a.Func, p.Arch)
	require.NoError(t, err, "%s @%s\n%s", where, r.Name(), a.Func.Module)
	require.NoError(t, q.VerifyAgainst(a.Func))
	all := oracle.Regions(q, a.Func)
	got := kernelsOf(q, printed(t, q, a.Func), all[len(all)-1])
	require.NotEmpty(t, got)
	require.Equal(t, kernelsOf(p, whole, r), got, "%s @%s", where, r.Name())
}

// printed are the texts of a GPU's plan.
func printed(t *testing.T, p *plan.Plan, f *ir.Func) []plan.Source {
	if !p.Arch.OnGPU() {
		return nil
	}
	src, err := cuda.Emit(p, f)
	require.NoError(t, err)
	return src
}

// kernelsOf are a region's kernels, without the places of their arguments.
func kernelsOf(p *plan.Plan, src []plan.Source, r *oracle.Region) []any {
	var list []any
	for _, i := range r.Kernels {
		if src != nil {
			list = append(list, src[i])
			continue
		}
		k := *p.Kernels[i]
		k.Args = slices.Clone(k.Args)
		for i := range k.Args {
			k.Args[i].Buffer = 0
		}
		list = append(list, k)
	}
	return list
}
