package emulator_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	printer "wrnc/codegen/cuda"
	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	"wrnc/kernels/harness"
	"wrnc/runtime"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/emulator"
	"wrnc/runtime/train"
)

// open returns a device of a harness that keeps what it compiles.
func open(t *testing.T, o emulator.Options) *emulator.Device {
	t.Helper()
	dir := os.Getenv("WRNC_HARNESS_DIR")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("wrnc-harness-%d", os.Getuid()))
	}
	h, err := harness.New(dir)
	if errors.Is(err, harness.ErrNoCompiler) {
		if os.Getenv("WRNC_REQUIRE_CUDA_TOOLS") != "" {
			t.Fatal(err)
		}
		t.Skip("no generated kernel is executed: ", err)
	}
	require.NoError(t, err)
	d, err := emulator.Open(h, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func TestTMP(t *testing.T) {
	d := open(t, emulator.Options{})
	net, err := dsl.Load("small.wrn", []byte("model WRN-10-1; dropout 0.3; train paper { batch 4 }"))
	require.NoError(t, err)
	net.Input = [3]int{8, 6, 3}
	c, err := compiler.Compile(net, compiler.Options{Batch: 4, Precision: ir.F32, Fuse: true})
	require.NoError(t, err)
	arch, err := printer.Arch("sm_80")
	require.NoError(t, err)
	var plans []*plan.Plan
	var sources [][]plan.Source
	for _, f := range c.Module.Funcs {
		if f.Name != "infer" {
			continue
		}
		p, err := lower.Plan(f, arch)
		require.NoError(t, err)
		s, err := printer.Emit(p, f)
		require.NoError(t, err)
		plans, sources = append(plans, p), append(sources, s)
	}
	p, err := cuda.Load(c.Module, plans, sources, d, cuda.Options{})
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, train.Initialize(p, c.Module, 1))
	r := rand.New(rand.NewPCG(1, 2))
	images := make([]float32, 4*8*6*3)
	for i := range images {
		images[i] = float32(r.NormFloat64())
	}
	out, err := p.Run("infer", runtime.Inputs{N: 4, F32: map[string][]float32{"images": images}})
	require.NoError(t, err)
	fmt.Println(out[0][:10], d.Counters())
}
