package cuda

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/lower"
	"wrnc/compiler/oracle"
	"wrnc/compiler/plan"
	"wrnc/kernels/harness"
)

// TestRegions runs random regions, each wrapped as one fusion: a root of any kind or
// none, up to five ops before and after it, a Reduce, a finish, in each precision, on
// sizes that miss every tile.
func TestRegions(t *testing.T) {
	h := harness.NewForTest(t)
	arch, err := Arch(DefaultArch)
	require.NoError(t, err)
	count := uint64(24)
	if whole() {
		count = 300
	} else {
		t.Logf("a short form: %d regions; WRNC_HARNESS=whole runs 300", count)
	}
	var wait sync.WaitGroup
	next := make(chan uint64)
	for range 2 {
		m, err := h.Start()
		require.NoError(t, err)
		defer m.Close()
		wait.Add(1)
		go func() {
			defer wait.Done()
			for seed := range next {
				precision := []ir.DType{ir.InvalidDType, ir.BF16, ir.TF32}[seed%3]
				if err := (&rig{h: h, m: m}).random(seed, precision, arch); err != nil {
					t.Errorf("seed %d, %v: %v", seed, precision, err)
				}
			}
		}()
	}
	for seed := range count {
		next <- seed
	}
	close(next)
	wait.Wait()
}

// random runs one random region.
func (g *rig) random(seed uint64, precision ir.DType, arch plan.Arch) error {
	m := gen.Fused(rand.New(rand.NewPCG(seed, 3)), gen.Options{Precision: precision})
	f := m.Func("main")
	p, err := lower.Plan(f, arch)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, m)
	}
	if err := p.VerifyAgainst(f); err != nil {
		return fmt.Errorf("%w\n%s", err, m)
	}
	src, err := Emit(p, f)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, m)
	}
	g.p, g.f, g.src = p, f, src
	for _, r := range oracle.Regions(p, f) {
		if err := g.run(r, p.Batch, seed); err != nil {
			return fmt.Errorf("%w\n%s", err, m)
		}
	}
	return nil
}
