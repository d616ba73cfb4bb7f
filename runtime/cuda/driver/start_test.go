package driver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	printer "wrnc/codegen/cuda"
	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	"wrnc/kernels"
	"wrnc/runtime"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/cache"
	"wrnc/runtime/cuda/jit"
)

// network is WRN-16-4 as it is planned for a GPU, for a batch that the host has room
// for: the texts are the same for all.
type network struct {
	m       *ir.Module
	plans   []*plan.Plan
	sources [][]plan.Source
}

func build(t testing.TB) *network {
	t.Helper()
	net, err := dsl.FromName("WRN-16-4")
	require.NoError(t, err)
	c, err := compiler.Compile(net, compiler.Options{Batch: 2, Precision: ir.F32, Fuse: true})
	require.NoError(t, err)
	arch, err := printer.Arch(printer.DefaultArch)
	require.NoError(t, err)
	n := &network{m: c.Module}
	for _, f := range c.Module.Funcs {
		p, err := lower.Plan(f, arch)
		require.NoError(t, err)
		s, err := printer.Emit(p, f)
		require.NoError(t, err)
		n.plans, n.sources = append(n.plans, p), append(n.sources, s)
	}
	return n
}

// start opens a device and loads the network, and gives both back.
func (n *network) start(t testing.TB, f *fake, dir string, c *stand) time.Duration {
	t.Helper()
	begin := time.Now()
	d, err := Open(f.api, f.options(func(o *Options) {
		o.JIT = func() (*jit.JIT, error) {
			return jit.New(c, jit.Options{Cache: cache.Open(dir, cache.Limit, func(s string) { t.Error(s) })}), nil
		}
	}))
	require.NoError(t, err)
	p, err := cuda.Load(n.m, n.plans, n.sources, d, cuda.Options{Headers: kernels.Headers()})
	require.NoError(t, err)
	took := time.Since(begin)
	p.Close()
	require.NoError(t, d.Close())
	require.Empty(t, f.left())
	return took
}

// codeBytes is what a kernel of WRN-16-4 compiles to, at most about.
const codeBytes = 100 << 10

// TestWarmStart starts a network whose kernels are in the cache. What NVRTC and a
// real driver would add is theirs.
func TestWarmStart(t *testing.T) {
	f := newFake(t)
	n := build(t)
	dir := filepath.Join(t.TempDir(), "cache")
	cold := &stand{bytes: codeBytes}
	n.start(t, f, dir, cold)
	require.Greater(t, cold.texts, 20)
	best := time.Hour
	for range 5 {
		warm := &stand{bytes: codeBytes}
		best = min(best, n.start(t, f, dir, warm))
		require.Zero(t, warm.texts)
	}
	t.Logf("%d kernels of %d bytes in %v", cold.texts, codeBytes, best)
	require.Less(t, best, 300*time.Millisecond)
}

// load opens a device and loads the network on it, for the time of the test.
func (n *network) load(t *testing.T, f *fake) *cuda.Program {
	t.Helper()
	p, err := cuda.Load(n.m, n.plans, n.sources, f.open(t, nil), cuda.Options{Headers: kernels.Headers()})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// TestRun has the executor run whole functions: every launch is one that the fake
// library takes.
func TestRun(t *testing.T) {
	f := newFake(t)
	n := build(t)
	p := n.load(t, f)
	for i, pl := range n.plans {
		before := f.launches()
		results, err := p.Run(pl.Func, *inputs(pl, 2))
		require.NoError(t, err)
		require.Len(t, results, len(pl.Returns))
		require.GreaterOrEqual(t, int(f.launches()-before), len(pl.Launches), "function %d, %s", i, pl.Func)
	}
}

// inputs are those of a call of n samples.
func inputs(p *plan.Plan, n int) *runtime.Inputs {
	in := &runtime.Inputs{N: n, F32: map[string][]float32{}, Labels: map[string][]int32{}, U64: map[string]uint64{}}
	for i, b := range p.Buffers {
		if b.Space != plan.Input {
			continue
		}
		switch elems := p.Elems(i, n); b.Type.DType {
		case ir.F32:
			in.F32[b.Name] = make([]float32, elems)
		case ir.S32:
			in.Labels[b.Name] = make([]int32, elems)
		default:
			in.U64[b.Name] = 1
		}
	}
	return in
}

func BenchmarkWarmStart(b *testing.B) {
	f := newFake(b)
	n := build(b)
	dir := filepath.Join(b.TempDir(), "cache")
	n.start(b, f, dir, &stand{bytes: codeBytes})
	for b.Loop() {
		n.start(b, f, dir, &stand{bytes: codeBytes})
	}
}

func BenchmarkLibrary(b *testing.B) {
	for b.Loop() {
		if _, err := jit.Library(); err != nil {
			b.Skip(err)
		}
	}
}

func BenchmarkLaunch(b *testing.B) {
	d := newFake(b).open(b, nil)
	functions, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text("a", "u32 add;")}})
	require.NoError(b, err)
	args := make([]byte, 24)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := d.Launch(functions[0], cuda.Grid{Blocks: 1, Threads: 64}, args); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 0 {
			if err := d.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
