package cuda

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
)

// nets lists the sample networks.
func nets(t testing.TB) []string {
	files, err := filepath.Glob("../../testdata/nets/*.wrn")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 10)
	return files
}

// compiled compiles a sample network.
func compiled(t testing.TB, file string, precision ir.DType, fuse bool) *ir.Module {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	net, err := dsl.Load(filepath.Base(file), text)
	require.NoError(t, err)
	c, err := compiler.Compile(net, compiler.Options{Batch: net.Train.Batch, Precision: precision, Fuse: fuse})
	require.NoError(t, err)
	return c.Module
}

// TestPlans holds the plans of every sample network for GPUs to the verifier, to
// their functions and to their text.
func TestPlans(t *testing.T) {
	for _, file := range nets(t) {
		for _, precision := range []ir.DType{ir.F32, ir.TF32, ir.BF16} {
			for _, fuse := range []bool{true, false} {
				m := compiled(t, file, precision, fuse)
				for _, name := range []string{"sm_80", "sm_120"} {
					arch, err := Arch(name)
					require.NoError(t, err)
					for _, f := range m.Funcs {
						p, err := lower.Plan(f, arch)
						require.NoError(t, err, "%s %v", file, precision)
						require.NoError(t, p.VerifyAgainst(f), "%s %v %s", file, precision, f.Name)
						if name == "sm_80" && !strings.Contains(file, "28-10") {
							again, err := plan.Parse("again", p.String())
							require.NoError(t, err)
							require.Equal(t, p.String(), again.String())
						}
					}
				}
			}
		}
	}
}
