package cuda

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/kernels/harness"
)

// TestKernels executes every distinct kernel text of sample networks and compares
// what each region yields with the interpreter.
func TestKernels(t *testing.T) {
	h := newHarness(t)
	m, err := h.Start()
	require.NoError(t, err)
	defer m.Close()
	seen := map[string]bool{}
	for _, file := range []string{"wrn-10-1", "wrn-40-2-b313"} {
		for _, precision := range []ir.DType{ir.F32, ir.TF32, ir.BF16} {
			started, ran := time.Now(), 0
			mod := compiled(t, filepath.Join("../../testdata/nets", file+".wrn"), precision, true)
			arch, err := Arch(DefaultArch)
			require.NoError(t, err)
			for _, f := range mod.Funcs {
				p, err := lower.Plan(f, arch)
				require.NoError(t, err)
				src, err := Emit(p, f)
				require.NoError(t, err)
				g := &rig{t: t, h: h, m: m, p: p, f: f, src: src, opts: harness.Launch{}}
				for _, r := range regions(p, f) {
					fresh := false
					for _, i := range r.kernels {
						fresh = fresh || !seen[src[i].Entry]
						seen[src[i].Entry] = true
					}
					if fresh {
						ran++
						if err := g.run(r, 2, 1); err != nil {
							t.Errorf("%s %v %s, fusion @%s: %v", file, precision, f.Name, r.n.Layer, err)
						}
					}
				}
			}
			t.Logf("%s %v: %d regions in %v", file, precision, ran, time.Since(started).Round(time.Millisecond))
		}
	}
}
